//! `db.checkpoint`: writes a checkpoint, so that the one at the stop of the primary has little left to do.

use std::collections::BTreeMap;

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::Undo;
use rollup_remote::Job;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    DatabaseSubject, Lsn,
    engine::{At, engine_of},
};

/// A checkpoint this young need not be repeated.
const FRESH_SECONDS: u64 = 30;

/// Writes a checkpoint on the step's node.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteCheckpoint {}

#[derive(Serialize, Deserialize)]
struct Before {
    redo_lsn: Lsn,
}

#[async_trait::async_trait]
impl Action for WriteCheckpoint {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let facts = cx.facts(&DatabaseSubject, cx.node()?).await?;
        let Some(server) = facts.server.as_ref() else {
            anyhow::bail!("expected a running primary on {}, found {}", cx.node()?, facts.summary());
        };
        if !facts.is_primary() {
            return Ok(State::seen("a standby has nothing to write"));
        }
        let checkpoint = &server.checkpoint;
        // Its age counts from where it began, which may be long ago when it was large: a new one is enough then.
        let before = cx.before.and_then(|before| Before::deserialize(before).ok());
        let newer = before.is_some_and(|before| checkpoint.redo_lsn > before.redo_lsn);
        if newer || checkpoint.age_s <= FRESH_SECONDS {
            let seen = BTreeMap::from([("redo_lsn", json!(checkpoint.redo_lsn)), ("age_s", json!(checkpoint.age_s))]);
            return Ok(State::seen(seen));
        }
        Ok(State::needed(Before { redo_lsn: checkpoint.redo_lsn }))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let engine = engine_of(&cx.inventory().database);
        let cmd = engine.checkpoint(At::new(cx, cx.node()?)?);
        let job = Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), cmd);
        Ok(job.run(cx.change()?, &|line| cx.progress(line)).await?)
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::NotNeeded { why: "a checkpoint harms nobody".to_owned() }
    }
}
