//! Commands on machines: what to run, what it may do, what came of it.
//!
//! Owns the connection, the deadline of one command, detached jobs and the wording of remote errors. It must not know
//! steps, plans or databases.

mod cmd;
mod error;
mod host;
pub mod job;
mod ssh;
mod stream;

pub use cmd::{Cmd, Effect, RunAs, Stdin};
pub use error::RemoteError;
pub use host::{Host, Output, ReadOnly};
pub use job::Job;
pub use ssh::{SshHost, SshSettings, quiet};
pub use stream::{StdinStream, transfer, transfer_seen};
