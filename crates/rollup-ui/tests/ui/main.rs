//! What people see, compared with what they saw last time. `SNAPSHOTS=overwrite cargo test -p rollup-ui` accepts a
//! change; the files beside this one are what to review.

#![expect(clippy::unwrap_used, reason = "a test may panic; the lint's own exception reaches only test functions")]

mod displays;
mod pages;
#[path = "../../examples/gallery/sample.rs"]
mod sample;
