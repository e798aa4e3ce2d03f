//! The service: its units, ports and files, and what a backup of it needs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Draft, Given, Known, Pair, distinct, list, pair as machines, size, strings};
use crate::init::parse::{Place, Seen, Service};

pub(super) fn tell(draft: &mut Draft, pair: &Pair<'_>, known: &Known) {
    let units = units(draft, pair, known);
    let of_units = |seen: &Seen| -> Vec<Service> {
        units.iter().filter_map(|unit| seen.services.iter().find(|service| service.unit == *unit)).cloned().collect()
    };
    let services = pair.seen.map(of_units);
    let code = places(draft, pair, &services, "code", |service| &service.code);
    let config = places(draft, pair, &services, "configuration", |service| &service.config);
    if !code.is_empty() {
        draft.set("service", "code", strings(code.iter().map(|(path, _)| path)));
    }
    if !config.is_empty() {
        draft.set("service", "config", strings(config.iter().map(|(path, _)| path)));
    }
    let under = |places: &[(String, bool)], path: &str| {
        places.iter().any(|(place, _)| path.strip_prefix(place.as_str()).is_some_and(|rest| rest.starts_with('/')))
    };
    let all: Vec<_> = code.iter().chain(&config).cloned().collect();
    root_key(draft, pair, |path| under(&all, path));
    let versions = pair.seen.iter().flat_map(|seen| &seen.versions).filter(|path| under(&code, path));
    if let Some(version) = versions.min() {
        draft.set("service", "version_file", version.as_str());
    }
    let port = ports(draft, pair, &units);
    let files = services.iter().flatten().map(|service| service.file.clone()).collect();
    machines::destinations(draft, &code, files);
    if let Some(vip) = known.vip.clone() {
        machines::meter(draft, &vip, port);
    }
}

/// Units that are started at boot and are no part of database, keepalived or sync.
fn units(draft: &mut Draft, pair: &Pair<'_>, known: &Known) -> Vec<String> {
    let ours = |service: &&Service| {
        service.kind != "oneshot" && !known.taken.contains(&service.unit) && !service.unit.starts_with("rollup")
    };
    let of = |wanted: fn(&Service) -> bool| {
        pair.seen.map(|seen| {
            let units = seen.services.iter().filter(ours).filter(|service| wanted(service));
            units.map(|service| service.unit.clone()).collect::<BTreeSet<_>>()
        })
    };
    let [a, b] = of(Service::enabled);
    for (own, other, index) in [(&a, &b, 0), (&b, &a, 1)] {
        for unit in own.difference(other) {
            let (with, without) = (pair.names()[index], pair.names()[1 - index]);
            draft.differ(format!("{unit} is enabled on {with} alone; {without} does not start it at boot"));
        }
    }
    let both: Vec<_> = a.intersection(&b).cloned().collect();
    let active = of(|service| service.active);
    for (name, active) in pair.names().into_iter().zip(&active) {
        for unit in both.iter().filter(|unit| !active.contains(*unit)) {
            draft.differ(format!("{unit} is enabled but does not run on {name}"));
        }
    }
    let alone: Vec<_> = a.symmetric_difference(&b).cloned().collect();
    let (units, ordered) = in_order(pair, if both.is_empty() { alone.clone() } else { both.clone() });
    if units.is_empty() {
        let packaged = distinct(pair.seen.iter().flat_map(|seen| &seen.packaged));
        let listening = pair.seen.iter().flat_map(|seen| &seen.listens).map(|listen| &listen.unit);
        let listening: BTreeSet<_> =
            listening.filter(|unit| packaged.contains(unit) && !known.taken.contains(unit)).collect();
        let question = format!(
            "Which units are the service? None was found that no package owns. Of packages, these listen: {}.",
            if listening.is_empty() { "none".to_owned() } else { list(listening) }
        );
        draft.open("service", "units", question);
        return units;
    }
    let answer = draft.set("service", "units", strings(&units));
    if both.is_empty() {
        answer.ask("Which units are the service? No unit that no package owns is enabled on both nodes.");
    } else if !alone.is_empty() {
        let question = format!("Does {} belong to the service? It is enabled on one node alone.", list(&alone));
        answer.ask(question);
    } else if !ordered {
        answer.ask("In which order do they start? Their unit files do not say; they are stopped in reverse.");
    }
    units
}

