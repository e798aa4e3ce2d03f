//! The steps that ask everything at once.

use std::collections::BTreeMap;

use anyhow::Result;
use rollup_engine::{Action, Cx, Examined, Stage, State};
use rollup_model::{Finding, NodeName, Severity};
use serde::Deserialize;
use serde_json::json;

use crate::HostFacts;

/// Everything an upgrade needs, before its first change (PRE-1 … PRE-9).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {}

#[async_trait::async_trait]
impl Action for Run {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let examined = cx.examine(Stage::Fresh).await;
        let mut errors = examined.errors();
        // The lock that this run has taken is no other run's.
        let held_by = |node: &NodeName| examined.facts.get::<HostFacts>(node, "host").and_then(|facts| facts.lock);
        let ours = |finding: &Finding| {
            let lock = finding.node.as_ref().filter(|_| finding.id == "host.lock").and_then(held_by);
            lock.is_some_and(|run| run == cx.plan.run.as_str())
        };
        errors.retain(|finding| !ours(finding));
        // A connection that was lost once is asked for again, whatever else seems wrong without that node's answer;
        // everything else stays as it is until somebody mends it.
        let silence = errors.iter().any(|finding| finding.id == "host.reachable");
        Ok(match (errors.is_empty(), silence) {
            (true, _) => State::seen(counts(&examined)),
            (false, true) => State::not_yet(errors),
            (false, false) => State::blocked(errors),
        })
    }
}

/// The same pair after the upgrade (FIN-2): roles may have changed, health may not. Waits for what settles by itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Final {}

#[async_trait::async_trait]
impl Action for Final {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let mut examined = cx.examine(Stage::Fresh).await;
        // The package is installed: whether it may be, and has room, is no question any more. Our own lock is on every
        // node, and a run that this one takes back has no end yet.
        let over = |finding: &Finding| {
            ["PRE-1", "PRE-7", "PRE-9"].contains(&finding.requirement.as_str())
                || ["host.lock", "host.unfinished"].contains(&finding.id.as_str())
        };
        examined.findings.retain(|finding| !over(finding));
        let errors = examined.errors();
        Ok(if errors.is_empty() { State::seen(counts(&examined)) } else { State::not_yet(errors) })
    }

    /// What an operator may have accepted at a node's gate is no surprise here; everything else is.
    fn acceptable(&self, finding: &Finding) -> bool {
        ["health.unit", "health.port", "health.url"].contains(&finding.id.as_str())
    }
}

fn counts(examined: &Examined) -> serde_json::Value {
    let mut counts = BTreeMap::new();
    for finding in &examined.findings {
        let word = match finding.severity {
            Severity::Ok => "ok",
            Severity::Waived => "waived",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        *counts.entry(word).or_insert(0u32) += 1;
    }
    json!(counts)
}
