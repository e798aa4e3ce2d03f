//! `db.replayed` and `db.caught-up`: how far a standby is, by its own word.
//!
//! What the primary believes of its standby is no proof: a position it has not heard yet may be shown as the sent one.

use anyhow::Result;
use rollup_engine::{Action, Cx, State};
use rollup_model::{Finding, inventory::Switchover};
use serde::Deserialize;
use serde_json::json;

use crate::{
    DatabaseSubject,
    engine::{At, engine_of},
    findings,
};

/// Sees the node replay everything that its primary had written when the look began.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replayed {}

#[async_trait::async_trait]
impl Action for Replayed {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let engine = engine_of(&cx.inventory().database);
        let (node, peer) = (cx.node()?, cx.peer()?);
        // The primary first: it writes on meanwhile, and the standby is only asked for what it had written by then.
        let position = cx.host_of(peer)?.exec(&engine.position(At::new(cx, peer)?)).await?;
        let Some(target) = engine.read_position(&position.stdout)? else {
            // Where the database keeps its roles, the node may be the one that is followed.
            if cx.inventory().database.switchover == Switchover::Never {
                let own = cx.host()?.exec(&engine.position(At::new(cx, node)?)).await?;
                if engine.read_position(&own.stdout)?.is_some() {
                    return Ok(State::seen("the primary itself: database.switchover is `never`"));
                }
            }
            let expected = format!("the primary that {node} follows");
            let finding = Finding::check("database.primary", "UPG-2", false, expected, "a standby");
            return Ok(State::not_yet(vec![finding.on(peer)]));
        };
        let answer = cx.host()?.exec(&engine.progress(At::new(cx, node)?, target)).await?;
        let progress = engine.read_progress(&answer.stdout)?;
        let receiver = progress.receiver.as_deref().unwrap_or("no receiver");
        let streams = progress.standby && receiver == "streaming";
        let state = if progress.standby { format!("a standby, {receiver}") } else { "a primary".to_owned() };
        let replayed = progress.replay_lsn.filter(|at| *at >= target);
        match replayed {
            Some(at) if streams => Ok(State::seen(json!({ "primary": target, "replayed": at }))),
            _ => {
                let at = progress.replay_lsn.map_or_else(|| "nothing".to_owned(), |at| at.to_string());
                let expected = format!("a standby that streams from {peer} and has replayed {target}");
                let found = format!("{state}, replayed {at}");
                let finding = Finding::check("database.replayed", "UPG-2", false, expected, found);
                Ok(State::not_yet(vec![finding.on(node)]))
            }
        }
    }
}

/// Sees the node ready to take over: streaming, nearly level, and nothing open that would hold up the change of roles.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaughtUp {}

#[async_trait::async_trait]
impl Action for CaughtUp {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let database = &cx.inventory().database;
        let (node, peer) = (cx.node()?, cx.peer()?);
        let at = At::new(cx, node)?.node;
        let primary = cx.facts(&DatabaseSubject, peer).await?;
        let standby = cx.facts(&DatabaseSubject, node).await?;
        let Some(server) = primary.server.as_ref().filter(|_| primary.is_primary()) else {
            let finding = Finding::check("database.primary", "VIP-4", false, "a primary", primary.summary());
            return Ok(State::not_yet(vec![finding.on(peer)]));
        };
        // Stricter than what an upgrade may start with: this much is replayed while writers wait.
        let limit = database.max_lag_bytes / 16;
        let mut because = vec![
            findings::streaming(at, &standby, peer, server, cx.inventory().nodes.len().saturating_sub(1)),
            findings::lag(node, &standby, server.current_lsn, limit),
            findings::long_transaction(server, database).on(peer),
        ];
        because.extend(standby.server.as_ref().map(|server| findings::long_transaction(server, database).on(node)));
        because.retain(|finding| finding.severity == rollup_model::Severity::Error);
        if because.is_empty() {
            return Ok(State::seen(json!({ "primary": primary.summary(), "standby": standby.summary() })));
        }
        Ok(State::not_yet(because))
    }
}
