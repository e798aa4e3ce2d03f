//! What the events of a run add up to.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{
    Finding, PhaseId, StepId,
    event::{Event, MeterTotals, Operator, Outcome, Record, Side, SideTotals, StopReason},
};

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Not begun, or only looked at.
    Pending,
    /// Begun and not ended: only the nodes know.
    InDoubt,
    /// Aim reached.
    Done,
    /// Aim not reached.
    Failed,
}

/// All that is known of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRecord {
    /// Where it stands.
    pub state: StepState,
    /// The state before the first try; `None` when nothing was tried.
    pub before: Option<Value>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What was seen at its end.
    pub evidence: Value,
    /// When it began.
    pub started: Option<jiff::Timestamp>,
    /// How long it took in the process that ended it, in milliseconds.
    pub millis: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// What its check answered when it failed.
    pub findings: Vec<Finding>,
    /// Whether its change was taken back when it failed.
    pub undone: bool,
    /// Who accepted that it fails, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
}

/// An operator's word that a failing gate is no reason to stop (UPG-8).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accepted {
    /// Who.
    pub by: Operator,
    /// When.
    pub at: jiff::Timestamp,
    /// Why.
    pub reason: String,
}

impl Default for StepRecord {
    fn default() -> Self {
        Self {
            state: StepState::Pending,
            before: None,
            outcome: None,
            evidence: Value::Null,
            started: None,
            millis: None,
            error: None,
            findings: Vec::new(),
            undone: false,
            accepted: None,
        }
    }
}

/// How the run as a whole stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "status")]
pub enum RunStatus {
    /// A process works on it, or died while doing so.
    Running,
    /// It can go on.
    Stopped {
        /// Why.
        reason: StopReason,
    },
    /// It is over.
    Finished,
    /// Another run took it back.
    TakenBack {
        /// That run.
        by: crate::RunId,
        /// The one node that was taken back; `None`: the whole pair.
        only: Option<crate::NodeName>,
    },
    /// Another run made it final: there is no way back any more.
    Finalized {
        /// That run.
        by: crate::RunId,
    },
}

/// What the events of a run add up to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunState {
    /// As a whole.
    pub status: RunStatus,
    /// Digest in the first record.
    pub plan_digest: String,
    /// Who worked on it last.
    pub by: Option<Operator>,
    /// First record.
    pub started: Option<jiff::Timestamp>,
    /// Last record.
    pub last: Option<jiff::Timestamp>,
    /// The stage that began last.
    pub phase: Option<PhaseId>,
    /// The step whose record came last.
    pub step: Option<StepId>,
    /// Steps with a record.
    pub steps: BTreeMap<StepId, StepRecord>,
    /// Interruptions seen.
    pub outages: Vec<Outage>,
    /// Totals over all processes that worked on the run.
    pub meter: MeterTotals,
    /// Notes, oldest first.
    pub notes: Vec<String>,
    /// Who accepted a forecast over the budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime_accepted: Option<Operator>,
    #[serde(skip)]
    meter_before: MeterTotals,
}

/// An interruption that the meter saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outage {
    /// Reads or writes.
    pub side: Side,
    /// When the last good answer before it came.
    pub since: jiff::Timestamp,
    /// Its length in milliseconds.
    pub millis: u64,
    /// The step that ran when it began.
    pub during: Option<StepId>,
}

impl Default for RunState {
    fn default() -> Self {
        Self {
            status: RunStatus::Running,
            plan_digest: String::new(),
            by: None,
            started: None,
            last: None,
            phase: None,
            step: None,
            steps: BTreeMap::new(),
            outages: Vec::new(),
            meter: MeterTotals::default(),
            notes: Vec::new(),
            downtime_accepted: None,
            meter_before: MeterTotals::default(),
        }
    }
}

