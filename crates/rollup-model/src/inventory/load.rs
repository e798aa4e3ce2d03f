//! Reads `rollup.toml`: form first, then meaning; all mistakes at once, each at its line.

use std::{collections::BTreeSet, ops::Range};

use toml::de::{DeTable, DeValue};

use super::{DatabaseEngine, Inventory};
use crate::{
    Check,
    diagnostic::{Diagnostic, read_toml},
    waiver,
};

/// The value of a key that nobody has answered yet. `rollup init` writes it below its question; no key may have it.
pub const OPEN: &str = "?";

/// Reads an inventory, or says everything that is wrong with it, apart from what its waivers name.
pub fn load(text: &str) -> Result<Inventory, Vec<Diagnostic>> {
    read(text, None)
}

/// The same; its waivers must name checks that there are, and that may be waived.
pub fn load_against(text: &str, checks: &[Check]) -> Result<Inventory, Vec<Diagnostic>> {
    read(text, Some(checks))
}

fn read(text: &str, checks: Option<&[Check]>) -> Result<Inventory, Vec<Diagnostic>> {
    // First, since what else is wrong then mostly follows from it.
    let open = open_questions(text);
    if !open.is_empty() {
        return Err(open);
    }
    let inventory: Inventory = read_toml(text)?;
    let mut problems = check(&inventory, text);
    if let Some(checks) = checks {
        let places = Places::of(text);
        let waivers = waiver::problems(&inventory, checks).into_iter();
        problems.extend(waivers.map(|(path, problem)| problem.at(places.span(&path.each_ref().map(String::as_str)))));
    }
    if problems.is_empty() { Ok(inventory) } else { Err(problems) }
}

fn open_questions(text: &str) -> Vec<Diagnostic> {
    let mut open = Vec::new();
    let document = DeTable::parse(text).ok();
    let mut left: Vec<_> = document.iter().flat_map(|table| table.get_ref().values()).collect();
    while let Some(value) = left.pop() {
        match value.get_ref() {
            DeValue::Table(table) => left.extend(table.values()),
            DeValue::Array(items) => left.extend(items.iter()),
            DeValue::String(word) if word == OPEN => open.push(value.span()),
            _ => {}
        }
    }
    open.sort_by_key(|span| span.start);
    let message = format!("expected an answer to the question above, found `{OPEN}`");
    let hint = "`rollup init` could not know it: write the value, then delete the question";
    open.into_iter().map(|span| Diagnostic::new(message.clone()).at(Some(span)).hint(hint)).collect()
}

