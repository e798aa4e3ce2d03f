//! A machine that runs commands, and the handle that refuses changes.

use crate::{Cmd, Effect, RemoteError};

/// What a successful command wrote. Bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A machine that runs commands.
#[async_trait::async_trait]
pub trait Host: Send + Sync {
    /// The node's name, for messages.
    fn name(&self) -> &str;

    /// Runs one command to its end. Only status 0 is `Ok`.
    async fn exec(&self, cmd: &Cmd) -> Result<Output, RemoteError>;
}

/// A handle that runs commands marked [`Effect::Read`] and refuses all others. Dry runs and checks get nothing else.
#[derive(Clone, Copy)]
pub struct ReadOnly<'h>(&'h dyn Host);

impl<'h> ReadOnly<'h> {
    /// The reading side of a host.
    pub fn new(host: &'h dyn Host) -> Self {
        Self(host)
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Runs one command that only reads.
    pub async fn exec(&self, cmd: &Cmd) -> Result<Output, RemoteError> {
        match cmd.effect {
            Effect::Read => self.0.exec(cmd).await,
            Effect::Mutate => Err(RemoteError::ReadOnly { host: self.0.name().to_owned(), id: cmd.id.to_owned() }),
        }
    }
}
