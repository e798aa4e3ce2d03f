//! Every limit that a playbook may call by name, with its default.

use serde::{Deserialize, Serialize};

use crate::Span;

/// Every limit of the playbooks, by name: a playbook's policy says `"limit:vip_switch"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// One remote command that is expected to be short.
    pub command: Span,
    /// The upgrade of one node in all (UPG-7).
    pub node: Span,
    /// Until the VIP is seen on its new owner (VIP-2).
    pub vip_switch: Span,
    /// Until the database's roles have changed.
    pub db_switchover: Span,
    /// Until a started service is healthy (UPG-6).
    pub health: Span,
    /// How long a healthy service is watched (UPG-6).
    pub soak: Span,
    /// How many good checks in a row the watch needs.
    pub soak_checks: u32,
    /// Until units have stopped and their processes are gone.
    pub stop: Span,
    /// Until units are active.
    pub start: Span,
    /// One migration in all, its retries included.
    pub migration: Span,
    /// How long one attempt of a migration may wait for a lock and so queue writers behind it.
    pub lock_timeout: Span,
    /// Until the standby has replayed what the primary had written.
    pub replay: Span,
    /// The database backup.
    pub backup: Span,
    /// Distribution of the package to one node.
    pub distribute: Span,
    /// One run of the config sync.
    pub sync: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command: Span::secs(30),
            node: Span::secs(15 * 60),
            vip_switch: Span::secs(30),
            db_switchover: Span::secs(60),
            health: Span::secs(30),
            soak: Span::secs(30),
            soak_checks: 3,
            stop: Span::secs(90),
            start: Span::secs(120),
            migration: Span::secs(5 * 60),
            lock_timeout: Span::secs(3),
            replay: Span::secs(5 * 60),
            backup: Span::secs(60 * 60),
            distribute: Span::secs(30 * 60),
            sync: Span::secs(5 * 60),
        }
    }
}

impl Limits {
    /// The limit that a playbook calls by this name.
    pub fn get(&self, name: &str) -> Option<Span> {
        Some(match name {
            "command" => self.command,
            "node" => self.node,
            "vip_switch" => self.vip_switch,
            "db_switchover" => self.db_switchover,
            "health" => self.health,
            "soak" => self.soak,
            "stop" => self.stop,
            "start" => self.start,
            "migration" => self.migration,
            "lock_timeout" => self.lock_timeout,
            "replay" => self.replay,
            "backup" => self.backup,
            "distribute" => self.distribute,
            "sync" => self.sync,
            _ => return None,
        })
    }

    /// All names that [`Limits::get`] knows, for "did you mean".
    pub const NAMES: [&str; 14] = [
        "command",
        "node",
        "vip_switch",
        "db_switchover",
        "health",
        "soak",
        "stop",
        "start",
        "migration",
        "lock_timeout",
        "replay",
        "backup",
        "distribute",
        "sync",
    ];
}
