//! The database server of a machine: PostgreSQL or openGauss, as far as the commands of a run can tell.
//!
//! The first five arguments of every command are the server's own (tools or environment, data directory, port, database,
//! user). What the engines share is here: data directories, positions, history, archives. How roles change and what a look
//! prints is each one's own.

mod archive;
mod data;
mod exchange;
mod opengauss;
mod postgresql;
mod probe;
mod settings;
mod tools;

use std::time::Duration;

use rollup_model::{NodeName, inventory::DatabaseEngine};
use serde::{Serialize, Serializer};
use serde_json::json;

use self::{
    data::{Data, Row},
    settings::Settings,
};
pub(crate) use self::{opengauss::Patience, tools::Changing};
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

/// The identity that both servers share.
const SYSTEM: &str = "7300000000000000001";

/// When the last transaction was committed, by every server's word.
const LAST_COMMIT: &str = "2026-03-01T09:59:58Z";

/// The database server of a machine.
#[derive(Debug)]
pub(crate) struct Database {
    up: bool,
    /// What it plays while it is up.
    standby: bool,
    /// A standby that has connected to its upstream.
    connected: bool,
    /// Between two roles, which only openGauss shows.
    changing: Option<Changing>,
    /// Until when a tool watches that changes the role, if nothing comes of it before.
    tool_until: Duration,
    /// What its commits waited for before, in the file that is there for as long as it is not put back.
    relaxed: Option<String>,
    checkpoint: Checkpoint,
    /// The node's own data directory; between two renames it is not there.
    data: Option<Data>,
    /// `.rollup-new` and `.rollup-old` beside it.
    new: Option<Data>,
    old: Option<Data>,
}

#[derive(Debug)]
struct Checkpoint {
    redo: u64,
    at: Option<Duration>,
}

/// What two good runs leave alike. Positions are not.
impl Serialize for Database {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let data = |data: &Option<Data>| {
            data.as_ref().map(|data| {
                let history: Vec<_> = data.history.iter().map(|row| (&row.name, &row.phase, &row.kind)).collect();
                let Data { signal, upstream, marker, .. } = data;
                json!({
                    "signal": signal, "upstream": upstream, "marker": marker, "timeline": data.timeline(),
                    "history": history,
                })
            })
        };
        let shown = json!({
            "up": self.up, "standby": self.standby, "commits": self.commits(),
            "data": data(&self.data), "new": data(&self.new), "old": data(&self.old),
        });
        shown.serialize(serializer)
    }
}

fn lsn(position: u64) -> String {
    format!("{:X}/{:X}", position >> 32, position & 0xFFFF_FFFF)
}

/// What the input of a promotion says, unless it just ends.
fn handed_over(call: &Call) -> Option<(String, String)> {
    let text = call.text();
    let (kind, target) = text.trim().split_once(' ')?;
    Some((kind.to_owned(), target.to_owned()))
}

fn position_of(lsn: &str) -> u64 {
    let (high, low) = lsn.split_once('/').unwrap_or(("0", lsn));
    let half = |text: &str| u64::from_str_radix(text, 16).unwrap_or_default();
    half(high) << 32 | half(low)
}

impl Database {
    /// One of a pair that replicates.
    pub(crate) fn new(engine: DatabaseEngine, primary: bool) -> Self {
        Self {
            up: true,
            standby: !primary,
            connected: true,
            changing: None,
            tool_until: Duration::ZERO,
            relaxed: None,
            checkpoint: Checkpoint { redo: 0x2FF_0000, at: None },
            data: Some(Data::new(engine, primary)),
            new: None,
            old: None,
        }
    }

    /// Whether the server runs.
    pub(crate) fn runs(&self) -> bool {
        self.up
    }

    /// Whether it answers a question: not while it steps down.
    fn answers(&self) -> bool {
        self.up && self.changing != Some(Changing::Demoting)
    }

    /// Whether it would come up as a standby.
    pub(crate) fn is_marked(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.signal)
    }

    /// Whether it accepts writes.
    pub(crate) fn writes(&self) -> bool {
        self.answers() && !self.standby
    }

    /// Names of the migrations in its history.
    pub(crate) fn migrations(&self) -> Vec<&str> {
        self.data.iter().flat_map(|data| &data.history).map(|row| row.name.as_str()).collect()
    }

    /// Runs that are named in its history.
    pub(crate) fn runs_in_history(&self) -> Vec<&str> {
        self.data.iter().flat_map(|data| &data.history).map(|row| row.run.as_str()).collect()
    }

    fn position(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.position)
    }

    /// A clean stop.
    fn stops(&mut self) {
        let primary = self.writes();
        (self.up, self.connected, self.changing) = (false, false, None);
        if let Some(data) = &mut self.data {
            data.shutdown = primary.then_some(data.position);
            data.ended = if primary { "shut down" } else { "shut down in recovery" }.to_owned();
        }
    }
}

