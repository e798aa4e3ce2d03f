//! The replicated database: facts, schema migrations, switchover and full backup behind one interface.
//!
//! Owns [`DatabaseSubject`] (PRE-4), the actions `db.*`, and the `Engine` interface with its tools. PostgreSQL is the
//! one engine now; GaussDB and openGauss enter beside it. It must not know VIPs, services or packages, nor the order of
//! an upgrade.

mod backup;
mod checkpoint;
mod engine;
mod facts;
mod findings;
#[cfg(test)]
mod fixtures;
mod history;
mod lsn;
mod migrate;
mod postgresql;
#[cfg(all(test, feature = "real-pair"))]
mod real_pair_tests;
mod replay;
mod sql;
mod subject;
mod switchover;

use rollup_engine::Registry;
use rollup_model::plan::Impact;

pub use backup::BackupRecord;
pub use engine::UnsupportedEngine;
pub use facts::{
    Applied, AppliedKind, Checkpoint, Control, DatabaseFacts, DatabaseRole, Login, Receiver, Server, Settings,
    Transaction, Walsender,
};
pub use lsn::{InvalidLsn, Lsn};
pub use subject::{DatabaseSubject, primary_node};

/// Adds the subject `database` and the actions `db.*`.
pub fn register(registry: &mut Registry) {
    registry.subject(DatabaseSubject);
    registry.action::<migrate::Migrate>("db.migrate", Impact::Change);
    registry.action::<replay::Replayed>("db.replayed", Impact::Observe);
    registry.action::<replay::CaughtUp>("db.caught-up", Impact::Observe);
    registry.action::<checkpoint::WriteCheckpoint>("db.checkpoint", Impact::Change);
    registry.action::<switchover::Switchover>("db.switchover", Impact::Interrupt);
    registry.action::<backup::Backup>("db.backup", Impact::Change);
}
