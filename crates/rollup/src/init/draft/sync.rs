//! The job that copies configuration between the nodes.

use super::{Draft, Known, Pair, distinct, list, strings};
use crate::init::parse::{Caller, Copying, Seen, Timer};

pub(super) fn tell(draft: &mut Draft, pair: &Pair<'_>, known: &mut Known) {
    let copies = distinct(pair.seen.iter().flat_map(|seen| &seen.copies).filter(leaves));
    let units = distinct(copies.iter().filter_map(|copying| match &copying.by {
        Caller::Unit(unit) => Some(unit.as_str()),
        Caller::Cron(_) => None,
    }));
    let Some(unit) = units.first().copied() else {
        by_cron(draft, pair);
        return;
    };
    known.taken.extend(units.iter().map(|unit| (*unit).to_owned()));
    let of_unit: Vec<&Copying> =
        copies.iter().copied().filter(|copying| copying.by == Caller::Unit(unit.to_owned())).collect();
    if of_unit.iter().any(|copying| !pushes(copying)) {
        let question = format!(
            "How is configuration copied? {unit} fetches from the other node, and rollup works with a job that copies to it."
        );
        draft.tables.entry("sync").or_default().ask(question);
        return;
    }
    let timers = pair.seen.map(|seen| seen.timers.iter().find(|timer| timer.unit == unit));
    let Some(timer) = timers.iter().flatten().next().map(|timer| timer.timer.clone()) else {
        let question =
            format!("What starts {unit}? It calls rsync, but no timer starts it, and rollup holds back a timer.");
        draft.tables.entry("sync").or_default().ask(question);
        return;
    };
    draft.set("sync", "unit", unit);
    if units.len() > 1 {
        draft
            .at("sync", "unit")
            .ask(format!("Which is the job that copies configuration? These call rsync: {}.", list(&units)));
    }
    for (name, seen) in pair.each() {
        if !seen.services.iter().any(|service| service.unit == unit) {
            draft.differ(format!("{unit} is not on {name}, so nothing can be copied once the VIP is there"));
        }
    }
    draft.set("sync", "timer", timer);
    paths(draft, &of_unit);
    source(draft, pair, known, timers);
}

/// Whether a call may copy to or from another machine. One between local directories is somebody's backup.
fn leaves(copying: &&Copying) -> bool {
    copying.paths.iter().any(|path| !is_local(path))
}

/// Whether the place it copies to is not on the node itself.
fn pushes(copying: &Copying) -> bool {
    copying.paths.last().is_some_and(|path| !is_local(path))
}

fn is_local(path: &str) -> bool {
    let remote = path.split('/').next().is_some_and(|first| first.contains(':'));
    // What a variable holds is not known here.
    !remote && !path.starts_with('$')
}

fn paths(draft: &mut Draft, copies: &[&Copying]) {
    let from = distinct(copies.iter().flat_map(|copying| &copying.paths[..copying.paths.len() - 1]));
    let plain = |path: &&String| path.starts_with('/') && path.len() > 1 && !path.contains(['$', '`', '*', '?', '[']);
    if from.iter().all(plain) {
        draft.set("sync", "paths", strings(from.iter().map(|path| path.trim_end_matches('/'))));
    } else {
        let question = format!("Which directories does it copy? It calls rsync with {}.", list(from));
        draft.open("sync", "paths", question);
    }
}

fn source(draft: &mut Draft, pair: &Pair<'_>, known: &Known, timers: [Option<&Timer>; 2]) {
    let runs = timers.map(|timer| timer.is_some_and(|timer| timer.enabled || timer.active));
    let question = "Which node copies to the other: the one with the VIP (\"primary\") or the other (\"standby\")?";
    let from = match runs {
        [true, false] => 0,
        [false, true] => 1,
        both => {
            let where_ = if both[0] { "both nodes" } else { "neither node" };
            draft.differ(format!("the timer of the config sync runs on {where_}"));
            draft.at("sync", "source").ask(format!("{question} Now the timer runs on {where_}."));
            return;
        }
    };
    let name = pair.names()[from];
    match known.owner {
        Some(owner) => {
            let value = if owner == from { "primary" } else { "standby" };
            draft.set("sync", "source", value).found(format!("its timer runs on {name}."));
        }
        None => {
            draft.at("sync", "source").ask(format!("{question} Now it is {name}."));
        }
    }
}

/// A job in a crontab cannot be held back during an upgrade.
fn by_cron(draft: &mut Draft, pair: &Pair<'_>) {
    let of = |seen: &Seen| {
        let copies = seen.copies.iter().filter(leaves);
        distinct(copies.filter_map(|copying| match &copying.by {
            Caller::Cron(line) => Some((line.clone(), copying.paths.join(" "))),
            Caller::Unit(_) => None,
        }))
    };
    let [first, second] = pair.seen.map(of);
    let [name, other] = pair.names();
    let job = |(line, paths): &(String, String)| {
        let on = match (first.contains(&(line.clone(), paths.clone())), second.contains(&(line.clone(), paths.clone())))
        {
            (true, true) => "both nodes",
            (true, false) => name,
            _ => other,
        };
        format!("{line} on {on}: rsync {paths}")
    };
    let jobs: Vec<String> = distinct(first.iter().chain(&second)).into_iter().map(job).collect();
    let table = draft.tables.entry("sync").or_default();
    if jobs.is_empty() {
        table.found("no service, timer or crontab that calls rsync.");
        return;
    }
    table.ask(format!(
        "How can the config sync be held back during an upgrade? It is in a crontab, and rollup can hold back a timer \
         alone. Make it a oneshot service with a timer, then fill in this table. Found {}.",
        list(jobs)
    ));
}