impl World {
    /// Whether it is openGauss that both machines have.
    pub(crate) fn is_gauss(&self) -> bool {
        self.inventory.database.engine != DatabaseEngine::Postgresql
    }

    fn address(&self, node: &NodeName) -> String {
        self.inventory.node(node).map(|node| node.peer_address().to_owned()).unwrap_or_default()
    }

    fn streams(&self, node: &NodeName) -> bool {
        let peer = self.peer(node);
        let (here, there) = (&self.at(node).database, &self.at(&peer).database);
        here.up && here.standby && here.connected && there.writes() && self.follows(node)
    }

    /// Whether the server of a machine is set to follow the other one, and can.
    fn follows(&self, node: &NodeName) -> bool {
        let peer = self.peer(node);
        let (Some(here), Some(there)) = (&self.at(node).database.data, &self.at(&peer).database.data) else {
            return false;
        };
        let to_peer = here.upstream.as_deref().is_some_and(|to| to.is_empty() || to == self.address(&peer));
        to_peer && here.can_follow(there)
    }

    /// The data directory of a running server.
    fn data(&mut self, node: &NodeName) -> Option<&mut Data> {
        self.machine(node).database.data.as_mut()
    }

    /// What a command must still wait for, and how long it would.
    pub(crate) fn waits(&self, node: &NodeName, call: &Call) -> Option<Duration> {
        let here = &self.at(node).database;
        let waiting = |target: &str, beyond: bool| {
            let target = position_of(target);
            here.up && here.standby && (here.position() < target || (beyond && here.position() == target))
        };
        match call.id.as_str() {
            "db.progress" if waiting(call.arg(SERVER), false) => Some(Duration::from_secs(2)),
            "db.promote"
                if handed_over(call)
                    .is_some_and(|(kind, target)| kind != "switch" && waiting(&target, kind == "shutdown")) =>
            {
                Some(Duration::from_secs(5))
            }
            "db.demote" if !self.is_gauss() && here.writes() && !self.streams(&self.peer(node)) => {
                Some(Duration::from_secs(5))
            }
            "job.look" if self.at(node).desk.job_runs(call.arg(0)) => {
                Some(Duration::from_secs(call.arg(1).parse().unwrap_or(1)))
            }
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
            "db.position" | "db.progress" | "db.checkpoint" | "db.migrate" | "db.revert" | "db.relax"
            | "db.tighten"
                if !here.answers() =>
            {
                Err(silent())
            }
            "db.position" if here.standby => Ok("standby\n".to_owned()),
            "db.position" => Ok(format!("primary {}\n", lsn(here.position()))),
            "db.progress" if self.is_gauss() => Ok(self.progress_by_tools(node)),
            "db.progress" => {
                let receiver = self.streams(node).then_some("streaming");
                let replayed = here.standby.then(|| lsn(here.position()));
                Ok(json!({ "standby": here.standby, "replay_lsn": replayed, "receiver": receiver }).to_string())
            }
            "db.checkpoint" => {
                let now = self.now;
                let here = &mut self.machine(node).database;
                here.checkpoint = Checkpoint { redo: here.position(), at: Some(now) };
                self.write(node);
                self.changed("db.checkpointed", node, "checkpoint");
                Ok(String::new())
            }
            "db.migrate" => self.migrate(node, &call.args[SERVER..]),
            "db.promote" if self.is_gauss() => self.promote_by_tools(node, call),
            "db.promote" => match handed_over(call) {
                Some((kind, target)) => self.promote(node, &kind, &target),
                None => Err(Failed::saying(3, "ERROR:  nobody said up to where the old primary wrote")),
            },
            "db.demote" if self.is_gauss() => self.ask_for_the_role(node),
            "db.rejoin" if self.is_gauss() => self.rejoin_by_tools(node),
            "db.reinstate" if self.is_gauss() => self.reinstate_by_tools(node),
            "db.rebuild" if self.is_gauss() => self.build(node, &more(2)),
            "db.demote" => self.demote(node, more(0)),
            "db.rejoin" => self.rejoin(node, more(0)),
            "db.reinstate" => self.reinstate(node),
            "db.relax" => self.relax(node),
            "db.tighten" => self.tighten(node),
            "db.revert" => self.revert(node, &call.args[SERVER..]),
            "db.base-backup" | "db.backup-look" | "db.drill" | "db.drill-look" => self.archives(node, call),
            "db.place-look" => Ok(self.places(node)),
            "db.unpack" => self.unpack(node, &call.args[SERVER..]),
            "db.halt" => {
                self.halt(node);
                Ok(String::new())
            }
            "db.restore" => self.restore(node, &more(2)),
            "db.rebuild" => self.rebuild(node, &more(2), &more(3)),
            "db.discard" => self.discard(node),
            _ => return None,
        })
    }

    /// Something is written to the log of a primary; its standby hears of it.
    fn write(&mut self, node: &NodeName) {
        let Some(data) = self.data(node) else { return };
        data.position += 0x100;
        let position = data.position;
        let peer = self.peer(node);
        self.schedule(REPLAY, &peer, Later::Replays(position));
    }

    pub(crate) fn replays(&mut self, node: &NodeName, position: u64) {
        let peer = self.peer(node);
        let follows = self.follows(node);
        let Some(there) = self.at(&peer).database.data.clone() else { return };
        let here = &mut self.machine(node).database;
        // What a primary sent before it stopped is replayed although it is gone by now.
        let replays = here.up && here.standby && follows && position <= there.position;
        if let Some(data) = here.data.as_mut().filter(|data| replays && data.position <= position) {
            data.position = position;
            data.history = there.history.into_iter().filter(|row| row.position <= position).collect();
            data.timelines = there.timelines;
            here.connected = true;
        }
    }

    /// `$1` owner, `$2` lock timeout, `$3` statement timeout, `$4` version, `$5` name, `$6` checksum, `$7` phase,
    /// `$8` run, `$9` kind.
    fn migrate(&mut self, node: &NodeName, args: &[String]) -> Answer {
        let arg = |at: usize| args.get(at - 1).cloned().unwrap_or_default();
        if self.at(node).database.standby {
            return Err(Failed::saying(3, "ERROR:  25006: cannot execute in a read-only transaction"));
        }
        if self.knobs.blocked_migrations > 0 {
            self.knobs.blocked_migrations -= 1;
            return Err(Failed::saying(3, "psql:<stdin>:1: ERROR:  55P03: canceling statement due to lock timeout"));
        }
        let Some(data) = self.data(node) else { return Err(Failed::saying(2, "no server")) };
        if data.history.iter().any(|row| row.version == arg(4) && row.phase == arg(7)) {
            return Err(Failed::saying(3, "ERROR:  23505: duplicate key value violates unique constraint"));
        }
        let position = data.position + 0x100;
        data.history.push(Row {
            version: arg(4),
            name: arg(5),
            checksum: arg(6),
            phase: arg(7),
            run: arg(8),
            kind: arg(9),
            position,
        });
        self.write(node);
        self.changed("migration.applied", node, format!("{} {}", arg(4), arg(7)));
        Ok(String::new())
    }

    /// `$1` owner, `$2` lock timeout, `$3` statement timeout, `$4` version, `$5` phase, `$6` run, `$7` name.
    fn revert(&mut self, node: &NodeName, args: &[String]) -> Answer {
        let arg = |at: usize| args.get(at - 1).cloned().unwrap_or_default();
        if self.at(node).database.standby {
            return Err(Failed::saying(3, "ERROR:  25006: cannot execute in a read-only transaction"));
        }
        let Some(data) = self.data(node) else { return Err(Failed::saying(2, "no server")) };
        let is = |row: &Row| row.version == arg(4) && row.phase == arg(5) && row.run == arg(6) && row.kind == "applied";
        let before = data.history.len();
        data.history.retain(|row| !is(row));
        // A first try whose answer was lost has done it meanwhile.
        if data.history.len() < before {
            self.write(node);
            self.changed("migration.reverted", node, format!("{} {}", arg(4), arg(5)));
        }
        Ok(String::new())
    }

    fn start_server(&mut self, node: &NodeName) {
        self.server_starts(node);
        self.changed("db.started", node, if self.at(node).database.standby { "standby" } else { "primary" });
    }

    /// The server is gone without a word; a clean stop of before stays one.
    pub fn server_dies(&mut self, node: &NodeName) {
        let here = &mut self.machine(node).database;
        let ended = if here.standby { "in archive recovery" } else { "in production" };
        if let Some(data) = here.data.as_mut().filter(|_| here.up) {
            data.ended = ended.to_owned();
        }
        (here.up, here.connected, here.changing, here.tool_until) = (false, false, None, Duration::ZERO);
    }

    /// The server starts as what its files say.
    pub(crate) fn server_starts(&mut self, node: &NodeName) {
        let here = &mut self.machine(node).database;
        let Some(data) = &mut here.data else { return };
        data.shutdown = None;
        (here.up, here.standby, here.connected, here.changing) = (true, data.signal, false, None);
        let peer = self.peer(node);
        let position = self.at(&peer).database.position();
        self.schedule(CATCH_UP, node, Later::Replays(position));
        // The other one follows a server that is back, if this is the one it follows.
        let position = self.at(node).database.position();
        self.schedule(CATCH_UP, &peer, Later::Replays(position));
    }
}
