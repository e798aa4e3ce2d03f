//! `gs_ctl query`: what a server says of itself, of who receives from it and of what it receives.
//!
//! Source: `pg_ctl.cpp` (`do_query`, `display_query`) and `streamutil.cpp` (`exe_sql`) of openGauss-server; the words from
//! `walreceiverfuncs.cpp`, `walsender.cpp` and `postmaster.cpp`.

use serde::Serialize;

use super::{
    sections::{self, Block, Section},
    text::{Said, Shown},
    words::{DbState, Detail, PeerRole, Role, SenderState, SyncState, Vocabulary, Word},
};
use crate::Lsn;

/// What `gs_ctl query` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Query {
    /// The server answered.
    Online(Box<Online>),
    /// A server process lives, but did not let the tool in; **exit status 0 all the same** where there is a state file.
    /// What is in it is what some server wrote last, no proof of anything: `None` without a state file.
    Offline(Option<LastState>),
    /// The tool found no server running. It looks at `postmaster.pid` alone.
    Down(Down),
    /// The server let the tool in, but a question was answered with an error; exit status 0.
    SqlFailed(Shown),
    /// The cluster replicates by DCF (Paxos). Out of scope: refuse it.
    Paxos(Role),
    /// Another tool holds the lock; ask again.
    OtherToolRuns,
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// Why no server is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Down {
    /// There is no `postmaster.pid`.
    NoPidFile,
    /// It names this process, which does not run.
    StalePid(u64),
    /// It names a process of another program.
    ForeignPid,
}

/// What is in the file `gaussdb.state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastState {
    /// The part some server played when it wrote the file. Do not act on it.
    pub last_role: Role,
    /// What it was about then.
    pub last_db_state: DbState,
    /// Why the tool was not let in, in the client library's words.
    pub why: Shown,
}

/// A server's own answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Online {
    /// Which part it plays.
    pub local_role: Role,
    /// How many servers its configuration names.
    pub static_connections: Option<u32>,
    /// What it is about.
    pub db_state: DbState,
    /// Why.
    pub detail: Word<Detail>,
    /// Who receives from it.
    pub senders: Vec<Sender>,
    /// What it receives.
    pub receiver: Option<Receiver>,
}

/// What helps a standby in the state `Need repair`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// Time: its primary is down or has just started.
    Wait,
    /// A build from the primary, and nothing else.
    Rebuild,
    /// A look at its log: the detail does not settle it.
    Look,
}

/// One connection that sends the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sender {
    /// The thread that sends.
    pub sender_pid: Option<u64>,
    /// Which part the receiving server plays.
    pub peer_role: Word<PeerRole>,
    /// What that server is about.
    pub peer_state: Word<DbState>,
    /// How far the connection is.
    pub state: Word<SenderState>,
    /// The positions. **Those that the primary does not know are replaced by the sent one** (`walsender.cpp`,
    /// `SETXLOGLOCATION`), so equality proves nothing: ask the standby itself.
    pub locations: Locations,
    /// How much of what this side has flushed the other side has flushed, in percent; no proof of replay.
    pub sync_percent: Option<u8>,
    /// Whether commits wait for this standby.
    pub sync_state: Word<SyncState>,
    /// Its place in the list of synchronous standbys.
    pub sync_priority: Option<u32>,
    /// Whether commits go on when no synchronous standby is left.
    pub sync_most_available: Option<bool>,
    /// Addresses of both ends, `local-->remote`.
    pub channel: String,
}

/// What a standby receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Receiver {
    /// The thread that receives.
    pub receiver_pid: Option<u64>,
    /// Which part the sending server plays.
    pub peer_role: Word<PeerRole>,
    /// What that server is about.
    pub peer_state: Word<DbState>,
    /// What this server is about.
    pub state: Word<DbState>,
    /// The positions; the receiver's own are this server's word.
    pub locations: Locations,
    /// In percent.
    pub sync_percent: Option<u8>,
    /// Addresses of both ends, `local<--remote`.
    pub channel: String,
}

