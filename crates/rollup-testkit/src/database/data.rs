//! What lies in a data directory, and who may follow whom.

use rollup_model::inventory::DatabaseEngine;
use serde::{Deserialize, Serialize};

use super::Settings;

/// What lies in a data directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Data {
    /// Rows of the history of migrations.
    pub(super) history: Vec<Row>,
    /// Timelines, each with the position at which it begins; the last one is the present one.
    pub(super) timelines: Vec<(u32, u64)>,
    /// Written by a primary, replayed by a standby.
    pub(super) position: u64,
    /// Comes up as a standby at its next start: PostgreSQL's signal file, or the role that openGauss had last.
    pub(super) signal: bool,
    /// Address of the node that its configuration follows; empty: the other one, from the beginning. openGauss has both
    /// ends in the settings of both.
    pub(super) upstream: Option<String>,
    /// Where the log of a clean stop as a primary ends.
    pub(super) shutdown: Option<u64>,
    /// What the control file calls a server that does not run.
    pub(super) ended: String,
    /// What its commits wait for.
    pub(super) settings: Settings,
    /// The run that an exchange made it for.
    pub(super) marker: Option<String>,
}

/// A row of the history of migrations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) version: String,
    pub(super) name: String,
    pub(super) checksum: String,
    pub(super) phase: String,
    pub(super) kind: String,
    pub(super) run: String,
    pub(super) position: u64,
}

impl Data {
    /// One of a pair that replicates.
    pub(super) fn new(engine: DatabaseEngine, primary: bool) -> Self {
        let both_ends = engine != DatabaseEngine::Postgresql;
        Self {
            history: Vec::new(),
            timelines: vec![(1, 0)],
            position: 0x300_0000,
            signal: !primary,
            upstream: (!primary || both_ends).then(String::new),
            shutdown: None,
            ended: "shut down".to_owned(),
            settings: Settings::default(),
            marker: None,
        }
    }

    /// The present timeline.
    pub(super) fn timeline(&self) -> u32 {
        self.timelines.last().map_or(1, |(timeline, _)| *timeline)
    }

    /// Whether a server on this directory can replay what a server on that one writes: it has been on that history all
    /// along, and has not gone further than where that one left its own.
    pub(super) fn can_follow(&self, other: &Data) -> bool {
        let known = self.timelines.len();
        let same = other.timelines.get(..known) == Some(self.timelines.as_slice());
        let left = other.timelines.get(known).map_or(other.position, |(_, begins)| *begins);
        same && self.position <= left
    }
}
