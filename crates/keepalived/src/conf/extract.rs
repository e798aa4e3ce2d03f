//! From statements to what decides about the address.
//!
//! Owns which of several statements counts: keepalived takes the last for all that is read here. One that depends on
//! a condition nobody knows settles nothing.

use std::{net::IpAddr, str::FromStr};

use super::{
    Config, FileTracker, Files, Group, Instance, Track, TrackKind,
    lex::UNKNOWN,
    read::{self, Statement},
    refused::Refused,
};

/// The longest `preempt_delay` there is, in milliseconds: what one that the texts do not settle may be.
pub(super) const LONGEST_DELAY: u64 = 1_000_000;

/// Reads a configuration: all files as one.
pub fn parse(files: &Files) -> Result<Config, Refused> {
    let (statements, read) = read::statements(files)?;
    let blocks = |keyword: &'static str| statements.iter().filter(move |statement| statement.keyword() == keyword);
    let global: Vec<&Statement> = blocks("global_defs").flat_map(Statement::inside).collect();
    let version = last(&global, "vrrp_version").and_then(Statement::number).unwrap_or(2);
    let down_adverts = last(&global, "vrrp_down_timer_adverts").and_then(Statement::number).unwrap_or(3);
    let groups: Vec<Group> = blocks("vrrp_sync_group").map(group).collect::<Result<_, _>>()?;
    let instances = blocks("vrrp_instance").map(|statement| instance(statement, version, down_adverts, &groups));
    let trackers = statements.iter().filter(|s| matches!(s.keyword(), "track_file" | "vrrp_track_file"));
    Ok(Config {
        instances: instances.collect::<Result<_, _>>()?,
        trackers: trackers.map(tracker).collect(),
        groups,
        version,
        down_adverts,
        read,
    })
}

/// The last statement with this keyword.
fn last<'a>(statements: &[&'a Statement], keyword: &str) -> Option<&'a Statement> {
    statements.iter().rfind(|statement| statement.keyword() == keyword).copied()
}

/// The name of an instance or of a group; keepalived skips those with more or fewer words.
fn name(statement: &Statement) -> Result<String, Refused> {
    match (&statement.words[..], statement.argument(1)) {
        ([_, _], Some(name)) if !name.is_empty() && !name.contains(['#', '!', '\\', '\'']) => Ok(name.to_owned()),
        _ => Err(Refused::Name { at: statement.at.clone() }),
    }
}

fn group(statement: &Statement) -> Result<Group, Refused> {
    let inside: Vec<&Statement> = statement.inside().iter().collect();
    // A second list of members is skipped.
    let members = inside.iter().find(|s| s.keyword() == "group").map_or(&[][..], |group| group.inside());
    let weights = |s: &&Statement| matches!(s.keyword(), "sync_group_tracking_weight" | "global_tracking");
    Ok(Group {
        name: name(statement)?,
        members: members.iter().flat_map(|member| member.words.iter().cloned()).collect(),
        tracks: tracks(&inside),
        member_weights: inside.iter().any(weights),
    })
}

fn tracker(statement: &Statement) -> FileTracker {
    let inside: Vec<&Statement> = statement.inside().iter().collect();
    // Of the file, the first counts; of the weight too.
    let first = |keyword: &str| inside.iter().find(|s| s.keyword() == keyword);
    let weight = first("weight");
    FileTracker {
        name: statement.words.get(1).cloned().unwrap_or_default(),
        file: first("file").and_then(|s| s.argument(1)).map(str::to_owned),
        weight: weight.map_or(Some(1), |s| s.number()),
        reverse: weight.is_some_and(|s| s.argument(2) == Some("reverse")),
    }
}

