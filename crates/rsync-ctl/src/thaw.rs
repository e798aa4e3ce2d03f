//! The action `sync.thaw`: the pair copies again, in the direction of its roles.
//!
//! A way back begins with what came last. Were a thaw taken back by another thaw, the old source would copy from then
//! on, while the nodes still have different versions and the address is still on the other one. So the nodes are frozen
//! again instead, and the timers come back with the steps that take the freezing itself back.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, NodeName, Release, Role, Undo, inventory::SyncSource, plan::ActionRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    SyncFacts, SyncSubject, TimerFacts,
    freeze::{no_sync, sync, thaw_node},
};

/// How many changed files are named.
const SHOWN: usize = 20;

/// `sync.thaw`: nothing is frozen any more, and the timer runs on the one node that is to copy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncThaw {
    /// The node that serves from now on: a role or a node.
    pub primary: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Before {
    /// Whether a node was frozen; without a freeze there is nothing to freeze again.
    frozen: bool,
    /// The node that served when the job was frozen.
    primary: Option<NodeName>,
    timers: BTreeMap<NodeName, TimerFacts>,
    /// What was changed by hand during the freeze.
    drift: Vec<String>,
}

/// Facts of every node.
pub(crate) async fn everywhere<'a>(cx: &Cx<'a>) -> Result<Vec<(&'a NodeName, SyncFacts)>> {
    let names = cx.inventory().node_names();
    let all = names.map(|node| async move { anyhow::Ok((node, cx.facts(&SyncSubject, node).await?)) });
    futures_util::future::try_join_all(all).await
}

impl SyncThaw {
    /// The node whose timer is to run.
    fn source<'a>(&self, cx: &Cx<'a>) -> Result<&'a NodeName> {
        other_or_same(cx, cx.named(&self.primary)?).context("the standby copies, but there is no second node")
    }
}

/// From the primary to the source, and from the source to the primary: the same step either way.
fn other_or_same<'a>(cx: &Cx<'a>, node: &'a NodeName) -> Option<&'a NodeName> {
    match sync(cx)?.source {
        SyncSource::Primary => Some(node),
        SyncSource::Standby => cx.inventory().peer_of(node).map(|peer| &peer.name),
    }
}

#[async_trait::async_trait]
impl Action for SyncThaw {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        if sync(cx).is_none() {
            return Ok(no_sync());
        }
        let source = self.source(cx)?;
        let nodes = everywhere(cx).await?;
        let because: Vec<_> = nodes.iter().filter_map(|(node, facts)| wrong(node, facts, *node == source)).collect();
        if because.is_empty() {
            let drift = cx.before.and_then(|before| before.get("drift")).cloned().unwrap_or(Value::Array(Vec::new()));
            return Ok(State::seen(serde_json::json!({ "source": source, "drift": drift })));
        }
        let copied = nodes.iter().find(|(_, facts)| facts.timer_without_freeze().enabled).map(|(node, _)| *node);
        let before = Before {
            frozen: nodes.iter().any(|(_, facts)| !facts.thawed()),
            primary: copied.and_then(|node| other_or_same(cx, node)).or(cx.plan.bound(Role::OriginalPrimary)).cloned(),
            timers: nodes.iter().map(|(node, facts)| ((*node).clone(), facts.timer_without_freeze())).collect(),
            drift: drift(cx, &nodes),
        };
        Ok(State::Needed { before: serde_json::to_value(before)?, because })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let source = self.source(cx)?;
        let seen: Option<Before> = cx.before.and_then(|before| serde_json::from_value(before.clone()).ok());
        let drift = seen.map(|before| before.drift).unwrap_or_default();
        if !drift.is_empty() {
            cx.progress(format!("changed by hand while the sync was frozen: {}", drift.join(", ")));
        }
        let nodes = cx.inventory().node_names().map(|node| {
            let runs = node == source;
            thaw_node(cx, "sync.thaw", node, TimerFacts { enabled: runs, active: runs })
        });
        let results = futures_util::future::join_all(nodes).await;
        results.into_iter().collect()
    }

    fn undo(&self, before: &Value) -> Undo {
        // Only a thaw that found nothing frozen, and turned the direction alone, is turned back by another one.
        if before.get("frozen").and_then(Value::as_bool).unwrap_or(true) {
            return Undo::Action(ActionRef { uses: "sync.refreeze".to_owned(), with: Map::new() });
        }
        let primary = before.get("primary").and_then(Value::as_str).unwrap_or("original-primary");
        let with = Map::from_iter([("primary".to_owned(), Value::String(primary.to_owned()))]);
        Undo::Action(ActionRef { uses: "sync.thaw".to_owned(), with })
    }
}

fn wrong(node: &NodeName, facts: &SyncFacts, source: bool) -> Option<Finding> {
    let said = match (facts.thawed(), facts.timer) {
        (false, _) => "frozen".to_owned(),
        (true, timer) => format!("timer enabled: {}, active: {}", timer.enabled, timer.active),
    };
    let good = facts.thawed() && facts.timer.enabled == source && facts.timer.active == source;
    let expected = if source { "the timer enabled and active" } else { "the timer not enabled and not active" };
    (!good).then(|| Finding::check("sync.timer", "FIN-1", false, expected, said).on(node))
}

/// Files that differ from how they were when the node was frozen, apart from those the package itself placed (UPG-1).
fn drift(cx: &Cx<'_>, nodes: &[(&NodeName, SyncFacts)]) -> Vec<String> {
    let touched: Vec<_> = cx.plan.release.iter().flat_map(Release::touches).collect();
    let placed: Vec<_> = touched.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for (node, facts) in nodes {
        let Some(then) = facts.frozen.as_ref().and_then(|frozen| frozen.listing.as_ref()) else { continue };
        let changed = then.without(&placed).differences(&facts.listing.without(&placed));
        found.extend(changed.into_iter().map(|what| format!("{node}: {what}")));
    }
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found
}
