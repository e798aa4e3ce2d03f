//! The database server of a machine: PostgreSQL as far as the commands of a run can tell.
//!
//! The first five arguments of every command are the server's own (tools, data directory, port, database, user).

mod probe;

use std::time::Duration;

use rollup_model::NodeName;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    call::{Answer, Call, Failed},
    world::{Later, World},
};

/// Arguments that every command begins with.
const SERVER: usize = 5;

/// From a write to its replay on the standby.
const REPLAY: Duration = Duration::from_millis(150);

/// From a start as a standby to its first streaming.
const CATCH_UP: Duration = Duration::from_millis(700);

/// The database server of a machine.
#[derive(Debug, Serialize)]
pub(crate) struct Database {
    up: bool,
    /// What it plays while it is up.
    standby: bool,
    /// Comes up as a standby at its next start.
    signal: bool,
    /// Address of the node that its configuration follows.
    upstream: Option<String>,
    timeline: u32,
    history: Vec<Row>,
    /// Written by a primary, replayed by a standby.
    #[serde(skip)]
    position: u64,
    #[serde(skip)]
    shutdown: Option<u64>,
    #[serde(skip)]
    checkpoint: Checkpoint,
    /// A standby that has connected to its upstream.
    #[serde(skip)]
    connected: bool,
}

#[derive(Debug)]
struct Checkpoint {
    redo: u64,
    at: Option<Duration>,
}

/// A row of the history of migrations.
#[derive(Debug, Clone, Serialize)]
struct Row {
    version: String,
    name: String,
    checksum: String,
    phase: String,
    kind: String,
    #[serde(skip)]
    position: u64,
}

fn lsn(position: u64) -> String {
    format!("{:X}/{:X}", position >> 32, position & 0xFFFF_FFFF)
}

fn position_of(lsn: &str) -> u64 {
    let (high, low) = lsn.split_once('/').unwrap_or(("0", lsn));
    let half = |text: &str| u64::from_str_radix(text, 16).unwrap_or_default();
    half(high) << 32 | half(low)
}

impl Database {
    /// One of a pair that replicates.
    pub(crate) fn new(primary: bool) -> Self {
        Self {
            up: true,
            standby: !primary,
            signal: !primary,
            upstream: (!primary).then(String::new),
            timeline: 1,
            history: Vec::new(),
            position: 0x300_0000,
            shutdown: None,
            checkpoint: Checkpoint { redo: 0x2FF_0000, at: None },
            connected: true,
        }
    }

    /// Whether the server runs.
    pub(crate) fn runs(&self) -> bool {
        self.up
    }

    /// Whether it would come up as a standby.
    pub(crate) fn is_marked(&self) -> bool {
        self.signal
    }

    /// Whether it accepts writes.
    pub(crate) fn writes(&self) -> bool {
        self.up && !self.standby
    }
}

impl World {
    fn address(&self, node: &NodeName) -> String {
        self.inventory.node(node).map(|node| node.peer_address().to_owned()).unwrap_or_default()
    }

    fn streams(&self, node: &NodeName) -> bool {
        let peer = self.peer(node);
        let (here, there) = (&self.at(node).database, &self.at(&peer).database);
        let upstream = here.upstream.as_deref().unwrap_or_default();
        let follows = upstream.is_empty() || upstream == self.address(&peer);
        here.up && here.standby && here.connected && follows && there.writes()
    }

    /// What a command must still wait for, and how long it would.
    pub(crate) fn waits(&self, node: &NodeName, call: &Call) -> Option<Duration> {
        let here = &self.at(node).database;
        let waiting = |target: &str, beyond: bool| {
            let target = position_of(target);
            here.up && here.standby && (here.position < target || (beyond && here.position == target))
        };
        match call.id.as_str() {
            "db.progress" if waiting(call.arg(SERVER), false) => Some(Duration::from_secs(2)),
            "db.promote" if waiting(call.arg(SERVER + 1), call.arg(SERVER) == "shutdown") => {
                Some(Duration::from_secs(call.arg(SERVER + 2).parse().unwrap_or(5)))
            }
            "db.demote" if here.writes() && !self.streams(&self.peer(node)) => Some(Duration::from_secs(5)),
            "node.quiet" if self.busy(node) => Some(Duration::from_secs(call.arg(0).parse().unwrap_or(1))),
            "vip.announce" if !self.at(node).keepalived.holds() => {
                Some(Duration::from_millis(20 * call.arg(1).parse().unwrap_or(0)))
            }
            _ => None,
        }
    }

