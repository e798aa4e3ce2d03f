//! The one definition of healthy (HLT-1), from inside a node and from outside through the VIP.
//!
//! Used by the upgrade's gates, by `rollup health` and by the meter that counts interruption (VIP-5). It must not know
//! which database or which switch-over lies behind an answer.

mod actions;
mod http;
mod meter;
mod subject;

use rollup_engine::Registry;
use rollup_model::plan::Impact;

pub use actions::{Healthy, Outside};
pub use http::{Answer, request};
pub use meter::meter;
pub use subject::{HealthFacts, HealthSubject, UnitFacts, UrlFacts, problems};

/// Adds this crate's actions and subjects.
pub fn register(registry: &mut Registry) {
    registry.subject(HealthSubject);
    registry.action::<Healthy>("health.healthy", Impact::Observe);
    registry.action::<Outside>("health.outside", Impact::Observe);
}
