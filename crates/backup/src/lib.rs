//! Backup sets on the nodes: what an upgrade replaces, kept so that it can come back.
//!
//! A set is a directory `backup_YYYYMMDD_HHMMSS` on each node. This crate owns the files in it (code, configuration, root
//! key), the manifest and the way back; the database's part is put beside them by the crate that knows the engine.

mod files;
mod prune;
mod restore;
mod seal;
mod subject;

use rollup_engine::Registry;
use rollup_model::plan::Impact;

pub use files::Files;
pub use prune::Prune;
pub use restore::Restore;
pub use seal::Seal;
pub use subject::{BackupFacts, BackupSubject};

/// Adds this crate's actions and subjects.
pub fn register(registry: &mut Registry) {
    registry.subject(BackupSubject);
    registry.action::<Files>("backup.files", Impact::Change);
    registry.action::<Seal>("backup.seal", Impact::Change);
    registry.action::<Prune>("backup.prune", Impact::Change);
    registry.action::<Restore>("backup.restore", Impact::Change);
}
