//! `db.drill`: proof that the set's database leads back, without touching the one that serves.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::Undo;
use rollup_remote::Job;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    engine::{At, engine_of},
    unpack::{no_record, record},
};

/// What a drill has proven, kept in the set as `drill-db-<run>.json`: the backup was unpacked, every file of it was
/// verified, and a server that came up from it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillRecord {
    /// The run that did it.
    pub run: String,
    /// The set.
    pub set: String,
    /// The node on which it came up.
    pub node: String,
    /// The version of the server that came up.
    pub version: String,
    /// Tables that it found in the service's database.
    pub tables: u64,
    /// Databases that it found.
    pub databases: u64,
    /// What it took unpacked.
    pub bytes: u64,
    /// How long it took.
    pub seconds: u64,
}

/// Brings the set's database up where nobody reaches it, asks it, and removes it again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drill {
    set: String,
}

#[async_trait::async_trait]
impl Action for Drill {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let engine = engine_of(&cx.inventory().database);
        let at = At::new(cx, cx.node()?)?;
        let look = engine.drill_look(at, &self.set, cx.plan.run.as_str());
        if let Some(proven) = engine.read_drill(&cx.host()?.exec(&look).await?.stdout)? {
            return Ok(State::seen(proven));
        }
        if record(cx, engine, at, &self.set).await?.is_none() {
            return Ok(State::blocked(vec![no_record(at, &self.set)]));
        }
        Ok(State::needed(json!({ "set": self.set })))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let engine = engine_of(&cx.inventory().database);
        let at = At::new(cx, cx.node()?)?;
        let Some(record) = record(cx, engine, at, &self.set).await? else {
            anyhow::bail!("{}", no_record(at, &self.set).line());
        };
        let cmd = engine.drill(at, &self.set, cx.plan.run.as_str(), record.data_bytes);
        let job = Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), cmd);
        Ok(job.run(cx.change()?, &|line| cx.progress(line)).await?)
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::NotNeeded { why: "a drill leaves nothing but its record".to_owned() }
    }
}
