//! The one interface to a database: which commands ask and change it, and how their answers are read.
//!
//! Actions decide from typed answers and from a second look ([`Engine::parse`] on both nodes), never from an exit
//! status: tools of other engines end with 0 although they gave up waiting. An engine that needs two commands for what
//! is one here (a cluster manager beside the server) puts both into its script.

use anyhow::{Context, Result};
use rollup_engine::{Cx, Probe};
use rollup_model::{
    Inventory, NodeName,
    inventory::{Database, DatabaseEngine, Node},
    release::{DownMigration, Migration},
};
use rollup_remote::{Cmd, RemoteError};
use serde::Deserialize;

use crate::{
    Applied, BackupRecord, DatabaseFacts, DrillRecord, Lsn, Write, facts::AppliedKind, migrations::Migrations,
    opengauss::OpenGauss, place::Places, postgresql::PostgreSql,
};

/// One database server: what every command must know.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) inventory: &'a Inventory,
    pub(crate) node: &'a Node,
}

impl<'a> At<'a> {
    /// The server on this node.
    pub(crate) fn new(cx: &Cx<'a>, node: &NodeName) -> Result<Self> {
        let inventory = cx.inventory();
        let node = inventory.node(node).with_context(|| format!("node `{node}` is not in the inventory"))?;
        Ok(Self { inventory, node })
    }

    pub(crate) fn database(&self) -> &'a Database {
        &self.inventory.database
    }
}

/// One migration on its way into the database.
pub(crate) struct Change<'a> {
    pub(crate) migration: &'a Migration,
    pub(crate) kind: AppliedKind,
    pub(crate) run: &'a str,
}

/// One migration on its way out of it.
pub(crate) struct Reversal<'a> {
    /// What the history says of it.
    pub(crate) row: &'a Applied,
    /// The file that takes it back.
    pub(crate) down: &'a DownMigration,
}

/// Up to where the new primary must have replayed before it may be promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The old primary is stopped; its last record starts here.
    Shutdown(Lsn),
    /// The old primary runs as a standby and has replayed all it has.
    Standby(Lsn),
    /// The old primary writes on, it had written up to here: the engine's own tool changes both roles at once.
    Running(Lsn),
}

/// What a node prints that could become the primary at once.
pub(crate) const READY: &str = "ready";

/// A standby's own answer to "how far are you".
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// It is a standby at all.
    pub(crate) standby: bool,
    /// Up to where it has replayed.
    pub(crate) replay_lsn: Option<Lsn>,
    /// State of what it receives.
    pub(crate) receiver: Option<String>,
}

/// What a failed promotion left behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Promotion {
    /// It was never asked for: the old primary may come back.
    NotAsked(String),
    /// It was asked for, or nobody knows; and why.
    InDoubt(String),
}

