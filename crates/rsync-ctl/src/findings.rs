//! What follows from the facts of all nodes (PRE-5).

use rollup_engine::{FindingCx, Stage};
use rollup_model::{
    Check, Finding, NodeName, Severity, Span,
    inventory::{Sync, SyncSource},
};
use serde_json::Value;

use crate::{SyncFacts, SyncSubject};

/// A last run older than this is worth a word, in seconds.
const OLD: u64 = 24 * 3600;

/// Every id that is answered here.
pub(crate) const CHECKS: [Check; 6] = [
    Check::new("sync.readable", "PRE-5", "what a node says of the config sync can be read"),
    Check::new("sync.present", "PRE-5", "unit and timer of the config sync are there"),
    Check::new("sync.frozen", "PRE-5", "no earlier run has left the config sync frozen"),
    Check::new("sync.timer", "PRE-5", "the timer runs on the source and nowhere else"),
    Check::new("sync.last", "PRE-5", "the last run on the source was good, and not long ago"),
    Check::new("sync.cron", "PRE-5", "no cron job copies the same paths beside the timer"),
];

pub(crate) fn findings(cx: &FindingCx<'_>) -> Vec<Finding> {
    // In the middle of a run the job is frozen on purpose.
    let (Some(sync), Stage::Fresh) = (&cx.inventory.sync, cx.stage) else { return Vec::new() };
    let nodes = cx.each(&SyncSubject);
    let mut found: Vec<_> = nodes.iter().flat_map(|(node, facts)| of_node(sync, node, facts)).collect();
    if nodes.len() == cx.inventory.nodes.len() {
        found.extend(direction(cx, sync, &nodes));
    }
    found
}

fn of_node(sync: &Sync, node: &NodeName, facts: &SyncFacts) -> Vec<Finding> {
    let check = |id, good, expected: &str, found: String| Finding::check(id, "PRE-5", good, expected, found).on(node);
    let there = if facts.present { "both are there" } else { "one of them is missing" };
    let expected = format!("{} and {}", sync.unit, sync.timer);
    let mut found = vec![
        check("sync.present", facts.present, &expected, there.to_owned()).fix("correct `[sync]` in the inventory"),
    ];
    let frozen = match &facts.frozen {
        None if facts.dropin => "the drop-in of a freeze without its marker".to_owned(),
        None => "not frozen".to_owned(),
        Some(frozen) => format!("frozen by run {} since {}", frozen.run, frozen.since),
    };
    let run = facts.frozen.as_ref().map(|frozen| frozen.run.clone());
    let finding = check("sync.frozen", facts.thawed(), "a config sync that nobody froze", frozen);
    found.push(match run {
        Some(run) => finding.fix(format!("rollup resume {run}   # or: rollup rollback")),
        None => finding,
    });
    let cron = if facts.cron.is_empty() { "none".to_owned() } else { facts.cron.join(", ") };
    let entry = facts.cron.first().and_then(|at| at.rsplit_once(':'));
    let finding = check("sync.cron", facts.cron.is_empty(), "no cron job that copies the same paths", cron);
    found.push(match entry {
        // A freeze would not stop it.
        Some((file, line)) => finding.fix(format!("sed -i '{line}s/^/#/' {file}   # the timer {} copies", sync.timer)),
        None => finding,
    });
    found
}

/// The node that is to copy: the one with the VIP, or the other one.
fn source<'a>(cx: &FindingCx<'a>, sync: &Sync) -> Option<&'a NodeName> {
    let inventory = cx.inventory;
    let here = |node: &&NodeName| {
        let keepalived = cx.facts.nodes.get(*node).and_then(|subjects| subjects.get("keepalived"));
        keepalived.and_then(|facts| facts.get("vip_here")).and_then(Value::as_bool) == Some(true)
    };
    let mut owners = inventory.node_names().filter(here);
    let (Some(owner), None) = (owners.next(), owners.next()) else { return None };
    match sync.source {
        SyncSource::Primary => Some(owner),
        SyncSource::Standby => inventory.peer_of(owner).map(|node| &node.name),
    }
}

fn direction(cx: &FindingCx<'_>, sync: &Sync, nodes: &[(&NodeName, SyncFacts)]) -> Vec<Finding> {
    let Some(source) = source(cx, sync) else { return Vec::new() };
    let mut found = Vec::new();
    for (node, facts) in nodes {
        let wanted = *node == source;
        let timer = facts.timer_without_freeze();
        let word = |yes: bool, word: &str| if yes { word.to_owned() } else { format!("not {word}") };
        let said = format!("{}, {}", word(timer.enabled, "enabled"), word(timer.active, "active"));
        let expected = if wanted { "the timer enabled and active" } else { "the timer not enabled and not active" };
        let fix = if wanted { "enable" } else { "disable" };
        let good = timer.enabled == wanted && timer.active == wanted;
        found.push(
            Finding::check("sync.timer", "PRE-5", good, expected, said)
                .on(node)
                .fix(format!("systemctl {fix} --now {}", sync.timer)),
        );
        if wanted {
            found.push(last_run(sync, node, facts));
        }
    }
    found
}

pub(crate) fn last_run(sync: &Sync, node: &NodeName, facts: &SyncFacts) -> Finding {
    let unit = &facts.unit;
    let (good, said) = match (&unit.started, unit.running) {
        (Some(started), true) => (true, format!("running since {started}")),
        (Some(started), false) => {
            let age = unit.age_s.map(|age| format!(", {} ago", Span::secs(age))).unwrap_or_default();
            (unit.good(), format!("{} with status {}, started {started}{age}", unit.result, unit.status))
        }
        (None, _) => (false, "no run since the node booted".to_owned()),
    };
    let finding = Finding::check("sync.last", "PRE-5", good, "a good last run, at most a day ago", said).on(node);
    let finding = finding.fix(format!("systemctl start {0}; journalctl -u {0} -n 20", sync.unit));
    match unit.age_s {
        _ if unit.started.is_none() => finding.only_warn(),
        Some(age) if good && age > OLD => Finding { severity: Severity::Warning, ..finding },
        _ => finding,
    }
}
