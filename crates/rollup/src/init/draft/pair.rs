//! The machines, their names, how they are reached, the VIP and what moves it.

use std::net::IpAddr;

use rollup_model::{NodeName, Role};

use super::{Asked, Draft, Given, Known, Machine, Pair, distinct, list, strings};
use crate::init::parse::Seen;

/// The nodes' own host names, where they can be names in an inventory.
pub(super) fn names<'s>(draft: &mut Draft, seen: [&'s Seen; 2]) -> Pair<'s> {
    let short = seen.map(|seen| seen.hostname.split('.').next().unwrap_or_default().to_owned());
    let word = |name: &str| Role::ALL.iter().any(|(role, _)| *role == name) || ["all", "each", "pair"].contains(&name);
    let usable = |name: &String| NodeName::new(name.as_str()).is_ok() && !word(name);
    let names = if short[0] != short[1] && short.iter().all(usable) {
        short
    } else {
        draft.differ(format!(
            "the nodes call themselves {} and {}, which cannot name them here: node-a and node-b do",
            seen[0].hostname, seen[1].hostname
        ));
        ["node-a".to_owned(), "node-b".to_owned()]
    };
    Pair { names, seen }
}

/// The VIP, who has it, and the keepalived that moves it.
pub(super) fn vip(draft: &mut Draft, pair: &Pair<'_>, known: &mut Known) {
    let written = distinct(pair.seen.iter().flat_map(|seen| &seen.vips).map(|(_, address)| address.clone()));
    let holders = |address: &str| -> Vec<usize> {
        let has = |seen: &Seen| seen.addresses.iter().any(|(_, here)| here == address);
        (0..2).filter(|node| has(pair.seen[*node])).collect()
    };
    // Of several the one that is in use now is the likeliest.
    let mut addresses: Vec<_> = written.iter().filter(|address| address.parse::<IpAddr>().is_ok()).cloned().collect();
    addresses.sort_by_key(|address| holders(address).is_empty());
    match addresses.first() {
        None => {
            let others =
                distinct(pair.seen.iter().flat_map(|seen| &seen.addresses).map(|(_, address)| address.as_str()));
            let unread = if written.is_empty() { String::new() } else { format!(" It names {}.", list(&written)) };
            let question = format!(
                "Which address do clients use? keepalived's configuration names none that can be read.{unread} \
                 The nodes have {}.",
                list(others)
            );
            draft.open("vip", "address", question);
        }
        Some(address) => {
            draft.set("vip", "address", address.as_str());
            known.vip = Some(if address.contains(':') { format!("[{address}]") } else { address.clone() });
            if addresses.len() > 1 {
                let question = format!("Which address do clients use? keepalived moves {}.", list(&addresses));
                draft.at("vip", "address").ask(question);
            }
            let holders = holders(address);
            match holders[..] {
                [node] => known.owner = Some(node),
                [] => draft.differ(format!("no node has the VIP {address}")),
                _ => draft.differ(format!("both nodes have the VIP {address}: split brain")),
            }
            if let Some(node) = known.owner {
                let on = pair.seen[node].addresses.iter().find(|(_, here)| here == address);
                let interface = on.map(|(interface, _)| interface.as_str()).unwrap_or_default();
                draft.at("vip", "address").found(format!("on {}, interface {interface}.", pair.names()[node]));
            }
            instance(draft, pair, address);
        }
    }
    keepalived(draft, pair, known);
}

fn instance(draft: &mut Draft, pair: &Pair<'_>, address: &str) {
    let holding = pair.seen.map(|seen| {
        let named = seen.vips.iter().find(|(_, vip)| vip == address);
        named.map(|(instance, _)| instance.clone())
    });
    if let [Some(a), Some(b)] = &holding
        && a != b
    {
        let [first, second] = pair.names();
        draft.differ(format!("the instance that names the VIP is {a} on {first} and {b} on {second}"));
        draft.at("keepalived", "instance").found(format!("{a} on {first}, {b} on {second}; the default finds both."));
        return;
    }
    let Some(name) = holding.into_iter().flatten().next() else { return };
    draft.set("keepalived", "instance", name);
}

fn keepalived(draft: &mut Draft, pair: &Pair<'_>, known: &mut Known) {
    for (name, seen) in pair.each() {
        match &seen.keepalived {
            None => draft.differ(format!("{name} has no keepalived")),
            Some(keepalived) if !keepalived.running => draft.differ(format!("keepalived does not run on {name}")),
            Some(keepalived) if keepalived.unit.is_empty() => {
                draft.differ(format!("keepalived on {name} was not started by systemd"));
            }
            Some(_) => {}
        }
    }
    let of = |get: fn(&crate::init::parse::Keepalived) -> &String| {
        pair.seen.map(|seen| seen.keepalived.as_ref().map(get).filter(|text| !text.is_empty()).cloned())
    };
    let (configs, units) = (of(|keepalived| &keepalived.config), of(|keepalived| &keepalived.unit));
    known.taken.extend(units.iter().flatten().cloned());
    if pair.seen.iter().any(|seen| seen.keepalived.is_some()) {
        draft.one_of_both(("keepalived", "config"), "keepalived's configuration file", pair, configs, 0);
    }
    match units {
        [None, None] => {
            let question = "Which unit runs keepalived? None was found.";
            draft.at("keepalived", "unit").ask(question);
        }
        units => draft.one_of_both(("keepalived", "unit"), "keepalived's unit", pair, units, 0),
    }
}

