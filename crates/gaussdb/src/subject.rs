//! The subject `database`.

use anyhow::Result;
use rollup_engine::{FindingCx, Probe, Subject};
use rollup_model::{Facts, Finding, Inventory, NodeName, inventory::Node};

use crate::{
    DatabaseFacts,
    engine::{At, engine_of},
    findings,
};

/// The database of each node (PRE-4).
pub struct DatabaseSubject;

impl Subject for DatabaseSubject {
    type Facts = DatabaseFacts;

    fn name(&self) -> &'static str {
        "database"
    }

    fn probe(&self, inventory: &Inventory, node: &Node) -> Option<Probe> {
        // An engine that is not supported shows up in the findings; there is nothing to ask the node.
        let engine = engine_of(&inventory.database).ok()?;
        Some(engine.probe(At { inventory, node }, inventory.peer_of(&node.name)))
    }

    fn parse(&self, text: &str, inventory: &Inventory) -> Result<DatabaseFacts> {
        engine_of(&inventory.database)?.parse(text)
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        let nodes: Vec<_> = cx.each(self);
        findings::all(cx, &nodes)
    }
}

/// The node whose database is the primary, when exactly one is.
pub fn primary_node(facts: &Facts, inventory: &Inventory) -> Option<NodeName> {
    let is_primary = |node: &&NodeName| {
        facts.get::<DatabaseFacts>(node, DatabaseSubject.name()).is_some_and(|facts| facts.is_primary())
    };
    let mut primaries = inventory.node_names().filter(is_primary);
    primaries.next().filter(|_| primaries.next().is_none()).cloned()
}