/// Positions of both ends of a connection; `None`: not told, for example to a user without the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Locations {
    pub sender_sent: Option<Lsn>,
    pub sender_write: Option<Lsn>,
    pub sender_flush: Option<Lsn>,
    pub sender_replay: Option<Lsn>,
    pub receiver_received: Option<Lsn>,
    pub receiver_write: Option<Lsn>,
    pub receiver_flush: Option<Lsn>,
    pub receiver_replay: Option<Lsn>,
}

const KEYS: [&str; 21] = [
    "local_role",
    "static_connections",
    "db_state",
    "detail_information",
    "sync_mode",
    "sender_pid",
    "receiver_pid",
    "peer_role",
    "peer_state",
    "state",
    "sender_sent_location",
    "sender_write_location",
    "sender_flush_location",
    "sender_replay_location",
    "receiver_received_location",
    "receiver_write_location",
    "receiver_flush_location",
    "receiver_replay_location",
    "sync_percent",
    "sync_state",
    "channel",
];

/// Rows that only senders have; apart, so that older versions may lack them.
const MORE_KEYS: [&str; 2] = ["sync_priority", "sync_most_available"];

impl Online {
    /// It plays the primary and is well.
    pub fn is_well_primary(&self) -> bool {
        self.local_role == Role::Primary && self.db_state == DbState::Normal
    }

    /// It is a standby that receives, from a primary, and is well. Says nothing of how much it lacks.
    pub fn is_well_standby(&self) -> bool {
        let from_primary = |receiver: &Receiver| receiver.peer_role.is(PeerRole::Primary);
        self.local_role == Role::Standby
            && self.db_state == DbState::Normal
            && self.receiver.as_ref().is_some_and(from_primary)
    }

    /// What helps; `None`: it does not need repair.
    pub fn repair(&self) -> Option<Repair> {
        (self.db_state == DbState::NeedRepair).then_some(match self.detail {
            Word::Known(Detail::Connecting | Detail::Disconnected) => Repair::Wait,
            Word::Known(
                Detail::WalSegmentRemoved
                | Detail::VersionNotMatched
                | Detail::SystemIdNotMatched
                | Detail::TimelineNotMatched,
            ) => Repair::Rebuild,
            _ => Repair::Look,
        })
    }
}

/// Reads what `gs_ctl query -D DIR` printed. `status`: its exit status.
pub fn read(status: i32, text: &str) -> Query {
    let said = Said::of(text);
    if said.other_tool_runs(status) {
        return Query::OtherToolRuns;
    }
    let unknown = || Query::Unknown(Shown::of(text));
    let keys: Vec<&str> = KEYS.iter().chain(&MORE_KEYS).copied().collect();
    let Some(sections) = sections::read(&said, &keys) else { return unknown() };
    match sections.is_empty() {
        true if status == 1 => silent(&said).unwrap_or_else(unknown),
        false if status == 0 && said.says("exc_sql failed.") => Query::SqlFailed(Shown::of(text)),
        false if status == 0 => answered(&sections).unwrap_or_else(unknown),
        _ => unknown(),
    }
}

/// Why there are no sections.
fn silent(said: &Said<'_>) -> Option<Query> {
    let line = said.holding(&["postmaster.pid\"", "could not connect to the local server", "gaussdb.state\""])?;
    if line.starts_with("PID file \"") && line.trim_end_matches('.').ends_with("\" does not exist") {
        return Some(Query::Down(Down::NoPidFile));
    }
    if line.starts_with("The process recorded in PID file \"") && line.ends_with("\" is not current server") {
        return Some(Query::Down(Down::ForeignPid));
    }
    if line.starts_with("file \"") && line.ends_with("\" is not exist") {
        return Some(Query::Offline(None));
    }
    let process = line.strip_prefix("could not connect to the local server, the postmaster process ")?;
    let process = process.strip_suffix(" is not running")?.parse().ok()?;
    Some(Query::Down(Down::StalePid(process)))
}

