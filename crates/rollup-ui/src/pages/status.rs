//! Where a run stands, asked while it goes on or after it stopped.

use jiff::Timestamp;
use rollup_model::{Plan, RunState, StepState, event::StopReason, fold::RunStatus};

use super::{Names, reason_text};
use crate::{
    Interruption, Style, human,
    human::one_line,
    layout::{Page, pad},
    style::{Paint, Sign},
};

/// Where a run stands. `live`: whether a process works on it now, as its lock tells. The last line is the next command.
pub fn status_page(plan: &Plan, state: &RunState, now: Timestamp, live: bool, names: &Names, style: &Style) -> String {
    let mut page = Page::new(style);
    page.text(0, Paint::Strong, &format!("run {}: {}", plan.run, plan.title));
    page.blank();
    let (word, paint) = standing(state, live);
    let by = match &state.status {
        RunStatus::TakenBack { by, only: None } | RunStatus::Finalized { by } => format!(" by run {by}"),
        RunStatus::TakenBack { by, only: Some(node) } => format!(" on {node} by run {by}"),
        _ => String::new(),
    };
    page.entry(2, 14, "state", paint, &format!("{word}{by}"));
    if let Some(by) = &state.by {
        let text = format!("{}@{}, process {}, {} {}", by.user, by.host, by.pid, names.program, by.version);
        page.entry(2, 14, "by", Paint::Plain, &one_line(&text));
    }
    if let Some(started) = state.started {
        let took = human::duration(human::millis_between(started, now));
        page.entry(2, 14, "since", Paint::Plain, &format!("{} ({took})", human::date(started, style)));
    }
    if let Some(last) = state.last {
        let ago = human::duration(human::millis_between(last, now));
        page.entry(2, 14, "last record", Paint::Plain, &format!("{} ago", ago));
    }
    steps_now(&mut page, plan, state, now, live);
    accepted(&mut page, state);
    interruption(&mut page, plan, state);

    page.head("phases");
    phases(&mut page, plan, state);

    if !state.notes.is_empty() {
        page.head("notes");
        for note in &state.notes {
            page.signed(2, Sign::Note, Paint::Plain, &one_line(note));
        }
    }
    page.blank();
    page.verbatim(0, 6, "next:", &next(state, live, names));
    page.finish()
}

fn standing(state: &RunState, live: bool) -> (&'static str, Paint) {
    match (&state.status, live) {
        (RunStatus::Running, true) => ("running", Paint::Good),
        (RunStatus::Running, false) => ("interrupted: no process works on it", Paint::Caution),
        (RunStatus::Stopped { reason: StopReason::Failed }, _) => ("stopped: a step failed", Paint::Bad),
        (RunStatus::Stopped { reason: StopReason::Operator }, _) => ("stopped by the operator", Paint::Caution),
        (RunStatus::Stopped { reason: StopReason::Pause }, _) => ("paused", Paint::Caution),
        (RunStatus::Stopped { reason: StopReason::Blocked }, _) => (reason_text(StopReason::Blocked), Paint::Caution),
        (RunStatus::Finished, _) => ("finished", Paint::Good),
        (RunStatus::TakenBack { .. }, _) => ("taken back", Paint::Caution),
        (RunStatus::Finalized { .. }, _) => ("made final", Paint::Good),
    }
}

