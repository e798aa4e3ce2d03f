//! Which steps are under way, and which are still to come, as far as events tell.
//!
//! The journal has no record of the beginning of a look, so it is inferred: when a step ends, the next batch of the
//! same stage has begun. Only displays use this; nothing is decided by it.

use std::collections::VecDeque;

use jiff::Timestamp;
use rollup_model::{Event, Impact, NodeName, PhaseId, Plan, Record, RunState, Step, StepId, StepState, plan::Target};

/// A step under way.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) step: StepId,
    pub(crate) since: Timestamp,
    /// What its action said last.
    pub(crate) doing: Option<String>,
    /// Number of the try, from 1.
    pub(crate) attempt: u32,
}

/// A run as a display follows it.
#[derive(Debug)]
pub(crate) struct Tracker {
    pub(crate) plan: Plan,
    pub(crate) state: RunState,
    pub(crate) current: Vec<Current>,
    todo: VecDeque<Vec<StepId>>,
    phase: Option<PhaseId>,
}

impl Tracker {
    /// `prior`: what became of the run in earlier processes.
    pub(crate) fn new(plan: &Plan, prior: &RunState) -> Self {
        let todo = plan
            .batches()
            .iter()
            .map(|batch| batch.iter().filter(|step| must_run(plan, prior, step)).map(|s| s.id.clone()).collect())
            .filter(|batch: &Vec<StepId>| !batch.is_empty())
            .collect();
        Self { plan: plan.clone(), state: prior.clone(), current: Vec::new(), todo, phase: None }
    }

    /// Takes one record, kept or only shown.
    pub(crate) fn take(&mut self, record: &Record) {
        self.state.add(record);
        match &record.event {
            Event::PhaseStarted { phase } => {
                self.phase = Some(phase.clone());
                self.begin(record.at);
            }
            Event::StepStarted { step, .. } => {
                self.touch(step, record.at);
            }
            Event::StepRetried { step, attempt, .. } => {
                let current = self.touch(step, record.at);
                current.attempt = attempt.saturating_add(1);
                current.doing = None;
            }
            Event::StepProgress { step, doing } => {
                self.touch(step, record.at).doing = Some(crate::one_line(doing));
            }
            Event::StepFinished { step, .. } | Event::StepFailed { step, .. } => {
                self.current.retain(|current| &current.step != step);
                for batch in &mut self.todo {
                    batch.retain(|other| other != step);
                }
                self.todo.retain(|batch| !batch.is_empty());
                // After a failure the engine lets the rest of the batch end and then stops.
                if self.current.is_empty() && matches!(record.event, Event::StepFinished { .. }) {
                    self.begin(record.at);
                }
            }
            Event::RunStopped { .. } | Event::RunFinished { .. } => self.current.clear(),
            _ => {}
        }
    }

    /// How many steps need nothing more, and how many there are.
    pub(crate) fn done_of_all(&self) -> (usize, usize) {
        let open: usize = self.todo.iter().map(Vec::len).sum();
        (self.plan.steps.len().saturating_sub(open), self.plan.steps.len())
    }

    /// The step under way in this place; `None` stands for the pair.
    pub(crate) fn current_on(&self, node: Option<&NodeName>) -> Option<(&Step, &Current)> {
        let is_here = |on: &Target| match on {
            Target::Pair => node.is_none(),
            Target::Node(name) => Some(name) == node,
        };
        self.current.iter().find_map(|current| {
            let step = self.plan.step(&current.step)?;
            is_here(&step.on).then_some((step, current))
        })
    }

    /// Whether anything is still to be done in this place.
    pub(crate) fn has_more_on(&self, node: Option<&NodeName>) -> bool {
        self.todo.iter().flatten().filter_map(|id| self.plan.step(id)).any(|step| match &step.on {
            Target::Pair => node.is_none(),
            Target::Node(name) => Some(name) == node,
        })
    }

    /// `phase 4 of 7` with its headline.
    pub(crate) fn phase_line(&self, phase: &PhaseId) -> (String, String) {
        let at = self.plan.phases.iter().position(|other| &other.id == phase).map_or(0, |at| at + 1);
        let title = self.plan.phase(phase).map_or_else(|| phase.to_string(), |phase| phase.title.clone());
        (format!("phase {at} of {}", self.plan.phases.len()), title)
    }

    fn begin(&mut self, at: Timestamp) {
        let Some(batch) = self.todo.front() else { return };
        let in_phase =
            batch.iter().filter_map(|id| self.plan.step(id)).all(|step| Some(&step.phase) == self.phase.as_ref());
        if in_phase {
            self.current =
                batch.iter().map(|step| Current { step: step.clone(), since: at, doing: None, attempt: 1 }).collect();
        }
    }

    fn touch(&mut self, step: &StepId, at: Timestamp) -> &mut Current {
        let known = self.current.iter().position(|current| &current.step == step);
        let index = known.unwrap_or_else(|| {
            self.current.push(Current { step: step.clone(), since: at, doing: None, attempt: 1 });
            self.current.len() - 1
        });
        &mut self.current[index]
    }
}

/// The rule by which a run goes on: a finished change is skipped; a finished look is repeated unless a change after it
/// was begun.
fn must_run(plan: &Plan, prior: &RunState, step: &Step) -> bool {
    if prior.get(&step.id) != StepState::Done {
        return true;
    }
    let mut after = plan.steps.iter().skip_while(|other| other.id != step.id).skip(1);
    step.impact == Impact::Observe
        && !after.any(|other| other.impact != Impact::Observe && prior.get(&other.id) != StepState::Pending)
}
