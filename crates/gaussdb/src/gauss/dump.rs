//! `gs_dump`, `gs_restore` and `gs_basebackup`: what became of it.
//!
//! Source: `src/bin/pg_dump` (`pg_dump.cpp`, `pg_restore.cpp`, `dumputils.cpp`) and `pg_basebackup.cpp` of openGauss-server.

use serde::Serialize;

use super::text::{Said, Shown, leading_number};

/// What became of `gs_dump -f FILE DATABASE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dump {
    /// This database was written.
    Dumped(String),
    /// The file was there already and `--dont-overwrite-file` was given: **nothing was written, with exit status 0**.
    FileExists,
    /// The server here is a standby. Ask the primary.
    RefusedOnStandby,
    /// It failed.
    Failed(Shown),
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// What became of `gs_restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreDump {
    /// Everything was restored.
    Restored,
    /// Statements failed. **The tool goes on and calls the whole successful all the same.**
    WithErrors {
        /// How many.
        errors: u64,
    },
    /// It failed.
    Failed(Shown),
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// What became of `gs_basebackup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaseBackup {
    /// The backup is complete. **Nothing has read it back.**
    Completed,
    /// The directory is not empty; nothing was done.
    NotEmpty,
    /// It failed.
    Failed(Shown),
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// Reads what `gs_dump -f FILE DATABASE` printed. `status`: its exit status.
pub fn read_dump(status: i32, text: &str) -> Dump {
    let said = Said::of(text);
    let messages = || said.trimmed().map(message);
    if messages().any(|line| line == "gs_dump is not supported on standby or cascade standby") {
        return Dump::RefusedOnStandby;
    }
    if messages().any(|line| line == "Dump File specified already exists.") {
        return Dump::FileExists;
    }
    let database = |line: &str| {
        let database = line.strip_prefix("dump database ")?.strip_suffix(" successfully")?;
        (!database.is_empty()).then(|| database.to_owned())
    };
    match (status, messages().rev().find_map(database)) {
        (0, Some(database)) => Dump::Dumped(database),
        (1.., None) if said.begins("gs_dump") => Dump::Failed(Shown::of(text)),
        _ => Dump::Unknown(Shown::of(text)),
    }
}

/// Reads what `gs_restore -d DATABASE FILE` printed. `status`: its exit status.
pub fn read_restore(status: i32, text: &str) -> RestoreDump {
    let said = Said::of(text);
    let messages = || said.trimmed().map(message);
    let ignored = messages().rev().find_map(|line| line.strip_prefix("WARNING: errors ignored on restore: "));
    if let Some(errors) = ignored.and_then(leading_number) {
        return RestoreDump::WithErrors { errors };
    }
    let complaint = |line: &str| line.starts_with("Error from TOC entry ") || line.starts_with("Error while ");
    match (status, messages().any(|line| line == "restore operation successful"), messages().any(complaint)) {
        (0, true, false) => RestoreDump::Restored,
        (1.., false, _) if said.holding(&["gs_restore", "could not ", "ERROR:"]).is_some() => {
            RestoreDump::Failed(Shown::of(text))
        }
        _ => RestoreDump::Unknown(Shown::of(text)),
    }
}

/// Reads what `gs_basebackup -D DIR` printed on both streams. `status`: its exit status.
pub fn read_basebackup(status: i32, text: &str) -> BaseBackup {
    let said = Said::of(text);
    let not_empty =
        |line: &str| line.starts_with("gs_basebackup: directory \"") && line.ends_with("\" exists but is not empty");
    if said.trimmed().any(not_empty) {
        return BaseBackup::NotEmpty;
    }
    // Depending on the version a short or a long prefix stands before it.
    let completed = said.trimmed().any(|line| line.ends_with("gs_basebackup: base backup successfully"));
    match (status, completed) {
        (0, true) => BaseBackup::Completed,
        (1.., false) if said.holding(&["gs_basebackup: "]).is_some() => BaseBackup::Failed(Shown::of(text)),
        _ => BaseBackup::Unknown(Shown::of(text)),
    }
}

/// A message without its prefix, which is `gs_dump[port='15400'][appdb][2024-05-14 11:00:01]: ` once connected, and
/// `gs_dump: [port='15400'] [appdb] [archiver] [2024-05-14 11:00:01] ` for some.
fn message(line: &str) -> &str {
    let tool = ["gs_dump", "gs_restore"].iter().find_map(|tool| line.strip_prefix(tool));
    let Some(mut rest) = tool.filter(|rest| rest.starts_with('[') || rest.starts_with(": [")) else { return line };
    rest = rest.trim_start_matches([':', ' ']);
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        rest = after.trim_start();
    }
    rest.strip_prefix(':').unwrap_or(rest).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauss::fixtures::{fixture, text};

    #[test]
    fn a_dump_is_written_where_the_tool_names_the_database_db_1() {
        let of = |name| {
            let (status, text) = fixture(name);
            read_dump(status, text)
        };
        for name in ["F12_gs_dump_ok_v6", "F12q_gs_dump_ok_v2"] {
            assert_eq!(of(name), Dump::Dumped("appdb".to_owned()), "{name}");
            let Dump::Unknown(_) = read_dump(1, text(name)) else { panic!("{name} with status 1") };
        }
        assert_eq!(of("F12b_gs_dump_standby_rc1"), Dump::RefusedOnStandby);
        assert_eq!(of("F12p_gs_dump_file_exists_rc0"), Dump::FileExists);
        let failed = "gs_dump: [port='15400'] [appdb] [archiver (db)] [2024-05-14 11:00:01] query failed: ERROR:  x\n";
        let Dump::Failed(_) = read_dump(1, failed) else { panic!() };
        let Dump::Unknown(_) = read_dump(0, "") else { panic!("status 0 alone") };
    }

    #[test]
    fn a_restore_that_calls_itself_successful_after_errors_is_not_db_1() {
        let of = |name| {
            let (status, text) = fixture(name);
            read_restore(status, text)
        };
        assert_eq!(of("F12r_gs_restore_ok"), RestoreDump::Restored);
        assert_eq!(of("F12c_gs_restore_with_errors_rc1"), RestoreDump::WithErrors { errors: 1 });
        assert_eq!(read_restore(0, text("F12c_gs_restore_with_errors_rc1")), RestoreDump::WithErrors { errors: 1 });
        let prefixed = "gs_restore[port='15400'][appdb][2024-05-14 11:00:01]: restore operation successful\n";
        assert_eq!(read_restore(0, prefixed), RestoreDump::Restored);
        let entry = format!("Error from TOC entry 12; 0 0 TABLE t omm\n{prefixed}");
        let RestoreDump::Unknown(_) = read_restore(0, &entry) else { panic!("an error that was not counted") };
        let RestoreDump::Unknown(_) = read_restore(1, prefixed) else { panic!("with status 1") };
    }

    #[test]
    fn a_base_backup_is_complete_by_its_last_line_db_1() {
        let of = |name| {
            let (status, text) = fixture(name);
            read_basebackup(status, text)
        };
        assert_eq!(of("F12s_basebackup_ok"), BaseBackup::Completed);
        assert_eq!(of("F12t_basebackup_not_empty"), BaseBackup::NotEmpty);
        let tar = "gs_basebackup: wal streaming can only be used in plain mode\n";
        let BaseBackup::Failed(_) = read_basebackup(1, tar) else { panic!() };
        let BaseBackup::Unknown(_) = read_basebackup(0, tar) else { panic!("with status 0") };
    }
}
