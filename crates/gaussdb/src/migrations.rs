//! Migrations there and back: what both engines send, and what they make of its end.
//!
//! A migration is one transaction together with its row of history, so it is there as a whole or not at all. Where a
//! statement of it cannot be in one ([`sql_lint::alone`]), the file is run statement by statement: its row says `partial`
//! until the last is done, and `rollup_history.statements` has a row for each.
//!
//! All SQL here is in the words of PostgreSQL 9.2, which openGauss is based on.

use anyhow::anyhow;
use rollup_engine::Busy;
use rollup_remote::{Cmd, RemoteError, Stdin};
use sql_lint::{Alone, Dialect};

use crate::{
    engine::{At, Change, Reversal},
    shared,
    sql::{self, Part},
};

/// Schema changes, as far as engines differ.
pub(crate) trait Migrations: Send + Sync {
    /// How its SQL is read.
    fn dialect(&self) -> Dialect;
    /// Statements that set the limits, the one for locks by the variable `lock`; `local`: until the transaction ends.
    fn limits(&self, lock: &str, local: bool) -> String;
    /// Statements that limit the next wait for a lock to `left`, an expression.
    fn limit_lock(&self, left: &str) -> String;
    /// The first arguments of its scripts.
    fn server_args(&self, at: At<'_>) -> Vec<String>;
    /// What of a script runs on the node.
    fn text_of(&self, script: Script) -> &'static str;
    /// Reads what a client said of a file that it ended with this status.
    fn told(&self, file: &str, status: i32, stderr: &str) -> Told;
}

/// Which script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// A whole file.
    Migrate,
    /// One statement of a file.
    Apart,
    /// A whole file that leads back.
    Revert,
}

/// What a failed file has said.
pub(crate) struct Told {
    /// For people, in the words of the file.
    pub(crate) lines: Vec<String>,
    /// Somebody else was in its way.
    pub(crate) busy: bool,
}

/// The history.
const HISTORY: &str = "\
DO $rollup$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'rollup_history') \
THEN EXECUTE 'CREATE SCHEMA rollup_history'; END IF; END $rollup$; \
CREATE TABLE IF NOT EXISTS rollup_history.migrations (version text NOT NULL, phase text NOT NULL, name text NOT NULL, \
checksum text NOT NULL, kind text NOT NULL, run text NOT NULL, applied_by text NOT NULL, \
started timestamptz NOT NULL, finished timestamptz NOT NULL, ms bigint NOT NULL, PRIMARY KEY (version, phase)); \
CREATE TABLE IF NOT EXISTS rollup_history.statements (version text NOT NULL, phase text NOT NULL, number int NOT NULL, \
run text NOT NULL, started timestamptz NOT NULL, finished timestamptz, PRIMARY KEY (version, phase, number)); ";

/// Keeps a second run, or a first one whose connection was lost, from running the same file at once.
const ALONE: &str = "LOCK TABLE rollup_history.migrations IN SHARE ROW EXCLUSIVE MODE; ";

/// From here on everything belongs to the service's own role.
fn as_owner(local: bool) -> String {
    format!("SELECT set_config('role', :'rollup_owner', {local}); ")
}

const OF_THIS: &str = "version = :'rollup_version' AND phase = :'rollup_phase'";

/// A command of this script.
fn command<M: Migrations + ?Sized>(engine: &M, at: At<'_>, script: Script, more: Vec<String>) -> Cmd {
    let id = match script {
        Script::Migrate => "db.migrate",
        Script::Apart => "db.migrate-statement",
        Script::Revert => "db.revert",
    };
    Cmd::mutate(id, engine.text_of(script), [engine.server_args(at), more].concat())
        .run_as(&at.database().os_user)
        .deadline(at.inventory.limits.migration.duration())
}