impl RunState {
    /// Adds up a whole journal.
    pub fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut state = Self::default();
        for record in records {
            state.add(record);
        }
        state
    }

    /// Adds one record.
    pub fn add(&mut self, record: &Record) {
        self.started.get_or_insert(record.at);
        self.last = Some(record.at);
        match &record.event {
            Event::RunStarted { plan_digest, by, .. } => {
                self.plan_digest.clone_from(plan_digest);
                self.by = Some(by.clone());
            }
            Event::RunResumed { by } => {
                self.by = Some(by.clone());
                self.status = RunStatus::Running;
                self.meter_before = self.meter.clone();
            }
            Event::PhaseStarted { phase } => self.phase = Some(phase.clone()),
            Event::StepStarted { step, before } => {
                let entry = self.touch(step);
                // The first `before` is the one an undo needs: a second one was seen after our own change.
                if entry.before.is_none() || entry.undone {
                    entry.before = Some(before.clone());
                }
                entry.undone = false;
                entry.state = StepState::InDoubt;
                entry.started.get_or_insert(record.at);
            }
            Event::StepRetried { step, error, .. } => self.touch(step).error = Some(error.clone()),
            Event::StepProgress { .. } => {}
            Event::StepFinished { step, outcome, evidence, millis } => {
                let entry = self.touch(step);
                entry.state = StepState::Done;
                // A change that a crash left in doubt and that is found done is still our change.
                entry.outcome = Some(if entry.before.is_some() { Outcome::Applied } else { *outcome });
                entry.evidence = evidence.clone();
                entry.millis = Some(*millis);
                entry.error = None;
                entry.findings.clear();
            }
            Event::StepFailed { step, error, findings, undone, millis } => {
                let entry = self.touch(step);
                entry.state = StepState::Failed;
                entry.error = Some(error.clone());
                entry.findings.clone_from(findings);
                entry.undone = *undone;
                entry.millis = Some(*millis);
            }
            Event::StepAccepted { step, by, reason, .. } => {
                let accepted = Accepted { by: by.clone(), at: record.at, reason: reason.clone() };
                self.touch(step).accepted = Some(accepted);
            }
            Event::DowntimeAccepted { by } => self.downtime_accepted = Some(by.clone()),
            Event::Outage { side, since, millis, during } => {
                self.outages.push(Outage { side: *side, since: *since, millis: *millis, during: during.clone() })
            }
            Event::Meter(totals) => {
                self.meter = MeterTotals {
                    read: sum(&self.meter_before.read, &totals.read),
                    write: sum(&self.meter_before.write, &totals.write),
                };
            }
            Event::Note { node, text } => {
                self.notes.push(node.as_ref().map_or_else(|| text.clone(), |node| format!("{node}: {text}")));
            }
            Event::RunStopped { reason } => self.status = RunStatus::Stopped { reason: *reason },
            Event::RunTakenBack { by, only } => {
                self.status = RunStatus::TakenBack { by: by.clone(), only: only.clone() };
            }
            Event::RunFinalized { by } => self.status = RunStatus::Finalized { by: by.clone() },
            Event::RunFinished { .. } => self.status = RunStatus::Finished,
        }
    }

    /// Where a step stands.
    pub fn get(&self, step: &StepId) -> StepState {
        self.steps.get(step).map_or(StepState::Pending, |record| record.state)
    }

    /// The state before the first try of a step.
    pub fn before(&self, step: &StepId) -> Option<&Value> {
        self.steps.get(step).and_then(|record| record.before.as_ref())
    }

    /// Steps that did not reach their aim.
    pub fn failed(&self) -> impl Iterator<Item = (&StepId, &StepRecord)> {
        self.steps.iter().filter(|(_, record)| record.state == StepState::Failed)
    }

    /// Whether anything was changed on a node, or may have been.
    pub fn changed_anything(&self) -> bool {
        self.steps.values().any(|record| record.before.is_some())
    }

    fn touch(&mut self, step: &StepId) -> &mut StepRecord {
        self.step = Some(step.clone());
        self.steps.entry(step.clone()).or_default()
    }
}

fn sum(a: &SideTotals, b: &SideTotals) -> SideTotals {
    SideTotals {
        sent: a.sent + b.sent,
        failed: a.failed + b.failed,
        longest_gap_millis: a.longest_gap_millis.max(b.longest_gap_millis),
        down_millis: a.down_millis + b.down_millis,
    }
}
