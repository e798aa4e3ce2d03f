//! Commands on machines: what to run, what it may do, what came of it.
//!
//! Owns the connection, the deadline of one command, detached jobs and the wording of remote errors. It must not know
//! steps, plans or databases.

mod cmd;
mod error;
mod host;
pub mod job;
mod rsync;
mod ssh;
mod stream;

pub use cmd::{Cmd, Effect, RunAs, Stdin};
pub use error::RemoteError;
pub use host::{Host, Output, ReadOnly};
pub use job::Job;
pub use rsync::{Rsync, Sent, has_rsync};
pub use ssh::{SshHost, SshSettings, quiet};
pub use stream::{StdinStream, transfer, transfer_seen};

/// A shell function for scripts that hash many files: `sums` reads paths, each ended by NUL, and prints `SHA256 TAB PATH`.
pub const SUMS: &str = include_str!("sums.sh");
