//! What is read about the database of one node, the same for every engine.

use rollup_model::{NodeName, inventory::Node};
use serde::{Deserialize, Serialize};

use crate::Lsn;

/// What is read about the database of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseFacts {
    /// What systemd says of the unit, for example `active`.
    pub unit: String,
    /// Size of the data directory, when it could be told quickly.
    pub data_bytes: Option<u64>,
    /// The server comes up as a standby at its next start.
    pub standby_signal: bool,
    /// What was set before commits were let go on without a standby, and is still to be put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relaxed: Option<String>,
    /// What an exchange of data directories that nobody finished has left beside the data directory.
    #[serde(default)]
    pub leftovers: Vec<String>,
    /// What the control file says; the one source while the server is down.
    pub control: Option<Control>,
    /// The server's own answer; `None`: it is down or does not answer.
    pub server: Option<Server>,
    /// A server runs but refused to answer, and what it said.
    pub silent: Option<String>,
    /// Whether a base backup can log in on this node.
    pub login_here: Option<Login>,
    /// Whether this node can log in at the other one for replication; asked of the primary only, since a standby that
    /// streams has proven it.
    pub login_peer: Option<Login>,
    /// What the history table holds; `None`: there is no such table.
    pub history: Option<Vec<Applied>>,
    /// What only openGauss and GaussDB have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauss: Option<Gauss>,
}

/// What only openGauss and GaussDB have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gauss {
    /// Whether the cluster manager (CM) is in charge.
    pub manager: Manager,
    /// The replication is DCF's (Paxos).
    pub paxos: bool,
    /// 0: no upgrade of the product itself is under way.
    pub upgrade_mode: Option<u32>,
    /// Commits go on while no synchronous standby is there.
    pub most_available_sync: Option<bool>,
    /// The addresses that this node's settings name as the other ends of its replication.
    pub remotes: Vec<String>,
    /// What the manager says of the servers, where it is in charge: `6001 Primary Normal`.
    pub instances: Vec<String>,
}

/// Whether the cluster manager is in charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// It is not installed.
    Absent,
    /// It runs.
    Running,
    /// It is installed and none of its processes runs: nobody can tell whether it will.
    Stopped,
}

/// Whether a replication login works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Login {
    /// It does.
    Works,
    /// It does not, and what the server said.
    Fails(String),
}

/// What the control file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// In the tool's words, for example `in production` or `shut down`.
    pub state: String,
    /// The identity that both nodes of a pair share.
    pub system_identifier: String,
    /// Where the latest checkpoint begins.
    pub checkpoint: Lsn,
    /// The timeline of that checkpoint.
    pub timeline: u32,
}

/// Which part a server plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseRole {
    /// It writes.
    Primary,
    /// It replays what a primary wrote.
    Standby,
}

/// A running server's own answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Which part it plays.
    pub role: DatabaseRole,
    /// For example `15.19`.
    pub version: String,
    /// The timeline it writes or receives.
    pub timeline: u32,
    /// Where a primary writes next.
    pub current_lsn: Option<Lsn>,
    /// Up to where a standby has received since its last start.
    pub receive_lsn: Option<Lsn>,
    /// Up to where a standby has replayed, by its own word.
    pub replay_lsn: Option<Lsn>,
    /// The next transaction, counted from the beginning of the cluster.
    pub next_xid: Option<u64>,
    /// When the last transaction was committed: on a standby the last one replayed, on a primary only where it keeps
    /// track of that.
    pub last_commit: Option<jiff::Timestamp>,
    /// The latest checkpoint.
    pub checkpoint: Checkpoint,
    /// Who receives from this server.
    pub walsenders: Vec<Walsender>,
    /// What this server receives.
    pub receiver: Option<Receiver>,
    /// The host that its configuration names as upstream.
    pub upstream: Option<String>,
    /// Settings that replication depends on.
    pub settings: Settings,
    /// The transaction that has been open longest.
    pub oldest_transaction: Option<Transaction>,
    /// Names of physical replication slots.
    pub slots: Vec<String>,
    /// How many tablespaces lie outside the data directory.
    pub tablespaces: u32,
    /// A standby was told to wait with replay.
    #[serde(default)]
    pub replay_paused: bool,
    /// How long a standby waits before it replays a commit, in milliseconds.
    #[serde(default)]
    pub apply_delay_ms: u64,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Where a recovery would begin.
    pub redo_lsn: Lsn,
    /// Seconds since it began.
    pub age_s: u64,
}

/// A connection that sends the log to a standby.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walsender {
    /// The standby's own name for itself.
    pub application_name: String,
    /// Its address; `None` for a local socket.
    pub client_addr: Option<String>,
    /// For example `streaming` or `catchup`.
    pub state: String,
    /// For example `async` or `sync`.
    pub sync_state: String,
    /// Sent so far.
    pub sent_lsn: Option<Lsn>,
    /// On the standby's disk.
    pub flush_lsn: Option<Lsn>,
    /// Replayed, as the primary last heard.
    pub replay_lsn: Option<Lsn>,
}

/// What a standby receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// For example `streaming`.
    pub status: String,
    /// From which host.
    pub sender_host: Option<String>,
    /// At which port.
    pub sender_port: Option<u16>,
}

/// Settings that replication depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How much is logged.
    pub wal_level: String,
    /// How many connections may send the log.
    pub max_wal_senders: u32,
    /// Which standbys a commit waits for; empty: none.
    pub synchronous_standby_names: String,
    /// For what a commit waits.
    pub synchronous_commit: String,
    /// New transactions may not write.
    pub read_only: bool,
}

