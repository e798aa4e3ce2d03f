//! A machine that runs commands, and the handle that refuses changes.

use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::{Cmd, Effect, RemoteError, Rsync, Sent};

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

    /// The same, with standard output written to `sink` byte for byte while it comes; [`Output::stdout`] stays empty,
    /// and so does that of an error. What was written before an error stays written. The sink is flushed, not shut
    /// down.
    ///
    /// The only way for what may be large, for what is not text, and for secrets: nothing of it is kept or shown here.
    async fn exec_to(&self, cmd: &Cmd, sink: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<Output, RemoteError> {
        let mut output = self.exec(cmd).await.map_err(RemoteError::without_stdout)?;
        let written = async {
            sink.write_all(output.stdout.as_bytes()).await?;
            sink.flush().await
        };
        written.await.map_err(|error| RemoteError::sink(self.name(), cmd, &error))?;
        output.stdout.clear();
        Ok(output)
    }

    /// Sends files so that only what differs travels, telling `seen` how many bytes of them are dealt with. `None`: not
    /// over this connection, or not from this machine; then whoever asks sends them whole.
    async fn rsync(&self, rsync: &Rsync, seen: &(dyn Fn(u64) + Send + Sync)) -> Option<Result<Sent, RemoteError>> {
        let _ = (rsync, seen);
        None
    }
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
        self.may(cmd)?;
        self.0.exec(cmd).await
    }

    /// Runs one command that only reads, as [`Host::exec_to`] does.
    pub async fn exec_to(&self, cmd: &Cmd, sink: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<Output, RemoteError> {
        self.may(cmd)?;
        self.0.exec_to(cmd, sink).await
    }

    fn may(&self, cmd: &Cmd) -> Result<(), RemoteError> {
        match cmd.effect {
            Effect::Read => Ok(()),
            Effect::Mutate => Err(RemoteError::ReadOnly { host: self.0.name().to_owned(), id: cmd.id.to_owned() }),
        }
    }
}