/// `None`: something is missing or is no word of the tool.
fn answered(sections: &[Section]) -> Option<Query> {
    let section = |title: &str| sections.iter().find(|section| section.title == title);
    let [ha] = section("ha state")?.blocks.as_slice() else { return None };
    let role = Role::of(ha.get("local_role")?)?;
    let db_state = DbState::of(ha.get("db_state")?)?;
    let detail = ha.get("detail_information")?;
    if ha.get("sync_mode").is_some() {
        let why = [&[detail.to_owned()], ha.more.as_slice()].concat().join("\n");
        let last = LastState { last_role: role, last_db_state: db_state, why: Shown::of(&why) };
        return Some(Query::Offline(Some(last)));
    }
    if section("paxos replication info").is_some() {
        return Some(Query::Paxos(role));
    }
    let senders = blocks(section("senders info")?)?.iter().map(sender).collect::<Option<Vec<_>>>()?;
    let receiver = match blocks(section("receiver info")?)? {
        [] => None,
        [one] => Some(receiver(one)?),
        _ => return None,
    };
    Some(Query::Online(Box::new(Online {
        local_role: role,
        static_connections: ha.get("static_connections").and_then(|count| count.parse().ok()),
        db_state,
        detail: Word::of(detail),
        senders,
        receiver,
    })))
}

/// Blocks, or the word that there are none; a section with neither was cut off.
fn blocks(section: &Section) -> Option<&[Block]> {
    (section.nothing == section.blocks.is_empty()).then_some(section.blocks.as_slice())
}

fn sender(block: &Block) -> Option<Sender> {
    Some(Sender {
        sender_pid: number(block.get("sender_pid")?)?,
        peer_role: Word::of(block.get("peer_role")?),
        peer_state: Word::of(block.get("peer_state")?),
        state: Word::of(block.get("state")?),
        locations: locations(block)?,
        sync_percent: percent(block.get("sync_percent")?)?,
        sync_state: Word::of(block.get("sync_state")?),
        sync_priority: block.get("sync_priority").and_then(|number| number.parse().ok()),
        sync_most_available: match block.get("sync_most_available").map(str::to_ascii_lowercase).as_deref() {
            Some("on") => Some(true),
            Some("off") => Some(false),
            _ => None,
        },
        channel: block.get("channel")?.to_owned(),
    })
}

fn receiver(block: &Block) -> Option<Receiver> {
    Some(Receiver {
        receiver_pid: number(block.get("receiver_pid")?)?,
        peer_role: Word::of(block.get("peer_role")?),
        peer_state: Word::of(block.get("peer_state")?),
        state: Word::of(block.get("state")?),
        locations: locations(block)?,
        sync_percent: percent(block.get("sync_percent")?)?,
        channel: block.get("channel")?.to_owned(),
    })
}

fn locations(block: &Block) -> Option<Locations> {
    let lsn = |key: &str| match block.get(key)? {
        "" => Some(None),
        text => text.parse().ok().map(Some),
    };
    Some(Locations {
        sender_sent: lsn("sender_sent_location")?,
        sender_write: lsn("sender_write_location")?,
        sender_flush: lsn("sender_flush_location")?,
        sender_replay: lsn("sender_replay_location")?,
        receiver_received: lsn("receiver_received_location")?,
        receiver_write: lsn("receiver_write_location")?,
        receiver_flush: lsn("receiver_flush_location")?,
        receiver_replay: lsn("receiver_replay_location")?,
    })
}

/// An empty value is one that was not told.
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

fn percent(text: &str) -> Option<Option<u8>> {
    if text.is_empty() { Some(None) } else { text.strip_suffix('%')?.parse().ok().map(Some) }
}
