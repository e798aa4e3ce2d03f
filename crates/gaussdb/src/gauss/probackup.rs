//! `gs_probackup`: the catalogue of backups, and what became of a backup, a validation and a restore.
//!
//! Its messages go to standard error and its catalogue to standard output: give [`read_show`] that output alone, the
//! others both. Source: `show.cpp`, `backup.cpp`, `validate.cpp` and `restore.cpp` of `src/bin/pg_probackup` of
//! openGauss-server.

use serde::{Deserialize, Serialize};

use super::{
    text::{Said, Shown},
    words::{Word, words},
};
use crate::Lsn;

/// What `gs_probackup show --format=json` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Show {
    /// The catalogue; it may be empty.
    Catalogue(Vec<InstanceBackups>),
    /// It failed, and the error.
    Failed(Shown),
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// The backups of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstanceBackups {
    /// Its name in the catalogue.
    pub instance: String,
    /// The newest first, as the tool lists them.
    pub backups: Vec<Backup>,
}

/// One backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Backup {
    /// For example `SDGQ2T`.
    pub id: String,
    /// What it adds to; `None`: it is whole by itself.
    pub parent: Option<String>,
    /// `FULL` or `PTRACK`.
    pub mode: String,
    /// `STREAM`: the log that it needs is inside. `ARCHIVE`: it is not.
    pub wal: String,
    /// It was taken from a standby.
    pub from_replica: bool,
    /// Whether its files were read back and found well.
    pub status: Word<BackupStatus>,
    /// Where it begins and ends.
    pub start_lsn: Lsn,
    /// Recovery must reach this.
    pub stop_lsn: Lsn,
    /// In the tool's format, for example `2024-05-14 11:05:41+08`.
    pub start_time: String,
    /// The same; `None`: it has not ended.
    pub end_time: Option<String>,
    /// Size of the data, in bytes.
    pub data_bytes: Option<u64>,
    /// Size of the log inside, in bytes.
    pub wal_bytes: Option<u64>,
}

impl Backup {
    /// Its files were read back and found well.
    pub fn is_verified(&self) -> bool {
        self.status.is(BackupStatus::Ok)
    }
}

words! {
    /// What a backup is worth.
    BackupStatus {
        /// Read back and found well.
        Ok = "OK",
        /// Complete, **not read back**.
        Done = "DONE",
        /// Being taken.
        Running = "RUNNING",
        /// Being merged.
        Merging = "MERGING",
        /// Merged.
        Merged = "MERGED",
        /// Being deleted.
        Deleting = "DELETING",
        /// Deleted.
        Deleted = "DELETED",
        /// What it adds to is not well.
        Orphan = "ORPHAN",
        /// Read back and found damaged.
        Corrupt = "CORRUPT",
        /// It failed.
        Error = "ERROR",
        /// The tool does not know.
        Unknown = "UNKNOWN",
    }
}

/// What became of `gs_probackup backup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TakeBackup {
    /// It is complete.
    Completed(TakenBackup),
    /// It failed, and the error.
    Failed(Shown),
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// A complete backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TakenBackup {
    /// Its id.
    pub id: String,
    /// Its files were read back and found well.
    pub validated: bool,
    /// It was taken from a standby.
    pub from_standby: bool,
}

/// What became of `gs_probackup validate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validate {
    /// The files of these backups were read back and found well, and nothing else was looked at.
    Valid(Vec<String>),
    /// Something is damaged.
    Corrupt(Shown),
    /// Some backup was not looked at, for example since it is locked; **exit status 0**.
    Skipped(Shown),
    /// It failed, and the error.
    Failed(Shown),
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// What became of `gs_probackup restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreBackup {
    /// The data directory is as this backup was. It was read back before, unless that was declined.
    Completed(RestoredBackup),
    /// The directory is not empty; nothing was done.
    NotEmpty,
    /// It failed, and the error.
    Failed(Shown),
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// A restored backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoredBackup {
    /// Its id.
    pub id: String,
    /// It was read back and found well before.
    pub validated: bool,
}

/// From 6.0.0 on the list is inside an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    New { backup_info: Vec<InstanceDocument> },
    Old(Vec<InstanceDocument>),
}

