//! Errors of gsql, by the text on standard error.
//!
//! gsql writes `gsql:FILE:LINE: ERROR:  text` with `-f`, `ERROR:  text` with `-c`. Source: `src/bin/psql` (`common.cpp`,
//! `startup.cpp`), `fe-protocol3.cpp` and `proc.cpp` of openGauss-server. What psql of PostgreSQL writes is read too.

mod read;

use serde::Serialize;

pub use self::read::read;
use super::text::Shown;

/// What gsql said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sql {
    /// It ended with 0 and complained of nothing. **No proof that anything was committed**: let the statements themselves
    /// say so on standard output.
    NoError,
    /// It complained, the first complaint first. Without `ON_ERROR_STOP` **the exit status is 0 all the same** with `-c`.
    Errors(Vec<SqlError>),
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// One complaint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SqlError {
    /// The file that was run, with `-f`.
    pub file: Option<String>,
    /// The line of it at which the statement ends.
    pub line: Option<u64>,
    /// Who complains, and how badly.
    pub severity: Severity,
    /// What of.
    pub message: Shown,
    /// Where it was printed (`\set VERBOSITY verbose`).
    pub sqlstate: Option<String>,
    /// More of it, where it was printed.
    pub detail: Option<Shown>,
    /// Advice, where it was printed.
    pub hint: Option<Shown>,
    /// What it means to an upgrade.
    pub class: Class,
}

/// Who complains, and how badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The server: the statement failed.
    Error,
    /// The server: the session ends.
    Fatal,
    /// The server: all sessions end.
    Panic,
    /// gsql itself, for example of a file or a command of its own.
    Client,
}

/// What an error means to an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It waited for a lock as long as it may. Deal with who holds it, then again.
    LockWait(LockWait),
    /// It writes, and this server does not: a standby.
    ReadOnlyTransaction,
    /// The server has made itself read-only since its disk is full. Free space first.
    DiskFullReadOnly,
    /// A statement took longer than it may.
    StatementTimeout,
    /// There is no session: the server refuses, is starting, or is not there.
    ConnectionFailed,
    /// The session ended in the middle. **In doubt**: a commit may have been on its way.
    ConnectionLost,
    /// Something else.
    Other,
}

/// A lock that was not had in time. Everything in it is in the server's words and may be missing in other versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LockWait {
    /// The thread that waited.
    pub thread: Option<u64>,
    /// The lock's mode, for example `AccessExclusiveLock`.
    pub mode: Option<String>,
    /// What is locked, for example `relation 16409 of database 13218`.
    pub target: Option<String>,
    /// How long it waited, in whole milliseconds.
    pub waited_ms: Option<u64>,
    /// Who was in the way.
    pub blocker: Option<Blocker>,
}

/// Who was in the way of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Blocker {
    /// It holds the lock; otherwise it waits for one itself, and was there before.
    pub holds: bool,
    /// Its thread; 0 for a prepared transaction.
    pub thread: u64,
    /// What it does now.
    pub statement: Shown,
    /// The mode of its lock.
    pub mode: String,
}