/// Each unit after those that its file names in `After=`; by name where that says nothing. Also whether the files settle
/// all of it.
fn in_order(pair: &Pair<'_>, units: Vec<String>) -> (Vec<String>, bool) {
    let mut before: BTreeMap<&str, BTreeSet<&str>> =
        units.iter().map(|unit| (unit.as_str(), BTreeSet::new())).collect();
    for service in pair.seen.iter().flat_map(|seen| &seen.services) {
        if let Some(before) = before.get_mut(service.unit.as_str()) {
            before.extend(
                service.after.iter().map(String::as_str).filter(|after| units.iter().any(|unit| unit == after)),
            );
        }
    }
    let (mut order, mut settled) = (Vec::new(), true);
    while !before.is_empty() {
        let ready: Vec<&str> = before.iter().filter(|(_, waits)| waits.is_empty()).map(|(unit, _)| *unit).collect();
        // A circle has no first; systemd breaks it somewhere, which is not for us to repeat.
        let next = ready.first().or(before.keys().next()).copied();
        let Some(next) = next else { break };
        settled &= ready.len() == 1;
        order.push(next.to_owned());
        before.remove(next);
        before.values_mut().for_each(|waits| {
            waits.remove(next);
        });
    }
    (order, settled)
}

/// Paths of all units on both nodes, none inside another; whether each is a directory.
fn places(
    draft: &mut Draft,
    pair: &Pair<'_>,
    services: &[Vec<Service>; 2],
    what: &str,
    of: fn(&Service) -> &Vec<Place>,
) -> Vec<(String, bool)> {
    let each = [0, 1].map(|node| {
        let all = services[node].iter().flat_map(of).map(|place| (place.path.clone(), place.is_directory));
        all.collect::<BTreeSet<_>>()
    });
    for (path, _) in each[0].symmetric_difference(&each[1]) {
        let with = if each[0].iter().any(|(own, _)| own == path) { 0 } else { 1 };
        draft.differ(format!("only the units of {} name {what} in {path}", pair.names()[with]));
    }
    let all: BTreeSet<_> = each.into_iter().flatten().collect();
    let inside = |path: &str| {
        all.iter().any(|(other, _)| path.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('/')))
    };
    all.iter().filter(|(path, _)| !inside(path)).cloned().collect()
}

fn root_key(draft: &mut Draft, pair: &Pair<'_>, is_ours: impl Fn(&str) -> bool) {
    let of = |seen: &Seen| seen.keys.iter().filter(|path| is_ours(path)).cloned().collect::<BTreeSet<_>>();
    let [a, b] = pair.seen.map(of);
    for (own, other, index) in [(&a, &b, 0), (&b, &a, 1)] {
        for path in own.difference(other) {
            draft.differ(format!("{path} is on {} alone", pair.names()[index]));
        }
    }
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let all: Vec<_> = a.union(&b).cloned().collect();
    let mut likely: Vec<_> = all.iter().filter(|path| name(path).contains("root")).collect();
    likely.sort_by_key(|path| !name(path).starts_with("root"));
    match (&likely[..], &all[..]) {
        ([one], _) => {
            draft.set("service", "root_key", one.as_str());
        }
        ([first, ..], _) => {
            let question = format!("Which is the root key that an installation overwrites? Found {}.", list(&likely));
            draft.set("service", "root_key", first.as_str()).ask(question);
        }
        ([], [first, ..]) => {
            let question = format!("Is one of these a root key that an installation overwrites? Found {}.", list(&all));
            let answer = draft.at("service", "root_key");
            answer.given = Given::Shown(first.as_str().into());
            answer.ask(question);
        }
        ([], []) => {
            let question = "Is there a root key that an installation overwrites? None was found by its name.";
            draft.at("service", "root_key").ask(question);
        }
    }
}

