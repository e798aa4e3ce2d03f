use rollup_model::Inventory;

use super::*;
use crate::{
    facts::Server,
    fixtures::{self, primary, standby, stopped},
};

/// The situation by its name, and the first finding.
fn situation(old: &DatabaseFacts, new: &DatabaseFacts) -> (&'static str, String) {
    let inventory: Inventory = fixtures::inventory();
    let [a, b] = inventory.nodes.as_slice() else { panic!("a pair") };
    let first = |findings: Vec<Finding>| findings.first().map(Finding::line).unwrap_or_default();
    match judge(a, old, b, new, "start it") {
        Situation::Done(evidence) => ("done", evidence.to_string()),
        Situation::Blocked(findings) => ("blocked", first(findings)),
        Situation::Wait(findings) => ("wait", first(findings)),
        Situation::Demote(findings) => ("demote", first(findings)),
        Situation::Start(findings) => ("start", first(findings)),
        Situation::Promote(findings) => ("promote", first(findings)),
        Situation::Rejoin(findings) => ("rejoin", first(findings)),
        Situation::Unmark(findings) => ("unmark", first(findings)),
        Situation::Reinstate(findings) => ("reinstate", first(findings)),
        Situation::Return(findings) => ("return", first(findings)),
    }
}

fn with(mut facts: DatabaseFacts, change: impl FnOnce(&mut Server)) -> DatabaseFacts {
    facts.server.as_mut().map(change).unwrap();
    facts
}

#[test]
fn every_state_between_two_roles_is_told_from_looks_alone_vip_4() {
    let alone = || with(standby(), |server| server.receiver = None);
    let senders = primary().server.unwrap().walsenders;
    let cases = [
        ("demote", primary(), standby()),
        ("promote", stopped("shut down"), alone()),
        ("promote", alone(), alone()),
        ("promote", with(alone(), |server| server.walsenders = senders.clone()), standby()),
        // Asked before it began to send: the other one says where it receives from.
        ("promote", alone(), standby()),
        ("start", stopped("shut down in recovery"), alone()),
        ("rejoin", stopped("shut down"), primary()),
        ("rejoin", stopped("in production"), primary()),
        ("rejoin", alone(), primary()),
        ("rejoin", standby(), with(primary(), |server| server.walsenders.clear())),
        ("wait", fixtures::facts(fixtures::SILENT), primary()),
        ("wait", fixtures::facts(fixtures::SILENT), alone()),
        ("wait", primary(), fixtures::facts(fixtures::SILENT)),
        ("unmark", standby(), DatabaseFacts { standby_signal: true, ..primary() }),
        // The way back from a change that ended after the demotion, or after the promotion.
        ("reinstate", alone(), stopped("shut down")),
        ("return", primary(), stopped("shut down")),
        // It died after the demotion and before its own promotion: nobody writes.
        ("return", alone(), stopped("in archive recovery")),
        ("return", alone(), stopped("shut down in recovery")),
        ("demote", with(primary(), |server| server.walsenders.clear()), alone()),
        ("done", standby(), primary()),
    ];
    for (expected, old, new) in cases {
        let (found, line) = situation(&old, &new);
        assert_eq!(found, expected, "{} / {}: {line}", old.summary(), new.summary());
    }
}

#[test]
fn nothing_is_promoted_or_stopped_where_a_writer_or_a_write_could_be_lost_vip_4() {
    let alone = || with(standby(), |server| server.receiver = None);
    let cases = [
        // Two writers.
        (primary(), primary(), "expected one writer, found two: node-a is a primary at 0/3016000 and node-b is"),
        // Crashed: nobody knows what it wrote last.
        (stopped("in production"), standby(), "expected a primary that was shut down cleanly"),
        (fixtures::facts(fixtures::ABSENT), standby(), "expected a primary that was shut down cleanly"),
        // Nobody to take over.
        (primary(), stopped("shut down in recovery"), "expected a running standby"),
        (primary(), stopped("in archive recovery"), "expected a running standby"),
        // Died as a primary: what it wrote last is nowhere else.
        (alone(), stopped("in production"), "expected a running standby"),
        (with(alone(), |server| server.timeline = 2), stopped("in archive recovery"), "expected a running standby"),
        (primary(), with(standby(), |server| server.receiver = None), "expected a standby that streams from node-a"),
        // Somebody else has taken over, or may have.
        (standby(), stopped("shut down"), "expected a running standby"),
        (with(alone(), |server| server.timeline = 2), stopped("shut down"), "expected a running standby"),
        (stopped("in production"), stopped("shut down"), "expected a running standby"),
        // Not stopped by a demotion.
        (alone(), DatabaseFacts { standby_signal: false, ..stopped("shut down") }, "expected a running standby"),
        // The way back in would be closed.
        (fixtures::facts(fixtures::PRIMARY), standby(), "expected a replication login at node-b"),
        // A third server writes.
        (standby(), with(standby(), |server| server.receiver = None), "expected no primary outside the inventory"),
        // A primary that takes no writes.
        (standby(), with(primary(), |server| server.settings.read_only = true), "a primary that accepts writes"),
        // Not a pair at all.
        (
            primary(),
            fixtures::facts(&fixtures::STANDBY.replace("7710193387451185955", "1")),
            "expected the system identifier 7710193387451185955, found 1",
        ),
    ];
    for (old, new, expected) in cases {
        let (found, line) = situation(&old, &new);
        assert!(found == "blocked" && line.contains(expected), "{found}: {line}\n{expected}");
    }
}
