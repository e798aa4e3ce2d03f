//! One command: argv, never a spliced line.

use std::{fmt, path::PathBuf, time::Duration};

use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use crate::StdinStream;

/// Whether a command changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Leaves the node as it was; may be repeated freely.
    Read,
    /// Changes the node. When the connection is lost, nobody knows whether it ran until the node is asked.
    Mutate,
}

/// As which user a command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunAs {
    /// root, by `sudo -n`.
    Root,
    /// Another user, by `sudo -n` and `runuser`.
    User(String),
}

/// What a command reads.
#[derive(Clone, Default)]
pub enum Stdin {
    /// Nothing: end of file at once. Tools that would ask for a password fail instead of hanging.
    #[default]
    Null,
    /// These bytes. The only way in for secrets: never shown in errors or logs.
    Bytes(Vec<u8>),
    /// The content of a file of the operator.
    File(PathBuf),
    /// What a reader yields, as fast as the command takes it; for one command only.
    Stream(StdinStream),
}

/// Bytes may be a secret: how many there are is all that is ever shown.
impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stdin::Null => f.write_str("Null"),
            Stdin::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Stdin::File(path) => write!(f, "File({path:?})"),
            Stdin::Stream(stream) => write!(f, "{stream:?}"),
        }
    }
}

impl Stdin {
    /// Everything a command would read. Takes a stream, so it is for hosts that do not stream themselves.
    pub async fn read_all(&self) -> std::io::Result<Zeroizing<Vec<u8>>> {
        let mut all = Zeroizing::new(Vec::new());
        match self {
            Stdin::Null => {}
            Stdin::Bytes(bytes) => all.extend_from_slice(bytes),
            Stdin::File(path) => all = Zeroizing::new(tokio::fs::read(path).await?),
            Stdin::Stream(stream) => {
                stream.take()?.read_to_end(&mut all).await?;
            }
        }
        Ok(all)
    }
}

/// One command on one node.
#[derive(Debug, Clone)]
pub struct Cmd {
    /// Stable name, `subject.verb`: what logs, errors and the simulator call it.
    pub id: &'static str,
    /// Program and arguments. For a script: `bash -c SCRIPT ID ARGS…`.
    pub argv: Vec<String>,
    /// Whether it changes anything.
    pub effect: Effect,
    /// Limit, enforced on the node; a longer one is kept on this side.
    pub deadline: Duration,
    /// As whom.
    pub run_as: RunAs,
    /// What it reads.
    pub stdin: Stdin,
}

/// What runs before a script's own text: a failing command ends it, an unset variable is an error.
const STRICT: &str = "set -eu; export LC_ALL=C\n";

impl Cmd {
    /// A script, a constant of the calling crate; `args` arrive as `$1 …` and are never spliced into its text.
    pub fn script<A: Into<String>>(
        effect: Effect,
        id: &'static str,
        script: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut argv = vec!["bash".to_owned(), "-c".to_owned(), format!("{STRICT}{script}"), id.to_owned()];
        argv.extend(args.into_iter().map(Into::into));
        Self { id, argv, effect, deadline: Duration::from_secs(30), run_as: RunAs::Root, stdin: Stdin::Null }
    }

    /// A script that only reads.
    pub fn read<A: Into<String>>(id: &'static str, script: &str, args: impl IntoIterator<Item = A>) -> Self {
        Self::script(Effect::Read, id, script, args)
    }

    /// A script that changes something.
    pub fn mutate<A: Into<String>>(id: &'static str, script: &str, args: impl IntoIterator<Item = A>) -> Self {
        Self::script(Effect::Mutate, id, script, args)
    }

    /// Sets the limit on the node.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets the user.
    #[must_use]
    pub fn run_as(mut self, user: &str) -> Self {
        self.run_as = if user == "root" { RunAs::Root } else { RunAs::User(user.to_owned()) };
        self
    }

    /// Sets what it reads.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// The arguments of a script, without interpreter, text and name.
    pub fn args(&self) -> &[String] {
        self.argv.get(4..).unwrap_or_default()
    }
}
