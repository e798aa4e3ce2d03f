//! The journal: an append-only file that is on disk before a change is made.
//!
//! `DIR/plan.json` and `DIR/journal.jsonl`. Each line holds `seq`, `at`, `sum` and `event`; `sum` is the first 8 hex
//! digits of SHA-256 over the previous line's sum and this line's `seq`, `at` and `event`, so a line that was changed,
//! dropped or moved is found. A last line without its newline was torn by a crash: it is dropped, and cut off before
//! anything is appended. Damage anywhere else is an error that names file and line.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use rollup_model::{Event, Plan, Record, plan::hex};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The format of the journal that this build writes.
pub const FORMAT: u32 = 1;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system said no.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not what was written.
    #[error("{}:{line}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The plan on disk is not the one the run began with.
    #[error("{} is not the plan this run began with: expected digest {expected}, found {found}", path.display())]
    PlanChanged {
        /// The file.
        path: PathBuf,
        /// In the journal's first record.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// Another process on this machine works on the run.
    #[error("another process on this machine works on this run")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
}

#[derive(Serialize)]
struct LineOut<'a> {
    seq: u64,
    at: jiff::Timestamp,
    sum: &'a str,
    event: &'a RawValue,
}

#[derive(Deserialize)]
struct LineIn<'a> {
    seq: u64,
    at: jiff::Timestamp,
    sum: String,
    #[serde(borrow)]
    event: &'a RawValue,
}

fn sum(previous: &str, seq: u64, at: jiff::Timestamp, event: &str) -> String {
    let digest = Sha256::digest(format!("{previous}\n{seq}\n{at}\n{event}"));
    hex(&digest[..4])
}

/// An open journal, locked against other processes of this machine.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    file: File,
    seq: u64,
    sum: String,
    _lock: File,
}

/// What a journal on disk says.
#[derive(Debug)]
pub struct Stored {
    /// The plan.
    pub plan: Plan,
    /// The records, oldest first.
    pub records: Vec<Record>,
}

fn io<T>(doing: &'static str, path: &Path, result: std::io::Result<T>) -> Result<T, JournalError> {
    result.map_err(|source| JournalError::Io { doing, path: path.to_owned(), source })
}

/// The file's name becomes durable only with its directory.
fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    io("sync", dir, File::open(dir).and_then(|dir| dir.sync_all()))
}

fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("lock");
    let file = io("open", &path, OpenOptions::new().create(true).truncate(false).write(true).open(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path }),
        Err(TryLockError::Error(source)) => Err(JournalError::Io { doing: "lock", path, source }),
    }
}

impl Journal {
    /// Begins a run: the directory, the plan, an empty journal.
    pub fn create(dir: &Path, plan: &Plan) -> Result<Self, JournalError> {
        io("create", dir, std::fs::create_dir_all(dir))?;
        let lock = lock(dir)?;
        let text = serde_json::to_string_pretty(plan).map_err(std::io::Error::from);
        write_durably(dir, "plan.json", io("write", &dir.join("plan.json"), text)?.as_bytes())?;
        let path = dir.join("journal.jsonl");
        let file = io("create", &path, OpenOptions::new().append(true).create_new(true).open(&path))?;
        sync_dir(dir)?;
        if let Some(parent) = dir.parent() {
            sync_dir(parent)?;
        }
        Ok(Self { dir: dir.to_owned(), file, seq: 0, sum: String::new(), _lock: lock })
    }

    /// Goes on with a run: reads what is there, cuts off a torn last line.
    pub fn open(dir: &Path) -> Result<(Self, Stored), JournalError> {
        let lock = lock(dir)?;
        let path = dir.join("journal.jsonl");
        let Parsed { stored, whole_bytes, sum } = parse_dir(dir)?;
        let file = io("open", &path, OpenOptions::new().append(true).open(&path))?;
        io("truncate", &path, file.set_len(whole_bytes).and_then(|()| file.sync_all()))?;
        let seq = stored.records.last().map_or(0, |record| record.seq);
        Ok((Self { dir: dir.to_owned(), file, seq, sum, _lock: lock }, stored))
    }

