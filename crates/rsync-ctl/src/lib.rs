//! The job that copies configuration from one node to the other: a oneshot unit and the timer that starts it.
//!
//! Owns how it is frozen, what the copied files are while it is, in which direction it goes on, and whether both nodes
//! have the same files. It must not know what the files mean, who holds the VIP (that is read from the facts of
//! `keepalived`) or databases and packages.
//!
//! # Freezing
//!
//! A marker file and a drop-in that makes the unit's start depend on the marker's absence. Both survive a reboot, so
//! a node that comes back in the middle of an upgrade copies nothing. A copy that runs is never killed: it is waited for.
//! The files as they were when the node was frozen are listed beside the marker; what people change by hand until the
//! thaw is found by comparing with that list, and shown before the next copy could overwrite it.
//!
//! Taking back a run walks from its end to its beginning: a thaw is taken back by freezing again (`sync.refreeze`), and
//! each freeze by giving the node's timer back what it was (`sync.unfreeze`).

mod facts;
mod findings;
mod freeze;
mod listing;
mod run;
mod script;
mod thaw;

pub use facts::{Frozen, SyncFacts, SyncSubject, TimerFacts, UnitFacts};
pub use freeze::{SyncFreeze, SyncRefreeze, SyncUnfreeze};
pub use listing::{Entry, Listing};
pub use run::{SyncConsistent, SyncRun};
pub use thaw::SyncThaw;

use rollup_engine::Registry;
use rollup_model::plan::Impact;

/// Adds the subject `sync` and the actions `sync.freeze`, `sync.unfreeze`, `sync.refreeze`, `sync.thaw`, `sync.run` and
/// `sync.consistent`.
pub fn register(registry: &mut Registry) {
    registry.subject(SyncSubject);
    registry.action::<SyncFreeze>("sync.freeze", Impact::Change);
    registry.action::<SyncUnfreeze>("sync.unfreeze", Impact::Change);
    registry.action::<SyncRefreeze>("sync.refreeze", Impact::Change);
    registry.action::<SyncThaw>("sync.thaw", Impact::Change);
    registry.action::<SyncRun>("sync.run", Impact::Change);
    registry.action::<SyncConsistent>("sync.consistent", Impact::Observe);
}
