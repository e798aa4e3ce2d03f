//! What openGauss's tools print about a simulated server, as `probe.sh` passes it on.

use std::{fmt, time::Duration};

use rollup_model::NodeName;

use super::{Row, SYSTEM, lsn, opengauss::ASKED};
use crate::world::World;

const VERSION: &str = "(openGauss 6.0.0 build aee4abd5) compiled at 2024-09-29 18:39:40 commit 0 last mr   on \
                       x86_64-unknown-linux-gnu, compiled by g++ (GCC) 10.3.0, 64-bit";

/// The line that each gs_ctl begins with.
const TOLD: &str = "[2026-03-01 10:00:01.730][24438][][gs_ctl]: ";

/// What a server is about between two roles, in the tools' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changing {
    /// It steps down.
    Demoting,
    /// It has asked for the role.
    WaitPromoting,
}

impl fmt::Display for Changing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Changing::Demoting => "Demoting",
            Changing::WaitPromoting => "Wait promoting",
        })
    }
}

/// A row of a section.
fn row(key: &str, value: &str) -> String {
    format!("\t{key:<31}: {value}\n")
}

/// Positions of both ends, the receiver's own last.
fn locations(sent: &str, replayed: &str) -> String {
    let keys = ["sender_sent", "sender_write", "sender_flush", "sender_replay", "receiver_received", "receiver_write"];
    let rows: String = keys.iter().map(|key| row(&format!("{key}_location"), sent)).collect();
    rows + &row("receiver_flush_location", sent)
        + &row("receiver_replay_location", replayed)
        + &row("sync_percent", "100%")
}

/// Each line behind `| `, after the tool's name and its status.
fn passed_on(name: &str, status: i32, said: &str) -> String {
    format!("tool {name} {status}\n{}", quoted(said))
}

fn quoted(said: &str) -> String {
    said.lines().map(|line| format!("| {line}\n")).collect()
}

impl World {
    /// `gs_ctl query`, with its status.
    fn query(&self, node: &NodeName) -> (i32, String) {
        let here = &self.at(node).database;
        let dir = &self.inventory.database.data_dir;
        let title = format!("{TOLD}gs_ctl query ,datadir is {dir} \n");
        if !here.up {
            return (
                1,
                format!("{title}{TOLD} PID file \"{dir}/postmaster.pid\" does not exist\n{TOLD}Is server running?\n"),
            );
        }
        let peer = self.peer(node);
        let role = if here.standby { "Standby" } else { "Primary" };
        let alone = here.standby && !self.streams(node) && here.changing.is_none();
        let state =
            here.changing.map_or(if alone { "Need repair" } else { "Normal" }.to_owned(), |state| state.to_string());
        let detail = if alone { "Connecting..." } else { "Normal" };
        let mut text = title + " HA state:           \n";
        for (key, value) in
            [("local_role", role), ("static_connections", "1"), ("db_state", &state), ("detail_information", detail)]
        {
            text += &row(key, value);
        }
        let (mine, other) = (self.address(node), self.address(&peer));
        let nothing = "No information \n";
        text += "\n Senders info:       \n";
        if self.streams(&peer) {
            let (sent, replayed) = (lsn(here.position()), lsn(self.at(&peer).database.position()));
            let who =
                [("sender_pid", "15464"), ("local_role", role), ("peer_role", "Standby"), ("peer_state", "Normal")];
            text.extend(who.map(|(key, value)| row(key, value)));
            text += &(row("state", "Streaming") + &locations(&sent, &replayed));
            text += &(row("sync_state", "Sync") + &row("sync_priority", "1"));
            text += &row("sync_most_available", if here.settings().available { "On" } else { "Off" });
            text += &(row("channel", &format!("{mine}:15401-->{other}:35446")) + "\n");
        } else {
            text += nothing;
        }
        text += " Receiver info:      \n";
        if self.streams(node) {
            let (sent, replayed) = (lsn(self.at(&peer).database.position()), lsn(here.position()));
            let who =
                [("receiver_pid", "15424"), ("local_role", role), ("peer_role", "Primary"), ("peer_state", "Normal")];
            text.extend(who.map(|(key, value)| row(key, value)));
            text += &(row("state", &state) + &locations(&sent, &replayed));
            text += &row("channel", &format!("{mine}:35446<--{other}:15401"));
        } else {
            text += nothing;
        }
        (0, text)
    }

    /// What `replayed.sh` prints.
    pub(super) fn progress_by_tools(&self, node: &NodeName) -> String {
        let here = &self.at(node).database;
        let at = if here.standby { lsn(here.position()) } else { "primary".to_owned() };
        let (status, said) = self.query(node);
        format!("at {at}\n{}", passed_on("query", status, &said))
    }

