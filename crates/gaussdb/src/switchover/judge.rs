//! Which state a change of roles is in, told from looks at both servers. Pure.

use rollup_model::{Finding, NodeName, inventory::Node};
use serde_json::{Value, json};

use crate::{DatabaseFacts, DatabaseRole, Server, facts::Login, findings};

/// What is to be done next. The findings say what is missing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Situation {
    /// The new primary writes and the old one follows it.
    Done(Value),
    /// Nothing may be done.
    Blocked(Vec<Finding>),
    /// A server is on its way up; the next look will tell more.
    Wait(Vec<Finding>),
    /// Nothing was done yet.
    Demote(Vec<Finding>),
    /// The old primary is stopped in the middle of following, so it must say first how far it is.
    Start(Vec<Finding>),
    /// There is no primary, and the old one is stopped cleanly or already a standby.
    Promote(Vec<Finding>),
    /// The new one is primary, the old one does not follow yet.
    Rejoin(Vec<Finding>),
    /// The new one is primary, but would come up as a standby.
    Unmark(Vec<Finding>),
    /// The new one was the primary and was stopped cleanly for a change of roles that ended there; nobody took over.
    Reinstate(Vec<Finding>),
    /// The new one is stopped and can only come up as a standby: it must follow before it can take over.
    Return(Vec<Finding>),
}

/// Judges what was read of both servers. `start`: how root starts a standby that is down.
pub(super) fn judge(old_at: &Node, old: &DatabaseFacts, new_at: &Node, new: &DatabaseFacts, start: &str) -> Situation {
    let (old_name, new_name) = (&old_at.name, &new_at.name);
    let is = |name: &NodeName, facts: &DatabaseFacts, expected: String| {
        Finding::check("database.switchover", "VIP-4", false, expected, facts.summary()).on(name)
    };
    let missing = |name: &NodeName, facts: &DatabaseFacts, expected: &str| vec![is(name, facts, expected.to_owned())];
    if let (Some(a), Some(b)) = (old.system_identifier(), new.system_identifier())
        && a != b
    {
        let finding = Finding::check("database.identity", "VIP-4", false, format!("the system identifier {a}"), b);
        return Situation::Blocked(vec![finding.on(new_name)]);
    }
    match (new.role(), old.role()) {
        (Some(DatabaseRole::Primary), Some(DatabaseRole::Primary)) => {
            let both = format!("{old_name} is {} and {new_name} is {}", old.summary(), new.summary());
            let finding = Finding::check("database.primary", "VIP-4", false, "one writer", format!("two: {both}"));
            let fix = "stop the server that clients do not write to, then compare both before anything else";
            Situation::Blocked(vec![finding.fix(fix)])
        }
        (Some(DatabaseRole::Primary), _) => of_new_primary(old_name, old, new_at, new, is),
        (Some(DatabaseRole::Standby), Some(DatabaseRole::Primary)) => {
            let Some(server) = &old.server else { return Situation::Wait(Vec::new()) };
            let replication = findings::streaming(new_at, new, old_name, server, 1);
            if replication.severity == rollup_model::Severity::Error && !connects(new, old_at, server) {
                return Situation::Blocked(vec![replication]);
            }
            // Found out now rather than after the old primary has stopped.
            if let Some(Login::Fails(said)) = &old.login_peer {
                let expected = format!("a replication login at {new_name}, for the time after");
                let finding = Finding::check("database.return-login", "VIP-4", false, expected, said.as_str());
                return Situation::Blocked(vec![finding.on(old_name)]);
            }
            Situation::Demote(missing(new_name, new, "the primary"))
        }
        (Some(DatabaseRole::Standby), Some(DatabaseRole::Standby)) => {
            // A standby that streams, but not from the other node, has a primary that the inventory does not know.
            let strangers = [(old_name, old, new_at, new), (new_name, new, old_at, old)];
            let stranger = strangers.iter().find(|(_, facts, other_at, other)| {
                facts.is_streaming_standby() && !sends(other) && !receives_from(facts, other_at)
            });
            match stranger {
                Some((name, facts, ..)) => {
                    Situation::Blocked(missing(name, facts, "no primary outside the inventory to stream from"))
                }
                None => Situation::Promote(missing(new_name, new, "the primary")),
            }
        }
        (Some(DatabaseRole::Standby), None) if old.silent.is_some() => {
            Situation::Wait(missing(old_name, old, "a server that answers"))
        }
        (Some(DatabaseRole::Standby), None) => match old.control.as_ref().map(|control| control.state.as_str()) {
            Some("shut down") => Situation::Promote(missing(new_name, new, "the primary")),
            Some("shut down in recovery") => Situation::Start(missing(old_name, old, "a running standby")),
            _ => {
                let expected = "a primary that was shut down cleanly, so that it is known what it wrote last";
                let fix = "start it again; it finishes its recovery and then this step can go on";
                Situation::Blocked(vec![is(old_name, old, expected.to_owned()).fix(fix)])
            }
        },
        (None, _) if new.silent.is_some() => Situation::Wait(missing(new_name, new, "a server that answers")),
        (None, _) if old.silent.is_some() => Situation::Wait(missing(old_name, old, "a server that answers")),
        (None, Some(DatabaseRole::Standby)) if is_demoted(new) && nobody_took_over(new, old) => {
            Situation::Reinstate(missing(new_name, new, "the primary"))
        }
        (None, Some(DatabaseRole::Primary)) if is_demoted(new) => {
            Situation::Return(missing(new_name, new, "a running standby"))
        }
        // It broke down between the two roles. Nobody writes, so nobody is to be asked whether it may be started.
        (None, Some(DatabaseRole::Standby)) if is_stopped_standby(new) && nobody_took_over(new, old) => {
            Situation::Return(missing(new_name, new, "a running standby"))
        }
        (None, _) => {
            let down = is(new_name, new, "a running standby".to_owned());
            Situation::Blocked(vec![if is_stopped_standby(new) { down.fix(start) } else { down }])
        }
    }
}