fn check(inventory: &Inventory, text: &str) -> Vec<Diagnostic> {
    let places = Places::of(text);
    let mut problems = Vec::new();
    let mut complain = |path: &[&str], message: String, hint: &str| {
        problems.push(Diagnostic::new(message).at(places.span(path)).hint(hint));
    };

    if inventory.nodes.len() < 2 {
        complain(
            &["nodes"],
            format!("expected at least two nodes, found {}", inventory.nodes.len()),
            "add a second `[[nodes]]` table",
        );
    }
    let mut names = BTreeSet::new();
    let mut hosts = BTreeSet::new();
    for (index, node) in inventory.nodes.iter().enumerate() {
        let index = index.to_string();
        let role = crate::Role::ALL.iter().any(|(name, _)| *name == node.name.as_str());
        if role || ["all", "each", "pair"].contains(&node.name.as_str()) {
            complain(
                &["nodes", &index, "name"],
                format!("`{}` is a word of playbooks and cannot name a node", node.name),
                "choose another name",
            );
        }
        if !names.insert(&node.name) {
            complain(
                &["nodes", &index, "name"],
                format!("node `{}` is named twice", node.name),
                "node names are unique",
            );
        }
        if !hosts.insert(&node.host) {
            complain(
                &["nodes", &index, "host"],
                format!("host `{}` is given twice", node.host),
                "each node has an address of its own",
            );
        }
        if node.host == inventory.vip.address.to_string() {
            complain(
                &["nodes", &index, "host"],
                format!("`{}` is the VIP, which moves; expected the node's own address", node.host),
                "use the address that stays on the node",
            );
        }
    }
    let absolute = |path: &str| path.starts_with('/') && !path.split('/').any(|part| part == "..");
    let named_paths: [(&[&str], &str); 3] = [
        (&["keepalived", "config"], &inventory.keepalived.config),
        (&["database", "data_dir"], &inventory.database.data_dir),
        (&["backup", "dir"], &inventory.backup.dir),
    ];
    let listed_paths = (inventory.service.config.iter().map(|path| (["service", "config"], path)))
        .chain(inventory.service.code.iter().map(|path| (["service", "code"], path)))
        .chain(inventory.sync.iter().flat_map(|sync| &sync.paths).map(|path| (["sync", "paths"], path)))
        .chain(inventory.database.env_file.iter().map(|path| (["database", "env_file"], path)))
        .chain(inventory.service.root_key.iter().map(|path| (["service", "root_key"], path)))
        .chain(inventory.package.allowed_destinations.iter().map(|path| (["package", "allowed_destinations"], path)));
    let all_paths = named_paths
        .into_iter()
        .map(|(place, path)| (place.to_vec(), path))
        .chain(listed_paths.map(|(place, path)| (place.to_vec(), path.as_str())));
    for (place, path) in all_paths {
        if !absolute(path) {
            complain(&place, format!("expected an absolute path without `..`, found `{path}`"), "start it with `/`");
        }
    }
    if let (DatabaseEngine::Postgresql, Some(file)) = (inventory.database.engine, &inventory.database.env_file) {
        complain(
            &["database", "env_file"],
            format!("expected no env_file with engine `postgresql`, found `{file}`"),
            "only the tools of openGauss and GaussDB need one: remove it, or change database.engine",
        );
    }
    if inventory.service.units.is_empty() {
        complain(&["service", "units"], "expected at least one unit, found none".to_owned(), "name the systemd units");
    }
    let units = (inventory.service.units.iter().map(|unit| (["service", "units"], unit)))
        .chain([(["database", "unit"], &inventory.database.unit), (["keepalived", "unit"], &inventory.keepalived.unit)])
        .chain(
            inventory.sync.iter().flat_map(|sync| [(["sync", "unit"], &sync.unit), (["sync", "timer"], &sync.timer)]),
        );
    for (place, unit) in units {
        let known_kind = [".service", ".timer", ".target"].iter().any(|kind| unit.ends_with(kind));
        if !known_kind || unit.contains(['/', ' ', '\n']) || unit.starts_with('-') {
            complain(
                &place,
                format!("expected a unit name with its kind, found `{unit}`"),
                "write for example `orders-api.service`",
            );
        }
    }
    if inventory.backup.keep == 0 {
        complain(&["backup", "keep"], "expected at least 1 kept set, found 0".to_owned(), "a rollback needs one");
    }
    let (warn, refuse) = (inventory.backup.warn_after, inventory.backup.refuse_after);
    if warn > refuse {
        complain(
            &["backup", "warn_after"],
            format!("expected at most backup.refuse_after ({refuse}), found {warn}"),
            "a set is warned about first and refused later",
        );
    }
    if inventory.limits.soak_checks == 0 {
        complain(&["limits", "soak_checks"], "expected at least 1 check, found 0".to_owned(), "3 is the usual number");
    }
    if let Some(meter) = &inventory.meter {
        if meter.interval.duration().as_millis() < 10 {
            complain(
                &["meter", "interval"],
                format!("expected at least 10ms between probes, found {}", meter.interval),
                "the probe must not be a load",
            );
        }
        for (key, url) in [("read_url", Some(&meter.read_url)), ("write_url", meter.write_url.as_ref())] {
            if url.is_some_and(|url| !url.starts_with("http://")) {
                complain(
                    &["meter", key],
                    "expected a URL that starts with `http://`".to_owned(),
                    "write `http://VIP:PORT/…`",
                );
            }
        }
    }
    problems
}

/// Finds the place of a value in the text by its path of keys and indices.
struct Places<'a>(Option<toml::Spanned<DeTable<'a>>>);

impl<'a> Places<'a> {
    fn of(text: &'a str) -> Self {
        Self(DeTable::parse(text).ok())
    }

