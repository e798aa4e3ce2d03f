//! One command as a simulated machine sees it: its name, its arguments, its input. Never the text of a script.

use rollup_remote::{Cmd, Stdin};

/// One command as a simulated machine sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) args: Vec<String>,
    pub(crate) input: Vec<u8>,
}

/// What the machine answers.
pub(crate) type Answer = Result<String, Failed>;

/// A command that ended with another status than 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Failed {
    /// Ended with `code`, and said why.
    pub(crate) fn saying(code: i32, stderr: impl Into<String>) -> Self {
        Self { code, stdout: String::new(), stderr: stderr.into() }
    }
}

impl Call {
    /// Takes the input now: it is what is sent, even when the change comes late.
    pub(crate) async fn of(cmd: &Cmd) -> Self {
        let input = match &cmd.stdin {
            Stdin::Null => Vec::new(),
            Stdin::Bytes(bytes) => bytes.clone(),
            Stdin::File(path) => std::fs::read(path).unwrap_or_default(),
            // A package's archive exists by its name only.
            Stdin::Stream(_) if cmd.id == "package.receive" => Vec::new(),
            // One that broke off is a short one.
            Stdin::Stream(_) => cmd.stdin.read_all().await.map(|bytes| bytes.to_vec()).unwrap_or_default(),
        };
        Self { id: cmd.id.to_owned(), args: cmd.args().to_vec(), input }
    }

    /// The arguments from this place on, in groups of `N`.
    pub(crate) fn groups<const N: usize>(&self, from: usize) -> impl Iterator<Item = [&str; N]> {
        let rest = self.args.get(from..).unwrap_or_default();
        rest.chunks_exact(N).map(|group| std::array::from_fn(|at| group[at].as_str()))
    }

    /// The argument at this place, from 0; empty when it is missing.
    pub(crate) fn arg(&self, at: usize) -> &str {
        self.args.get(at).map_or("", String::as_str)
    }

    /// The input as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.input).into_owned()
    }
}
