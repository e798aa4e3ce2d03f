//! What the probe prints about a simulated database server.

use rollup_model::NodeName;
use serde_json::{Value, json};

use super::{LAST_COMMIT, Row, SYSTEM, lsn};
use crate::world::World;

impl World {
    /// What becomes of a write that is tried and rolled back.
    pub(crate) fn database_write(&self, node: &NodeName) -> &'static str {
        let here = &self.at(node).database;
        match (here.up, here.standby) {
            (false, _) => "write stopped\n",
            (true, true) => "write standby\n",
            (true, false) => "write works\n",
        }
    }

    /// The text of the database's probe.
    pub(crate) fn database_facts(&self, node: &NodeName) -> String {
        if self.is_gauss() { self.facts_by_tools(node) } else { self.facts_by_psql(node) }
    }

    /// What an exchange has left; in the middle of a way back it is its own.
    pub(super) fn leftovers(&self, node: &NodeName) -> String {
        let here = &self.at(node).database;
        let dir = &self.inventory.database.data_dir;
        let beside = [("new", here.new.is_some()), ("old", here.old.is_some())];
        let own = here.data.as_ref().is_some_and(|data| data.marker.is_none());
        let left = beside.iter().filter(|(_, there)| own && *there);
        left.map(|(name, _)| format!("left {dir}.rollup-{name}\n")).collect()
    }

    fn facts_by_psql(&self, node: &NodeName) -> String {
        let peer = self.peer(node);
        let here = &self.at(node).database;
        let mut text = format!(
            "unit {}\nsize-kb 40000\nsignal {}\n",
            if here.up { "active" } else { "inactive" },
            if here.is_marked() { "yes" } else { "no" }
        );
        text.extend(here.relaxed.as_ref().map(|before| format!("relaxed {before}\n")));
        let Some(data) = &here.data else {
            return text + "control pg_controldata: error: could not open file: No such file or directory\n";
        };
        text += &self.leftovers(node);
        let state = match (here.up, here.standby) {
            (true, true) => "in archive recovery",
            (true, false) => "in production",
            (false, _) => data.ended.as_str(),
        };
        text.push_str(&format!(
            "control Database system identifier:           {SYSTEM}\n\
             control Database cluster state:               {state}\n\
             control Latest checkpoint location:           {}\n\
             control Latest checkpoint's TimeLineID:       {}\n",
            lsn(data.shutdown.unwrap_or(here.checkpoint.redo)),
            data.timeline()
        ));
        if !here.up {
            return text;
        }
        let age = here.checkpoint.at.map_or(200 + self.now.as_secs(), |at| self.now.saturating_sub(at).as_secs());
        let position = lsn(data.position);
        let sender = json!({
            "application_name": peer, "client_addr": self.address(&peer), "state": "streaming", "sync_state": "async",
            "sent_lsn": position, "flush_lsn": position, "replay_lsn": lsn(self.at(&peer).database.position()),
        });
        let receiver = json!({ "status": "streaming", "sender_host": self.address(&peer), "sender_port": 5432 });
        let server = json!({
            "role": if here.standby { "standby" } else { "primary" },
            "version": "15.14",
            "timeline": data.timeline(),
            "current_lsn": (!here.standby).then_some(&position),
            "receive_lsn": here.standby.then_some(&position),
            "replay_lsn": here.standby.then_some(&position),
            "next_xid": data.position >> 8,
            "last_commit": LAST_COMMIT,
            "checkpoint": { "redo_lsn": lsn(here.checkpoint.redo), "age_s": age },
            "walsenders": if self.streams(&peer) { vec![sender] } else { Vec::new() },
            "receiver": self.streams(node).then_some(receiver),
            "upstream": data.upstream.as_ref().map(|_| self.address(&peer)),
            "settings": {
                "wal_level": "replica", "max_wal_senders": 10, "synchronous_standby_names": data.settings.names,
                "synchronous_commit": "on", "read_only": false,
            },
            "oldest_transaction": null,
            "slots": [],
            "tablespaces": 0,
            "replay_paused": false,
            "apply_delay_ms": 0,
        });
        text.push_str(&format!("server {server}\n"));
        if !data.history.is_empty() {
            let row = |row: &Row| {
                json!({
                    "version": row.version, "phase": row.phase, "name": row.name, "checksum": row.checksum,
                    "kind": row.kind, "run": row.run,
                })
            };
            text.push_str(&format!("history {}\n", Value::Array(data.history.iter().map(row).collect())));
        }
        text.push_str("login here ok\n");
        if !here.standby {
            text.push_str("login peer ok\n");
        }
        text
    }
}