/// The one interface to a database. Every command survives being run twice.
pub(crate) trait Engine: Migrations + Archives {
    /// The script of the subject `database`.
    fn probe(&self, at: At<'_>, peer: Option<&Node>) -> Probe;
    /// The script of the subject `database-write`.
    fn write_probe(&self, at: At<'_>) -> Probe;
    /// Reads what it printed.
    fn read_write(&self, text: &str) -> Result<Write>;
    /// Reads what the probe printed.
    fn parse(&self, text: &str) -> Result<DatabaseFacts>;

    /// Asks where a primary writes now.
    fn position(&self, at: At<'_>) -> Cmd;
    /// Reads it; `None`: the server is no primary.
    fn read_position(&self, text: &str) -> Result<Option<Lsn>>;
    /// Waits a moment for a standby to replay up to `target`, and asks how far it is.
    fn progress(&self, at: At<'_>, target: Lsn) -> Cmd;
    /// Reads it.
    fn read_progress(&self, text: &str) -> Result<Progress>;

    /// Asks how large each table is; the answer is JSON.
    fn table_sizes(&self, at: At<'_>) -> Cmd;

    /// Writes a checkpoint; may take long.
    fn checkpoint(&self, at: At<'_>) -> Cmd;

    /// Lets commits of a primary go on without a standby; what was set before is kept on the node first.
    fn relax(&self, at: At<'_>) -> Cmd;
    /// Puts back what was set before.
    fn tighten(&self, at: At<'_>) -> Cmd;

    /// Makes a primary a standby of `next` from its next start on, then stops it.
    fn demote(&self, at: At<'_>, next: &Node) -> Cmd;
    /// Reads up to where `next` must replay.
    fn read_ending(&self, text: &str) -> Result<Ending>;
    /// Connects and prints [`READY`]; reads what [`Engine::hand_over`] says, waits until all of it is replayed, then
    /// promotes. An end of input instead means that nobody asked.
    fn promote(&self, at: At<'_>) -> Cmd;
    /// Up to where the next primary must replay, as the input of [`Engine::promote`].
    fn hand_over(&self, ending: Ending) -> String;
    /// Whether a failed [`Engine::promote`] can have promoted.
    fn promotion(&self, error: &RemoteError) -> Promotion;
    /// Whether one that ended well has promoted, by what it said after [`READY`]. A look at both servers decides.
    fn promoted(&self, said: &str) -> Result<(), Promotion>;
    /// Makes a stopped server, or a standby, follow `primary`.
    fn rejoin(&self, at: At<'_>, primary: &Node) -> Cmd;
    /// Makes a demoted server the primary again that it was.
    fn reinstate(&self, at: At<'_>) -> Cmd;
}

/// Full backups, what is made of them, and the exchange of a node's data. What takes long runs as a job.
pub(crate) trait Archives: Send + Sync {
    /// Takes a full backup into the set; a job.
    fn base_backup(&self, at: At<'_>, set: &str) -> Cmd;
    /// Asks what a finished backup says of itself.
    fn backup_look(&self, at: At<'_>, set: &str) -> Cmd;
    /// Reads it; `None`: there is no finished backup.
    fn read_backup(&self, text: &str) -> Result<Option<BackupRecord>>;

    /// Asks what lies where an exchange works.
    fn place_look(&self, at: At<'_>) -> Cmd;
    /// Reads it.
    fn read_places(&self, text: &str) -> Result<Places>;
    /// Makes a whole primary of the set's backup, beside the node's own data; a job. `bytes`: what it takes unpacked.
    fn unpack(&self, at: At<'_>, set: &str, run: &str, bytes: u64) -> Cmd;
    /// Stops the server; whatever starts it later starts a standby.
    fn halt(&self, at: At<'_>) -> Cmd;
    /// Puts what was unpacked in place and starts it as primary.
    fn restore(&self, at: At<'_>, run: &str) -> Cmd;
    /// Makes a standby of `primary` anew from its data; a job. `bytes`: what that takes.
    fn rebuild(&self, at: At<'_>, primary: &Node, run: &str, bytes: u64) -> Cmd;
    /// Removes what an exchange has left; a job.
    fn discard(&self, at: At<'_>) -> Cmd;

    /// Brings the set's backup up where nobody reaches it, asks it, and removes it again; a job.
    fn drill(&self, at: At<'_>, set: &str, run: &str, bytes: u64) -> Cmd;
    /// Asks what the drill of this run has proven.
    fn drill_look(&self, at: At<'_>, set: &str, run: &str) -> Cmd;
    /// Reads it; `None`: there was none.
    fn read_drill(&self, text: &str) -> Result<Option<DrillRecord>>;
}

/// The tools for this database.
pub(crate) fn engine_of(database: &Database) -> &'static dyn Engine {
    match database.engine {
        DatabaseEngine::Postgresql => &PostgreSql,
        DatabaseEngine::Opengauss | DatabaseEngine::Gaussdb => &OpenGauss,
    }
}