/// A migration as commands, one after another: one, or one for each statement.
pub(crate) fn migrate<M: Migrations + ?Sized>(engine: &M, at: At<'_>, change: &Change<'_>) -> Vec<Cmd> {
    let words = shared::change_words(at, change);
    let text = shared::statements(change);
    let Some(parts) = sql::apart(text, engine.dialect()) else {
        let cmd = command(engine, at, Script::Migrate, words.to_vec());
        return vec![cmd.stdin(Stdin::Bytes(whole(engine, text).into_bytes()))];
    };
    let count = parts.len();
    let commands = parts.iter().enumerate().map(|(index, part)| {
        let (name, table) = match &part.alone {
            Some(Alone::Index { name, table }) => (sql::folded(name), table.clone()),
            _ => (String::new(), String::new()),
        };
        let more = [(index + 1).to_string(), count.to_string(), name, table];
        let cmd = command(engine, at, Script::Apart, words.iter().cloned().chain(more).collect());
        cmd.stdin(Stdin::Bytes(apart(engine, part).into_bytes()))
    });
    commands.collect()
}

/// A whole file. What comes before it is one line, so that the line numbers in errors are those of the file.
fn whole<M: Migrations + ?Sized>(engine: &M, text: &str) -> String {
    let (limits, owner) = (engine.limits("rollup_lock", true), as_owner(true));
    let text = hurried(engine, text);
    format!(
        "BEGIN; {limits}{HISTORY}{ALONE}{owner}{text}
;
RESET ROLE;
INSERT INTO rollup_history.migrations
VALUES (:'rollup_version', :'rollup_phase', :'rollup_name', :'rollup_checksum', :'rollup_kind', :'rollup_run',
  :'rollup_by', now(), clock_timestamp(), floor(extract(epoch from clock_timestamp() - now()) * 1000));
COMMIT;
"
    )
}

/// Whoever waits behind the locks that a transaction has already, waits while it waits for the next. So all its waits
/// together have the time that one has; a tenth of a second is left to each, since a lock that is free is had at once.
fn hurried<M: Migrations + ?Sized>(engine: &M, text: &str) -> String {
    const LEFT: &str = "greatest(100, :'rollup_lock'::bigint - \
                        floor(extract(epoch from clock_timestamp() - now()) * 1000)::bigint)::text";
    sql::between(text, engine.dialect(), &engine.limit_lock(LEFT))
}

/// What stands between the texts that one statement is sent with.
const MARK: &str = "\n-- rollup: next\n";

/// One statement: what asks how it stands, what ends its file, what forgets a try, and the statement itself.
fn apart<M: Migrations + ?Sized>(engine: &M, part: &Part<'_>) -> String {
    let limits = engine.limits("rollup_lock", true);
    let this = format!("{OF_THIS} AND number = :'rollup_number'::int");
    let note = |finished: &str| {
        format!(
            "INSERT INTO rollup_history.statements SELECT :'rollup_version', :'rollup_phase', :'rollup_number'::int, \
             :'rollup_run', now(), {finished}"
        )
    };
    let begun = match part.alone {
        Some(_) => {
            format!("{} WHERE NOT EXISTS (SELECT 1 FROM rollup_history.statements WHERE {this});\n", note("NULL"))
        }
        None => String::new(),
    };
    let look = format!(
        "BEGIN; {limits}{HISTORY}{ALONE}
INSERT INTO rollup_history.migrations SELECT :'rollup_version', :'rollup_phase', :'rollup_name', :'rollup_checksum',
  'partial', :'rollup_run', :'rollup_by', now(), now(), 0
WHERE NOT EXISTS (SELECT 1 FROM rollup_history.migrations WHERE {OF_THIS});
SELECT coalesce((SELECT CASE WHEN finished IS NULL THEN 'doubt' ELSE 'done' END FROM rollup_history.statements
  WHERE {this}), 'new');
{begun}COMMIT;"
    );
    let close = format!(
        "UPDATE rollup_history.migrations SET kind = 'applied', run = :'rollup_run', applied_by = :'rollup_by',
  finished = clock_timestamp(), ms = floor(extract(epoch from clock_timestamp() - started) * 1000)
WHERE {OF_THIS} AND kind = 'partial';"
    );
    let forget = format!("DELETE FROM rollup_history.statements WHERE {this} AND finished IS NULL;");
    let (pad, sql, end) = ("\n".repeat(part.line - 1), part.sql, part.end);
    let run = match part.alone {
        // It waits for others without anybody waiting behind it, so it may for as long as a statement may take.
        Some(_) => format!(
            "SET application_name = 'rollup-alone'; {}{}{pad}{sql}{end}RESET ROLE;
UPDATE rollup_history.statements SET finished = clock_timestamp() WHERE {this};",
            engine.limits("rollup_statement", false),
            as_owner(false),
        ),
        None => {
            let (owner, note) = (as_owner(true), note("clock_timestamp()"));
            format!("BEGIN; {limits}{owner}{pad}{sql}{end}RESET ROLE;\n{note};\nCOMMIT;")
        }
    };
    [look, close, forget, run].join(MARK)
}

