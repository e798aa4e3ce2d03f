//! The one definition of healthy (HLT-1), from inside a node and from outside through the VIP.
//!
//! Used by the upgrade's gates, by `rollup health`, by the server that a node can run, and by the meter that counts
//! interruption (VIP-5). It must not know which database or which switch-over lies behind an answer.

mod actions;
mod checks;
mod definition;
mod facts;
mod http;
mod look;
mod meter;
mod serve;
mod standing;
mod subject;
mod unit;
mod warm;

use rollup_engine::Registry;
use rollup_model::plan::Impact;

pub use actions::{Healthy, Outside};
pub use definition::{Check, checks, problems};
pub use facts::{DatabaseAnswer, HealthFacts, Process, UnitFacts, UrlFacts};
pub use http::{Answer, request};
pub use meter::meter;
pub use serve::serve;
pub use subject::HealthSubject;
pub use unit::UnitFile;
pub use warm::Warm;

/// Adds this crate's actions and subjects.
pub fn register(registry: &mut Registry) {
    registry.subject(HealthSubject);
    registry.action::<Healthy>("health.healthy", Impact::Observe);
    registry.action::<Outside>("health.outside", Impact::Observe);
    registry.action::<Warm>("health.warm", Impact::Observe);
}

#[cfg(test)]
mod tests;
