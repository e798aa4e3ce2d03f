//! The subject `database`.

use anyhow::Result;
use rollup_engine::{FindingCx, Probe, Subject};
use rollup_model::{Check, Facts, Finding, Inventory, NodeName, Severity, inventory::Node};

use crate::{
    DatabaseFacts,
    engine::{At, engine_of},
    findings, schema,
};

/// The database of each node (PRE-4).
pub struct DatabaseSubject;

impl Subject for DatabaseSubject {
    type Facts = DatabaseFacts;

    fn name(&self) -> &'static str {
        "database"
    }

    fn probe(&self, inventory: &Inventory, node: &Node) -> Option<Probe> {
        let engine = engine_of(&inventory.database);
        Some(engine.probe(At { inventory, node }, inventory.peer_of(&node.name)))
    }

    fn parse(&self, text: &str, inventory: &Inventory) -> Result<DatabaseFacts> {
        engine_of(&inventory.database).parse(text)
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        let nodes: Vec<_> = cx.each(self);
        let mut found = findings::all(cx, &nodes);
        found.extend(schema::finding(cx, &nodes));
        found
    }

    fn checks(&self) -> &'static [Check] {
        &findings::CHECKS
    }
}

/// The standby that a backup is best taken from: it streams from the one primary and has nearly all of it, so that
/// nobody who is served waits for a backup. `None`: there is none.
pub fn backup_source(facts: &Facts, inventory: &Inventory) -> Option<NodeName> {
    let of = |node: &NodeName| facts.get::<DatabaseFacts>(node, DatabaseSubject.name());
    let primary = primary_node(facts, inventory)?;
    let server = of(&primary)?.server?;
    let standbys = inventory.nodes.len().saturating_sub(1);
    let in_sync = |at: &&Node| {
        of(&at.name).is_some_and(|facts| {
            let streams = findings::streaming(at, &facts, &primary, &server, standbys);
            let lag = findings::lag(&at.name, &facts, server.current_lsn, inventory.database.max_lag_bytes);
            [streams, lag].iter().all(|finding| finding.severity == Severity::Ok)
        })
    };
    inventory.nodes.iter().filter(|node| node.name != primary).find(in_sync).map(|node| node.name.clone())
}

/// The node whose database is the primary, when exactly one is.
pub fn primary_node(facts: &Facts, inventory: &Inventory) -> Option<NodeName> {
    let is_primary = |node: &&NodeName| {
        facts.get::<DatabaseFacts>(node, DatabaseSubject.name()).is_some_and(|facts| facts.is_primary())
    };
    let mut primaries = inventory.node_names().filter(is_primary);
    primaries.next().filter(|_| primaries.next().is_none()).cloned()
}