    pub(crate) fn database(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        let more = |at: usize| call.arg(SERVER + at).to_owned();
        let here = &self.at(node).database;
        let silent = || Failed::saying(2, "psql: error: connection to server failed: No such file or directory");
        Some(match call.id.as_str() {
            "db.position" | "db.progress" | "db.checkpoint" | "db.migrate" if !here.up => Err(silent()),
            "db.position" if here.standby => Ok("standby\n".to_owned()),
            "db.position" => Ok(format!("primary {}\n", lsn(here.position))),
            "db.progress" => {
                let receiver = self.streams(node).then_some("streaming");
                let replayed = here.standby.then(|| lsn(here.position));
                Ok(json!({ "standby": here.standby, "replay_lsn": replayed, "receiver": receiver }).to_string())
            }
            "db.checkpoint" => {
                let now = self.now;
                let here = &mut self.machine(node).database;
                here.checkpoint = Checkpoint { redo: here.position, at: Some(now) };
                self.write(node);
                self.changed("db.checkpointed", node, "checkpoint");
                Ok(String::new())
            }
            "db.migrate" => self.migrate(node, &call.args[SERVER..]),
            "db.demote" => self.demote(node, more(0)),
            "db.promote" => self.promote(node, &more(0), &more(1)),
            "db.rejoin" => self.rejoin(node, more(0)),
            "db.reinstate" => self.reinstate(node),
            "db.base-backup" => self.base_backup(node, &format!("{}/{}", more(0), more(1))),
            "db.backup-look" => {
                let record = self.at(node).sets.database(&format!("{}/{}", more(0), more(1)));
                Ok(record.map(Value::to_string).unwrap_or_default())
            }
            _ => return None,
        })
    }

    /// Something is written to the log of a primary; its standby hears of it.
    fn write(&mut self, node: &NodeName) {
        let here = &mut self.machine(node).database;
        here.position += 0x100;
        let position = here.position;
        let peer = self.peer(node);
        self.schedule(REPLAY, &peer, Later::Replays(position));
    }

    pub(crate) fn replays(&mut self, node: &NodeName, position: u64) {
        let peer = self.peer(node);
        let rows: Vec<Row> =
            self.at(&peer).database.history.iter().filter(|row| row.position <= position).cloned().collect();
        let timeline = self.at(&peer).database.timeline;
        let address = self.address(&peer);
        let here = &mut self.machine(node).database;
        let follows = here.upstream.as_deref().is_some_and(|upstream| upstream.is_empty() || upstream == address);
        // What a primary sent before it stopped is replayed although it is gone by now.
        if here.up && here.standby && follows && here.position <= position {
            here.position = position;
            here.history = rows;
            here.timeline = timeline;
            here.connected = true;
        }
    }

    /// `$1` owner, `$2` lock timeout, `$3` statement timeout, `$4` version, `$5` name, `$6` checksum, `$7` phase,
    /// `$8` run, `$9` kind.
    fn migrate(&mut self, node: &NodeName, args: &[String]) -> Answer {
        let arg = |at: usize| args.get(at - 1).cloned().unwrap_or_default();
        let here = &self.at(node).database;
        if here.standby {
            return Err(Failed::saying(3, "ERROR:  25006: cannot execute in a read-only transaction"));
        }
        if here.history.iter().any(|row| row.version == arg(4) && row.phase == arg(7)) {
            return Err(Failed::saying(3, "ERROR:  23505: duplicate key value violates unique constraint"));
        }
        let position = here.position + 0x100;
        let row = Row { version: arg(4), name: arg(5), checksum: arg(6), phase: arg(7), kind: arg(9), position };
        self.machine(node).database.history.push(row);
        self.write(node);
        self.changed("migration.applied", node, format!("{} {}", arg(4), arg(7)));
        Ok(String::new())
    }