/// A transaction that has been open for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// Seconds since it began.
    pub age_s: u64,
    /// Its process; `None` for a prepared transaction.
    pub pid: Option<u32>,
    /// User and application.
    pub who: String,
    /// What it does, shortened.
    pub what: String,
}

/// How a migration came into the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppliedKind {
    /// It was run.
    Applied,
    /// It was part of the installed version before there was a history.
    Baseline,
    /// It is run statement by statement, and not to its end yet.
    Partial,
}

/// One row of the history table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// The migration's version.
    pub version: String,
    /// `expand` or `contract`.
    pub phase: String,
    /// Its file name.
    pub name: String,
    /// SHA-256 of its file, hex.
    pub checksum: String,
    /// How it came in.
    pub kind: AppliedKind,
    /// The run that brought it in, where that is told.
    pub run: Option<String>,
}

impl DatabaseFacts {
    /// The server's role, when it answers.
    pub fn role(&self) -> Option<DatabaseRole> {
        self.server.as_ref().map(|server| server.role)
    }

    /// The server answers and is a primary.
    pub fn is_primary(&self) -> bool {
        self.role() == Some(DatabaseRole::Primary)
    }

    /// The server answers, is a standby, and receives the log right now.
    pub fn is_streaming_standby(&self) -> bool {
        let receiving = |server: &Server| server.receiver.as_ref().is_some_and(|r| r.status == "streaming");
        self.role() == Some(DatabaseRole::Standby) && self.server.as_ref().is_some_and(receiving)
    }

    /// Up to where the log is known here, by the server's own word or the control file's.
    pub fn newest_lsn(&self) -> Option<Lsn> {
        let server = |server: &Server| server.current_lsn.max(server.receive_lsn).max(server.replay_lsn);
        let stopped = || self.control.as_ref().map(|control| control.checkpoint);
        self.server.as_ref().and_then(server).or_else(stopped)
    }

    /// Whether this server writes, or would at its next start, or nobody can tell.
    pub(crate) fn may_write(&self) -> bool {
        match (&self.server, &self.silent) {
            (Some(server), _) => server.role == DatabaseRole::Primary,
            (None, Some(_)) => true,
            (None, None) => self.control.is_some() && !self.standby_signal,
        }
    }

    /// Why commits of this primary wait for a standby, and for ever where there is none; `None`: they do not.
    pub(crate) fn waits_for(&self) -> Option<String> {
        let settings = &self.server.as_ref().filter(|server| server.role == DatabaseRole::Primary)?.settings;
        let names = &settings.synchronous_standby_names;
        let waits = !names.is_empty() && !["off", "local"].contains(&settings.synchronous_commit.as_str());
        let available = self.gauss.as_ref().map(|gauss| gauss.most_available_sync == Some(true));
        match available {
            _ if !waits => None,
            Some(true) => None,
            Some(false) => Some(format!("synchronous_standby_names is `{names}`, most_available_sync is off")),
            None => Some(format!("synchronous_standby_names is `{names}`")),
        }
    }

    /// Why no commit of this primary ends now: it waits for a standby, and none streams. `None`: commits end.
    pub(crate) fn hangs_on(&self) -> Option<String> {
        let streams = |server: &Server| server.walsenders.iter().any(|sender| sender.state == "streaming");
        self.waits_for().filter(|_| !self.server.as_ref().is_some_and(streams))
    }

    /// The identity of the cluster.
    pub fn system_identifier(&self) -> Option<&str> {
        self.control.as_ref().map(|control| control.system_identifier.as_str())
    }

    /// One phrase for people: role or state, as exact as what was read.
    pub fn summary(&self) -> String {
        let unit = &self.unit;
        match (&self.server, &self.silent, &self.control) {
            (Some(server), _, _) if server.role == DatabaseRole::Primary => match server.current_lsn {
                Some(lsn) => format!("a primary at {lsn}"),
                None => "a primary".to_owned(),
            },
            (Some(server), _, _) => {
                let receiver = server.receiver.as_ref().map_or("no receiver", |receiver| receiver.status.as_str());
                let at = server.replay_lsn.map(|lsn| format!(" at {lsn}")).unwrap_or_default();
                format!("a standby{at}, {receiver}")
            }
            (None, Some(said), _) => format!("a server that does not answer: {said}"),
            (None, None, Some(control)) => format!("a stopped server, `{}` (unit {unit})", control.state),
            (None, None, None) => format!("no server (unit {unit})"),
        }
    }
}

impl Server {
    /// Whether the log is being streamed to this node: by its name or address, else when it is the only standby and
    /// somebody streams (an address may be translated on the way).
    pub(crate) fn streams_to(&self, node: &Node, standbys: usize) -> bool {
        let is = |sender: &Walsender, name: &NodeName| {
            let addr = sender.client_addr.as_deref();
            sender.application_name == name.as_str() || addr == Some(node.peer_address()) || addr == Some(&node.host)
        };
        // A running base backup streams too, but is nobody's standby.
        let standby = |sender: &&Walsender| sender.state == "streaming" && sender.application_name != "pg_basebackup";
        let mut streaming = self.walsenders.iter().filter(standby);
        if standbys <= 1 { streaming.next().is_some() } else { streaming.any(|sender| is(sender, &node.name)) }
    }
}
