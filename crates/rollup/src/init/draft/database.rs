//! The replicated database: which server, where it lives, who is primary.

use super::{Draft, Given, Known, Pair, distinct, list};
use crate::init::parse::{Database, Seen};

pub(super) fn tell(draft: &mut Draft, pair: &Pair<'_>, known: &mut Known) {
    let servers = pair.seen.map(server);
    known.taken.extend(pair.seen.iter().flat_map(|seen| &seen.databases).map(|server| server.unit.clone()));
    known.database_bytes =
        pair.seen.map(|seen| seen.databases.iter().map(bytes).sum::<u64>()).into_iter().max().unwrap_or(0);
    roles(draft, pair, known, &servers);
    let preferred = known.primary.unwrap_or(0);
    let of = |get: fn(&Database) -> String| servers.map(|server| server.map(get).filter(|text| !text.is_empty()));

    let known_product = |server: &Database| match server.product.as_str() {
        "unknown" => String::new(),
        product => product.to_owned(),
    };
    draft.one_of_both(("database", "engine"), "the database's engine", pair, of(known_product), preferred);
    draft.one_of_both(
        ("database", "os_user"),
        "the database's owner",
        pair,
        of(|server| server.os_user.clone()),
        preferred,
    );
    let data_dirs = of(|server| server.data_dir.clone());
    draft.one_of_both(("database", "data_dir"), "the data directory", pair, data_dirs, preferred);
    draft.one_of_both(("database", "unit"), "the database's unit", pair, of(|server| server.unit.clone()), preferred);
    draft.one_of_both(("database", "bin_dir"), "the server's program directory", pair, of(bin_dir), preferred);
    if servers.iter().all(|server| server.is_none_or(|server| server.unit.is_empty()))
        && servers.iter().any(Option::is_some)
    {
        let question =
            "Which unit runs the database? The server that runs was not started by systemd, which rollup needs.";
        draft.open("database", "unit", question);
    }
    if servers.iter().all(Option::is_none) {
        // Both have defaults, which are right more often than a question is worth.
        draft.at("database", "os_user").given = Given::Left;
        draft.at("database", "os_user").question = None;
        draft.answers.remove(&("database", "bin_dir"));
    }
    for (name, seen) in pair.each() {
        if seen.databases.len() > 1 {
            let all = seen.databases.iter().map(|server| format!("{} in {}", server.product, server.data_dir));
            draft.at("database", "data_dir").ask(format!("Which server is the service's? {name} runs {}.", list(all)));
        }
    }
    port(draft, pair, &servers, preferred);
    names(draft, &servers, preferred);
    replication_user(draft, &servers);
    switchover(draft, pair, known);
}

/// The server that is part of a pair, else the first.
fn server(seen: &Seen) -> Option<&Database> {
    let replicates = |server: &&Database| !server.sends.is_empty() || server.follows.is_some();
    seen.databases.iter().find(replicates).or_else(|| seen.databases.first())
}

fn bytes(server: &Database) -> u64 {
    server.names.iter().map(|(_, _, bytes)| bytes).sum()
}

fn bin_dir(server: &Database) -> String {
    server.program.rsplit_once('/').map(|(dir, _)| dir.to_owned()).unwrap_or_default()
}

fn roles(draft: &mut Draft, pair: &Pair<'_>, known: &mut Known, servers: &[Option<&Database>; 2]) {
    for (name, server) in pair.names().iter().zip(servers) {
        match server {
            None => draft.differ(format!("no database server runs on {name}")),
            Some(server) => {
                for words in &server.silent {
                    draft.differ(format!("the database of {name} did not answer: {words}"));
                }
            }
        }
    }
    let primary = servers.map(|server| server.and_then(|server| server.is_primary));
    match primary {
        [Some(true), Some(true)] => draft.differ("both databases are primaries: they share no data"),
        [Some(false), Some(false)] => draft.differ("both databases are standbys: nobody can write"),
        [Some(true), _] => known.primary = Some(0),
        [_, Some(true)] => known.primary = Some(1),
        _ => {}
    }
    if let Some(node) = known.primary
        && let [Some(_), Some(_)] = servers
        && servers[node].is_some_and(|server| server.sends.is_empty())
    {
        draft.differ(format!("no standby follows the primary on {}", pair.names()[node]));
    }
    if let (Some(owner), Some(primary)) = (known.owner, known.primary)
        && owner != primary
    {
        let names = pair.names();
        draft.differ(format!("the VIP is on {}, the database's primary on {}", names[owner], names[primary]));
    }
}

