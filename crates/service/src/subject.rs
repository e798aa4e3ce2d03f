//! Which version a node runs, and whether its ports are the service's own.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use rollup_engine::{FindingCx, Probe, Stage, Subject};
use rollup_model::{Check, Facts, Finding, Inventory, Release, inventory::Node};
use serde::{Deserialize, Serialize};

/// Facts about the installed service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Content of the version file; `baseline` when there is none.
    pub version: String,
    /// Who listens on the service's ports.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// What packages have placed, by the name of the package.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub installed: BTreeMap<String, Vec<String>>,
}

/// What earlier versions of a package have placed on some node, and this one neither places nor keeps.
pub fn obsolete(release: &Release, facts: &Facts) -> Vec<String> {
    let of_node = |node| facts.get::<ServiceFacts>(node, ServiceSubject.name());
    let placed = facts.nodes.keys().filter_map(of_node).filter_map(|mut facts| facts.installed.remove(&release.name));
    let placed: BTreeSet<String> = placed.flatten().collect();
    release.obsolete(placed.iter().map(String::as_str))
}

/// A process that listens on a port of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// The process.
    pub pid: u32,
    /// The unit it belongs to; empty: none that is known.
    pub unit: String,
    /// Its name.
    pub name: String,
}

/// The installed service.
pub struct ServiceSubject;

const CHECKS: [Check; 5] = [
    Check::new("service.readable", "PRE-6", "version and ports of the service can be read"),
    Check::new("service.port", "PRE-6", "nobody else listens on a port of the service"),
    Check::new("package.from-version", "PRE-9", "the package upgrades from the version that is installed"),
    Check::new(
        "package.units",
        "PRE-9",
        "the units that the package names are those of the inventory, in the same order",
    ),
    Check::new("package.new", "PRE-9", "the package's version is not installed already"),
];

/// `$1` version file, or empty, then ports.
const PROBE: &str = r##"
version=
if [ -n "$1" ] && [ -f "$1" ]; then version=$(head -c 200 "$1" | head -n 1); fi
echo "version $version"
shift
for record in /var/lib/rollup/installed/*; do
  [ -f "$record" ] || continue
  name=${record##*/}
  sed -n "s|^[0-9a-f]\{64\} [^ ]* [^ ]* [^ ]* |placed $name |p" "$record"
done
ss -Hltnp | awk '{ print $4, $6 }' | while read -r address users; do
  for port in "$@"; do
    [ "${address##*:}" = "$port" ] || continue
    # One port may be shared: users:(("java",pid=77,fd=9),("java",pid=78,fd=9))
    printf '%s
' "$users" | grep -o '("[^"]*",pid=[0-9]*' | sort -u | while IFS='"' read -r _ name pid; do
      pid=${pid#,pid=}
      unit=$(sed -nE 's#.*/([^/]*\.(service|scope))(/.*)?$#\1#p' "/proc/$pid/cgroup" 2>/dev/null | head -n 1)
      echo "listener $port $pid ${unit:--} $name"
    done
  done
done
"##;

impl Subject for ServiceSubject {
    type Facts = ServiceFacts;

    fn name(&self) -> &'static str {
        "service"
    }

    fn probe(&self, inventory: &Inventory, _: &Node) -> Option<Probe> {
        let mut args = vec![inventory.service.version_file.clone().unwrap_or_default()];
        args.extend(inventory.service.ports.iter().map(u16::to_string));
        Some(Probe { script: PROBE, args })
    }

    fn parse(&self, text: &str, _: &Inventory) -> Result<ServiceFacts> {
        let (mut version, mut listeners) = (None, Vec::new());
        let mut installed = BTreeMap::<String, Vec<String>>::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match line.split_once(' ') {
                Some(("version", told)) => version = Some(told.trim()),
                Some(("listener", rest)) => listeners.push(listener(rest)?),
                Some(("placed", rest)) => {
                    let (name, path) = rest.split_once(' ').context("expected a package and a path")?;
                    installed.entry(name.to_owned()).or_default().push(path.to_owned());
                }
                _ => bail!("expected version, listener or placed, found `{line}`"),
            }
        }
        let version = version.context("expected a line `version …`, found none")?;
        let version = if version.is_empty() { "baseline" } else { version }.to_owned();
        Ok(ServiceFacts { version, listeners, installed })
    }

    fn checks(&self) -> &'static [Check] {
        &CHECKS
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        if cx.stage == Stage::Resumed {
            return Vec::new();
        }
        let nodes = cx.each(self);
        let mut findings: Vec<_> =
            nodes.iter().flat_map(|(node, facts)| ports(cx.inventory, facts).into_iter().map(|f| f.on(node))).collect();
        let Some(release) = cx.release else { return findings };
        let each = cx.each(self).into_iter().map(|(node, facts)| {
            let here = facts.version == release.version;
            let allowed = release.from_versions.is_empty()
                || facts.version == "baseline"
                || here
                || release.from_versions.iter().any(|pattern| fits(pattern, &facts.version));
            Finding::check(
                "package.from-version",
                "PRE-9",
                allowed,
                format!("one of {}", release.from_versions.join(", ")),
                facts.version,
            )
            .on(node)
            .fix(format!("take a package of {} that upgrades from this version", release.name))
        });
        findings.extend(each);
        findings.extend(units(cx.inventory, release));
        let all_new = !nodes.is_empty() && nodes.iter().all(|(_, facts)| facts.version == release.version);
        if all_new {
            // Going on would replace nothing and still move the VIP, and the new backup set takes the older one's place.
            let found = format!("{} on every node", release.version);
            findings.push(
                Finding::check("package.new", "PRE-9", false, "a node without this version", found)
                    .only_warn()
                    .fix("nothing needs to be installed; to look: rollup health"),
            );
        }
        findings
    }
}