/// Takes one migration back together with its rows of history, or not at all. What a first try has done, whose answer was
/// lost, is seen once it has ended.
pub(crate) fn revert<M: Migrations + ?Sized>(engine: &M, at: At<'_>, reversal: &Reversal<'_>) -> Cmd {
    let (limits, owner) = (engine.limits("rollup_lock", true), as_owner(true));
    let text = hurried(engine, shared::without_mark(&reversal.down.sql));
    let ours = format!("{OF_THIS} AND run = :'rollup_run' AND kind <> 'baseline'");
    let text = format!(
        "BEGIN; {limits}{HISTORY}{ALONE}\
CREATE FUNCTION pg_temp.rollup_insist(text, text, text) RETURNS void AS $rollup$ BEGIN IF NOT EXISTS (SELECT 1 \
FROM rollup_history.migrations WHERE version = $1 AND phase = $2 AND run = $3 AND kind <> 'baseline') \
THEN RAISE EXCEPTION 'rollup: already taken back'; END IF; END $rollup$ LANGUAGE plpgsql; \
SELECT pg_temp.rollup_insist(:'rollup_version', :'rollup_phase', :'rollup_run'); {owner}{text}
;
RESET ROLE;
DELETE FROM rollup_history.statements WHERE {OF_THIS};
DELETE FROM rollup_history.migrations WHERE {ours};
COMMIT;
"
    );
    let cmd = command(engine, at, Script::Revert, shared::reversal_words(at, reversal).to_vec());
    cmd.stdin(Stdin::Bytes(text.into_bytes()))
}

/// Says why a file failed, in its words; `done`: how many of how many statements were run before. 3 is the clients' word for
/// an error in a script; a lost server may have committed before it was lost.
pub(crate) fn failed<M: Migrations + ?Sized>(
    engine: &M,
    file: &str,
    done: (usize, usize),
    error: RemoteError,
) -> anyhow::Error {
    let RemoteError::Exit { code, stderr, .. } = &error else {
        return anyhow::Error::new(error).context(format!("migration `{file}`"));
    };
    let Told { lines, busy } = engine.told(file, *code, stderr);
    let end = if *code == 3 { "nothing was changed by it" } else { "whether it was run is not known" };
    let what = match done {
        (_, 1) => format!("migration `{file}` failed, {end}"),
        (0, count) => format!("statement 1 of {count} of migration `{file}` failed, {end}"),
        (done, count) => format!(
            "statement {} of {count} of migration `{file}` failed, {end}; what ran before it stays and is not run again",
            done + 1
        ),
    };
    let text = format!("{what}:\n  {}", lines.join("\n  "));
    if busy && *code == 3 { Busy(text).into() } else { anyhow!(text) }
}

#[cfg(test)]
#[path = "migrations_tests.rs"]
mod tests;
