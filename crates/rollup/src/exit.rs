//! Exit codes, and errors that know theirs. They are API: scripts and CI branch on them.

use std::fmt;

/// Done.
pub(crate) const DONE: u8 = 0;
/// Something this program did not foresee.
pub(crate) const UNEXPECTED: u8 = 1;
/// Usage, inventory or playbook.
pub(crate) const USAGE: u8 = 2;
/// A check said no; nothing was changed.
pub(crate) const BLOCKED: u8 = 3;
/// A step failed; the run can go on.
pub(crate) const FAILED: u8 = 4;
/// Stopped by the operator; the run can go on.
pub(crate) const STOPPED: u8 = 5;
/// Taken back; the old version serves.
pub(crate) const ROLLED_BACK: u8 = 6;
/// Taking back failed.
pub(crate) const ROLLBACK_FAILED: u8 = 7;
/// Another run holds the nodes.
pub(crate) const LOCKED: u8 = 8;

/// What `--help` says about them.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  unexpected error
  2  usage, inventory or playbook
  3  blocked by a check, nothing changed
  4  a step failed, `rollup resume` goes on
  5  stopped by the operator, `rollup resume` goes on
  6  rolled back, the old version serves
  7  rollback failed
  8  locked by another run";

/// An error that ends the program: its exit code, what happened, what to type next.
#[derive(Debug)]
pub(crate) struct Exit {
    /// One of the constants of this module.
    pub(crate) code: u8,
    /// What is told before the error: findings, or mistakes in a file at their lines.
    pub(crate) page: Option<String>,
    /// What happened, outermost first.
    pub(crate) error: anyhow::Error,
    /// The next command, or file and line.
    pub(crate) hint: Option<String>,
}

/// The result of a command: the exit code of a regular end.
pub(crate) type Ended = Result<u8, Exit>;

impl Exit {
    /// An error with a code of its own.
    pub(crate) fn new(code: u8, error: impl fmt::Display) -> Self {
        Self { code, page: None, error: anyhow::anyhow!("{error}"), hint: None }
    }

    /// A mistake in what was typed or written.
    pub(crate) fn usage(error: impl fmt::Display) -> Self {
        Self::new(USAGE, error)
    }

    /// The same error after a page.
    #[must_use]
    pub(crate) fn page(mut self, page: String) -> Self {
        self.page = Some(page);
        self
    }

    /// The same error with the next command.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<anyhow::Error> for Exit {
    fn from(error: anyhow::Error) -> Self {
        Self { code: UNEXPECTED, page: None, error, hint: None }
    }
}

impl From<std::io::Error> for Exit {
    fn from(error: std::io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<rollup_engine::journal::JournalError> for Exit {
    fn from(error: rollup_engine::journal::JournalError) -> Self {
        use rollup_engine::journal::JournalError;
        let copies = "each node keeps a copy in /var/lib/rollup/runs; compare before anything else";
        let hint = match &error {
            JournalError::Damaged { .. } | JournalError::PlanChanged { .. } => Some(copies),
            JournalError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Some(copies),
            JournalError::Io { .. } => Some("runs need a directory that can be written: --state-dir DIR"),
            JournalError::InUse { .. } => None,
        };
        let hint = hint.map(str::to_owned);
        let code = if matches!(error, JournalError::InUse { .. }) { LOCKED } else { UNEXPECTED };
        Self { code, page: None, error: error.into(), hint }
    }
}
