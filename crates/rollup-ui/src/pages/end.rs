//! The last page of a run: what became of it, what serves now, and what to type next.

use rollup_model::{
    Finding, NodeName, Outcome, Plan, RunState, Severity, Step, StepState,
    event::StopReason,
    plan::{Kind, Target},
};

use super::{
    Names, Next, Serving, findings, next_commands,
    plan::{is_rollback, roles_of},
    status::{accepted, interruption},
};
use crate::{
    Style, human,
    human::{clean_lines, one_line},
    layout::Page,
    style::Paint,
};

const COLUMN: usize = 14;

/// Everything the last page says.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// What was to be done.
    pub plan: &'a Plan,
    /// What became of it.
    pub state: &'a RunState,
    /// Why the run stops; `None`: it is over, every step has reached its aim.
    pub stopped: Option<StopReason>,
    /// What the process answers its caller.
    pub exit_code: u8,
    /// What commands are called.
    pub names: &'a Names,
    /// What serves now.
    pub serving: &'a Serving,
    /// What to type next. When empty, the run's status is offered.
    pub next: &'a [Next],
}

impl Ending<'_> {
    pub(super) fn is_rollback(&self) -> bool {
        is_rollback(self.plan)
    }

    /// The commands of the page; never none.
    pub(super) fn commands(&self) -> Vec<Next> {
        if !self.next.is_empty() {
            return self.next.to_vec();
        }
        let Names { program, run } = self.names;
        vec![Next::new(format!("{program} status {run}"), "look at this run again")]
    }

    /// From the first record to the last, pauses included.
    pub(super) fn millis(&self) -> u64 {
        match (self.state.started, self.state.last) {
            (Some(started), Some(last)) => human::millis_between(started, last),
            _ => 0,
        }
    }
}

/// The last page of a run.
pub fn end_page(ending: &Ending<'_>, style: &Style) -> String {
    let mut page = Page::new(style);
    match ending.stopped {
        None => finished(&mut page, ending),
        Some(StopReason::Blocked) => blocked(&mut page, ending),
        Some(StopReason::Failed) => failed(&mut page, ending),
        Some(reason @ (StopReason::Operator | StopReason::Pause)) => paused(&mut page, ending, reason),
    }
    next_commands(&mut page, &ending.commands());
    page.blank();
    page.text(0, Paint::Dim, &format!("exit code {}", ending.exit_code));
    page.finish()
}

fn finished(page: &mut Page<'_>, ending: &Ending<'_>) {
    let Ending { plan, state, .. } = ending;
    let headline = match (&plan.restores, plan.takes_back.first()) {
        (Some(_), _) => format!("done: {}", plan.title),
        (None, Some(run)) => format!("taken back: run {run}"),
        (None, None) => format!("done: {}", plan.title),
    };
    page.text(0, Paint::Good, &headline);
    page.blank();
    if let Some(release) = &plan.release {
        for node in plan.inventory.node_names() {
            let old = plan.versions.get(node).map_or("unknown", String::as_str);
            let now = files_on(ending, node).unwrap_or_default();
            let text = match now == old {
                true => format!("{} {now}", release.name),
                false => format!("{} {old} {} {now}", release.name, page.style.arrow()),
            };
            page.entry(2, COLUMN, node.as_str(), Paint::Plain, &text);
        }
    }
    if plan.kind != Kind::Backup {
        serving(page, ending);
    }
    let found: Vec<&Step> = plan.steps.iter().filter(|step| was_found_done(state, step)).collect();
    let done = plan.steps.iter().filter(|step| state.get(&step.id) == StepState::Done).count();
    page.entry(2, COLUMN, "steps", Paint::Plain, &format!("{done} of {} done", plan.steps.len()));
    page.entry(2, COLUMN, "time", Paint::Plain, &human::duration(ending.millis()));
    interruption(page, plan, state);
    if plan.kind != Kind::Switch {
        let set = if plan.restores.is_some() { "safety set" } else { "backup set" };
        page.entry(2, COLUMN, set, Paint::Plain, &plan.backup_set);
    }
    if !found.is_empty() {
        page.entry(2, COLUMN, "left alone", Paint::Plain, &format!("already so: {}", ids(&found)));
    }
    notes(page, state);
}

fn blocked(page: &mut Page<'_>, ending: &Ending<'_>) {
    page.text(0, Paint::Caution, &format!("blocked: {}", ending.plan.title));
    page.text(0, Paint::Plain, "A check said no. Nothing was changed.");
    what_happened(page, ending);
}

