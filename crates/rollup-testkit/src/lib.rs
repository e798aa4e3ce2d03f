//! The simulated pair: two machines as plain data, behind hosts that the engine cannot tell from real ones.
//!
//! Owns the simulated machines, the cuts and the crash matrix. A command is known by its id and its arguments, never by
//! the text of its script, so each new action of the workspace needs an arm here; one that is missing is a panic that
//! names it. Nothing here reaches a network, and time is tokio's paused clock.

mod call;
mod compare;
mod cut;
mod database;
mod desk;
mod facts;
mod forward;
mod matrix;
mod process;
mod reboot;
mod rollback;
mod scenario;
mod service;
mod sets;
mod sim;
mod staging;
mod stand_in;
mod sync;
mod vrrp;
mod way_back;
mod world;

pub use cut::{Cut, Kind};
pub use matrix::{Cost, Group, Matrix, Range, Wrong, run_all};
pub use process::{Ended, Run, operator, runtime};
pub use scenario::{Engine, Scenario, Vip};
pub use sim::{Sent, Sim};
pub use stand_in::{BearsNoSecondRun, ChecksTheWrongThing, Note, StopsTheWrongNode};
pub use world::{Effect, Knobs, Machine, Switching, World};
