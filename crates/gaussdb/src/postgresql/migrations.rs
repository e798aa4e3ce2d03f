//! Migrations there and back: each one transaction, together with its row of history.

use anyhow::anyhow;
use rollup_remote::{Cmd, RemoteError, Stdin};

use super::{PostgreSql, args, parse};
use crate::{
    engine::{At, Change, Migrations, Reversal},
    shared,
    sql::{self, Refusal},
};

/// Before the migration. One line, so that the line numbers in errors are those of the file.
///
/// The lock keeps a second run, or a first one whose connection was lost, from running the same file at once.
const OPEN: &str = "BEGIN; \
SELECT set_config('lock_timeout', :'rollup_lock', true), set_config('statement_timeout', :'rollup_statement', true), \
set_config('client_min_messages', 'warning', true); \
CREATE SCHEMA IF NOT EXISTS rollup_history; \
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
  :'rollup_by', now(), clock_timestamp(), extract(epoch from clock_timestamp() - now()) * 1000);
COMMIT;
";

/// Before the file that leads back. What a first try has done, whose answer was lost, is seen once it has ended.
const OPEN_BACK: &str = "BEGIN; \
SELECT set_config('lock_timeout', :'rollup_lock', true), set_config('statement_timeout', :'rollup_statement', true), \
set_config('client_min_messages', 'warning', true), set_config('rollup.version', :'rollup_version', true), \
set_config('rollup.phase', :'rollup_phase', true), set_config('rollup.run', :'rollup_run', true); \
LOCK TABLE rollup_history.migrations IN SHARE ROW EXCLUSIVE MODE; \
DO $rollup$ BEGIN IF NOT EXISTS (SELECT FROM rollup_history.migrations \
WHERE version = current_setting('rollup.version') AND phase = current_setting('rollup.phase') \
AND run = current_setting('rollup.run') AND kind = 'applied') \
THEN RAISE EXCEPTION 'rollup: already taken back'; END IF; END $rollup$; \
SELECT set_config('role', :'rollup_owner', true); ";

/// After it.
const CLOSE_BACK: &str = "
;
RESET ROLE;
DELETE FROM rollup_history.migrations
WHERE version = :'rollup_version' AND phase = :'rollup_phase' AND run = :'rollup_run' AND kind = 'applied';
COMMIT;
";

/// What a failed transaction has left. 3 is psql's word for an error in a script; a lost server may have committed
/// before it was lost.
fn failed(file: &str, error: RemoteError, unknown: &str) -> anyhow::Error {
    match error {
        RemoteError::Exit { code, ref stderr, .. } => {
            let said = parse::migration_error(file, stderr);
            let end = if code == 3 { "nothing was changed by it" } else { unknown };
            anyhow!("migration `{file}` failed, {end}:\n  {}", said.join("\n  "))
        }
        other => anyhow::Error::new(other).context(format!("migration `{file}`")),
    }
}

impl Migrations for PostgreSql {
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
