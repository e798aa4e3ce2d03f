//! A playbook: the TOML file that says which steps an upgrade has, in which order, on which nodes.
//!
//! No variables, loops, conditions or templates. A condition belongs in an action's check; a choice left open
//! (`strategy = "auto"`) is resolved when the plan is compiled.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    Diagnostic, PhaseId, StepId,
    diagnostic::read_toml,
    plan::{Impact, Kind},
};

/// A playbook file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playbook {
    /// The format it is written in; 1.
    pub format: u32,
    /// Short name, for example `ha-upgrade`.
    pub name: String,
    /// Headline of the plan.
    pub title: String,
    /// What its end means; `upgrade`.
    #[serde(default)]
    pub kind: Kind,
    /// Stages in order.
    pub phase: Vec<PhaseSpec>,
}

/// A stage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseSpec {
    /// Name for `--pause-before`.
    pub id: PhaseId,
    /// Headline.
    pub title: String,
    /// Limit for the stage in all: a length of time or `limit:NAME`.
    pub limit: Option<String>,
    /// Steps in order.
    pub step: Vec<StepSpec>,
}

/// A step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// `thing.verb`.
    pub id: StepId,
    /// What it does.
    pub title: String,
    /// `pair`, `all`, `each`, a role, or a node's name.
    pub on: String,
    /// The action.
    pub uses: String,
    /// The action's arguments.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// What it may cost, when that differs from what the action says of itself.
    pub impact: Option<Impact>,
    /// Retries and limits.
    #[serde(default)]
    pub policy: PolicySpec,
    /// Neighbours with the same group run at once.
    pub group: Option<String>,
    /// A look that a rollback repeats once the changes of this stage are taken back.
    #[serde(default)]
    pub after_undo: bool,
}

/// Retries and limits; every length of time is a text or `limit:NAME`, a limit of the inventory.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// Tries of the change; 1.
    pub attempts: Option<u32>,
    /// Limit for one try; `limit:command`.
    pub attempt_timeout: Option<String>,
    /// Until the check must be true; `limit:command`.
    pub verify_within: Option<String>,
    /// Pause between tries; 1s.
    pub backoff: Option<String>,
    /// Pause between looks; 200ms.
    pub poll: Option<String>,
    /// Good looks in a row; 1, or the text `limit:soak_checks`.
    pub stable_checks: Option<Value>,
    /// Time over which they are spread; 0s.
    pub stable_for: Option<String>,
    /// Take the step back when all tries failed.
    pub undo_on_failure: Option<bool>,
}

/// Reads a playbook, or says everything that is wrong with its form.
pub fn load(text: &str) -> Result<Playbook, Vec<Diagnostic>> {
    let playbook: Playbook = read_toml(text)?;
    if playbook.format != 1 {
        let place = text.find("format").map(|at| at..at + 6);
        return Err(vec![Diagnostic::new(format!("expected format 1, found {}", playbook.format)).at(place)]);
    }
    Ok(playbook)
}
