//! What is openGauss' own in a migration: its limits, and what gsql says.

use sql_lint::Dialect;

use super::{OpenGauss, server_args};
use crate::{
    engine::At,
    gauss::sql::{self as answers, Class, Sql, SqlError},
    migrations::{Migrations, Script, Told},
};

/// What gsql said, in the words of the file, and who was in the way.
fn said(file: &str, status: i32, stderr: &str) -> Told {
    let (mut lines, waited) = match answers::read(status, stderr) {
        Sql::Errors(errors) => (
            errors.iter().flat_map(|error| told(file, error)).collect(),
            errors.iter().any(|error| matches!(error.class, Class::LockWait(_))),
        ),
        Sql::NoError => (Vec::new(), false),
        Sql::Unknown(text) => (vec![text.to_string()], false),
    };
    lines.extend(stderr.lines().filter(|line| line.starts_with("held-by ")).map(str::to_owned));
    Told { lines, busy: waited || stderr.contains("ERROR:  40P01:") }
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
    fn dialect(&self) -> Dialect {
        Dialect::Opengauss
    }

    fn limits(&self, lock: &str, local: bool) -> String {
        // A session that seems idle would be ended by the server (`session_timeout`).
        format!(
            "SELECT set_config('lockwait_timeout', :'{lock}', {local}), \
             set_config('update_lockwait_timeout', :'{lock}', {local}), \
             set_config('statement_timeout', :'rollup_statement', {local}), set_config('session_timeout', '0', {local}), \
             set_config('client_min_messages', 'warning', {local}); "
        )
    }

    fn limit_lock(&self, left: &str) -> String {
        // Only an administrator may.
        format!(
            "RESET ROLE; SELECT set_config('lockwait_timeout', {left}, true), \
             set_config('update_lockwait_timeout', {left}, true), set_config('role', :'rollup_owner', true); "
        )
    }

    fn server_args(&self, at: At<'_>) -> Vec<String> {
        server_args(at)
    }

    fn text_of(&self, script: Script) -> &'static str {
        match script {
            Script::Migrate => script!("statements.sh", "../scripts/migrate.sh"),
            Script::Apart => script!("statements.sh", "../scripts/apart.sh"),
            Script::Revert => script!("statements.sh", "../scripts/revert.sh"),
        }
    }

    fn told(&self, file: &str, status: i32, stderr: &str) -> Told {
        said(file, status, stderr)
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
        let lines = said("V2__x.sql", 3, stderr).lines;
        assert!(lines[0].starts_with("V2__x.sql:3: Lock wait timeout"), "{lines:?}");
        assert_eq!(lines[1], "thread 150 holds AccessShareLock: select 1");
        assert!(lines[2].starts_with("held-by pid 150, user orders"), "{lines:?}");
        let odd = said("V2__x.sql", 1, "bash: gsql: command not found\n").lines;
        assert!(odd.iter().any(|line| line.contains("command not found")), "{odd:?}");
    }
}
