//! Progress as plain lines, for a log or a pipe: no colour, no carriage return, nothing overwritten.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use rollup_model::{Event, Outcome, Plan, Record, RunState, Sink, event::Side, fold::RunStatus};

use crate::{
    Style, human,
    human::{one_line, stamp, time_of_day},
    tracker::Tracker,
};

/// Silence longer than this makes people think that a run hangs.
const LONGEST_SILENCE_MILLIS: u64 = 10_000;

/// Progress as plain lines. A clone writes to the same place, so that one can be a [`Sink`] and another be ticked.
#[derive(Debug)]
pub struct Lines<W> {
    inner: Arc<Mutex<Inner<W>>>,
}

#[derive(Debug)]
struct Inner<W> {
    writer: W,
    style: Style,
    tracker: Tracker,
    last_line: Option<Timestamp>,
}

impl<W> Clone for Lines<W> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<W: Write + Send> Lines<W> {
    /// Follows a run that has come as far as `start`. Of the style only the time zone counts.
    pub fn new(plan: &Plan, start: &RunState, style: &Style, writer: W) -> Self {
        let style = Style { color: false, ..style.clone() };
        let inner = Inner { writer, style, tracker: Tracker::new(plan, start), last_line: None };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Says `still: <step>, <progress>, 23s` when nothing was said for ten seconds. To be called about once a second
    /// while the run goes on; an error means that the writer is gone and that there is no point in calling again.
    pub fn tick(&self, now: Timestamp) -> io::Result<()> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).tick(now)
    }

    /// Writes a line of the caller between the others.
    pub fn say(&self, now: Timestamp, text: &str) -> io::Result<()> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).line(now, text)
    }
}

impl<W: Write + Send> Sink for Lines<W> {
    fn event(&mut self, record: &Record) -> io::Result<()> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).event(record)
    }
}

impl<W: Write + Send> Inner<W> {
    fn line(&mut self, at: Timestamp, text: &str) -> io::Result<()> {
        self.last_line = Some(at);
        let line = format!("{} {}\n", stamp(at, &self.style), one_line(text));
        self.writer.write_all(line.as_bytes())?;
        self.writer.flush()
    }

    fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        // Nothing was said so far: the silence begins now.
        let last = *self.last_line.get_or_insert(now);
        let silence = human::millis_between(last, now);
        if silence < LONGEST_SILENCE_MILLIS || self.tracker.state.status != RunStatus::Running {
            return Ok(());
        }
        if self.tracker.current.is_empty() {
            // For example while earlier commands on the nodes are waited for.
            return self.line(now, "still: no step under way");
        }
        let current = self.tracker.current.clone();
        for step in current {
            let title = self.tracker.plan.step(&step.step).map_or("", |step| &step.title);
            let doing = step.doing.as_deref().unwrap_or(title);
            let took = human::duration(human::millis_between(step.since, now));
            self.line(now, &format!("still: {}, {doing}, {took}", step.step))?;
        }
        Ok(())
    }

    fn event(&mut self, record: &Record) -> io::Result<()> {
        self.tracker.take(record);
        match self.text(record) {
            Some(text) => self.line(record.at, &text),
            None => Ok(()),
        }
    }

    fn text(&self, record: &Record) -> Option<String> {
        let plan = &self.tracker.plan;
        let (done, all) = self.tracker.done_of_all();
        Some(match &record.event {
            Event::RunStarted { run, by, .. } => {
                format!("run {run}: {}, {all} steps, by {}@{}", plan.title, by.user, by.host)
            }
            Event::RunResumed { by } => {
                format!("run {} goes on: {done} of {all} steps done, by {}@{}", plan.run, by.user, by.host)
            }
            Event::PhaseStarted { phase } => {
                let (number, title) = self.tracker.phase_line(phase);
                format!("{number}: {title}")
            }
            Event::StepStarted { step, .. } => {
                let title = plan.step(step).map_or("", |step| &step.title);
                format!("start {step}: {title}")
            }
            Event::StepRetried { step, attempt, error, pause_ms } => {
                format!("retry {step}: {}: {error}", human::retried(*attempt, *pause_ms))
            }
            Event::StepFinished { step, outcome, evidence, millis } => {
                let how = match outcome {
                    Outcome::FoundDone => "already so",
                    Outcome::Applied => "done",
                    Outcome::Observed => "seen",
                    Outcome::Accepted => "not so, and accepted:",
                };
                let summary = human::summary(evidence);
                let summary = if summary.is_empty() { String::new() } else { format!(": {summary}") };
                format!("{how} {step} in {} ({done} of {all}){summary}", human::duration(*millis))
            }
            Event::StepFailed { step, error, undone, millis, .. } => {
                let undone = if *undone { "; its change was taken back" } else { "" };
                format!("failed {step} after {}: {error}{undone}", human::duration(*millis))
            }
            Event::Outage { side, since, millis, during } => {
                let during = during.as_ref().map(|step| format!(", during {step}")).unwrap_or_default();
                let from = time_of_day(*since, &self.style);
                format!(
                    "outage: {} got no good answer for {} from {from}{during}",
                    side_name(*side),
                    human::seconds(*millis)
                )
            }
            Event::StepAccepted { step, by, reason, .. } => {
                format!("accepted {step} as it is, by {}@{}: {reason}", by.user, by.host)
            }
            Event::DowntimeAccepted { by } => {
                format!("accepted an interruption over the budget, by {}@{}", by.user, by.host)
            }
            Event::Note { node, text } => match node {
                Some(node) => format!("note {node}: {text}"),
                None => format!("note: {text}"),
            },
            Event::RunStopped { reason } => format!("stopped: {}", crate::pages::reason_text(*reason)),
            Event::RunTakenBack { by, only: None } => format!("taken back by run {by}"),
            Event::RunTakenBack { by, only: Some(node) } => format!("{node} taken back by run {by}"),
            Event::RunFinalized { by } => format!("made final by run {by}"),
            Event::RunFinished { millis } => format!("finished in {}", human::duration(*millis)),
            Event::StepProgress { .. } | Event::Meter(_) => return None,
        })
    }
}

/// As a sentence begins with it.
pub(crate) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Read => "reads",
        Side::Write => "writes",
    }
}
