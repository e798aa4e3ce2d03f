//! `rollup confirm`: an operator accepts a failing gate by name (UPG-8).
//!
//! Only writes the word into the run's journal, with who and why. Whether what is wrong then is of the kind that may be
//! accepted is decided again by a look of the process that goes on.

use rollup_engine::{Registry, journal::Journal};
use rollup_model::{Event, RunId, RunState, Severity, Step, StepId, StepState};

use crate::{
    exit::{self, Ended, Exit},
    screen::Screen,
    site::registry,
    store::{Store, is_open},
};

/// Accepts the failing gate `step` of a run.
pub(crate) fn confirm(store: &Store, run: &RunId, step: &StepId, reason: &str, screen: &Screen) -> Ended {
    let again = format!("rollup confirm {run} {step} --reason 'why'");
    if reason.trim().is_empty() {
        return Err(Exit::usage("expected a reason, found none").hint(again));
    }
    store.read(run)?;
    let (mut journal, stored) = Journal::open(&store.dir(run)).map_err(|error| {
        let exit = Exit::from(error);
        if exit.code == exit::LOCKED { exit.hint(format!("rollup status {run}")) } else { exit }
    })?;
    let state = RunState::fold(&stored.records);
    if !is_open(&state) {
        return Err(Exit::usage(format!("run {run} is over")).hint(format!("rollup runs show {run}")));
    }
    let Some(gate) = stored.plan.step(step) else {
        return Err(Exit::usage(format!("run {run} has no step `{step}`")).hint(failing(run, &state)));
    };
    let findings = acceptable(&registry(), run, gate, &state)?;
    let event = Event::StepAccepted {
        step: step.clone(),
        by: crate::operator(),
        reason: reason.trim().to_owned(),
        findings: findings.clone(),
    };
    journal.append(jiff::Timestamp::now(), event)?;
    screen.tell(&screen.findings(&findings));
    screen.tell(&format!(
        "accepted: {step} of run {run} as it is; next: {}",
        screen.typed(&format!("rollup resume {run}"))
    ));
    Ok(exit::DONE)
}

/// What is wrong with a gate, when all of it may be accepted.
fn acceptable(
    registry: &Registry,
    run: &RunId,
    gate: &Step,
    state: &RunState,
) -> Result<Vec<rollup_model::Finding>, Exit> {
    let (step, blocked) = (&gate.id, |error: String| Exit::new(exit::BLOCKED, error));
    let Some(record) = state.steps.get(step).filter(|record| record.state == StepState::Failed) else {
        return Err(Exit::usage(format!("step {step} of run {run} has not failed")).hint(failing(run, state)));
    };
    let errors: Vec<_> =
        record.findings.iter().filter(|finding| finding.severity == Severity::Error).cloned().collect();
    let action = registry.build(&gate.action)?;
    if let Some(finding) = errors.iter().find(|finding| !action.acceptable(finding)) {
        let fix = finding.fix.as_ref().map_or_else(String::new, |fix| format!("{fix}; "));
        return Err(blocked(format!("this cannot be accepted: {}", finding.line()))
            .hint(format!("{fix}then: rollup resume {run}")));
    }
    if errors.is_empty() {
        let why = record.error.as_deref().unwrap_or("no reason was given");
        return Err(blocked(format!("{step} did not fail by a finding that could be accepted: {why}"))
            .hint(format!("rollup resume {run}")));
    }
    Ok(errors)
}

/// The steps that could be meant.
fn failing(run: &RunId, state: &RunState) -> String {
    let failed: Vec<_> = state.failed().map(|(step, _)| step.as_str()).collect();
    match failed.as_slice() {
        [] => format!("no step has failed: rollup status {run}"),
        [one] => format!("rollup confirm {run} {one} --reason 'why'"),
        several => format!("one of: {}", several.join(", ")),
    }
}