#[derive(Deserialize)]
struct InstanceDocument {
    instance: String,
    backups: Vec<BackupDocument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BackupDocument {
    id: String,
    parent_backup_id: Option<String>,
    backup_mode: String,
    wal: String,
    from_replica: String,
    start_lsn: Lsn,
    stop_lsn: Lsn,
    start_time: String,
    end_time: Option<String>,
    data_bytes: Option<u64>,
    wal_bytes: Option<u64>,
    status: String,
}

/// Reads what `gs_probackup show -B CATALOGUE --format=json` printed. `status`: its exit status.
pub fn read_show(status: i32, text: &str) -> Show {
    let said = Said::of(text);
    if let Some(error) = error(&said) {
        return Show::Failed(error);
    }
    let instances = if status == 0 { document(text) } else { None };
    instances.map_or_else(|| Show::Unknown(Shown::of(text)), Show::Catalogue)
}

/// Lines of log rotation can stand before the document.
pub(super) fn document(text: &str) -> Option<Vec<InstanceBackups>> {
    let begins = |line: &str| match line.trim() {
        line if line.starts_with('{') => true,
        line => line.strip_prefix('[').is_some_and(|rest| rest.is_empty() || rest.starts_with(['{', ']'])),
    };
    let before: usize = text.split_inclusive('\n').take_while(|line| !begins(line)).map(str::len).sum();
    let document = serde_json::Deserializer::from_str(text.get(before..)?).into_iter().next()?.ok()?;
    let (Document::New { backup_info: instances } | Document::Old(instances)) = document;
    instances.into_iter().map(instance).collect()
}

fn instance(instance: InstanceDocument) -> Option<InstanceBackups> {
    let backups = instance.backups.into_iter().map(backup).collect::<Option<_>>()?;
    Some(InstanceBackups { instance: instance.instance, backups })
}

fn backup(backup: BackupDocument) -> Option<Backup> {
    Some(Backup {
        id: backup.id,
        parent: backup.parent_backup_id,
        mode: backup.backup_mode,
        wal: backup.wal,
        from_replica: match backup.from_replica.as_str() {
            "true" => true,
            "false" => false,
            _ => return None,
        },
        status: Word::of(&backup.status),
        start_lsn: backup.start_lsn,
        stop_lsn: backup.stop_lsn,
        start_time: backup.start_time,
        end_time: backup.end_time,
        data_bytes: backup.data_bytes,
        wal_bytes: backup.wal_bytes,
    })
}

/// Reads what `gs_probackup backup` printed. `status`: its exit status.
pub fn read_backup(status: i32, text: &str) -> TakeBackup {
    let said = Said::of(text);
    if let Some(error) = error(&said) {
        return TakeBackup::Failed(error);
    }
    let Some(id) = ids(&said, "INFO: Backup ", " completed").pop().filter(|_| status == 0) else {
        return TakeBackup::Unknown(Shown::of(text));
    };
    let says = |what: &str| said.says(&format!("INFO: Backup {id} {what}"));
    let (validated, from_standby) = (says("data files are valid"), says("is going to be taken from standby"));
    TakeBackup::Completed(TakenBackup { validated, from_standby, id })
}

/// Reads what `gs_probackup validate` printed, of one backup or of all. `status`: its exit status.
pub fn read_validate(status: i32, text: &str) -> Validate {
    const CORRUPT: [&str; 6] = [
        "data files are corrupted",
        "file list is corrupted",
        " is corrupt.",
        " is orphan.",
        "Some backups are not valid",
        "is a victim of metadata corruption",
    ];
    const SKIPPED: [&str; 4] =
        ["skip validation", "Skip validation", "weren't locked and they were skipped", "is used without validation"];
    let said = Said::of(text);
    if said.holding(&CORRUPT).is_some() {
        return Validate::Corrupt(Shown::of(text));
    }
    if let Some(error) = error(&said) {
        return Validate::Failed(error);
    }
    if said.holding(&SKIPPED).is_some() {
        return Validate::Skipped(Shown::of(text));
    }
    let valid = ids(&said, "INFO: Backup ", " data files are valid");
    if status == 0 && !valid.is_empty() { Validate::Valid(valid) } else { Validate::Unknown(Shown::of(text)) }
}

/// Reads what `gs_probackup restore` printed. `status`: its exit status.
pub fn read_restore(status: i32, text: &str) -> RestoreBackup {
    let said = Said::of(text);
    if said.begins("ERROR: Restore destination is not empty") {
        return RestoreBackup::NotEmpty;
    }
    if let Some(error) = error(&said) {
        return RestoreBackup::Failed(error);
    }
    let Some(id) = ids(&said, "INFO: Restore of backup ", " completed.").pop().filter(|_| status == 0) else {
        return RestoreBackup::Unknown(Shown::of(text));
    };
    let validated = said.says(&format!("INFO: Backup {id} is valid."));
    RestoreBackup::Completed(RestoredBackup { validated, id })
}

/// The ids that stand between `before` and `after`, in the order of their lines.
fn ids(said: &Said<'_>, before: &str, after: &str) -> Vec<String> {
    let id = |line: &str| {
        let id = line.strip_prefix(before)?.strip_suffix(after)?;
        (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| id.to_owned())
    };
    said.trimmed().filter_map(id).collect()
}

/// The first error. The tool ends at it.
fn error(said: &Said<'_>) -> Option<Shown> {
    said.trimmed().find_map(|line| line.strip_prefix("ERROR: ")).map(Shown::of)
}
