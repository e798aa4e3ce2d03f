//! The package format as its users see it: what is accepted, what is refused, and why.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are not tests to the lint")]

mod built;
mod local;
mod manifests;
mod on_node;
mod plain;
mod refusals;
mod sample;
mod signed;
