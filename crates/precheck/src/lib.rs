//! Knowing before going: the machine itself, and the step that asks every subject for its findings.
//!
//! Owns the facts that belong to no other crate (disk, tools, clock, network between the nodes, locks) and the precheck
//! and final-check steps. It must not know what the other subjects look at.

mod actions;
mod subject;

use rollup_engine::Registry;
use rollup_model::plan::Impact;

pub use actions::{Final, Run};
pub use subject::{HostFacts, HostSubject};

/// Adds this crate's actions and subjects.
pub fn register(registry: &mut Registry) {
    registry.subject(HostSubject);
    registry.action::<Run>("precheck.run", Impact::Observe);
    registry.action::<Final>("precheck.final", Impact::Observe);
}