/// The cluster's name, how to log in, and the machines as they are now.
pub(super) fn machines(draft: &mut Draft, asked: &Asked, pair: &Pair<'_>, known: &Known) {
    let name = asked.name.clone().unwrap_or_else(|| cluster_name(draft, pair));
    draft.set("cluster", "name", name);
    let ssh = &asked.ssh;
    for (key, value) in [
        ("user", &ssh.user),
        ("identity_file", &ssh.identity_file),
        ("known_hosts", &ssh.known_hosts),
        ("config_file", &ssh.config_file),
    ] {
        match value {
            Some(value) => draft.set("ssh", key, value.as_str()),
            None => draft.at("ssh", key),
        };
    }
    if let Some(port) = ssh.port {
        draft.set("ssh", "port", i64::from(port));
    }
    let [a, b] = pair.seen;
    if a.arch != b.arch {
        let [first, second] = pair.names();
        draft.differ(format!("{first} is {}, {second} is {}", a.arch, b.arch));
    }
    for node in 0..2 {
        let (name, seen) = (pair.names()[node], pair.seen[node]);
        let host = &asked.hosts[node];
        let mut found = vec![seen.arch.as_str()];
        if known.owner == Some(node) {
            found.push("has the VIP");
        }
        match seen.databases.iter().find_map(|database| database.is_primary) {
            Some(true) => found.push("database primary"),
            Some(false) => found.push("database standby"),
            None => {}
        }
        let peer_address = seen_by_peer(pair.seen[node], pair.seen[1 - node])
            .filter(|address| address != host && known.vip.as_ref() != Some(address));
        draft.nodes.push(Machine { name: name.to_owned(), host: host.clone(), peer_address, found: found.join(", ") });
    }
}

/// The address under which the other node's database reaches this one's, or sees it come.
fn seen_by_peer(node: &Seen, peer: &Seen) -> Option<String> {
    let followed = peer.databases.iter().find_map(|database| database.follows.as_ref()).map(|(_, host)| host);
    let coming = peer.databases.iter().flat_map(|database| &database.sends).map(|(_, address)| address);
    let own = |address: &&String| node.addresses.iter().any(|(_, own)| own == *address);
    followed.into_iter().chain(coming).find(own).cloned()
}

/// What the units' names begin with, or the hosts'.
fn cluster_name(draft: &Draft, pair: &Pair<'_>) -> String {
    let units = match draft.answers.get(&("service", "units")).map(|answer| &answer.given) {
        Some(Given::Set(toml::Value::Array(units))) => units.iter().filter_map(|unit| unit.as_str()).collect(),
        _ => Vec::new(),
    };
    let stems: Vec<_> = units.iter().map(|unit| unit.trim_end_matches(".service")).collect();
    let candidates = [common(&stems), common(&pair.names())];
    candidates.into_iter().flatten().next().unwrap_or_else(|| "pair".to_owned())
}

fn common(words: &[&str]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let shared = |end: &usize| first.is_char_boundary(*end) && rest.iter().all(|word| word.starts_with(&first[..*end]));
    let end = (0..=first.len()).rev().find(shared)?;
    let name = first[..end].trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    (name.len() >= 3).then(|| name.to_owned())
}

/// What the probe through the VIP could be; nothing is measured unless somebody says what may be asked.
pub(super) fn meter(draft: &mut Draft, vip: &str, port: Option<u16>) {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    draft.at("meter", "read_url").given = Given::Shown(format!("http://{vip}{port}/…").into());
    draft.at("meter", "write_url").given = Given::Shown(format!("http://{vip}{port}/…").into());
    draft.tables.entry("meter").or_default().ask(
        "Which URL may be read through the VIP ten times a second to count the interruption, and which written? \
         Nothing is measured while this table is left out.",
    );
}

/// Where a package may place files: where the service's are.
pub(super) fn destinations(draft: &mut Draft, code: &[(String, bool)], unit_files: Vec<String>) {
    let above = |path: &str| path.rsplit_once('/').map_or("/", |(above, _)| above).to_owned();
    let of_code = code.iter().map(|(path, is_directory)| if *is_directory { path.clone() } else { above(path) });
    let all = distinct(of_code.chain(unit_files.iter().map(|file| above(file))));
    if !code.is_empty() {
        draft.set("package", "allowed_destinations", strings(&all));
    }
}