/// Units that a package was made for and that the inventory does not stop would run the old version on.
fn units(inventory: &Inventory, release: &Release) -> Option<Finding> {
    let wanted = &release.units;
    let known: Vec<_> = inventory.service.units.iter().filter(|unit| wanted.contains(unit)).collect();
    let expected = format!("`service.units` with {}, in this order", wanted.join(", "));
    let found = inventory.service.units.join(", ");
    let same = known.iter().copied().eq(wanted);
    let finding = Finding::check("package.units", "PRE-9", same, expected, found);
    (!wanted.is_empty()).then(|| finding.only_warn().fix("compare `service.units` of the inventory with the package"))
}

fn listener(rest: &str) -> Result<Listener> {
    let words: Vec<_> = rest.splitn(4, ' ').collect();
    let [port, pid, unit, name] = words[..] else { bail!("expected `PORT PID UNIT NAME`, found `{rest}`") };
    Ok(Listener {
        port: port.parse().with_context(|| format!("expected a port, found `{port}`"))?,
        pid: pid.parse().with_context(|| format!("expected a process, found `{pid}`"))?,
        unit: if unit == "-" { String::new() } else { unit.to_owned() },
        name: name.to_owned(),
    })
}

/// A port that another program has taken cannot be the service's, however healthy it looks.
fn ports(inventory: &Inventory, facts: &ServiceFacts) -> Vec<Finding> {
    let service = &inventory.service;
    let each = service.ports.iter().map(|port| {
        let foreign = |listener: &&Listener| listener.port == *port && !service.units.contains(&listener.unit);
        let expected = format!("port {port} for {}", service.units.join(", "));
        match facts.listeners.iter().find(foreign) {
            None => Finding::check("service.port", "PRE-6", true, expected, "nobody else listens there"),
            Some(Listener { pid, unit, name, .. }) => {
                let of = if unit.is_empty() { String::new() } else { format!(" of {unit}") };
                // What it belongs to may be sshd itself: its unit is shown, and not stopped by a line that is copied.
                Finding::check("service.port", "PRE-6", false, expected, format!("`{name}`, process {pid}{of}"))
                    .fix(format!("kill {pid}   # what started it: systemctl status {pid}"))
            }
        }
    });
    each.collect()
}

/// `1.2.*` fits everything that begins with `1.2.`.
fn fits(pattern: &str, version: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == version, |prefix| version.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory() -> Inventory {
        rollup_model::inventory::load(
            "cluster={name='o'}\nnodes=[{name='a',host='1'},{name='b',host='2'}]\nvip={address='10.0.0.9'}\n\
             database={engine='postgresql',data_dir='/d',unit='p.service',name='o'}\n\
             service={units=['orders-api.service'],ports=[8080,8081]}\n",
        )
        .unwrap()
    }

    #[test]
    fn a_port_that_another_program_has_taken_names_it_pre_6() {
        let text =
            "version 1.0.0\nlistener 8080 77 orders-api.service java\nlistener 8081 99 nginx.service nginx: master\n";
        let facts = ServiceSubject.parse(text, &inventory()).unwrap();
        let found = ports(&inventory(), &facts);
        assert_eq!(found[0].severity, rollup_model::Severity::Ok);
        assert_eq!((found[1].id.as_str(), found[1].severity), ("service.port", rollup_model::Severity::Error));
        assert_eq!(found[1].found, "`nginx: master`, process 99 of nginx.service");
        assert!(found[1].fix.as_ref().unwrap().starts_with("kill 99 "));
    }

    #[test]
    fn a_process_without_a_unit_is_as_foreign_and_unknown_text_is_an_error_pre_6() {
        let facts = ServiceSubject.parse("version \nlistener 8080 5 - nc\n", &inventory()).unwrap();
        assert_eq!(facts.version, "baseline");
        let found = &ports(&inventory(), &facts)[0];
        assert!(found.found == "`nc`, process 5" && found.fix.as_ref().unwrap().starts_with("kill 5"), "{found:?}");
        for bad in ["", "1.0.0", "version 1\nlistener x 1 - nc\n"] {
            assert!(ServiceSubject.parse(bad, &inventory()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_star_stands_for_any_tail() {
        assert!(fits("1.*", "1.0.0") && fits("1.0.0", "1.0.0") && fits("*", "3"));
        assert!(!fits("1.*", "2.1.0") && !fits("1.0.0", "1.0.1"));
    }
}
