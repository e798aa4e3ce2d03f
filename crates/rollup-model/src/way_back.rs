//! The way back to a backup set: which stages of `rollback.toml` a pair needs, from how it stands now.
//!
//! That playbook holds every stage a way back can have, in an order that fits any of them. What is already as it was in
//! the set needs no stage, so the same file leads back from a finished upgrade, a failed first node, a half-done move of
//! the VIP, and from a way back that was itself broken off. Pure: who looks at the nodes is elsewhere.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    NodeName, Playbook, RunId,
    playbook::{PhaseSpec, StepSpec},
};

/// What becomes of the database on the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Expand migrations stay: the old version tolerates them. Nothing is lost.
    Keep,
    /// The package's down migrations run. What is in new columns and tables is lost.
    Down,
    /// The full backup comes back. Everything written since is lost.
    Restore,
}

impl Lane {
    /// Every lane, the least costly first.
    pub const ALL: [Lane; 3] = [Lane::Keep, Lane::Down, Lane::Restore];
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Lane::Keep => "keep",
            Lane::Down => "down",
            Lane::Restore => "restore",
        })
    }
}

impl FromStr for Lane {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Lane::ALL.into_iter().find(|lane| lane.to_string() == text);
        found.ok_or_else(|| format!("expected keep, down or restore, found `{text}`"))
    }
}

/// How a pair stands, and what it is to be brought back to.
#[derive(Debug, Clone)]
pub struct WayBack {
    /// The set.
    pub set: String,
    /// The runs that are taken back with it, newest first.
    pub runs: Vec<RunId>,
    /// The runs whose schema changes are taken back in lane `down`, as the database's own history names them.
    pub reverts: Vec<RunId>,
    /// The node that held the VIP when the set was taken.
    pub original_primary: NodeName,
    /// The node that holds it now.
    pub serving: NodeName,
    /// The node whose database writes now; `None`: none does.
    pub writer: Option<NodeName>,
    /// Whether the database's roles move with the VIP.
    pub moves_database: bool,
    /// Nodes on which something is not as in the set, or stopped.
    pub differing: BTreeSet<NodeName>,
    /// What becomes of the database.
    pub lane: Lane,
    /// Only this node is brought back.
    pub only: Option<NodeName>,
}

impl WayBack {
    fn is_behind(&self, node: &NodeName) -> bool {
        self.differing.contains(node)
    }

    fn needs_idle(&self) -> bool {
        self.differing.iter().any(|node| *node != self.serving)
    }

    /// The serving node must be brought back, so the other one takes over before.
    fn moves_over(&self) -> bool {
        self.is_behind(&self.serving)
    }

    /// No database writes; or the serving one does, and the other one must be seen to follow it before the VIP moves
    /// there: a change of roles that was broken off can have left it stopped.
    fn lacks_a_pair(&self) -> bool {
        self.writer.is_none() || (self.moves_over() && self.writer.as_ref() == Some(&self.serving))
    }

    /// Who holds the VIP when both nodes are brought back.
    fn holder_then<'a>(&'a self, idle: &'a NodeName) -> &'a NodeName {
        if self.moves_over() { idle } else { &self.serving }
    }

    fn needs(&self, phase: &str, idle: &NodeName) -> bool {
        let pair = self.only.is_none();
        let rolling = pair && self.lane != Lane::Restore;
        let restoring = pair && self.lane == Lane::Restore;
        match phase {
            // Also with one node: from then on two versions must not copy configuration to each other.
            "check" | "bring" | "safety" | "freeze" | "record" => true,
            "node" => !pair,
            "writer" => rolling && self.moves_database && self.lacks_a_pair(),
            "finish" => pair,
            // A move of the VIP that was broken off can still come true, onto a node that is being stopped.
            "hold" => rolling && !self.differing.is_empty(),
            "idle" => rolling && self.needs_idle(),
            "over" | "serving" => rolling && self.moves_over(),
            "back" => rolling && *self.holder_then(idle) != self.original_primary,
            "settle" => rolling,
            "down" => rolling && self.lane == Lane::Down,
            "unpack" | "stop" | "files" | "database" | "address" | "start" | "rebuild" | "discard" => restoring,
            _ => true,
        }
    }

    fn needs_step(&self, phase: &str, step: &StepSpec, idle: &NodeName) -> bool {
        let touches_database = self.only.is_none() && self.lane != Lane::Keep;
        match (phase, step.id.as_str()) {
            ("safety", "backup.database") => touches_database,
            // Where the database is already, it is not asked to be ready for a move.
            ("over", "db.ready" | "db.prepare") => self.moves_database && self.writer.as_ref() != Some(idle),
            ("back", "db.ready" | "db.prepare") => self.moves_database,
            ("serving", "db.rejoined") => self.moves_database,
            _ => true,
        }
    }

    /// The stages this pair needs, with every argument filled in.
    pub fn shape(&self, playbook: &Playbook, idle: &NodeName) -> Playbook {
        let stages = playbook.phase.iter().filter(|phase| self.needs(phase.id.as_str(), idle));
        let phase = stages
            .map(|phase| {
                let steps = phase.step.iter().filter(|step| self.needs_step(phase.id.as_str(), step, idle));
                PhaseSpec { step: steps.map(|step| self.fill(phase.id.as_str(), step)).collect(), ..phase.clone() }
            })
            .filter(|phase| !phase.step.is_empty())
            .collect();
        Playbook { phase, ..playbook.clone() }
    }

    /// `set`, `runs`, `database`, `node` and `staging` stand for what is known only now; with one node, only that
    /// one needs its part of the set.
    fn fill(&self, phase: &str, step: &StepSpec) -> StepSpec {
        let mut step = step.clone();
        // What an upgrade staged; its predecessors have cleaned up after themselves.
        let staging = self.runs.first().map(|run| format!("/var/lib/rollup/staging/{run}"));
        let known: [(&str, Value); 5] = [
            ("staging", json!(staging)),
            ("set", json!(self.set)),
            ("runs", json!(self.reverts)),
            ("database", json!(self.only.is_none() && self.lane == Lane::Restore)),
            ("node", json!(self.only)),
        ];
        for (name, value) in known {
            if let Some(place) = step.with.get_mut(name) {
                *place = value;
            }
        }
        if self.only.is_some() && phase == "bring" && step.on == "all" {
            step.on = "target".to_owned();
        }
        step
    }
}

#[cfg(test)]
mod tests;
