//! What our own scripts leave on a node while something of ours is in force, for whoever comes later.
//!
//! Each is one line of JSON. Those about the configuration lie in `/var/lib/rollup/keepalived` and outlive a reboot, as
//! the configuration does; the one of a drain lies in `/run`, as what it is about.

use anyhow::{Context, Result};
use rollup_model::RunId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Files of the configuration that hold an override of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edited {
    /// The run that wrote it last.
    pub run: RunId,
    /// Each file.
    pub files: Vec<EditedFile>,
    /// By instance: the base priority it ran with before the first override.
    pub priorities: std::collections::BTreeMap<String, u8>,
}

/// One file that holds an override of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EditedFile {
    /// Where it is.
    pub path: String,
    /// SHA-256 of what the operator wrote.
    pub before: String,
    /// SHA-256 with the override.
    pub after: String,
}

/// What makes a node give the address up, and has not let go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pushed {
    /// The run that did it.
    pub run: RunId,
    /// `fault`, `link` or `stop`.
    pub by: String,
    /// The file, the link or the unit.
    pub what: String,
}

impl std::fmt::Display for Pushed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { run, by, what } = self;
        match by.as_str() {
            "fault" => write!(f, "a failure in {what}, run {run}"),
            "link" => write!(f, "{what} is down, run {run}"),
            _ => write!(f, "{what} is stopped, run {run}"),
        }
    }
}

/// A drain that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drained {
    /// The run that began it.
    pub run: RunId,
    /// The interface whose settings it changed.
    pub interface: String,
    /// What `arp_ignore` was.
    pub arp_ignore: i32,
    /// What `arp_announce` was.
    pub arp_announce: i32,
}

/// Reads one mark. One that cannot be read is an error: acting as if it were not there would forget what is in force.
pub(super) fn read<T: DeserializeOwned>(text: Option<String>) -> Result<Option<T>> {
    let parse = |text: String| {
        serde_json::from_str(&text).with_context(|| format!("a mark in /var/lib/rollup/keepalived is damaged: {text}"))
    };
    text.map(parse).transpose()
}
