//! openGauss and GaussDB: scripts around gsql, gs_ctl, cm_ctl and gs_probackup. What the tools print is read by [`crate::gauss`].
//!
//! Scripts are files beside this one, each behind `common.sh`. Their first five arguments are always the same
//! ([`server_args`]). The tools run as the database's OS user with its environment file, without input and terminal, on the
//! local socket: no password is ever needed, nor passed.
//!
//! A change of roles is one command here, given to the standby: the tools change both servers. Where the cluster manager is
//! in charge it is the one that is asked, for that and for every start and stop.

/// The script of these files, one after another.
macro_rules! script {
    ($($file:literal),+) => {
        concat!(
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/opengauss/common.sh")),
            $("\n", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/opengauss/", $file))),+
        )
    };
}

mod archives;
mod handover;
mod migrations;
mod parse;

use anyhow::{Result, bail};
use rollup_engine::Probe;
use rollup_model::inventory::Node;
use rollup_remote::{Cmd, RemoteError};

use crate::{
    DatabaseFacts, Lsn, Write,
    engine::{At, Ending, Engine, Progress, Promotion},
    shared,
};

/// openGauss 3 and later, GaussDB Kernel 505 and later.
pub(crate) struct OpenGauss;

/// Environment file, data directory, port, database, OS user: what `common.sh` takes.
fn server_args(at: At<'_>) -> Vec<String> {
    let database = at.database();
    vec![
        database.env_file.clone().unwrap_or_default(),
        database.data_dir.clone(),
        database.port.to_string(),
        database.name.clone(),
        database.os_user.clone(),
    ]
}

fn args<T: Into<String>, const N: usize>(at: At<'_>, more: [T; N]) -> Vec<String> {
    let mut args = server_args(at);
    args.extend(more.map(Into::into));
    args
}

/// Seconds that a tool may wait on the node: less than the command's own limit, so that it can say so, and so that there is
/// as much time again to see what became of it.
fn tool_seconds(at: At<'_>) -> String {
    (at.inventory.limits.db_switchover.duration().as_secs().saturating_sub(5) / 3).max(5).to_string()
}

impl Engine for OpenGauss {
    fn probe(&self, at: At<'_>, peer: Option<&Node>) -> Probe {
        let database = at.database();
        let peer = peer.map(Node::peer_address).unwrap_or_default();
        let more = [database.unit.as_str(), peer, &database.replication_user, at.node.peer_address()];
        Probe { script: script!("probe.sh"), args: args(at, more) }
    }

    fn write_probe(&self, at: At<'_>) -> Probe {
        Probe { script: script!("write.sh"), args: server_args(at) }
    }

    fn read_write(&self, text: &str) -> Result<Write> {
        shared::write(text)
    }

    fn parse(&self, text: &str) -> Result<DatabaseFacts> {
        parse::facts(text)
    }

    fn position(&self, at: At<'_>) -> Cmd {
        Cmd::read("db.position", script!("position.sh"), server_args(at)).run_as(&at.database().os_user)
    }

    fn read_position(&self, text: &str) -> Result<Option<Lsn>> {
        shared::position(text)
    }

    fn progress(&self, at: At<'_>, target: Lsn) -> Cmd {
        Cmd::read("db.progress", script!("replayed.sh"), args(at, [&target.to_string()])).run_as(&at.database().os_user)
    }

    fn read_progress(&self, text: &str) -> Result<Progress> {
        parse::progress(text)
    }

    fn table_sizes(&self, at: At<'_>) -> Cmd {
        Cmd::read("db.table-sizes", script!("sizes.sh"), server_args(at)).run_as(&at.database().os_user)
    }

    fn checkpoint(&self, at: At<'_>) -> Cmd {
        Cmd::mutate("db.checkpoint", script!("checkpoint.sh"), server_args(at))
            .run_as(&at.database().os_user)
            .deadline(at.inventory.limits.replay.duration())
    }

    fn relax(&self, at: At<'_>) -> Cmd {
        Cmd::mutate("db.relax", script!("../scripts/relaxed.sh", "relax.sh"), server_args(at))
    }

    fn tighten(&self, at: At<'_>) -> Cmd {
        Cmd::mutate("db.tighten", script!("../scripts/relaxed.sh", "tighten.sh"), server_args(at))
    }

    fn demote(&self, at: At<'_>, _next: &Node) -> Cmd {
        Cmd::mutate("db.demote", script!("demote.sh"), server_args(at))
            .run_as(&at.database().os_user)
            .deadline(at.inventory.limits.db_switchover.duration())
    }

    fn read_ending(&self, text: &str) -> Result<Ending> {
        match text.trim().split_once(' ') {
            Some(("switch", lsn)) => Ok(Ending::Running(lsn.parse()?)),
            Some(("shutdown", lsn)) => Ok(Ending::Shutdown(lsn.parse()?)),
            Some(("standby", lsn)) => Ok(Ending::Standby(lsn.parse()?)),
            _ => bail!("expected `switch LSN`, `shutdown LSN` or `standby LSN`, found {text:?}"),
        }
    }

    fn promote(&self, at: At<'_>) -> Cmd {
        let seconds = tool_seconds(at);
        Cmd::mutate("db.promote", script!("promote.sh"), args(at, [&seconds, at.node.peer_address(), &seconds]))
            .run_as(&at.database().os_user)
            .deadline(at.inventory.limits.db_switchover.duration())
    }

    fn hand_over(&self, ending: Ending) -> String {
        match ending {
            Ending::Running(lsn) => format!("switch {lsn}\n"),
            Ending::Shutdown(lsn) => format!("shutdown {lsn}\n"),
            Ending::Standby(lsn) => format!("standby {lsn}\n"),
        }
    }

    fn promotion(&self, error: &RemoteError) -> Promotion {
        match error {
            RemoteError::Exit { code: 3, stderr, .. } => Promotion::NotAsked(shared::plain(stderr)),
            // Of a change this means that nothing was sent.
            RemoteError::Unreachable { .. } => Promotion::NotAsked(error.to_string()),
            _ => Promotion::InDoubt(error.to_string()),
        }
    }

    fn promoted(&self, said: &str) -> Result<(), Promotion> {
        handover::judge(said)
    }

    fn rejoin(&self, at: At<'_>, _primary: &Node) -> Cmd {
        Cmd::mutate("db.rejoin", script!("rejoin.sh"), args(at, [at.node.peer_address()]))
            .deadline(at.inventory.limits.db_switchover.duration())
    }

    fn reinstate(&self, at: At<'_>) -> Cmd {
        Cmd::mutate("db.reinstate", script!("reinstate.sh"), args(at, [at.node.peer_address()]))
            .deadline(at.inventory.limits.db_switchover.duration())
    }
}
