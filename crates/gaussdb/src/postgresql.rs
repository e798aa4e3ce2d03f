//! PostgreSQL: scripts around psql, pg_controldata and pg_basebackup, and the parsers of what they print.
//!
//! Scripts are files beside this one, each behind `common.sh`. Their first five arguments are always the same
//! ([`server_args`]).

/// The script of these files, one after another.
macro_rules! script {
    ($($file:literal),+) => {
        concat!(
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/postgresql/common.sh")),
            $("\n", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/postgresql/", $file))),+
        )
    };
}

mod archives;
mod migrations;
mod parse;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rollup_engine::Probe;
use rollup_model::inventory::Node;
use rollup_remote::{Cmd, RemoteError};

use crate::{
    DatabaseFacts, Lsn, Write,
    engine::{At, Ending, Engine, Progress, Promotion},
    shared::{self, plain},
};

/// PostgreSQL 15 and what is like it.
pub(crate) struct PostgreSql;

/// How long a promotion waits for the last of the log. It is there already when the old primary has stopped well.
const PROOF: Duration = Duration::from_secs(5);

/// Tools, data directory, port, database, OS user: what `common.sh` takes.
fn server_args(at: At<'_>) -> Vec<String> {
    let database = at.database();
    vec![
        database.bin_dir.clone().unwrap_or_default(),
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

/// Seconds that a stop may take on the node: less than the command's own limit, so that the script can say so.
fn stop_seconds(at: At<'_>) -> String {
    at.inventory.limits.db_switchover.duration().as_secs().saturating_sub(5).max(5).to_string()
}

impl Engine for PostgreSql {
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
        serde_json::from_str(text.trim()).with_context(|| format!("expected one JSON object, found {text:?}"))
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

    fn demote(&self, at: At<'_>, next: &Node) -> Cmd {
        let stop = stop_seconds(at);
        let more = [next.peer_address(), &at.database().replication_user, at.node.name.as_str(), &stop];
        Cmd::mutate("db.demote", script!("demote.sh"), args(at, more))
            .run_as(&at.database().os_user)
            .deadline(at.inventory.limits.db_switchover.duration())
    }

    fn read_ending(&self, text: &str) -> Result<Ending> {
        match text.trim().split_once(' ') {
            Some(("shutdown", lsn)) => Ok(Ending::Shutdown(lsn.parse()?)),
            Some(("standby", lsn)) => Ok(Ending::Standby(lsn.parse()?)),
            _ => bail!("expected `shutdown LSN` or `standby LSN`, found {text:?}"),
        }
    }

    fn promote(&self, at: At<'_>) -> Cmd {
        let wait = PROOF.as_secs().to_string();
        Cmd::mutate("db.promote", script!("promote.sh"), args(at, [&wait]))
            .run_as(&at.database().os_user)
            .deadline(at.inventory.limits.db_switchover.duration())
    }

    fn hand_over(&self, ending: Ending) -> String {
        match ending {
            Ending::Shutdown(lsn) => format!("shutdown {lsn}\n"),
            Ending::Standby(lsn) => format!("standby {lsn}\n"),
            Ending::Running(lsn) => format!("running {lsn}\n"),
        }
    }

    fn promoted(&self, _said: &str) -> Result<(), Promotion> {
        // The script ends with 0 only after it has seen the server write.
        Ok(())
    }

    fn promotion(&self, error: &RemoteError) -> Promotion {
        match error {
            RemoteError::Exit { code: 3, stderr, .. } => Promotion::NotAsked(plain(stderr)),
            // Of a change this means that nothing was sent.
            RemoteError::Unreachable { .. } => Promotion::NotAsked(error.to_string()),
            _ => Promotion::InDoubt(error.to_string()),
        }
    }

    fn rejoin(&self, at: At<'_>, primary: &Node) -> Cmd {
        let database = at.database();
        let more = [primary.peer_address(), &database.replication_user, at.node.name.as_str(), &database.unit];
        Cmd::mutate("db.rejoin", script!("rejoin.sh"), args(at, more))
            .deadline(at.inventory.limits.db_switchover.duration())
    }

    fn reinstate(&self, at: At<'_>) -> Cmd {
        let stop = stop_seconds(at);
        Cmd::mutate("db.reinstate", script!("reinstate.sh"), args(at, [&at.database().unit, &stop]))
            .deadline(at.inventory.limits.db_switchover.duration())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proof_that_failed_lets_the_old_primary_come_back() {
        let exit = |code, stderr: &str| RemoteError::Exit {
            host: "node-b".to_owned(),
            id: "db.promote".to_owned(),
            code,
            stdout: String::new(),
            stderr: stderr.to_owned(),
        };
        let refused = exit(3, "psql:<stdin>:18: ERROR:  replayed up to 0/30 only\nCONTEXT:  PL/pgSQL\n");
        assert_eq!(PostgreSql.promotion(&refused), Promotion::NotAsked("ERROR: replayed up to 0/30 only".to_owned()));
        assert!(matches!(PostgreSql.promotion(&exit(6, "server closed the connection")), Promotion::InDoubt(_)));
        let lost = RemoteError::InDoubt { host: String::new(), id: String::new(), why: String::new() };
        assert!(matches!(PostgreSql.promotion(&lost), Promotion::InDoubt(_)));
        let never_sent = RemoteError::Unreachable { host: "node-b".to_owned(), why: "no route".to_owned() };
        assert!(matches!(PostgreSql.promotion(&never_sent), Promotion::NotAsked(_)));
    }

    #[test]
    fn an_answer_in_unknown_words_is_an_error_and_never_a_position() {
        assert_eq!(PostgreSql.read_position("primary 0/3000148\n").unwrap(), Some(Lsn(0x0300_0148)));
        assert_eq!(PostgreSql.read_position("standby\n").unwrap(), None);
        assert_eq!(PostgreSql.read_ending("shutdown 0/28\n").unwrap(), Ending::Shutdown(Lsn(0x28)));
        for bad in ["", "primary", "primary x", "shutdown", "0/28"] {
            assert!(PostgreSql.read_position(bad).is_err() && PostgreSql.read_ending(bad).is_err(), "{bad:?}");
        }
    }
}
