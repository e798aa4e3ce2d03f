//! The replicated database: facts, schema migrations, switchover, full backup and the way back behind one interface.
//!
//! Owns [`DatabaseSubject`] (PRE-4, and what `sql-lint` says of a package's migrations, PRE-9), the actions `db.*`, and
//! the `Engine` interface with its tools. There is one for PostgreSQL and one for openGauss and GaussDB; [`gauss`] reads what
//! the tools of the latter print. It must not know VIPs, services or packages, nor the order of an upgrade.

mod backup;
mod checkpoint;
mod discard;
mod drill;
mod engine;
mod facts;
mod findings;
#[cfg(test)]
mod fixtures;
pub mod gauss;
mod halt;
mod history;
mod lsn;
mod migrate;
mod migrations;
mod opengauss;
mod place;
mod postgresql;
mod price;
#[cfg(all(test, feature = "real-pair"))]
mod real_pair_tests;
mod rebuild;
mod relax;
mod replay;
mod restore;
mod revert;
mod schema;
mod shared;
mod sql;
mod subject;
mod switchover;
mod unpack;
mod write;

use rollup_engine::Registry;
use rollup_model::plan::Impact;

pub use backup::BackupRecord;
pub use drill::DrillRecord;
pub use facts::{
    Applied, AppliedKind, Checkpoint, Control, DatabaseFacts, DatabaseRole, Gauss, Login, Manager, Receiver, Server,
    Settings, Transaction, Walsender,
};
pub use lsn::{InvalidLsn, Lsn};
pub use price::{Price, price};
pub use revert::revertible;
pub use schema::{Script, dialect, scripts, table_sizes};
pub use subject::{DatabaseSubject, backup_source, primary_node};
pub use write::{Write, WriteSubject};

/// Adds the subject `database` and the actions `db.*`.
pub fn register(registry: &mut Registry) {
    registry.subject(DatabaseSubject);
    registry.subject(WriteSubject);
    registry.action::<migrate::Migrate>("db.migrate", Impact::Change);
    registry.action::<replay::Replayed>("db.replayed", Impact::Observe);
    registry.action::<replay::CaughtUp>("db.caught-up", Impact::Observe);
    registry.action::<checkpoint::WriteCheckpoint>("db.checkpoint", Impact::Change);
    registry.action::<switchover::Switchover>("db.switchover", Impact::Interrupt);
    registry.action::<relax::Relax>("db.relax", Impact::Change);
    registry.action::<relax::Tighten>("db.tighten", Impact::Change);
    registry.action::<backup::Backup>("db.backup", Impact::Change);
    registry.action::<unpack::Unpack>("db.unpack", Impact::Change);
    registry.action::<halt::Halt>("db.halt", Impact::Interrupt);
    registry.action::<halt::Start>("db.start", Impact::Interrupt);
    registry.action::<restore::Restore>("db.restore", Impact::Interrupt);
    registry.action::<rebuild::Rebuild>("db.rebuild", Impact::Change);
    registry.action::<discard::Discard>("db.discard", Impact::Change);
    registry.action::<revert::Revert>("db.revert", Impact::Change);
    registry.action::<drill::Drill>("db.drill", Impact::Change);
}