    /// The deepest place on `path` that exists.
    fn span(&self, path: &[&str]) -> Option<Range<usize>> {
        let (first, rest) = path.split_first()?;
        let mut here = self.0.as_ref()?.get_ref().get(*first)?;
        for key in rest {
            let next = match here.get_ref() {
                DeValue::Table(table) => table.get(*key),
                DeValue::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            match next {
                Some(value) => here = value,
                None => break,
            }
        }
        Some(here.span())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[cluster]
name = "orders"
[[nodes]]
name = "node-a"
host = "10.78.0.11"
[[nodes]]
name = "node-b"
host = "10.78.0.12"
[vip]
address = "10.78.0.100"
[database]
engine = "postgresql"
data_dir = "/var/lib/postgresql/15/main"
unit = "postgresql@15-main.service"
name = "orders"
[service]
units = ["orders-api.service"]
"#;

    #[test]
    fn the_smallest_inventory_is_read_with_its_defaults() {
        let inventory = load(GOOD).unwrap();
        assert_eq!(inventory.cluster.downtime_budget, crate::Span::secs(240));
        assert_eq!(inventory.limits.node, crate::Span::secs(900), "UPG-7");
        assert_eq!(inventory.limits.vip_switch, crate::Span::secs(30), "VIP-2");
        assert_eq!(inventory.backup.keep, 1, "BAK-3");
        assert!(!inventory.package.allow_unsigned, "PKG-1");
    }

    #[test]
    fn all_mistakes_of_meaning_are_reported_at_their_lines() {
        let text = GOOD
            .replace("\"node-b\"", "\"node-a\"")
            .replace("\"10.78.0.12\"", "\"10.78.0.100\"")
            .replace("/var/lib/postgresql/15/main", "pg/main")
            .replace("orders-api.service", "orders-api");
        let problems = load(&text).unwrap_err();
        let messages: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(problems.len(), 4, "{messages:?}");
        let page = problems.iter().map(|p| p.render("rollup.toml", &text, false)).collect::<Vec<_>>().join("\n");
        for line in ["rollup.toml:8", "rollup.toml:9", "rollup.toml:14", "rollup.toml:18"] {
            assert!(page.contains(line), "{line} in\n{page}");
        }
    }

    #[test]
    fn a_waiver_of_an_unknown_check_or_of_one_that_is_never_waived_is_a_mistake_at_its_line_pre_10() {
        let checks =
            [Check::new("database.lag", "PRE-4", "lag"), Check::new("vip.owner", "PRE-3", "owner").never_waived()];
        let waiver = |check: &str, node: &str, reason: &str| {
            format!("[[waivers]]\ncheck='{check}'\nnode='{node}'\nreason='{reason}'\nuntil='2026-12-31'\n")
        };
        let good = format!("{GOOD}{}", waiver("database.lag", "node-b", "T-7"));
        assert_eq!(load_against(&good, &checks).unwrap().waivers.len(), 1);
        let bad = format!("{GOOD}{}{}", waiver("database.lagg", "node-c", " "), waiver("vip.owner", "node-a", "T-7"));
        let problems = load_against(&bad, &checks).unwrap_err();
        let page = problems.iter().map(|p| p.render("rollup.toml", &bad, false)).collect::<Vec<_>>().join("\n");
        for text in [
            "there is no check `database.lagg`",
            "did you mean `database.lag`?",
            "rollup.toml:20",
            "there is no node `node-c`",
            "expected a reason, found none",
            "`vip.owner` can never be waived",
            "rollup.toml:25",
        ] {
            assert!(page.contains(text), "{text} in\n{page}");
        }
    }

    #[test]
    fn an_env_file_is_for_gauss_engines_only_and_an_absolute_path() {
        let with = |engine: &str, file: &str| {
            let engine = format!("engine = \"{engine}\"\nenv_file = \"{file}\"");
            load(&GOOD.replace("engine = \"postgresql\"", &engine))
        };
        for engine in ["opengauss", "gaussdb"] {
            let inventory = with(engine, "/home/omm/gauss_env").unwrap();
            assert_eq!(inventory.database.env_file.as_deref(), Some("/home/omm/gauss_env"));
            let relative = with(engine, "gauss_env").unwrap_err();
            assert_eq!(relative[0].message, "expected an absolute path without `..`, found `gauss_env`");
        }
        let refused = with("postgresql", "/home/omm/gauss_env").unwrap_err();
        assert_eq!(refused[0].message, "expected no env_file with engine `postgresql`, found `/home/omm/gauss_env`");
    }

    #[test]
    fn every_open_question_is_reported_at_its_line_and_nothing_else() {
        let text = GOOD
            .replace("\"10.78.0.100\"", "\"?\"")
            .replace("[\"orders-api.service\"]", "[\"?\"]")
            .replace("/var/lib/postgresql/15/main", "relative");
        let problems = load(&text).unwrap_err();
        let page = problems.iter().map(|p| p.render("rollup.toml", &text, false)).collect::<Vec<_>>().join("\n");
        assert_eq!(problems.len(), 2, "{page}");
        assert!(page.contains("rollup.toml:11:11") && page.contains("rollup.toml:18:10"), "{page}");
        assert!(page.contains("answer to the question above"), "{page}");
    }

    #[test]
    fn the_example_shows_every_key_there_is() {
        let text = include_str!("../../../../examples/rollup.toml");
        let inventory = load(text).unwrap_or_else(|problems| panic!("{problems:?}"));
        // What the example leaves out would be null or come from a default; then the two documents differ in their keys.
        let all = serde_json::to_value(&inventory).unwrap();
        let written: toml::Table = toml::from_str(text).unwrap();
        let written = serde_json::to_value(written).unwrap();
        for (section, keys) in all.as_object().unwrap() {
            let table = |value: &serde_json::Value| {
                value.get(0).unwrap_or(value).as_object().unwrap().keys().cloned().collect()
            };
            let (all, written): (BTreeSet<String>, BTreeSet<String>) = (table(keys), table(&written[section]));
            assert_eq!(all, written, "[{section}]");
        }
    }

    #[test]
    fn an_inventory_survives_being_stored_in_a_plan() {
        let inventory = load(GOOD).unwrap();
        let json = serde_json::to_string(&inventory).unwrap();
        assert_eq!(serde_json::from_str::<Inventory>(&json).unwrap(), inventory);
    }
}
