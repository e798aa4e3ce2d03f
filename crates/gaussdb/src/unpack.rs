//! `db.unpack`: the set's database, unpacked, verified and started once beside the running server.
//!
//! Everything that can be wrong with a backup shows here, before anything is interrupted: what is left for the
//! interruption is two renames and a start.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Undo, plan::ActionRef};
use rollup_remote::Job;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    BackupRecord, DatabaseSubject,
    engine::{At, Engine, engine_of},
    place::{self, Places},
};

/// Unpacks the database of a set on the step's node.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unpack {
    set: String,
}

/// What the set's database says of itself on this node.
pub(crate) async fn record(cx: &Cx<'_>, engine: &dyn Engine, at: At<'_>, set: &str) -> Result<Option<BackupRecord>> {
    engine.read_backup(&cx.host_of(&at.node.name)?.exec(&engine.backup_look(at, set)).await?.stdout)
}

/// The finding that a step ends with which needs the set's database here.
pub(crate) fn no_record(at: At<'_>, set: &str) -> Finding {
    let expected = format!("a whole database in {}/{set}/database", at.inventory.backup.dir);
    let fix = format!("rollup backup list   # where {set} has it, then `backup.bring` it here");
    place::finding("database.backup", false, expected, "none, or a damaged one").on(&at.node.name).fix(fix)
}

#[async_trait::async_trait]
impl Action for Unpack {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let engine = engine_of(&cx.inventory().database);
        let at = At::new(cx, cx.node()?)?;
        let run = cx.plan.run.as_str();
        let places = Places::look(cx, engine, at).await?;
        if places.is_in_place(run) || places.waits(run, false) {
            return Ok(State::seen(json!({ "set": self.set, "run": run })));
        }
        if let Some(obstacle) = places.obstacle(&at.node.name, &at.database().data_dir) {
            return Ok(State::blocked(vec![obstacle]));
        }
        let Some(record) = record(cx, engine, at, &self.set).await? else {
            return Ok(State::blocked(vec![no_record(at, &self.set)]));
        };
        let facts = cx.facts(&DatabaseSubject, &at.node.name).await?;
        if let Some(here) = facts.system_identifier().filter(|here| *here != record.system_identifier) {
            let expected = format!("a backup of the cluster with system identifier {here}");
            let found = format!("one of {}", record.system_identifier);
            return Ok(State::blocked(vec![
                place::finding("database.identity", false, expected, found).on(&at.node.name),
            ]));
        }
        Ok(State::needed(json!({ "set": self.set })))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let engine = engine_of(&cx.inventory().database);
        let at = At::new(cx, cx.node()?)?;
        let Some(record) = record(cx, engine, at, &self.set).await? else {
            anyhow::bail!("{}", no_record(at, &self.set).line());
        };
        let cmd = engine.unpack(at, &self.set, cx.plan.run.as_str(), record.data_bytes);
        let job = Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), cmd);
        Ok(job.run(cx.change()?, &|line| cx.progress(line)).await?)
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::Action(ActionRef { uses: "db.discard".to_owned(), with: Map::new() })
    }
}
