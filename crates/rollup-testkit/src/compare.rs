//! Whether two worlds, and the ways to them, are the same.

use std::collections::{BTreeMap, BTreeSet};

use rollup_model::Lane;
use serde_json::{Value, json};

use crate::world::{Effect, World};

/// How often each effect came about.
pub(crate) type Counts = BTreeMap<Effect, usize>;

/// Counts effects.
pub(crate) fn count(effects: &[Effect]) -> Counts {
    let mut counts = BTreeMap::new();
    for effect in effects {
        *counts.entry(effect.clone()).or_default() += 1;
    }
    counts
}

/// Effects that came about more or less often than they should.
pub(crate) fn differences(clean: &Counts, found: &Counts, spared: impl Fn(&Effect) -> bool) -> Vec<String> {
    let all: BTreeSet<_> = clean.keys().chain(found.keys()).filter(|effect| !spared(effect)).collect();
    let of = |counts: &Counts, effect: &Effect| counts.get(effect).copied().unwrap_or_default();
    all.into_iter()
        .map(|effect| (effect, of(clean, effect), of(found, effect)))
        .filter(|(_, once, times)| once != times)
        .map(|(effect, once, times)| {
            format!("{} {} on {}: expected {once} times, found {times}", effect.name, effect.key, effect.node)
        })
        .collect()
}

/// Effects that came about more than once.
pub(crate) fn twice(effects: &[Effect]) -> Vec<String> {
    let more = |(effect, times): (&Effect, &usize)| {
        let Effect { name, node, key } = effect;
        (*times > 1).then(|| format!("{name} {key} on {node}: expected at most once, found {times} times"))
    };
    count(effects).iter().filter_map(more).collect()
}

/// The places at which two worlds differ.
pub(crate) fn compare(path: &str, expected: &Value, found: &Value, into: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let null = Value::Null;
                compare(&format!("{path}/{key}"), a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null), into);
            }
        }
        _ if expected == found => {}
        _ => into.push(format!("the world differs at {path}: expected {expected}, found {found}")),
    }
}

impl World {
    /// What a rollback must bring back. Left out: backup sets, migrations, marks and notes, which stay; and whom a
    /// server's configuration names, which no longer counts once it is a primary.
    pub fn as_before(&self) -> Value {
        let machine = |machine: &crate::world::Machine| {
            let database = &machine.database;
            json!({
                "service": machine.service,
                "keepalived": machine.keepalived,
                "sync": machine.sync,
                "staging": machine.staging,
                "desk": machine.desk,
                "database": {
                    "runs": database.runs(), "writes": database.writes(), "signal": database.is_marked(),
                    "commits": database.commits(),
                },
            })
        };
        self.machines.iter().map(|(node, found)| (node.to_string(), machine(found))).collect()
    }
}

impl World {
    /// What is wrong with the databases and the set's hold after a way back to a set.
    pub(crate) fn lane_problems(&self, set: &str, lane: Lane) -> Vec<String> {
        let mut problems = Vec::new();
        let histories: BTreeSet<_> = self.machines.values().map(|machine| machine.database.migrations()).collect();
        if histories.len() > 1 {
            problems.push(format!("the databases have two histories: {histories:?}"));
        }
        // Nothing but what the runs that are taken back have applied may be there, and in one lane not even that.
        let left = histories.into_iter().next().unwrap_or_default();
        let applied = self.times("migration.applied").saturating_sub(self.times("migration.reverted"));
        if lane == Lane::Keep && left.len() != applied {
            problems.push(format!("expected {applied} migrations to stay, found {left:?}"));
        }
        if lane == Lane::Down && left != self.history_in(set) {
            problems.push(format!("expected the migrations of {set}, found {left:?}"));
        }
        if lane == Lane::Restore {
            problems.extend(self.restored_problems(set));
        }
        let held = self.machines.keys().filter(|node| self.hold_of(node, set).is_some());
        problems.extend(held.map(|node| format!("{set} is still held on {node}")));
        problems
    }
}
