//! Knowing before going: the machine itself, and the step that asks every subject for its findings.
//!
//! Owns the facts that belong to no other crate (disk, tools, clock, network between the nodes, locks) and the precheck
//! and final-check steps. It must not know what the other subjects look at.

mod actions;
mod clock;
mod facts;
mod findings;
#[cfg(test)]
mod fixtures;
mod forecast;
mod space;
mod subject;
mod tools;

use std::path::PathBuf;

use rollup_engine::Registry;
use rollup_model::plan::Impact;

pub use actions::{Final, Run};
pub use facts::{Door, FileSystem, HostFacts, Place, Seen};
pub use forecast::Forecast;
pub use subject::HostSubject;

/// Adds this crate's actions and subjects. `operator`: the directories of this machine that runs write to, the one of
/// all runs first.
pub fn register(registry: &mut Registry, operator: Vec<PathBuf>) {
    registry.subject(HostSubject { operator });
    registry.action::<Run>("precheck.run", Impact::Observe);
    registry.action::<Final>("precheck.final", Impact::Observe);
    registry.action::<Forecast>("cutover.forecast", Impact::Observe);
}