    /// What a promotion prints after its word, once nobody waits any longer.
    pub(crate) fn outcome(&self, node: &NodeName, in_time: bool, tool: Duration) -> String {
        let dir = &self.inventory.database.data_dir;
        let begins = format!("status 0\n{TOLD}switchover term (1)\n{TOLD}waiting for server to switchover....\n");
        let gave_up =
            format!("\n switchover timeout after {} seconds. please manually check the cluster status", tool.as_secs());
        match (in_time, self.at(node).database.writes()) {
            (true, _) => format!("{begins}{TOLD}done\n{TOLD}switchover completed ({dir})\n"),
            (false, true) => format!("{begins}{gave_up}.\nit is the primary\n"),
            (false, false) => format!("{begins}{gave_up}.\n"),
        }
    }

    /// Whether a promotion has asked the servers, and has not said yet what came of it.
    pub(crate) fn is_open(said: &str) -> bool {
        said == ASKED
    }

    /// The text of `probe.sh`.
    pub(super) fn facts_by_tools(&self, node: &NodeName) -> String {
        let here = &self.at(node).database;
        let mode = match &here.data {
            None => "none",
            Some(data) if data.signal => "standby",
            Some(_) => "primary",
        };
        let state = if here.up { "active" } else { "inactive" };
        let mut text = format!("unit {state}\nsize-kb 40000\nlast-mode {mode}\n");
        text.extend(here.relaxed.as_ref().map(|before| format!("relaxed {before}\n")));
        text += &self.leftovers(node);
        text += &self.control(node);
        let age = here.checkpoint.at.map_or(200 + self.now.as_secs(), |at| self.now.saturating_sub(at).as_secs());
        text += &format!("checkpoint-age {age}\nmanager absent\nremote {} \n", self.address(&self.peer(node)));
        let (status, said) = self.query(node);
        text += &passed_on("query", status, &said);
        match (here.up, here.answers()) {
            (false, _) => text,
            (true, false) => text + "sql no\n| gsql: FATAL:  the database system is shutting down\n",
            (true, true) => format!("{text}sql yes\n{}", quoted(&self.answers(node))),
        }
    }

    /// What gsql answers to the questions of `probe.sh`.
    fn answers(&self, node: &NodeName) -> String {
        let here = &self.at(node).database;
        let Some(data) = &here.data else { return String::new() };
        let position = lsn(data.position);
        let (current, received) = if here.standby { ("", position.as_str()) } else { (position.as_str(), "") };
        let mut text = format!(
            "version\t{VERSION}\ncurrent\t{current}\nreceived\t{received}\nreplayed\t{received}\nnext-xid\t{}\n\
             last-commit\t{}\npaused\tf\n",
            data.position >> 8,
            if here.standby { super::LAST_COMMIT } else { "" },
        );
        let available = if data.settings.available { "on" } else { "off" };
        for (name, value) in [
            ("default_transaction_read_only", "off"),
            ("enable_dcf", "off"),
            ("max_wal_senders", "16"),
            ("most_available_sync", available),
            ("recovery_min_apply_delay", "0"),
            ("synchronous_commit", "on"),
            ("synchronous_standby_names", data.settings.names.as_str()),
            ("upgrade_mode", "0"),
            ("wal_level", "hot_standby"),
        ] {
            text += &format!("setting\t{name}\t{value}\t\n");
        }
        text += &format!("tablespaces\t0\nhistory-kept\t{}\n", u8::from(!data.history.is_empty()));
        let applied = |row: &Row| {
            let Row { version, phase, name, checksum, kind, run, .. } = row;
            format!("applied\t{version}\t{phase}\t{name}\t{checksum}\t{kind}\t{run}\n")
        };
        text + &data.history.iter().map(applied).collect::<String>()
    }

    /// What `pg_controldata` says. No change of roles begins a timeline here, so that nobody tells anything from one.
    fn control(&self, node: &NodeName) -> String {
        let here = &self.at(node).database;
        let Some(data) = &here.data else {
            return "control pg_controldata: could not open file \"global/pg_control\" for reading\n".to_owned();
        };
        let state = match (here.up, here.standby) {
            (true, true) => "in archive recovery",
            (true, false) => "in production",
            (false, _) => data.ended.as_str(),
        };
        let redo = lsn(data.shutdown.unwrap_or(here.checkpoint.redo));
        format!(
            "control Database system identifier:           {SYSTEM}\n\
             control Database cluster state:               {state}\n\
             control Latest checkpoint location:           {redo}\n\
             control Latest checkpoint's REDO location:    {redo}\n\
             control Latest checkpoint's TimeLineID:       1\n"
        )
    }
}