fn failed(page: &mut Page<'_>, ending: &Ending<'_>) {
    page.text(0, Paint::Bad, &format!("failed: {}", ending.plan.title));
    what_happened(page, ending);
    nodes(page, ending);
    if ending.plan.kind != Kind::Backup {
        page.head("serving");
        serving(page, ending);
    }
    interruption(page, ending.plan, ending.state);
    safe(page, ending);
}

fn paused(page: &mut Page<'_>, ending: &Ending<'_>, reason: StopReason) {
    let Ending { plan, state, .. } = ending;
    let open = plan.steps.iter().find(|step| state.get(&step.id) != StepState::Done);
    let phase = open.map(|step| step.phase.as_str()).unwrap_or_default();
    let headline = match reason {
        StopReason::Pause => format!("paused before phase {phase}: {}", plan.title),
        _ => format!("stopped by the operator: {}", plan.title),
    };
    page.text(0, Paint::Caution, &headline);
    page.blank();
    let done = plan.steps.iter().filter(|step| state.get(&step.id) == StepState::Done).count();
    page.entry(2, COLUMN, "steps", Paint::Plain, &format!("{done} of {} done", plan.steps.len()));
    if let Some(step) = open {
        page.entry(2, COLUMN, "comes next", Paint::Plain, &format!("{}: {}", step.id, step.title));
    }
    nodes(page, ending);
    if ending.plan.kind != Kind::Backup {
        page.head("serving");
        serving(page, ending);
    }
    interruption(page, plan, state);
    safe(page, ending);
}

/// Every failed step with its error, what its check answered, and whether its change was taken back.
fn what_happened(page: &mut Page<'_>, ending: &Ending<'_>) {
    let Ending { plan, state, .. } = ending;
    page.head("what happened");
    for (id, record) in state.failed() {
        let title = plan.step(id).map_or("", |step| &step.title);
        page.entry(2, COLUMN, "step", Paint::Strong, id.as_str());
        page.entry(2, COLUMN, "", Paint::Plain, title);
        if let Some(Target::Node(node)) = plan.step(id).map(|step| &step.on) {
            page.entry(2, COLUMN, "node", Paint::Plain, node.as_str());
        }
        if let Some(millis) = record.millis {
            page.entry(2, COLUMN, "after", Paint::Plain, &human::duration(millis));
        }
        let error = record.error.as_deref().unwrap_or("no reason was recorded");
        for (at, line) in clean_lines(&without_findings(error, &record.findings)).iter().enumerate() {
            page.entry(2, COLUMN, if at == 0 { "error" } else { "" }, Paint::Plain, line);
        }
        if record.undone {
            page.entry(2, COLUMN, "its change", Paint::Plain, "was taken back at once");
        }
        for finding in record.findings.iter().filter(|finding| finding.severity != Severity::Ok) {
            findings::one(page, 4, finding);
        }
    }
    if state.failed().next().is_none() {
        page.text(2, Paint::Plain, "no step is recorded as failed");
    }
    notes(page, state);
}

/// For each machine: whose files it has, what was done there, what failed, what only the machine knows.
fn nodes(page: &mut Page<'_>, ending: &Ending<'_>) {
    let Ending { plan, state, .. } = ending;
    page.head("nodes");
    let here = |target: &Target| {
        let steps = plan.steps.iter().filter(|step| &step.on == target).collect::<Vec<_>>();
        let is = |wanted: &dyn Fn(&Step) -> bool| steps.iter().copied().filter(|step| wanted(step)).collect::<Vec<_>>();
        [
            ("changed", is(&|step| state.get(&step.id) == StepState::Done && was_changed(state, step))),
            ("failed", is(&|step| state.get(&step.id) == StepState::Failed)),
            ("in doubt", is(&|step| state.get(&step.id) == StepState::InDoubt)),
        ]
    };
    for node in plan.inventory.node_names() {
        page.text(2, Paint::Strong, &format!("{node}{}", roles_of(plan, node)));
        let files = files_on(ending, node);
        let (paint, files) = match &files {
            Some(version) => (Paint::Plain, version.as_str()),
            None => (Paint::Caution, "in doubt: old or new, each file one of them in whole"),
        };
        page.entry(4, COLUMN - 2, "files", paint, files);
        steps_here(page, &here(&Target::Node(node.clone())));
    }
    let pair = here(&Target::Pair);
    if pair.iter().any(|(_, steps)| !steps.is_empty()) {
        page.text(2, Paint::Strong, "pair");
        steps_here(page, &pair);
    }
}

