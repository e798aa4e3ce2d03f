//! The actions `sync.freeze` and `sync.unfreeze`, one node each, and `sync.refreeze`, all nodes at once.

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, NodeName, Undo, inventory::Sync, plan::ActionRef};
use rollup_remote::Cmd;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{SyncFacts, SyncSubject, TimerFacts, facts::MOST_FILES, script, thaw::everywhere};

/// What every step says where there is nothing to copy.
pub(crate) fn no_sync() -> State {
    State::seen("no config sync")
}

/// The config sync of the inventory.
pub(crate) fn sync<'a>(cx: &Cx<'a>) -> Option<&'a Sync> {
    cx.inventory().sync.as_ref()
}

/// `sync.freeze`: nothing copies on this node, and nothing will until the thaw.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncFreeze {}

#[derive(Debug, Serialize, Deserialize)]
struct Before {
    timer_enabled: bool,
    timer_active: bool,
}

#[async_trait::async_trait]
impl Action for SyncFreeze {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        if sync(cx).is_none() {
            return Ok(no_sync());
        }
        let node = cx.node()?;
        let facts = cx.facts(&SyncSubject, node).await?;
        match &facts.frozen {
            Some(frozen) if facts.frozen_by(cx.plan.run.as_str()) => {
                let files = frozen.listing.as_ref().map_or(0, |listing| listing.count);
                Ok(State::seen(serde_json::json!({ "since": frozen.since, "files": files })))
            }
            _ => {
                let timer = facts.timer_without_freeze();
                let before = Before { timer_enabled: timer.enabled, timer_active: timer.active };
                Ok(State::Needed { before: serde_json::to_value(before)?, because: vec![not_frozen(node, &facts)] })
            }
        }
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        freeze_node(cx, cx.node()?).await
    }

    fn undo(&self, before: &Value) -> Undo {
        let with = match before {
            Value::Object(before) => before.clone(),
            _ => Map::new(),
        };
        Undo::Action(ActionRef { uses: "sync.unfreeze".to_owned(), with })
    }
}

/// `sync.unfreeze`: this node copies, or does not, as it did before it was frozen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncUnfreeze {
    /// Whether the timer is to be enabled.
    pub timer_enabled: bool,
    /// Whether the timer is to run.
    pub timer_active: bool,
}

#[async_trait::async_trait]
impl Action for SyncUnfreeze {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        if sync(cx).is_none() {
            return Ok(no_sync());
        }
        let facts = cx.facts(&SyncSubject, cx.node()?).await?;
        if facts.thawed() && facts.timer == self.timer() {
            Ok(State::seen(facts.timer))
        } else {
            Ok(State::needed(facts.timer))
        }
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        thaw_node(cx, "sync.unfreeze", cx.node()?, self.timer()).await
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::Action(ActionRef { uses: "sync.freeze".to_owned(), with: Map::new() })
    }
}

impl SyncUnfreeze {
    fn timer(&self) -> TimerFacts {
        TimerFacts { enabled: self.timer_enabled, active: self.timer_active }
    }
}

/// `sync.refreeze`: every node is frozen for this run. It takes a thaw back: what the timers were before the first
/// freeze comes back later, with the steps that take the freezing itself back.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRefreeze {}

#[async_trait::async_trait]
impl Action for SyncRefreeze {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        if sync(cx).is_none() {
            return Ok(no_sync());
        }
        let nodes = everywhere(cx).await?;
        let run = cx.plan.run.as_str();
        let open = nodes.iter().filter(|(_, facts)| !facts.frozen_by(run));
        let because: Vec<_> = open.map(|(node, facts)| not_frozen(node, facts)).collect();
        if because.is_empty() {
            return Ok(State::done());
        }
        let timers: std::collections::BTreeMap<_, _> =
            nodes.iter().map(|(node, facts)| (*node, facts.timer_without_freeze())).collect();
        Ok(State::Needed { before: serde_json::json!({ "timers": timers }), because })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let nodes = cx.inventory().node_names().map(|node| freeze_node(cx, node));
        futures_util::future::join_all(nodes).await.into_iter().collect()
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::NotNeeded { why: "the steps after it thaw the nodes again".to_owned() }
    }
}

fn not_frozen(node: &NodeName, facts: &SyncFacts) -> Finding {
    let said = if facts.unit.running { "a copy is running" } else { "not frozen" };
    Finding::check("sync.frozen", "UPG-1", false, "a frozen config sync", said).on(node)
}

/// Freezes one node for this run.
async fn freeze_node(cx: &ApplyCx<'_>, node: &NodeName) -> Result<()> {
    let sync = sync(cx).context("the inventory has no config sync")?;
    let limit = cx.step.policy.attempt_timeout.duration();
    // Less than the attempt itself, so that the node's own words about a long copy arrive.
    let wait = (limit.as_secs() * 9 / 10).max(1).to_string();
    let mut args = vec![sync.unit.clone(), sync.timer.clone(), cx.plan.run.to_string(), wait, MOST_FILES.to_string()];
    args.extend(sync.paths.iter().cloned());
    cx.change_of(node)?.exec(&Cmd::mutate("sync.freeze", script::FREEZE, args).deadline(limit)).await?;
    Ok(())
}

/// Takes the marks of a freeze away and gives the timer this state.
pub(crate) async fn thaw_node(cx: &ApplyCx<'_>, id: &'static str, node: &NodeName, timer: TimerFacts) -> Result<()> {
    let sync = sync(cx).context("the inventory has no config sync")?;
    let args = [sync.unit.clone(), sync.timer.clone(), timer.enabled.to_string(), timer.active.to_string()];
    cx.change_of(node)?.exec(&Cmd::mutate(id, script::THAW, args)).await?;
    Ok(())
}
