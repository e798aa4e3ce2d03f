//! Migrations there and back: each one transaction, together with its row of history.

use anyhow::anyhow;
use rollup_remote::{Cmd, RemoteError, Stdin};

use super::{OpenGauss, args};
use crate::{
    engine::{At, Change, Migrations, Reversal},
    gauss::sql::{self as answers, Class, Sql, SqlError},
    shared,
    sql::{self, Refusal},
};

/// Before the migration. One line, so that the line numbers in errors are those of the file. In the words of 9.2, which is
/// what both products are based on.
///
/// The lock keeps a second run, or a first one whose connection was lost, from running the same file at once. A session
/// that seems idle would be ended by the server (`session_timeout`).
const OPEN: &str = "BEGIN; \
SELECT set_config('lockwait_timeout', :'rollup_lock', true), set_config('update_lockwait_timeout', :'rollup_lock', true), \
set_config('statement_timeout', :'rollup_statement', true), set_config('session_timeout', '0', true), \
set_config('client_min_messages', 'warning', true); \
DO $rollup$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'rollup_history') \
THEN EXECUTE 'CREATE SCHEMA rollup_history'; END IF; END $rollup$; \
CREATE TABLE IF NOT EXISTS rollup_history.migrations (version text NOT NULL, phase text NOT NULL, name text NOT NULL, \
checksum text NOT NULL, kind text NOT NULL, run text NOT NULL, applied_by text NOT NULL, \
started timestamptz NOT NULL, finished timestamptz NOT NULL, ms bigint NOT NULL, PRIMARY KEY (version, phase)); \
LOCK TABLE rollup_history.migrations IN SHARE ROW EXCLUSIVE MODE; \
SELECT set_config('role', :'rollup_owner', true); ";

/// After it. The first line ends what the file may have left open.
const CLOSE: &str = "
;
RESET ROLE;
INSERT INTO rollup_history.migrations
VALUES (:'rollup_version', :'rollup_phase', :'rollup_name', :'rollup_checksum', :'rollup_kind', :'rollup_run',
  :'rollup_by', now(), clock_timestamp(), floor(extract(epoch from clock_timestamp() - now()) * 1000));
COMMIT;
";

/// Before the file that leads back. What a first try has done, whose answer was lost, is seen once it has ended.
const OPEN_BACK: &str = "BEGIN; \
SELECT set_config('lockwait_timeout', :'rollup_lock', true), set_config('update_lockwait_timeout', :'rollup_lock', true), \
set_config('statement_timeout', :'rollup_statement', true), set_config('session_timeout', '0', true), \
set_config('client_min_messages', 'warning', true); \
LOCK TABLE rollup_history.migrations IN SHARE ROW EXCLUSIVE MODE; \
CREATE FUNCTION pg_temp.rollup_insist(text, text, text) RETURNS void AS $rollup$ BEGIN IF NOT EXISTS (SELECT 1 \
FROM rollup_history.migrations WHERE version = $1 AND phase = $2 AND run = $3 AND kind = 'applied') \
THEN RAISE EXCEPTION 'rollup: already taken back'; END IF; END $rollup$ LANGUAGE plpgsql; \
SELECT pg_temp.rollup_insist(:'rollup_version', :'rollup_phase', :'rollup_run'); \
SELECT set_config('role', :'rollup_owner', true); ";

/// After it.
const CLOSE_BACK: &str = "
;
RESET ROLE;
DELETE FROM rollup_history.migrations
WHERE version = :'rollup_version' AND phase = :'rollup_phase' AND run = :'rollup_run' AND kind = 'applied';
COMMIT;
";

/// What a failed transaction has left. 3 is gsql's word for an error in a script; a lost server may have committed before
/// it was lost.
fn failed(file: &str, error: RemoteError, unknown: &str) -> anyhow::Error {
    match error {
        RemoteError::Exit { code, ref stderr, .. } => {
            let end = if code == 3 { "nothing was changed by it" } else { unknown };
            anyhow!("migration `{file}` failed, {end}:\n  {}", said(file, code, stderr).join("\n  "))
        }
        other => anyhow::Error::new(other).context(format!("migration `{file}`")),
    }
}