    fn follow(&mut self, node: &NodeName, address: String) {
        let here = &mut self.machine(node).database;
        here.signal = true;
        here.upstream = Some(address);
    }

    fn demote(&mut self, node: &NodeName, next: String) -> Answer {
        let (up, standby, position) = {
            let here = &self.at(node).database;
            (here.up, here.standby, here.position)
        };
        if up && standby {
            return Ok(format!("standby {}\n", lsn(position)));
        }
        if up {
            let peer = self.peer(node);
            if !self.streams(&peer) {
                return Err(Failed::saying(3, "no standby is streaming from this server"));
            }
            self.follow(node, next);
            self.write(node);
            let here = &mut self.machine(node).database;
            here.up = false;
            here.connected = false;
            here.shutdown = Some(position);
            self.changed("db.stopped", node, "server");
            return Ok(format!("shutdown {}\n", lsn(position)));
        }
        match self.at(node).database.shutdown {
            Some(position) => {
                self.follow(node, next);
                Ok(format!("shutdown {}\n", lsn(position)))
            }
            None => Err(Failed::saying(3, "the server is down without a clean shutdown: `in production`")),
        }
    }

    fn promote(&mut self, node: &NodeName, kind: &str, target: &str) -> Answer {
        let here = &self.at(node).database;
        if !here.up {
            return Err(Failed::saying(3, "connection to server failed"));
        }
        if !here.standby {
            return Ok(String::new());
        }
        let target = position_of(target);
        if here.position < target || (here.position == target && kind == "shutdown") {
            return Err(Failed::saying(3, format!("ERROR:  replayed up to {} only", lsn(here.position))));
        }
        let here = &mut self.machine(node).database;
        here.standby = false;
        here.signal = false;
        here.timeline += 1;
        here.checkpoint.redo = here.position;
        self.changed("db.promoted", node, "server");
        self.write(node);
        Ok(String::new())
    }

    fn rejoin(&mut self, node: &NodeName, primary: String) -> Answer {
        let here = &self.at(node).database;
        if here.up && !here.standby {
            return Err(Failed::saying(3, "this server is a primary; it is not made a standby by force"));
        }
        let was_up = here.up;
        self.follow(node, primary);
        if !was_up {
            self.start_server(node);
        }
        Ok(String::new())
    }

    fn reinstate(&mut self, node: &NodeName) -> Answer {
        let here = &mut self.machine(node).database;
        here.signal = false;
        if here.writes() {
            return Ok(String::new());
        }
        here.up = false;
        self.start_server(node);
        Ok(String::new())
    }

    fn start_server(&mut self, node: &NodeName) {
        self.server_starts(node);
        self.changed("db.started", node, if self.at(node).database.standby { "standby" } else { "primary" });
    }

    /// The server is gone without a word; a clean stop of before stays one.
    pub(crate) fn server_dies(&mut self, node: &NodeName) {
        let here = &mut self.machine(node).database;
        (here.up, here.connected) = (false, false);
    }

    /// The server starts as what its files say.
    pub(crate) fn server_starts(&mut self, node: &NodeName) {
        let here = &mut self.machine(node).database;
        here.up = true;
        here.standby = here.signal;
        here.connected = false;
        here.shutdown = None;
        let peer = self.peer(node);
        let position = self.at(&peer).database.position;
        self.schedule(CATCH_UP, node, Later::Replays(position));
        // The other one follows a server that is back, if this is the one it follows.
        let position = self.at(node).database.position;
        self.schedule(CATCH_UP, &peer, Later::Replays(position));
    }

    fn base_backup(&mut self, node: &NodeName, dir: &str) -> Answer {
        if !self.at(node).database.up {
            return Err(Failed::saying(3, "the server does not run"));
        }
        if self.at(node).sets.database(dir).is_none() {
            let record = json!({
                "engine": "postgresql", "version": "15.14", "method": "pg_basebackup", "timeline": 1,
                "start_lsn": "0/2000028", "end_lsn": "0/2000100", "bytes": 30_000_000, "seconds": 1,
                "manifest_sha256": "db".repeat(32),
            });
            self.machine(node).sets.keep_database(dir, record);
            self.changed("db.backed-up", node, "set");
        }
        Ok(String::new())
    }
}
