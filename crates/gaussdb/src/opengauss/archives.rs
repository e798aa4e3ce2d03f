//! Backups, what is made of them, and the exchange of data directories.

use std::time::Duration;

use anyhow::Result;
use rollup_model::inventory::Node;
use rollup_remote::Cmd;

use super::{OpenGauss, args, server_args, tool_seconds};
use crate::{
    BackupRecord,
    drill::DrillRecord,
    engine::{Archives, At},
    place::Places,
    shared,
};

/// For work that runs as a job.
fn long(at: At<'_>) -> Duration {
    at.inventory.limits.backup.duration()
}

/// For work that clients wait for.
fn short(at: At<'_>) -> Duration {
    at.inventory.limits.db_switchover.duration()
}

impl Archives for OpenGauss {
    fn base_backup(&self, at: At<'_>, set: &str) -> Cmd {
        let script = script!("../scripts/set.sh", "../scripts/gently.sh", "catalog.sh", "copy.sh", "base-backup.sh");
        Cmd::mutate("db.base-backup", script, args(at, [&at.inventory.backup.dir, set])).deadline(long(at))
    }

    fn backup_look(&self, at: At<'_>, set: &str) -> Cmd {
        let script = script!("../scripts/set.sh", "../scripts/backup-look.sh");
        Cmd::read("db.backup-look", script, args(at, [&at.inventory.backup.dir, set]))
    }

    fn read_backup(&self, text: &str) -> Result<Option<BackupRecord>> {
        shared::record(text)
    }

    fn place_look(&self, at: At<'_>) -> Cmd {
        Cmd::read("db.place-look", script!("../scripts/place.sh", "../scripts/place-look.sh"), server_args(at))
    }

    fn read_places(&self, text: &str) -> Result<Places> {
        shared::places(text)
    }

    fn unpack(&self, at: At<'_>, set: &str, run: &str, bytes: u64) -> Cmd {
        let script = script!(
            "../scripts/set.sh",
            "../scripts/gently.sh",
            "../scripts/place.sh",
            "private.sh",
            "catalog.sh",
            "copy.sh",
            "unpack.sh"
        );
        let more = [&at.inventory.backup.dir, set, run, &bytes.to_string()];
        Cmd::mutate("db.unpack", script, args(at, more)).deadline(long(at))
    }

    fn halt(&self, at: At<'_>) -> Cmd {
        let more = [at.node.peer_address(), &tool_seconds(at)];
        Cmd::mutate("db.halt", script!("../scripts/place.sh", "halt-server.sh", "halt.sh"), args(at, more))
            .deadline(short(at))
    }

    fn restore(&self, at: At<'_>, run: &str) -> Cmd {
        let more = [at.node.peer_address(), &tool_seconds(at), run];
        Cmd::mutate("db.restore", script!("../scripts/place.sh", "halt-server.sh", "restore.sh"), args(at, more))
            .deadline(short(at))
    }

    fn rebuild(&self, at: At<'_>, _primary: &Node, run: &str, _bytes: u64) -> Cmd {
        let more = [at.node.peer_address(), &tool_seconds(at), run];
        let script = script!("../scripts/gently.sh", "../scripts/place.sh", "halt-server.sh", "rebuild.sh");
        Cmd::mutate("db.rebuild", script, args(at, more)).deadline(long(at))
    }

    fn discard(&self, at: At<'_>) -> Cmd {
        let script = script!("../scripts/place.sh", "private.sh", "../scripts/discard.sh");
        Cmd::mutate("db.discard", script, server_args(at)).deadline(long(at))
    }

    fn drill(&self, at: At<'_>, set: &str, run: &str, bytes: u64) -> Cmd {
        let script =
            script!("../scripts/set.sh", "../scripts/gently.sh", "private.sh", "catalog.sh", "copy.sh", "drill.sh");
        let more = [&at.inventory.backup.dir, set, run, &bytes.to_string(), at.node.name.as_str()];
        Cmd::mutate("db.drill", script, args(at, more)).deadline(long(at))
    }

    fn drill_look(&self, at: At<'_>, set: &str, run: &str) -> Cmd {
        Cmd::read("db.drill-look", script!("../scripts/drill-look.sh"), args(at, [&at.inventory.backup.dir, set, run]))
    }

    fn read_drill(&self, text: &str) -> Result<Option<DrillRecord>> {
        shared::record(text)
    }
}