fn port(draft: &mut Draft, pair: &Pair<'_>, servers: &[Option<&Database>; 2], preferred: usize) {
    let ports = servers.map(|server| server.and_then(|server| server.port));
    let Some(port) = ports[preferred].or(ports[1 - preferred]) else { return };
    let answer = draft.set("database", "port", i64::from(port));
    if let [Some(a), Some(b)] = ports
        && a != b
    {
        answer.ask("Which port does the database have? One inventory has one for both nodes.");
        let [first, second] = pair.names();
        draft.differ(format!("the database's port is {a} on {first} and {b} on {second}"));
    }
}

fn names(draft: &mut Draft, servers: &[Option<&Database>; 2], preferred: usize) {
    let told =
        [servers[preferred], servers[1 - preferred]].into_iter().flatten().find(|server| !server.names.is_empty());
    let Some(server) = told else {
        draft.open("database", "name", "In which database do migrations run? The server did not tell its databases.");
        return;
    };
    // Everybody has `postgres`, and hardly anybody keeps tables there.
    let mut names: Vec<_> = server.names.iter().filter(|(name, ..)| name != "postgres").collect();
    names.sort_by_key(|(name, _, bytes)| (std::cmp::Reverse(*bytes), name.clone()));
    let Some((name, owner, _)) = names.first() else {
        let question = "In which database do migrations run? There is none but `postgres`.";
        draft.set("database", "name", "postgres").ask(question);
        return;
    };
    let answer = draft.set("database", "name", name.as_str());
    if names.len() > 1 {
        let all = names.iter().map(|(name, owner, bytes)| format!("{name} ({}, owner {owner})", super::size(*bytes)));
        answer.ask(format!("In which database do migrations run? Found {}.", list(all)));
    }
    draft.set("database", "owner", owner.as_str());
}

fn replication_user(draft: &mut Draft, servers: &[Option<&Database>; 2]) {
    let mut users = Vec::new();
    for server in servers.iter().flatten() {
        users.extend(server.sends.iter().map(|(user, _)| user.clone()));
        users.extend(server.follows.iter().map(|(user, _)| user.clone()).filter(|user| !user.is_empty()));
    }
    let users = distinct(users);
    let of_postgresql = servers.iter().flatten().any(|server| server.product == "postgresql");
    match &users[..] {
        [user] => {
            draft.set("database", "replication_user", user.as_str());
        }
        [] if of_postgresql => {
            let question = "As which user do the databases replicate? No replication was seen.";
            draft.at("database", "replication_user").ask(question);
        }
        [] => {}
        [first, ..] => {
            let question = format!("As which user do the databases replicate? Found {}.", list(&users));
            draft.set("database", "replication_user", first.as_str()).ask(question);
        }
    }
}

fn switchover(draft: &mut Draft, pair: &Pair<'_>, known: &Known) {
    let (Some(owner), Some(primary)) = (known.owner, known.primary) else {
        let question = "Does the database's primary move with the VIP (\"with-vip\"), or keep its place (\"never\")?";
        let answer = draft.at("database", "switchover");
        answer.given = Given::Shown("never".into());
        answer.ask(question);
        return;
    };
    let together = owner == primary;
    let (value, now) = match together {
        true => ("with-vip", format!("Now {} has both.", pair.names()[owner])),
        false => ("never", "Now they are on different nodes.".to_owned()),
    };
    let question =
        format!("Does the database's primary move with the VIP (\"with-vip\"), or keep its place (\"never\")? {now}");
    draft.set("database", "switchover", value).ask(question);
}
