//! The plan: an immutable, printable list of steps. What is printed is what runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{Inventory, NodeName, PhaseId, Release, RunId, Span, StepId, facts::Role};

/// The format this build reads and writes.
pub const FORMAT: u32 = 1;

/// Everything a run needs: nothing else is read when it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT`] when it was made.
    pub format: u32,
    /// The run that executes it.
    pub run: RunId,
    /// When it was made, RFC 3339 UTC.
    pub created: jiff::Timestamp,
    /// The playbook it was compiled from.
    pub playbook: String,
    /// Headline.
    pub title: String,
    /// What its end means.
    #[serde(default)]
    pub kind: Kind,
    /// The runs that this one takes back, newest first.
    #[serde(default)]
    pub takes_back: Vec<RunId>,
    /// The backup set that the pair is brought back to.
    #[serde(default)]
    pub restores: Option<String>,
    /// The version that a way back brings to each node.
    #[serde(default)]
    pub brings_back: BTreeMap<NodeName, String>,
    /// Which node plays which part, for the whole run.
    pub bindings: BTreeMap<Role, NodeName>,
    /// The inventory as it was.
    pub inventory: Inventory,
    /// The package, where the playbook needs one.
    pub release: Option<Release>,
    /// Version found on each node when the plan was made.
    pub versions: BTreeMap<NodeName, String>,
    /// Name of the backup set that the run makes or uses, `backup_YYYYMMDD_HHMMSS`.
    pub backup_set: String,
    /// Stages in order.
    pub phases: Vec<Phase>,
    /// Steps in order; those of one phase are together.
    pub steps: Vec<Step>,
}

/// What the end of a plan means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Forward to a new version.
    #[default]
    Upgrade,
    /// Back to an old one.
    Rollback,
    /// Something about backup sets; what serves stays as it is.
    Backup,
    /// There is no way back from here on.
    Finalize,
    /// The nodes change their parts, or a change of parts that was broken off is put in order; versions stay.
    Switch,
}

/// A stage of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Name for `--pause-before`.
    pub id: PhaseId,
    /// Headline.
    pub title: String,
    /// Limit for the phase in all (UPG-7).
    pub limit: Option<Span>,
}

/// One `check → apply → verify` on one node, or on the pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique in the plan.
    pub id: StepId,
    /// The stage it belongs to.
    pub phase: PhaseId,
    /// What it does, as people say it.
    pub title: String,
    /// Where.
    pub on: Target,
    /// What it runs.
    pub action: ActionRef,
    /// What it may cost.
    pub impact: Impact,
    /// Retries and limits.
    pub policy: Policy,
    /// Neighbours with the same group run at once.
    pub group: Option<String>,
    /// A look that a rollback repeats once the changes of this stage are taken back.
    #[serde(default)]
    pub after_undo: bool,
    /// How it is taken back, as people say it.
    pub undo: String,
    /// Why a choice that was left open came out as it did.
    pub why: Option<String>,
}

/// Where a step works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One machine.
    Node(NodeName),
    /// All machines together, as one thing.
    Pair,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Node(node) => f.pad(node.as_str()),
            Target::Pair => f.pad("pair"),
        }
    }
}

/// An action by name with its arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRef {
    /// Name in the registry, for example `service.stop`.
    pub uses: String,
    /// Arguments, as the action defines them.
    pub with: Map<String, Value>,
}

/// What a step may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    /// Reads only.
    Observe,
    /// Changes something nobody is served by.
    Change,
    /// May interrupt clients.
    Interrupt,
    /// Cannot be taken back.
    PointOfNoReturn,
}

impl std::fmt::Display for Impact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Impact::Observe => "observe",
            Impact::Change => "change",
            Impact::Interrupt => "interrupt",
            Impact::PointOfNoReturn => "point-of-no-return",
        })
    }
}

/// Retries and limits of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How often the change is tried.
    pub attempts: u32,
    /// Limit for one try of the change.
    pub attempt_timeout: Span,
    /// How long the check may take to become true afterwards.
    pub verify_within: Span,
    /// Pause between tries.
    pub backoff: Span,
    /// Pause between looks.
    pub poll: Span,
    /// How many good looks in a row are asked for.
    pub stable_checks: u32,
    /// The time over which those looks are spread.
    pub stable_for: Span,
    /// When all tries failed, take the step back at once, so that it cannot come true later by itself.
    pub undo_on_failure: bool,
}

impl Plan {
    /// SHA-256, hex, of what the plan *does*: everything but the run's own name and date. The same playbook, inventory,
    /// package and facts give the same digest, so a printed plan can be compared with the one that runs.
    pub fn digest(&self) -> String {
        let mut content = serde_json::to_value(self).unwrap_or_default();
        if let Some(object) = content.as_object_mut() {
            for identity in ["run", "created", "backup_set"] {
                object.remove(identity);
            }
        }
        hex(&Sha256::digest(content.to_string()))
    }

    /// Directory on the nodes for what a run needs only on its way.
    pub fn staging(&self) -> String {
        format!("/var/lib/rollup/staging/{}", self.run)
    }

    /// Directory on the nodes of the run's backup set.
    pub fn backup_dir(&self) -> String {
        format!("{}/{}", self.inventory.backup.dir, self.backup_set)
    }

    /// The step of this id.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|step| &step.id == id)
    }

    /// The stage of this id.
    pub fn phase(&self, id: &PhaseId) -> Option<&Phase> {
        self.phases.iter().find(|phase| &phase.id == id)
    }

    /// The node that plays this part.
    pub fn bound(&self, role: Role) -> Option<&NodeName> {
        self.bindings.get(&role)
    }

    /// Steps in batches: neighbours of one group together, all others alone.
    pub fn batches(&self) -> Vec<&[Step]> {
        self.steps.chunk_by(|a, b| a.group.is_some() && a.group == b.group && a.phase == b.phase).collect()
    }
}

/// Lowercase hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
