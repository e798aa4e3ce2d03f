//! The actions `sync.run` and `sync.consistent`: copy once, and see the same files everywhere.

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, NodeName, Undo};
use rollup_remote::Cmd;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    SyncFacts,
    freeze::{no_sync, sync},
    script,
    thaw::everywhere,
};

/// How many differences are named.
const SHOWN: usize = 10;

/// `sync.run`: one copy was made after this step began.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRun {}

/// The node that copies: the one whose timer is on, else this step's own.
async fn source<'a>(cx: &Cx<'a>) -> Result<(&'a NodeName, SyncFacts)> {
    let own = cx.node()?;
    let mut nodes = everywhere(cx).await?;
    nodes.sort_by_key(|(node, facts)| (!facts.timer.enabled, *node != own));
    nodes.into_iter().next().context("the inventory has no node")
}

/// The run that was the last one when this step began.
fn last(cx: &Cx<'_>) -> Option<u64> {
    cx.before?.get("started_micros")?.as_u64()
}

#[async_trait::async_trait]
impl Action for SyncRun {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        if sync(cx).is_none() {
            return Ok(no_sync());
        }
        let (node, facts) = source(cx).await?;
        let unit = &facts.unit;
        if !facts.thawed() {
            let finding = Finding::check("sync.frozen", "FIN-1", false, "a config sync that is not frozen", "frozen");
            return Ok(State::blocked(vec![finding.on(node)]));
        }
        // Which run was the last one before is what tells a new one, not a clock: clocks are set.
        let new = last(cx).is_some_and(|last| last != unit.started_micros);
        if new && unit.good() {
            return Ok(State::seen(json!({ "node": node, "started": unit.started, "ended": unit.ended })));
        }
        let said = match (new, unit.running) {
            (_, true) => "it runs".to_owned(),
            (true, false) => format!("{} with status {}", unit.result, unit.status),
            (false, false) => "none since".to_owned(),
        };
        let finding = Finding::check("sync.run", "FIN-1", false, "a good run from now on", said).on(node);
        let before = json!({ "node": node, "started_micros": unit.started_micros });
        Ok(State::Needed { before, because: vec![finding] })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let sync = sync(cx).context("the inventory has no config sync")?;
        let (node, _) = source(cx).await?;
        let limit = cx.step.policy.attempt_timeout.duration();
        let args = [sync.unit.clone(), last(cx).unwrap_or(0).to_string()];
        cx.change_of(node)?.exec(&Cmd::mutate("sync.run", script::RUN, args).deadline(limit)).await?;
        Ok(())
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::NotNeeded { why: "a copy of the configuration is made every few minutes anyway".to_owned() }
    }
}

/// `sync.consistent`: all nodes have the same files.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncConsistent {}

#[async_trait::async_trait]
impl Action for SyncConsistent {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        if sync(cx).is_none() {
            return Ok(no_sync());
        }
        let nodes = everywhere(cx).await?;
        let Some(((first, facts), others)) = nodes.split_first() else { return Ok(State::done()) };
        let mut because = Vec::new();
        for (node, other) in others {
            for what in facts.listing.differences(&other.listing).into_iter().take(SHOWN) {
                let expected = format!("the same files as on {first}");
                because.push(Finding::check("sync.consistent", "FIN-1", false, expected, what).on(node));
            }
        }
        if because.is_empty() {
            return Ok(State::seen(json!({ "files": facts.listing.count, "digest": facts.listing.digest })));
        }
        Ok(State::not_yet(because))
    }
}
