//! Runs plans: check, journal, apply, verify; and goes on where a run was left.
//!
//! Owns the contract of a step ([`Action`]), what is known about actions ([`Registry`]), the journal on disk and its
//! copies on the nodes, the locks, and every retry and limit above one command. It must not know which actions exist.

mod action;
mod engine;
mod gather;
pub mod journal;
pub mod lock;
mod mirror;
mod recorder;
mod registry;
mod silence;
mod step;
mod stop;

pub use action::{Action, ApplyCx, Busy, Cx, Forecast, State};
pub use engine::{End, Engine, Options};
pub use gather::{
    AnySubject, Examined, FindingCx, Moment, Probe, Stage, Subject, asked, examine, examine_settled, gather,
    gather_one, judge,
};
pub use mirror::{Mirrored, fetch_mirror, list_mirrors};
pub use recorder::Recorder;
pub use registry::{Choose, Registry};
pub use stop::Stop;

/// The machines of a run by name.
pub type Hosts = std::collections::BTreeMap<rollup_model::NodeName, std::sync::Arc<dyn rollup_remote::Host>>;
