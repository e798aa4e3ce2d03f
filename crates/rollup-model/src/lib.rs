//! What the whole house agrees on: names, the inventory, playbooks, plans, events and what they add up to.
//!
//! This crate is pure: no I/O, no clock, no async. It must not know SSH, terminals or any domain action; everything
//! here can be tested with values alone.

pub mod check;
pub mod compile;
pub mod diagnostic;
pub mod event;
pub mod facts;
pub mod finding;
pub mod fold;
pub mod id;
pub mod inventory;
pub mod lint;
pub mod plan;
pub mod playbook;
pub mod release;
pub mod rollback;
pub mod span;
pub mod waiver;
pub mod way_back;

pub use check::Check;
pub use compile::{Known, Resolution, compile};
pub use diagnostic::Diagnostic;
pub use event::{Event, Outcome, Record, Sink};
pub use facts::{Asked, Facts, Role};
pub use finding::{Finding, Severity};
pub use fold::{RunState, StepState};
pub use id::{NodeName, PhaseId, RunId, StepId};
pub use inventory::Inventory;
pub use plan::{ActionRef, Impact, Plan, Policy, Step, Target};
pub use playbook::Playbook;
pub use release::Release;
pub use rollback::Undo;
pub use span::Span;
pub use way_back::{Lane, WayBack};