/// What gsql said, in the words of the file, and who was in the way.
fn said(file: &str, status: i32, stderr: &str) -> Vec<String> {
    let mut lines = match answers::read(status, stderr) {
        Sql::Errors(errors) => errors.iter().flat_map(|error| told(file, error)).collect(),
        Sql::NoError => Vec::new(),
        Sql::Unknown(text) => vec![text.to_string()],
    };
    lines.extend(stderr.lines().filter(|line| line.starts_with("held-by ")).map(str::to_owned));
    lines
}

fn told(file: &str, error: &SqlError) -> Vec<String> {
    let place = error.line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
    let mut lines = vec![format!("{place}: {}", error.message)];
    match &error.class {
        Class::LockWait(wait) => lines.extend(wait.blocker.as_ref().map(|by| {
            let part = if by.holds { "holds" } else { "waits before it for" };
            format!("thread {} {part} {}: {}", by.thread, by.mode, by.statement)
        })),
        _ => lines.extend(error.detail.iter().chain(&error.hint).map(ToString::to_string)),
    }
    lines
}

impl Migrations for OpenGauss {
    fn refuse(&self, sql: &str) -> Vec<Refusal> {
        sql::refuse(sql)
    }

    fn migrate(&self, at: At<'_>, change: &Change<'_>) -> Cmd {
        Cmd::mutate("db.migrate", script!("blockers.sh", "migrate.sh"), args(at, shared::change_words(at, change)))
            .run_as(&at.database().os_user)
            .deadline(at.inventory.limits.migration.duration())
            .stdin(Stdin::Bytes(format!("{OPEN}{}{CLOSE}", shared::statements(change)).into_bytes()))
    }

    fn migration_error(&self, change: &Change<'_>, error: RemoteError) -> anyhow::Error {
        failed(&change.migration.name, error, "whether it is applied is not known")
    }

    fn revert(&self, at: At<'_>, reversal: &Reversal<'_>) -> Cmd {
        Cmd::mutate("db.revert", script!("blockers.sh", "revert.sh"), args(at, shared::reversal_words(at, reversal)))
            .run_as(&at.database().os_user)
            .deadline(at.inventory.limits.migration.duration())
            .stdin(Stdin::Bytes(
                format!("{OPEN_BACK}{}{CLOSE_BACK}", shared::without_mark(&reversal.down.sql)).into_bytes(),
            ))
    }

    fn reversal_error(&self, reversal: &Reversal<'_>, error: RemoteError) -> anyhow::Error {
        failed(&reversal.down.name, error, "whether it has run is not known")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_lock_is_named_with_the_file_and_its_line_db_4() {
        let stderr = "gsql:/tmp/rollup-sql.x:3: ERROR:  YY003: Lock wait timeout: thread 140 on node dn_6001 waiting for \
                      AccessExclusiveLock on relation 16409 of database 13218 after 3000.123 ms\n\
                      DETAIL:  blocked by hold lock thread 150, statement <select 1>, hold lockmode AccessShareLock.\n\
                      held-by pid 150, user orders, in a transaction for 9 s, idle in transaction: select 1\n";
        let lines = said("V2__x.sql", 3, stderr);
        assert!(lines[0].starts_with("V2__x.sql:3: Lock wait timeout"), "{lines:?}");
        assert_eq!(lines[1], "thread 150 holds AccessShareLock: select 1");
        assert!(lines[2].starts_with("held-by pid 150, user orders"), "{lines:?}");
        let odd = said("V2__x.sql", 1, "bash: gsql: command not found\n");
        assert!(odd.iter().any(|line| line.contains("command not found")), "{odd:?}");
    }
}
