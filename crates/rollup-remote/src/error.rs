//! What can become of a command besides success.

/// Why a command has no result to use.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RemoteError {
    /// The node was not reached, so nothing ran; or the answer of a read was lost. Free to repeat.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// The node.
        host: String,
        /// ssh's own words.
        why: String,
    },
    /// A change was sent and its end was not seen. It may have happened, or still be happening.
    #[error("{host}: lost sight of `{id}`: {why}")]
    InDoubt {
        /// The node.
        host: String,
        /// The command's name.
        id: String,
        /// What was seen last.
        why: String,
    },
    /// A change was asked of a handle that only reads; a mistake in an action.
    #[error("{host}: `{id}` would change the node, but only reading is allowed here")]
    ReadOnly {
        /// The node.
        host: String,
        /// The command's name.
        id: String,
    },
    /// What a command wrote could not be taken on this side, so it was ended.
    #[error("{host}: the output of `{id}` cannot be taken: {why}")]
    Sink {
        /// The node.
        host: String,
        /// The command's name.
        id: String,
        /// What the taking side said.
        why: String,
    },
    /// The command ran and ended with another status than 0.
    #[error("{host}: `{id}` ended with status {code}{}", tail(stderr, stdout))]
    Exit {
        /// The node.
        host: String,
        /// The command's name.
        id: String,
        /// Its status.
        code: i32,
        /// What it wrote there.
        stdout: String,
        /// What it wrote there.
        stderr: String,
    },
}

impl RemoteError {
    /// The same error without what the command wrote to standard output, which may be large or secret.
    pub fn without_stdout(self) -> Self {
        match self {
            RemoteError::Exit { host, id, code, stdout: _, stderr } => {
                RemoteError::Exit { host, id, code, stdout: String::new(), stderr }
            }
            other => other,
        }
    }

    /// The reader of a command's output took no more.
    pub fn sink(host: &str, cmd: &crate::Cmd, error: &std::io::Error) -> Self {
        RemoteError::Sink { host: host.to_owned(), id: cmd.id.to_owned(), why: error.to_string() }
    }

    /// The status of a command that ran and failed.
    pub fn code(&self) -> Option<i32> {
        match self {
            RemoteError::Exit { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// The last lines of what a failed command said; stderr where there is any, else stdout.
fn tail(stderr: &str, stdout: &str) -> String {
    let text = if stderr.trim().is_empty() { stdout } else { stderr };
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.len().saturating_sub(6);
    match &lines[last..] {
        [] => String::new(),
        [one] => format!(": {}", one.trim()),
        several => format!(":\n  {}", several.join("\n  ")),
    }
}