fn tracks(inside: &[&Statement]) -> Vec<Track> {
    const KINDS: [TrackKind; 5] =
        [TrackKind::Script, TrackKind::File, TrackKind::Interface, TrackKind::Process, TrackKind::Bfd];
    let of = |statement: &&Statement| KINDS.into_iter().find(|kind| kind.keyword() == statement.keyword());
    let blocks = inside.iter().filter_map(|statement| Some((of(statement)?, *statement)));
    blocks.flat_map(|(kind, block)| block.inside().iter().map(move |line| track(kind, line))).collect()
}

/// One line of a `track_…` block: `NAME [weight NUMBER [reverse]]`.
fn track(kind: TrackKind, line: &Statement) -> Track {
    let weight = (line.argument(1) == Some("weight")).then(|| line.argument(2)).flatten();
    Track {
        kind,
        name: line.keyword().to_owned(),
        weight: weight.and_then(|number| i32::from_str(number).ok()),
        reverse: line.words.iter().any(|word| word == "reverse"),
    }
}

fn instance(statement: &Statement, version: u8, down_adverts: u64, groups: &[Group]) -> Result<Instance, Refused> {
    let Some(block) = &statement.block else { return Err(Refused::Unbalanced { at: statement.at.clone() }) };
    let name = name(statement)?;
    let inside: Vec<&Statement> = block.statements.iter().collect();
    let last = |keyword: &str| last(&inside, keyword);
    let text = |keyword| last(keyword).and_then(|s| s.argument(1)).map(str::to_owned);
    let all = |keyword: &'static str| inside.iter().filter(move |s| s.keyword() == keyword);
    let addresses: Vec<String> = all("virtual_ipaddress")
        .chain(all("virtual_ipaddress_excluded"))
        .flat_map(|block| block.inside())
        .map(|line| line.keyword().split('/').next().unwrap_or_default().to_owned())
        .collect();
    let six =
        matches!(addresses.first().map(|text| text.parse()), Some(Ok(IpAddr::V6(_)))) || last("native_ipv6").is_some();
    let default = if six { 3 } else { version };
    Ok(Instance {
        file: statement.at.file.clone(),
        line: statement.at.line,
        open: block.open,
        close: block.close,
        interface: text("interface"),
        state: state(&inside),
        virtual_router_id: last("virtual_router_id").and_then(Statement::number),
        priority: last("priority").and_then(Statement::number),
        advert_millis: last("advert_int").and_then(Statement::millis),
        nopreempt: nopreempt(&inside),
        preempt_delay_millis: preempt_delay(&inside),
        version: last("version").and_then(Statement::number).unwrap_or(default),
        down_adverts: last("down_timer_adverts").and_then(Statement::number).unwrap_or(down_adverts),
        addresses,
        unicast: last("unicast_peer").is_some(),
        tracks: tracks(&inside),
        group: groups.iter().find(|group| group.members.contains(&name)).map(|group| group.name.clone()),
        name,
    })
}

/// MASTER stays, whatever comes later.
fn state(inside: &[&Statement]) -> Option<String> {
    let mut all = inside.iter().filter(|s| s.keyword() == "state");
    let settled = all.clone().all(|s| s.argument(1).is_some_and(|state| !state.contains(UNKNOWN)));
    let master = all.any(|s| s.argument(1) == Some("MASTER"));
    settled.then(|| if master { "MASTER" } else { "BACKUP" }.to_owned())
}

/// What may hold the address back is taken to do so.
fn nopreempt(inside: &[&Statement]) -> bool {
    inside.iter().fold(false, |held, statement| match statement.keyword() {
        "nopreempt" => true,
        "preempt" if !statement.maybe => false,
        _ => held,
    })
}

fn preempt_delay(inside: &[&Statement]) -> u64 {
    inside.iter().filter(|s| s.keyword() == "preempt_delay").fold(0, |longest, statement| {
        let sure = Statement { maybe: false, ..(*statement).clone() };
        let millis = sure.millis().unwrap_or(LONGEST_DELAY);
        if statement.maybe { longest.max(millis) } else { millis }
    })
}
