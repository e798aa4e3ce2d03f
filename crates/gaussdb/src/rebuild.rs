//! `db.rebuild`: makes a standby anew from the primary's own data, while that one serves.

use anyhow::{Result, ensure};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Severity, Undo};
use rollup_remote::Job;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    DatabaseSubject,
    engine::{At, engine_of},
    findings,
    place::{self, Places},
};

/// Makes the step's server a standby of another one, from a copy of its data.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rebuild {
    /// Role or name of the node whose database is the primary.
    primary: String,
}

#[async_trait::async_trait]
impl Action for Rebuild {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let engine = engine_of(&cx.inventory().database);
        let at = At::new(cx, cx.node()?)?;
        let node = &at.node.name;
        let primary = cx.named(&self.primary)?;
        ensure!(primary != node, "a standby of another node is asked for, but `{}` is {node} itself", self.primary);
        let run = cx.plan.run.as_str();
        let upstream = cx.facts(&DatabaseSubject, primary).await?;
        let facts = cx.facts(&DatabaseSubject, node).await?;
        if facts.is_primary() {
            return Ok(State::blocked(vec![place::second_writer(node, &facts, primary)]));
        }
        let Some(server) = upstream.server.as_ref().filter(|_| upstream.is_primary()) else {
            let finding = place::finding("database.primary", false, "a primary to copy from", upstream.summary());
            return Ok(State::blocked(vec![finding.on(primary)]));
        };
        let standbys = cx.inventory().nodes.len().saturating_sub(1);
        let streaming = findings::streaming(at.node, &facts, primary, server, standbys);
        let places = Places::look(cx, engine, at).await?;
        if places.is_in_place(run) && streaming.severity == Severity::Ok {
            return Ok(State::seen(json!({ "primary": upstream.summary(), "standby": facts.summary(), "run": run })));
        }
        if let Some(obstacle) = places.obstacle(node, &at.database().data_dir) {
            return Ok(State::blocked(vec![obstacle]));
        }
        Ok(State::not_yet(vec![streaming]))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let engine = engine_of(&cx.inventory().database);
        let at = At::new(cx, cx.node()?)?;
        let primary = At::new(cx, cx.named(&self.primary)?)?.node;
        let bytes = cx.facts(&DatabaseSubject, &primary.name).await?.data_bytes.unwrap_or_default();
        let cmd = engine.rebuild(at, primary, cx.plan.run.as_str(), bytes);
        let job = Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), cmd);
        Ok(job.run(cx.change()?, &|line| cx.progress(line)).await?)
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::NotNeeded { why: "a standby holds what its primary holds".to_owned() }
    }
}