/// Steps begun and not ended; while a look goes on, which leaves no record, the step that comes next.
fn steps_now(page: &mut Page<'_>, plan: &Plan, state: &RunState, now: Timestamp, live: bool) {
    for step in &plan.steps {
        let Some(record) = state.steps.get(&step.id) else { continue };
        let since = record.started.map(|started| human::duration(human::millis_between(started, now)));
        match record.state {
            StepState::InDoubt => {
                let word = if live { "step" } else { "in doubt" };
                let since = since.map(|since| format!(", begun {since} ago")).unwrap_or_default();
                page.entry(2, 14, word, Paint::Plain, &format!("{}: {}{since}", step.id, step.title));
            }
            StepState::Failed => {
                page.entry(2, 14, "failed", Paint::Bad, &format!("{}: {}", step.id, step.title));
                if let Some(error) = &record.error {
                    page.entry(2, 14, "", Paint::Plain, &one_line(error));
                }
            }
            StepState::Pending | StepState::Done => {}
        }
    }
    let told = state.steps.values().any(|record| matches!(record.state, StepState::InDoubt | StepState::Failed));
    let ended = !matches!(state.status, RunStatus::Running | RunStatus::Stopped { .. });
    let open = plan.steps.iter().find(|step| state.get(&step.id) == StepState::Pending);
    if let Some(step) = open.filter(|_| !told && !ended) {
        let word = if live { "step" } else { "comes next" };
        page.entry(2, 14, word, Paint::Plain, &format!("{}: {}", step.id, step.title));
    }
}

/// What operators have accepted, and why (UPG-8, VIP-5).
pub(super) fn accepted(page: &mut Page<'_>, state: &RunState) {
    for (step, record) in &state.steps {
        if let Some(accepted) = &record.accepted {
            let text = format!("{step} as it is, by {}@{}: {}", accepted.by.user, accepted.by.host, accepted.reason);
            page.entry(2, 14, "accepted", Paint::Caution, &one_line(&text));
        }
    }
    if let Some(by) = &state.downtime_accepted {
        let text = format!("an interruption over the budget, by {}@{}", by.user, by.host);
        page.entry(2, 14, "accepted", Paint::Caution, &one_line(&text));
    }
}

/// The interruption against its budget, and one line for each step that had a part in it.
pub(super) fn interruption(page: &mut Page<'_>, plan: &Plan, state: &RunState) {
    let interruption = Interruption::of(plan, state);
    page.entry(2, 14, "interruption", interruption.paint(), &interruption.text());
    if let Some(forecast) = forecast(plan, state) {
        page.entry(2, 14, "", Paint::Plain, &format!("{forecast} by the forecast before the cutover"));
    }
    for share in &interruption.by_step {
        let step = share.step.as_ref().map_or_else(|| "between steps".to_owned(), ToString::to_string);
        page.entry(2, 14, "", Paint::Plain, &format!("{} during {step}", human::seconds(share.millis)));
    }
}

/// What the look before the cutover expected.
fn forecast<'a>(plan: &Plan, state: &'a RunState) -> Option<&'a str> {
    let step = plan.steps.iter().find(|step| step.action.uses == "cutover.forecast")?;
    let summary = human::summary(&state.steps.get(&step.id)?.evidence);
    Some(summary).filter(|summary| !summary.is_empty())
}

fn phases(page: &mut Page<'_>, plan: &Plan, state: &RunState) {
    let column = plan.phases.iter().map(|phase| phase.id.as_str().len()).max().unwrap_or_default();
    for phase in &plan.phases {
        let steps: Vec<_> = plan.steps.iter().filter(|step| step.phase == phase.id).collect();
        let is = |wanted: StepState| steps.iter().filter(|step| state.get(&step.id) == wanted).count();
        let done = is(StepState::Done);
        let sign = match () {
            () if is(StepState::Failed) > 0 => Sign::Failed,
            () if done == steps.len() => Sign::Done,
            () if state.phase.as_ref() == Some(&phase.id) => Sign::Retried,
            () => Sign::Pending,
        };
        let name = format!("{}  {done:>2} of {:<2}  ", pad(phase.id.as_str(), column), steps.len());
        page.signed_entry(2, sign, &name, Paint::Plain, &phase.title);
    }
}

fn next(state: &RunState, live: bool, names: &Names) -> String {
    let Names { program, run } = names;
    match (&state.status, live) {
        (_, true) => format!("{program} status {run}"),
        (RunStatus::Stopped { reason: StopReason::Blocked }, _) => format!("{program} precheck"),
        (RunStatus::Finished | RunStatus::TakenBack { .. } | RunStatus::Finalized { .. }, _) => {
            format!("{program} health")
        }
        _ => format!("{program} resume {run}"),
    }
}
