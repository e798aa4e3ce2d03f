//! What is PostgreSQL's own in a migration: its limits, and what psql says.

use sql_lint::Dialect;

use super::{PostgreSql, parse, server_args};
use crate::{
    engine::At,
    migrations::{Migrations, Script, Told},
};

impl Migrations for PostgreSql {
    fn dialect(&self) -> Dialect {
        Dialect::Postgresql
    }

    fn limits(&self, lock: &str, local: bool) -> String {
        format!(
            "SELECT set_config('lock_timeout', :'{lock}', {local}), \
             set_config('statement_timeout', :'rollup_statement', {local}), \
             set_config('client_min_messages', 'warning', {local}); "
        )
    }

    fn limit_lock(&self, left: &str) -> String {
        format!("SELECT set_config('lock_timeout', {left}, true); ")
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

    fn told(&self, file: &str, _status: i32, stderr: &str) -> Told {
        // A lock that was not had in time, a deadlock of which this was the victim, and no session to be had.
        let busy = ["55P03", "40P01", "53300"].iter().any(|state| stderr.contains(&format!("ERROR:  {state}:")));
        Told { lines: parse::migration_error(file, stderr), busy }
    }
}
