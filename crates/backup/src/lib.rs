//! Backup sets: what an upgrade replaces, kept so that it can come back.
//!
//! A set is a directory `backup_YYYYMMDD_HHMMSS` on each node, and copies of it. This crate owns what is in it except
//! for the directory `database`, which the crate that knows the engine fills: the parts of the nodes, the root key
//! (encrypted here, so that no disk ever has it in the clear), the manifest, the copies, the proofs, and the way back
//! of files. It must not know what a database backup is made of, nor which run is over.

mod bring;
mod copy;
mod drill;
mod files;
mod key;
mod keys;
mod lists;
mod look;
mod manifest;
mod operator;
mod places;
mod prune;
mod ready;
mod release;
mod restore;
mod seal;
mod sets;
mod subject;
mod verify;
mod whole;
mod wire;

#[cfg(all(test, feature = "real-files"))]
mod real_files_tests;

use rollup_engine::Registry;
use rollup_model::plan::Impact;

pub use bring::Bring;
pub use copy::Copy;
pub use drill::{Drill, DrillRecord};
pub use files::Files;
pub use key::{Identities, RootKey, recipients};
pub use keys::Key;
pub use manifest::{
    DatabaseParts, Hold, HoldState, Manifest, NodeParts, Part, PathKept, Purpose, ReleaseName, RootKeyPart, Sealed,
    SetName,
};
pub use places::Place;
pub use prune::{Prune, Survey};
pub use ready::Ready;
pub use release::Release;
pub use restore::Restore;
pub use seal::Seal;
pub use sets::{KeyChecked, PlaceSets, SetAt, check_key, differing, fetch, manifest, sets};
pub use subject::{BackupFacts, BackupSubject, SetFact, SetState};
pub use verify::Verify;
pub use whole::Whole;
pub use wire::listed;

/// Adds this crate's actions and subjects.
pub fn register(registry: &mut Registry) {
    registry.subject(BackupSubject);
    registry.action::<Ready>("backup.ready", Impact::Observe);
    registry.action::<Files>("backup.files", Impact::Change);
    registry.action::<Key>("backup.key", Impact::Change);
    registry.action::<Seal>("backup.seal", Impact::Change);
    registry.action::<Copy>("backup.copy", Impact::Change);
    registry.action::<Verify>("backup.verify", Impact::Change);
    registry.action::<Whole>("backup.whole", Impact::Observe);
    registry.action::<Bring>("backup.bring", Impact::Change);
    registry.action::<Restore>("backup.restore", Impact::Change);
    registry.action::<Drill>("backup.drill", Impact::Change);
    registry.action::<Release>("backup.release", Impact::Change);
    registry.action::<Survey>("backup.survey", Impact::Observe);
    registry.action::<Prune>("backup.prune", Impact::Change);
}