fn steps_here(page: &mut Page<'_>, groups: &[(&str, Vec<&Step>)]) {
    for (word, steps) in groups.iter().filter(|(word, steps)| !steps.is_empty() || *word == "changed") {
        let paint = match *word {
            "failed" => Paint::Bad,
            "in doubt" => Paint::Caution,
            _ => Paint::Plain,
        };
        // The node is the headline above.
        let names = steps.iter().map(|step| step.id.base()).collect::<Vec<_>>().join(", ");
        page.entry(4, COLUMN - 2, word, paint, if names.is_empty() { "nothing" } else { &names });
    }
}

/// The version whose files a node has; `None`: each file is of one of two versions, and only the node knows which.
pub(super) fn files_on(ending: &Ending<'_>, node: &NodeName) -> Option<String> {
    let Ending { plan, state, .. } = ending;
    let old = plan.versions.get(node).map_or("unknown", String::as_str).to_owned();
    let new = plan.release.as_ref().map_or("the new version", |release| release.version.as_str()).to_owned();
    let here = Target::Node(node.clone());
    // A step that takes another back has its id, so one name finds both.
    let places = |step: &&Step| ["service.install", "backup.restore"].contains(&step.id.base()) && step.on == here;
    let Some(step) = plan.steps.iter().find(places) else {
        return Some(old);
    };
    let back = plan.brings_back.get(node).cloned();
    let (before, after) = match back {
        Some(back) if plan.restores.is_some() => (old, back),
        Some(back) => (new, back),
        None => (old, new),
    };
    match state.steps.get(&step.id) {
        Some(record) if record.state == StepState::Done => Some(after),
        Some(record) if record.before.is_some() && !record.undone => None,
        _ => Some(before),
    }
}

fn serving(page: &mut Page<'_>, ending: &Ending<'_>) {
    let Ending { plan, serving, .. } = ending;
    let Names { program, .. } = ending.names;
    let vip = match &serving.vip {
        Some(node) => format!("{} on {node}{}", plan.inventory.vip.address, roles_of(plan, node)),
        None => format!("not seen; ask with {program} vip status"),
    };
    let database = match &serving.db_primary {
        Some(node) => format!("primary on {node}"),
        None => format!("not seen; ask with {program} db status"),
    };
    page.entry(2, COLUMN, "VIP", Paint::Plain, &vip);
    if let Some(service) = &serving.service {
        let paint = if service.starts_with("healthy") { Paint::Plain } else { Paint::Bad };
        page.entry(2, COLUMN, "service", paint, &one_line(service));
    }
    page.entry(2, COLUMN, "database", Paint::Plain, &database);
}

fn safe(page: &mut Page<'_>, ending: &Ending<'_>) {
    let Ending { plan, state, .. } = ending;
    page.head("what is safe");
    let say = |page: &mut Page<'_>, text: &str| page.text(2, Paint::Plain, text);
    say(page, "Nothing more is changed until a command is typed, and nothing is taken back by itself.");
    let doubt: Vec<&Step> = plan.steps.iter().filter(|step| state.get(&step.id) == StepState::InDoubt).collect();
    if !doubt.is_empty() {
        let text = format!("Whether {} took effect is not known. A resume looks at the node first.", ids(&doubt));
        say(page, &text);
    }
    if !state.changed_anything() {
        say(page, "The run has changed nothing so far.");
        return;
    }
    say(page, "A resume does nothing twice: what is done is skipped, what failed is looked at again first.");
    let mut proofs = plan.steps.iter().filter(|step| step.action.uses == "backup.verify").peekable();
    if proofs.peek().is_some() && proofs.all(|step| state.get(&step.id) == StepState::Done) {
        let what = if plan.restores.is_some() { "safety set" } else { "backup set" };
        say(page, &format!("The {what} {} is complete and was read back.", plan.backup_set));
    }
}

fn notes(page: &mut Page<'_>, state: &RunState) {
    accepted(page, state);
    for note in &state.notes {
        page.entry(2, COLUMN, "note", Paint::Plain, &one_line(note));
    }
}

/// The error without what is said again below it, finding by finding.
fn without_findings(error: &str, findings: &[Finding]) -> String {
    let mut text = error.to_owned();
    for finding in findings {
        text = text.replace(&finding.line(), "");
    }
    text.trim_end_matches([' ', ';', ':', '\n']).to_owned()
}

/// Step ids as a list.
fn ids(steps: &[&Step]) -> String {
    steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>().join(", ")
}

pub(super) fn was_found_done(state: &RunState, step: &Step) -> bool {
    state.steps.get(&step.id).is_some_and(|record| record.outcome == Some(Outcome::FoundDone))
}

fn was_changed(state: &RunState, step: &Step) -> bool {
    state.steps.get(&step.id).is_some_and(|record| record.outcome == Some(Outcome::Applied))
}
