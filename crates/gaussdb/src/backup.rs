//! `db.backup`: a full, verified copy of the local server in the run's backup set.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::Undo;
use rollup_remote::Job;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Lsn,
    engine::{At, engine_of},
};

/// What a finished backup says of itself, in `record.json` beside it. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRecord {
    /// The engine, as in the inventory.
    pub engine: String,
    /// The server's version.
    pub version: String,
    /// The tool that took it.
    pub method: String,
    /// The identity of the cluster it was taken from.
    pub system_identifier: String,
    /// The timeline it ends on.
    pub timeline: u32,
    /// Where replay must begin.
    pub start_lsn: Lsn,
    /// Up to where replay must go before it is whole.
    pub end_lsn: Lsn,
    /// The oldest transaction that may not be in it, counted from the beginning of the cluster: all before it are.
    pub next_xid: u64,
    /// When the last transaction was committed that is surely in it, where the server tells.
    pub last_commit: Option<jiff::Timestamp>,
    /// All that the server had by this moment is in it. A standby may have had a little less than its primary.
    pub taken_at: jiff::Timestamp,
    /// What it takes unpacked.
    pub data_bytes: u64,
    /// What the archive takes.
    pub bytes: u64,
    /// How long it took.
    pub seconds: u64,
}

/// Takes a full backup of the server on the step's node.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backup {}

#[async_trait::async_trait]
impl Action for Backup {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let engine = engine_of(&cx.inventory().database);
        let look = engine.backup_look(At::new(cx, cx.node()?)?, &cx.plan.backup_set);
        let output = cx.host()?.exec(&look).await?;
        Ok(match engine.read_backup(&output.stdout)? {
            Some(record) => State::seen(record),
            None => State::needed(Value::Null),
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let engine = engine_of(&cx.inventory().database);
        let cmd = engine.base_backup(At::new(cx, cx.node()?)?, &cx.plan.backup_set);
        let job = Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), cmd);
        Ok(job.run(cx.change()?, &|line| cx.progress(line)).await?)
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::NotNeeded { why: "a backup harms nobody".to_owned() }
    }
}