/// What a demotion leaves: a primary that was stopped cleanly and would come up as a standby.
fn is_demoted(facts: &DatabaseFacts) -> bool {
    facts.standby_signal && facts.control.as_ref().is_some_and(|control| control.state == "shut down")
}

/// A standby that is down, cleanly or not: it has never been promoted, and would come up as a standby again.
fn is_stopped_standby(facts: &DatabaseFacts) -> bool {
    let in_recovery = |state: &str| ["in archive recovery", "shut down in recovery"].contains(&state);
    facts.standby_signal && facts.control.as_ref().is_some_and(|control| in_recovery(&control.state))
}

/// The standby has never left the timeline of the stopped primary, and follows nobody else: nothing was written since.
/// Without a connection a standby tells the timeline of its last restart point, which may be an earlier one.
fn nobody_took_over(stopped: &DatabaseFacts, standby: &DatabaseFacts) -> bool {
    let timelines = standby.server.as_ref().zip(stopped.control.as_ref());
    let behind = timelines.is_some_and(|(server, control)| server.timeline <= control.timeline);
    behind && !standby.is_streaming_standby()
}

/// Nobody streams from the primary, and the standby is to: it may have come up just now. Whether it connects is seen by
/// the primary itself, which refuses to stop while nobody streams from it.
fn connects(standby: &DatabaseFacts, at: &Node, primary: &Server) -> bool {
    let upstream = standby.server.as_ref().and_then(|server| server.upstream.as_deref());
    standby.standby_signal && upstream == Some(at.peer_address()) && primary.walsenders.is_empty()
}

/// By its own word the log comes from there. The sender may have been asked a moment before it began to send.
fn receives_from(facts: &DatabaseFacts, at: &Node) -> bool {
    let receiver = facts.server.as_ref().and_then(|server| server.receiver.as_ref());
    receiver.and_then(|receiver| receiver.sender_host.as_deref()) == Some(at.peer_address())
}

/// Somebody receives the log from this server.
fn sends(facts: &DatabaseFacts) -> bool {
    facts.server.as_ref().is_some_and(|server| server.walsenders.iter().any(|sender| sender.state == "streaming"))
}

fn of_new_primary(
    old_name: &NodeName,
    old: &DatabaseFacts,
    new_at: &Node,
    new: &DatabaseFacts,
    is: impl Fn(&NodeName, &DatabaseFacts, String) -> Finding,
) -> Situation {
    let new_name = &new_at.name;
    let expected = format!("a standby that streams from {new_name}");
    if new.server.as_ref().is_some_and(|server| server.settings.read_only) {
        let found = "default_transaction_read_only is on";
        let finding = Finding::check("database.writable", "VIP-4", false, "a primary that accepts writes", found);
        return Situation::Blocked(vec![finding.on(new_name)]);
    }
    if new.standby_signal {
        let finding = Finding::check("database.signal", "VIP-4", false, "no standby.signal", "standby.signal");
        return Situation::Unmark(vec![finding.on(new_name)]);
    }
    if old.is_streaming_standby() && sends(new) {
        return Situation::Done(json!({
            "primary": { "node": new_name, "is": new.summary() },
            "standby": { "node": old_name, "is": old.summary() },
        }));
    }
    if old.silent.is_some() {
        return Situation::Wait(vec![is(old_name, old, expected)]);
    }
    let fix = "look at the server's log; when it has diverged: pg_rewind, or make it anew with pg_basebackup -R";
    Situation::Rejoin(vec![is(old_name, old, expected).fix(fix)])
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
