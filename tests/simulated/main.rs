//! The engine and the actions of this workspace on the simulated pair: no network, no clock, every cut there is.

#![expect(clippy::unwrap_used, reason = "what tests share is outside of test functions, and may fail them")]

mod cuts;
mod gates;
mod journal;
mod lost;
mod opengauss;
mod resume;
mod rollback;
mod sets;
mod steps;
mod support;
