//! What was read from the nodes before a plan was made.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::NodeName;

/// A part that a node plays when the plan is made. Bound to a node name then and never read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Held the VIP, and the database's primary role where the two move together.
    OriginalPrimary,
    /// The other node of the pair.
    OriginalStandby,
    /// Holds the VIP now, when a way back begins.
    Serving,
    /// Does not hold it now.
    Idle,
    /// The database server that a backup is taken from: a standby in sync where there is one, so that nobody is slowed.
    BackupSource,
    /// The one node that a command names.
    Target,
}

impl Role {
    /// Every role, by the name playbooks use.
    pub const ALL: [(&'static str, Role); 6] = [
        ("original-primary", Role::OriginalPrimary),
        ("original-standby", Role::OriginalStandby),
        ("serving", Role::Serving),
        ("idle", Role::Idle),
        ("backup-source", Role::BackupSource),
        ("target", Role::Target),
    ];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Role::ALL.iter().find(|(_, role)| role == self).map_or("", |(name, _)| name);
        f.pad(name)
    }
}

/// Facts of every node, by subject (`database`, `keepalived` …), each as its domain crate defines it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Which node plays which part. Empty when it could not be told.
    pub bindings: BTreeMap<Role, NodeName>,
    /// node → subject → facts.
    pub nodes: BTreeMap<NodeName, BTreeMap<String, Value>>,
    /// subject → facts of the operator's own machine.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub operator: BTreeMap<String, Value>,
    /// When each node was asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked: BTreeMap<NodeName, Asked>,
}

/// When a node was asked, by the operator's clock: whatever it says it read in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Before the question was sent.
    pub sent: jiff::Timestamp,
    /// After the answer had come.
    pub answered: jiff::Timestamp,
}

impl Facts {
    /// The facts of one subject on one node, as the type its domain crate defines. `None`: not gathered.
    pub fn get<T: serde::de::DeserializeOwned>(&self, node: &NodeName, subject: &str) -> Option<T> {
        serde_json::from_value(self.nodes.get(node)?.get(subject)?.clone()).ok()
    }

    /// The facts of one subject about the operator's own machine. `None`: not gathered.
    pub fn here<T: serde::de::DeserializeOwned>(&self, subject: &str) -> Option<T> {
        serde_json::from_value(self.operator.get(subject)?.clone()).ok()
    }
}
