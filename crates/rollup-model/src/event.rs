//! What happened, in the words that journal, displays, reports and the audit trail share.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Finding, NodeName, PhaseId, RunId, StepId};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Position in the journal, from 1 without gaps.
    pub seq: u64,
    /// When, by the operator's clock, UTC.
    pub at: jiff::Timestamp,
    /// What.
    pub event: Event,
}

/// What happened. Unknown fields are ignored on reading, so that an older build can show a newer run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// The first record of every journal.
    RunStarted {
        /// Format of the journal.
        format: u32,
        /// The run.
        run: RunId,
        /// Digest of the stored plan.
        plan_digest: String,
        /// Who runs it and where.
        by: Operator,
    },
    /// The run goes on in another process.
    RunResumed {
        /// Who runs it and where.
        by: Operator,
    },
    /// A stage begins or goes on.
    PhaseStarted {
        /// The stage.
        phase: PhaseId,
    },
    /// On disk before the change. From here to `StepFinished` the step is in doubt.
    StepStarted {
        /// The step.
        step: StepId,
        /// What a later undo needs: the state before the first try, as the action defines it.
        before: Value,
    },
    /// A try did not reach its aim and another follows.
    StepRetried {
        /// The step.
        step: StepId,
        /// Number of the try that failed, from 1.
        attempt: u32,
        /// Why.
        error: String,
        /// The pause before the next try, in milliseconds.
        #[serde(default)]
        pause_ms: u64,
    },
    /// What the step is doing now. Shown, never kept.
    StepProgress {
        /// The step.
        step: StepId,
        /// As people say it.
        doing: String,
    },
    /// The step's aim is reached.
    StepFinished {
        /// The step.
        step: StepId,
        /// How.
        outcome: Outcome,
        /// What was seen, as the action defines it.
        evidence: Value,
        /// From its first look to its last, in milliseconds.
        millis: u64,
    },
    /// The step's aim is not reached, and the run stops.
    StepFailed {
        /// The step.
        step: StepId,
        /// What happened, outermost first.
        error: String,
        /// What a check answered.
        findings: Vec<Finding>,
        /// Whether the step's own change was taken back at once.
        undone: bool,
        /// From its first look to its last, in milliseconds.
        millis: u64,
    },
    /// An operator accepts a failing gate by name (UPG-8); the next process that works on the run goes past it.
    StepAccepted {
        /// The step.
        step: StepId,
        /// Who.
        by: Operator,
        /// Why.
        reason: String,
        /// What was wrong when it was accepted.
        findings: Vec<Finding>,
    },
    /// An operator accepts that the forecast is over the budget (VIP-5).
    DowntimeAccepted {
        /// Who.
        by: Operator,
    },
    /// Clients got no good answer through the VIP for a while.
    Outage {
        /// Reads or writes.
        side: Side,
        /// When the last good answer before it came.
        since: jiff::Timestamp,
        /// From that answer to the next good one, in milliseconds.
        millis: u64,
        /// The step that ran when it began.
        during: Option<StepId>,
    },
    /// Totals of the meter, now and then and at the end.
    Meter(MeterTotals),
    /// Something the operator should know.
    Note {
        /// The node it is about.
        node: Option<NodeName>,
        /// As people say it.
        text: String,
    },
    /// The run stops before its end and can go on.
    RunStopped {
        /// Why.
        reason: StopReason,
    },
    /// Another run took this one back.
    RunTakenBack {
        /// That run.
        by: RunId,
        /// The one node that was taken back; `None`: the whole pair.
        #[serde(default)]
        only: Option<NodeName>,
    },
    /// Another run made this one final: there is no way back any more.
    RunFinalized {
        /// That run.
        by: RunId,
    },
    /// The run is over.
    RunFinished {
        /// From the first record to this one, in milliseconds, pauses included.
        millis: u64,
    },
}

/// Where events go besides the journal: a display, a JSON stream. May fail without harm to the run; then it is told
/// nothing more.
pub trait Sink: Send {
    /// Takes one record.
    fn event(&mut self, record: &Record) -> std::io::Result<()>;
}

/// Who runs something and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Login name.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Process on that host.
    pub pid: u32,
    /// Version of this program.
    pub version: String,
}

/// How a step reached its aim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing to do: found as wanted before any change of ours.
    FoundDone,
    /// Changed, and seen as wanted.
    Applied,
    /// Only looked, and seen as wanted.
    Observed,
    /// Not as wanted, and an operator has accepted that (UPG-8).
    Accepted,
}

/// Reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// GET through the VIP.
    Read,
    /// POST through the VIP.
    Write,
}

/// Totals of the meter since its process began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MeterTotals {
    /// Reads.
    pub read: SideTotals,
    /// Writes; all zero when not measured.
    pub write: SideTotals,
}

/// Totals of one side of the meter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SideTotals {
    /// Probes sent.
    pub sent: u64,
    /// Probes without a good answer.
    pub failed: u64,
    /// Longest time between two good answers, in milliseconds.
    pub longest_gap_millis: u64,
    /// All outages together, in milliseconds.
    pub down_millis: u64,
}

/// Why a run stops before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// Ctrl-C or a signal.
    Operator,
    /// `--pause-before`.
    Pause,
    /// A check said no before anything was changed.
    Blocked,
    /// A step failed.
    Failed,
}

impl Event {
    /// Whether the record must be on disk before the run goes on.
    pub fn is_synced(&self) -> bool {
        !matches!(
            self,
            Event::StepProgress { .. } | Event::Meter(_) | Event::Outage { .. } | Event::PhaseStarted { .. }
        )
    }

    /// Whether the record is kept at all.
    pub fn is_kept(&self) -> bool {
        !matches!(self, Event::StepProgress { .. })
    }
}
