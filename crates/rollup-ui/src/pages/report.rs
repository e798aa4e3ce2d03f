//! The last page for machines.

use std::collections::BTreeMap;

use rollup_model::{
    NodeName, RunId, StepId, StepState,
    event::{Operator, StopReason},
    fold::Outage,
};
use serde::Serialize;

use super::{
    Next, Serving,
    end::{Ending, files_on, was_found_done},
};
use crate::Interruption;

/// What became of a run. Fields are only ever added.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Format of this object; 1.
    pub format: u32,
    /// `finished`, `rolled-back`, `stopped`, `paused`, `blocked` or `failed`.
    pub result: &'static str,
    /// What the process answers its caller.
    pub exit_code: u8,
    /// The run.
    pub run: RunId,
    /// What the plan was compiled from.
    pub playbook: String,
    /// Name of the system.
    pub cluster: String,
    /// Digest of the plan.
    pub plan_digest: String,
    /// Who worked on it last.
    pub by: Option<Operator>,
    /// First record.
    pub started: Option<jiff::Timestamp>,
    /// Last record.
    pub ended: Option<jiff::Timestamp>,
    /// From the first record to the last, pauses included.
    pub seconds: f64,
    /// Version on each node when the plan was made.
    pub from: BTreeMap<NodeName, String>,
    /// Version that the run was to bring; none when it takes another run back.
    pub to: Option<String>,
    /// Version whose files each node has now; `null`: in doubt.
    pub files: BTreeMap<NodeName, Option<String>>,
    /// What became of the steps.
    pub steps: Steps,
    /// Interruption against the budget.
    pub interruption: Interruption,
    /// Every interruption that the meter saw.
    pub outages: Vec<Outage>,
    /// What serves now.
    pub serving: Serving,
    /// The set that a rollback needs.
    pub backup_set: String,
    /// Notes, oldest first.
    pub notes: Vec<String>,
    /// What to type next.
    pub next: Vec<Next>,
}

/// What became of the steps of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// All.
    pub total: usize,
    /// Aim reached.
    pub done: usize,
    /// Of those, found as wanted before any change.
    pub already_so: Vec<StepId>,
    /// Aim not reached.
    pub failed: Vec<StepId>,
    /// Begun and not ended.
    pub in_doubt: Vec<StepId>,
}

impl Report {
    /// Adds up a run that has ended or stopped.
    pub fn new(ending: &Ending<'_>) -> Self {
        let Ending { plan, state, stopped, exit_code, serving, .. } = *ending;
        let result = match stopped {
            None if ending.is_rollback() => "rolled-back",
            None => "finished",
            Some(StopReason::Operator) => "stopped",
            Some(StopReason::Pause) => "paused",
            Some(StopReason::Blocked) => "blocked",
            Some(StopReason::Failed) => "failed",
        };
        let of = |wanted: StepState| -> Vec<StepId> {
            plan.steps.iter().filter(|step| state.get(&step.id) == wanted).map(|step| step.id.clone()).collect()
        };
        let already_so = plan.steps.iter().filter(|step| was_found_done(state, step)).map(|step| step.id.clone());
        Self {
            format: 1,
            result,
            exit_code,
            run: plan.run.clone(),
            playbook: plan.playbook.clone(),
            cluster: plan.inventory.cluster.name.clone(),
            plan_digest: plan.digest(),
            by: state.by.clone(),
            started: state.started,
            ended: state.last,
            seconds: std::time::Duration::from_millis(ending.millis()).as_secs_f64(),
            from: plan.versions.clone(),
            to: plan.release.as_ref().filter(|_| !ending.is_rollback()).map(|release| release.version.clone()),
            files: plan.inventory.node_names().map(|node| (node.clone(), files_on(ending, node))).collect(),
            steps: Steps {
                total: plan.steps.len(),
                done: of(StepState::Done).len(),
                already_so: already_so.collect(),
                failed: of(StepState::Failed),
                in_doubt: of(StepState::InDoubt),
            },
            interruption: Interruption::of(plan, state),
            outages: state.outages.clone(),
            serving: serving.clone(),
            backup_set: plan.backup_set.clone(),
            notes: state.notes.clone(),
            next: ending.commands(),
        }
    }
}

/// The [`Report`] as text.
pub fn report_json(ending: &Ending<'_>) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&Report::new(ending))?;
    text.push('\n');
    Ok(text)
}
