//! The way back: another plan, derived from a plan and what became of it.

use serde_json::Value;

use crate::{
    Plan, RunState, Step,
    compile::Identity,
    fold::StepState,
    plan::{ActionRef, Impact, Kind},
};

/// How an action is taken back; pure data.
#[derive(Debug, Clone, PartialEq)]
pub enum Undo {
    /// By this action, on the same place.
    Action(ActionRef),
    /// Nothing needs to be taken back, and why.
    NotNeeded {
        /// As people say it.
        why: String,
    },
    /// It cannot be taken back, and why.
    Impossible {
        /// As people say it.
        why: String,
    },
}

impl Undo {
    /// One line for the plan's table.
    pub fn describe(&self) -> String {
        match self {
            Undo::Action(action) => {
                let with: Vec<_> =
                    action.with.iter().filter(|(_, v)| v.is_string()).map(|(k, v)| format!("{k}={v}")).collect();
                if with.is_empty() { action.uses.clone() } else { format!("{} {}", action.uses, with.join(" ")) }
            }
            Undo::NotNeeded { why } => format!("not needed: {why}"),
            Undo::Impossible { why } => format!("impossible: {why}"),
        }
    }
}

/// Why there is no way back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RollbackRefused {
    /// A step that cannot be taken back has been done, or may have been.
    #[error("step `{step}` cannot be taken back: {why}")]
    Impossible {
        /// The step.
        step: String,
        /// Why.
        why: String,
    },
    /// Nothing was changed.
    #[error("the run changed nothing, so there is nothing to take back")]
    NothingChanged,
}

/// Walks a plan backwards and takes back what the run changed or may have changed. Steps found done before any change
/// of ours are left alone; steps in doubt are taken back, since an undo whose work is already done does nothing.
pub fn rollback_plan(
    plan: &Plan,
    state: &RunState,
    identity: &Identity,
    undo: &dyn Fn(&Step, &Value) -> Undo,
) -> Result<Plan, RollbackRefused> {
    let mut steps = Vec::new();
    for phase in plan.phases.iter().rev() {
        let of_phase = || plan.steps.iter().filter(|step| step.phase == phase.id);
        let undone_before = steps.len();
        for step in of_phase().rev() {
            steps.extend(take_back(step, state, undo)?);
        }
        if steps.len() > undone_before {
            let reached = |step: &&Step| state.steps.contains_key(&step.id);
            steps.extend(
                of_phase().filter(|step| step.after_undo && step.impact == Impact::Observe).filter(reached).cloned(),
            );
        }
    }
    if steps.is_empty() {
        return Err(RollbackRefused::NothingChanged);
    }
    let mut phases: Vec<_> =
        plan.phases.iter().rev().filter(|p| steps.iter().any(|s| s.phase == p.id)).cloned().collect();
    for phase in &mut phases {
        phase.title = format!("take back: {}", phase.title);
    }
    Ok(Plan {
        run: identity.run.clone(),
        created: identity.created,
        playbook: format!("{}-rollback", plan.playbook),
        title: format!("take back {}", plan.run),
        kind: Kind::Rollback,
        takes_back: vec![plan.run.clone()],
        brings_back: plan.versions.clone(),
        phases,
        steps,
        ..plan.clone()
    })
}

fn take_back(
    step: &Step,
    state: &RunState,
    undo: &dyn Fn(&Step, &Value) -> Undo,
) -> Result<Option<Step>, RollbackRefused> {
    let Some(record) = state.steps.get(&step.id) else { return Ok(None) };
    let Some(before) = &record.before else { return Ok(None) };
    if record.state == StepState::Failed && record.undone {
        return Ok(None);
    }
    let impossible = |why: String| RollbackRefused::Impossible { step: step.id.to_string(), why };
    if step.impact == Impact::PointOfNoReturn {
        return Err(impossible("it is a point of no return".to_owned()));
    }
    match undo(step, before) {
        Undo::Action(action) => Ok(Some(Step {
            title: format!("take back: {}", step.title),
            action,
            undo: format!("run the upgrade again ({})", step.id),
            why: None,
            ..step.clone()
        })),
        Undo::NotNeeded { .. } => Ok(None),
        Undo::Impossible { why } => Err(impossible(why)),
    }
}
