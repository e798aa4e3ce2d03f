mod decide;
mod facts;
mod findings;
mod ways;

use std::collections::BTreeMap;

use rollup_engine::Subject;
use rollup_model::{Inventory, NodeName, Span, inventory::VipStrategy};

use crate::*;

/// What nodes with keepalived 2.2.7 answered: before a move, after it, and with `nopreempt`.
const OWNER: &str = include_str!("../fixtures/owner.txt");
const BACKUP: &str = include_str!("../fixtures/backup.txt");
const OWNER_AFTER: &str = include_str!("../fixtures/owner-after-move.txt");
const BACKUP_AFTER: &str = include_str!("../fixtures/backup-after-move.txt");
const BACKUP_NOPREEMPT: &str = include_str!("../fixtures/backup-nopreempt.txt");

fn inventory() -> Inventory {
    serde_json::from_value(serde_json::json!({
        "cluster": { "name": "test" },
        "nodes": [{ "name": "node-a", "host": "a" }, { "name": "node-b", "host": "b" }],
        "vip": { "address": "10.79.0.100" },
        "database": { "engine": "postgresql", "data_dir": "/d", "unit": "d", "name": "n" },
        "service": { "units": ["u.service"] },
    }))
    .unwrap()
}

fn facts(text: &str) -> KeepalivedFacts {
    KeepalivedSubject.parse(text, &inventory()).unwrap()
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// Facts of a node with these priorities, otherwise as a real one answered.
struct Node(KeepalivedFacts);

impl Node {
    fn owner(priority: u8) -> Self {
        Self(facts(OWNER)).with(|facts| set(facts, priority))
    }
    fn backup(priority: u8) -> Self {
        Self(facts(BACKUP)).with(|facts| set(facts, priority))
    }
    fn with(mut self, change: impl FnOnce(&mut KeepalivedFacts)) -> Self {
        change(&mut self.0);
        self
    }
    /// `nopreempt` in the file and, without an override, in the daemon.
    fn nopreempt(self) -> Self {
        self.with(|facts| {
            facts.configured.as_mut().unwrap().nopreempt = true;
            facts.running.as_mut().unwrap().nopreempt = true;
        })
    }
    fn overridden(self, priority: u8) -> Self {
        self.with(|facts| {
            facts.override_priority = Some(priority);
            let running = facts.running.as_mut().unwrap();
            (running.base_priority, running.effective_priority, running.nopreempt) = (priority, priority, false);
        })
    }
    /// What tracked checks add now.
    fn weighted(self, weight: i16) -> Self {
        self.with(|facts| {
            let running = facts.running.as_mut().unwrap();
            running.effective_priority = u8::try_from(i16::from(running.base_priority) + weight).unwrap();
        })
    }
}

fn set(facts: &mut KeepalivedFacts, priority: u8) {
    facts.configured.as_mut().unwrap().priority = Some(priority);
    let running = facts.running.as_mut().unwrap();
    (running.base_priority, running.effective_priority) = (priority, priority);
}

/// Moves to `node-b`, in these ways; `node-a` is the other.
fn by(ways: &[VipStrategy], target: &Node, other: &Node) -> Result<Option<Move>, Refused> {
    let (b, a, mut inventory) = (name("node-b"), name("node-a"), inventory());
    inventory.keepalived.strategies = ways.to_vec();
    inventory.keepalived.track_link = Some("rollup0".to_owned());
    let (to, from) = (Side { node: &b, facts: &target.0 }, Side { node: &a, facts: &other.0 });
    crate::decide(to, from, &Rules::of(&inventory, None))
}

/// The same by priorities alone.
fn decided(target: &Node, other: &Node) -> Result<Option<Move>, Refused> {
    by(&[VipStrategy::Priority], target, other)
}

/// The change; `Some(None)`: none, it is about to come.
fn change(target: &Node, other: &Node) -> Option<Option<Edit>> {
    decided(target, other).unwrap().map(|way| way.edit)
}

fn overriding(node: &str, priorities: &[(&str, u8)]) -> Edit {
    let priorities = priorities.iter().map(|(name, priority)| ((*name).to_owned(), *priority));
    Edit { node: name(node), how: How::Override(priorities.collect()) }
}

fn set_to(node: &str, priority: u8) -> Option<Option<Edit>> {
    Some(Some(overriding(node, &[("VI_1", priority)])))
}

fn taken_out(node: &str) -> Option<Option<Edit>> {
    Some(Some(Edit { node: name(node), how: How::TakeOut }))
}