/// Ports and health URLs; returns the port that clients most likely use.
fn ports(draft: &mut Draft, pair: &Pair<'_>, units: &[String]) -> Option<u16> {
    let of = |seen: &Seen| -> BTreeMap<u16, bool> {
        seen.listens
            .iter()
            .filter(|listen| units.contains(&listen.unit))
            .map(|listen| (listen.port, listen.outside))
            .collect()
    };
    let [a, b] = pair.seen.map(of);
    for (own, other, index) in [(&a, &b, 0), (&b, &a, 1)] {
        for port in own.keys().filter(|port| !other.contains_key(port)) {
            // A port that the system chose is another one at each start.
            draft.differ(format!("port {port} listens on {} alone and is not taken", pair.names()[index]));
        }
    }
    let ports: BTreeMap<u16, bool> = a.into_iter().filter(|(port, _)| b.contains_key(port)).collect();
    if !ports.is_empty() {
        draft.set("service", "ports", toml::Value::Array(ports.keys().map(|port| i64::from(*port).into()).collect()));
    }
    let mut healthy: Vec<(u16, bool)> = Vec::new();
    for port in ports.keys() {
        let answers =
            pair.seen.map(|seen| seen.health.iter().find(|health| health.port == *port && health.status != 0));
        for (name, answer) in pair.names().iter().zip(answers) {
            if let Some(health) = answer.filter(|health| health.status != 200)
                && answers.iter().flatten().any(|health| health.status == 200)
            {
                draft.differ(format!("port {port} of {name} answers /health with {}", health.status));
            }
        }
        if answers.iter().flatten().any(|health| health.status == 200) {
            healthy.push((*port, answers.iter().flatten().any(|health| health.names_node)));
        }
    }
    if healthy.is_empty() {
        let answer = draft.at("service", "health_urls");
        answer.ask("Which URLs say on the node that the service is healthy? No port answered /health with 200.");
    } else {
        let urls = healthy.iter().map(|(port, _)| format!("http://127.0.0.1:{port}/health"));
        draft.set("service", "health_urls", strings(urls));
    }
    through_the_vip(draft, &ports, healthy)
}

fn through_the_vip(draft: &mut Draft, ports: &BTreeMap<u16, bool>, mut healthy: Vec<(u16, bool)>) -> Option<u16> {
    let vip = match draft.answers.get(&("vip", "address")).map(|answer| &answer.given) {
        Some(Given::Set(toml::Value::String(vip))) if vip.contains(':') => format!("[{vip}]"),
        Some(Given::Set(toml::Value::String(vip))) => vip.clone(),
        _ => return None,
    };
    // Who names its node can prove who has the VIP.
    healthy.retain(|(port, _)| ports.get(port).copied().unwrap_or_default());
    healthy.sort_by_key(|(port, names_node)| (!names_node, *port));
    let Some((port, _)) = healthy.first().copied() else {
        let answer = draft.at("vip", "health_url");
        answer.given = Given::Shown(format!("http://{vip}/health").into());
        answer.ask("Which URL says through the VIP that the service is healthy?");
        return None;
    };
    let answer = draft.set("vip", "health_url", format!("http://{vip}:{port}/health"));
    if healthy.len() > 1 {
        let all = healthy.iter().map(|(port, _)| port.to_string());
        answer.ask(format!("Which of these do clients use? /health is answered on the ports {}.", list(all)));
    }
    Some(port)
}

/// Where sets go, and who can open the root key in them.
pub(super) fn backup(draft: &mut Draft, pair: &Pair<'_>, known: &Known) {
    let free = pair.seen.iter().filter_map(|seen| seen.room.as_ref()).map(|(free, _)| *free).min();
    let answer = draft.set("backup", "dir", "/var/backups/rollup");
    if let Some(free) = free {
        let database = size(known.database_bytes);
        answer.found(format!("at least {} free there on each node; the databases have {database}.", size(free)));
        // One set that is kept, and the next while it is made.
        if free < known.database_bytes.saturating_mul(2) {
            let most = pair.each().filter_map(|(name, seen)| {
                let (free, mount) = seen.mounts.iter().max_by_key(|(free, _)| *free)?;
                Some(format!("{} in {mount} on {name}", size(*free)))
            });
            answer.ask(format!("Where is room for two backups? The most is {}.", list(most)));
        }
    }
    if matches!(draft.at("service", "root_key").given, Given::Set(_)) {
        let answer = draft.at("backup", "recipients");
        answer.given = Given::Shown(strings(["age1…"]));
        answer.ask(
            "Who may open the root key in a backup? `age-keygen -o identity.txt` makes an identity and prints its \
             public key, age1…. Without one no backup is taken.",
        );
    } else {
        draft.at("backup", "recipients").given = Given::Shown(strings(["age1…"]));
    }
}
