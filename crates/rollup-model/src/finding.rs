//! One answer of a check, good or bad.

use serde::{Deserialize, Serialize};

use crate::NodeName;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// As expected.
    Ok,
    /// Not as expected, and the inventory says that this is known and accepted for now.
    Waived,
    /// Not as expected, but no reason to stop.
    Warning,
    /// A reason not to start, or to stop.
    Error,
}

/// One answer of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Stable name, for example `database.replication`; waivers and tests cite it.
    pub id: String,
    /// The requirement it belongs to, for example `PRE-4`.
    pub requirement: String,
    /// How bad it is.
    pub severity: Severity,
    /// The node it is about; `None`: the pair.
    pub node: Option<NodeName>,
    /// What was expected, as a fragment: `replication streaming`.
    pub expected: String,
    /// What was found, as a fragment.
    pub found: String,
    /// The exact command or key that mends it.
    pub fix: Option<String>,
    /// What was read, where that says more than `found`: at most some lines, never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Why it is accepted for now and until when, where a waiver of the inventory says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<String>,
}

impl Finding {
    /// Starts a finding; `severity` is decided by `good`.
    pub fn check(
        id: &str,
        requirement: &str,
        good: bool,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            id: id.to_owned(),
            requirement: requirement.to_owned(),
            severity: if good { Severity::Ok } else { Severity::Error },
            node: None,
            expected: expected.into(),
            found: found.into(),
            fix: None,
            evidence: None,
            waived: None,
        }
    }

    /// The same finding, about one node.
    #[must_use]
    pub fn on(mut self, node: &NodeName) -> Self {
        self.node = Some(node.clone());
        self
    }

    /// The same finding with the command that mends it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// The same finding with what was read.
    #[must_use]
    pub fn evidence(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = Some(evidence.into());
        self
    }

    /// The same finding, at worst a warning.
    #[must_use]
    pub fn only_warn(mut self) -> Self {
        self.severity = self.severity.min(Severity::Warning);
        self
    }

    /// One line: `node-a database.replication: expected …, found …`.
    pub fn line(&self) -> String {
        let node = self.node.as_ref().map(|node| format!("{node} ")).unwrap_or_default();
        format!("{node}{}: expected {}, found {}", self.id, self.expected, self.found)
    }
}
