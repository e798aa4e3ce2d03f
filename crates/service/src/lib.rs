//! The upgraded service on a node: its systemd units and its files in place.
//!
//! Owns stopping and starting units, and replacing files atomically. It must not know how a package is packed: it takes
//! staged files by the list that the plan carries.

mod diff;
mod files;
mod record;
mod subject;
mod units;

use rollup_engine::Registry;
use rollup_model::plan::Impact;

pub use diff::{Change, Difference, diff};
pub use files::{Install, Installed, Placed, look};
pub use record::{Recorded, read as read_record};
pub use subject::{ServiceFacts, ServiceSubject, obsolete};
pub use units::{Start, Stop};

/// Adds this crate's actions and subjects.
pub fn register(registry: &mut Registry) {
    registry.subject(ServiceSubject);
    registry.action::<Stop>("service.stop", Impact::Change);
    registry.action::<Start>("service.start", Impact::Change);
    registry.action::<Install>("service.install", Impact::Change);
    registry.action::<Installed>("service.installed", Impact::Observe);
}