    /// Where the run is kept.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends a record and returns it with the exact line written. Synced records are on disk when this returns.
    pub fn append(&mut self, at: jiff::Timestamp, event: Event) -> Result<(Record, String), JournalError> {
        let path = self.dir.join("journal.jsonl");
        let raw = serde_json::value::to_raw_value(&event).map_err(std::io::Error::from);
        let raw = io("write", &path, raw)?;
        let seq = self.seq + 1;
        let sum = sum(&self.sum, seq, at, raw.get());
        let line = serde_json::to_string(&LineOut { seq, at, sum: &sum, event: &raw }).map_err(std::io::Error::from);
        let mut line = io("write", &path, line)?;
        line.push('\n');
        io("write", &path, self.file.write_all(line.as_bytes()))?;
        if event.is_synced() {
            io("sync", &path, self.file.sync_data())?;
        }
        self.seq = seq;
        self.sum = sum;
        Ok((Record { seq, at, event }, line))
    }
}

/// Writes a whole file so that a crash leaves the old one or the new one.
pub fn write_durably(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
    let (temporary, path) = (dir.join(format!(".{name}.new")), dir.join(name));
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    io("write", &temporary, written)?;
    io("rename", &path, std::fs::rename(&temporary, &path))?;
    sync_dir(dir)
}

/// Reads a run without locking it, also while another process writes it.
pub fn read(dir: &Path) -> Result<Stored, JournalError> {
    parse_dir(dir).map(|parsed| parsed.stored)
}

struct Parsed {
    stored: Stored,
    whole_bytes: u64,
    sum: String,
}

fn parse_dir(dir: &Path) -> Result<Parsed, JournalError> {
    let plan_path = dir.join("plan.json");
    let text = io("read", &plan_path, std::fs::read_to_string(&plan_path))?;
    let plan: Plan = serde_json::from_str(&text).map_err(|error| JournalError::Damaged {
        path: plan_path.clone(),
        line: error.line(),
        why: format!("not a plan of format {}: {error}", rollup_model::plan::FORMAT),
    })?;
    let path = dir.join("journal.jsonl");
    let text = io("read", &path, std::fs::read(&path))?;
    let (records, whole_bytes, sum) = parse(&text, &path)?;
    let first = records.iter().find_map(|record| match &record.event {
        Event::RunStarted { plan_digest, format, .. } => Some((record.seq, plan_digest, *format)),
        _ => None,
    });
    let damaged = |line: u64, why: String| {
        Err(JournalError::Damaged { path: path.clone(), line: usize::try_from(line).unwrap_or(usize::MAX), why })
    };
    match first {
        None if records.is_empty() => {}
        None => return damaged(1, "no record says which plan this run began with".to_owned()),
        Some((line, _, format)) if format != FORMAT => {
            return damaged(line, format!("expected journal format {FORMAT}, found {format}"));
        }
        Some((_, expected, _)) if *expected != plan.digest() => {
            let found = plan.digest();
            return Err(JournalError::PlanChanged { path: plan_path, expected: expected.clone(), found });
        }
        Some(_) => {}
    }
    Ok(Parsed { stored: Stored { plan, records }, whole_bytes, sum })
}

/// Reads lines; returns records, the length of the whole lines in bytes, and the last sum.
pub(crate) fn parse(text: &[u8], path: &Path) -> Result<(Vec<Record>, u64, String), JournalError> {
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let damaged = |line: usize, why: String| JournalError::Damaged { path: path.to_owned(), line, why };
    let mut records = Vec::new();
    let mut previous = String::new();
    for (number, line) in (1..).zip(text[..whole].split_inclusive(|byte| *byte == b'\n')) {
        let line = std::str::from_utf8(line).map_err(|_| damaged(number, "not UTF-8".to_owned()))?;
        let read: LineIn<'_> = serde_json::from_str(line).map_err(|error| damaged(number, error.to_string()))?;
        if read.sum != sum(&previous, read.seq, read.at, read.event.get()) {
            return Err(damaged(
                number,
                format!("its sum `{}` does not fit its content and the line before", read.sum),
            ));
        }
        if read.seq != number as u64 {
            return Err(damaged(number, format!("expected record {number}, found {}", read.seq)));
        }
        let event = serde_json::from_str(read.event.get()).map_err(|error| damaged(number, error.to_string()))?;
        records.push(Record { seq: read.seq, at: read.at, event });
        previous = read.sum;
    }
    Ok((records, whole as u64, previous))
}
