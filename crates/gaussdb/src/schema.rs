//! `schema.lint`: what of a package's migrations would break or block the version that still runs (DB-5, PRE-9).

use anyhow::{Context, Result};
use rollup_engine::{FindingCx, Stage};
use rollup_model::{
    Check, Finding, Inventory, NodeName,
    inventory::{DatabaseEngine, Node},
    release::{Migration, MigrationPhase},
};
use rollup_remote::ReadOnly;
use sql_lint::{Dialect, Phase, Source, Table, Verdict, lint};

use crate::{
    DatabaseFacts,
    engine::{At, engine_of},
    facts::Applied,
};

pub(crate) const CHECK: Check =
    Check::new("schema.lint", "PRE-9", "no migration of the package breaks or blocks the version that still runs");

/// One text that a run may send to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script<'r> {
    /// Its path in the package.
    pub path: String,
    /// The statements.
    pub text: &'r str,
    /// When it runs.
    pub phase: Phase,
}

/// Everything that an upgrade by this package may run, its end and its way back included.
pub fn scripts<'r>(migrations: &'r [Migration], from_versions: &[String]) -> Vec<Script<'r>> {
    let open = migrations.iter().filter(|migration| !migration.is_settled(from_versions));
    open.flat_map(|migration| {
        let phase = match migration.phase {
            MigrationPhase::Expand => Phase::Expand,
            MigrationPhase::Contract => Phase::Contract,
        };
        let forward = Script { path: migration.path(), text: &migration.sql, phase };
        let down = migration.down.as_ref();
        let down =
            down.map(|down| Script { path: format!("migrations/{}", down.name), text: &down.sql, phase: Phase::Down });
        std::iter::once(forward).chain(down)
    })
    .collect()
}

/// What this engine's SQL is read as.
pub fn dialect(engine: DatabaseEngine) -> Dialect {
    match engine {
        DatabaseEngine::Postgresql => Dialect::Postgresql,
        DatabaseEngine::Opengauss | DatabaseEngine::Gaussdb => Dialect::Opengauss,
    }
}

/// Asks a node for the size of every table of the database; primary and standby know the same.
///
/// # Errors
/// The node, or the server on it, does not answer, or not in the known form.
pub async fn table_sizes(host: ReadOnly<'_>, inventory: &Inventory, node: &Node) -> Result<Vec<Table>> {
    let output = host.exec(&engine_of(&inventory.database).table_sizes(At { inventory, node })).await?;
    let said = output.stdout.trim();
    serde_json::from_str(said).with_context(|| format!("expected sizes of tables, found {said:?}"))
}

/// What is found in the package's migrations that are still to be run; nothing without a package, or in a run.
pub(crate) fn finding(cx: &FindingCx<'_>, nodes: &[(&NodeName, DatabaseFacts)]) -> Option<Finding> {
    let release = cx.release.filter(|_| cx.stage == Stage::Fresh)?;
    let history: Vec<&Applied> = nodes.iter().filter_map(|(_, facts)| facts.history.as_ref()).flatten().collect();
    let applied = |migration: &&Migration| history.iter().any(|row| row.checksum == migration.sha256);
    let ahead: Vec<Migration> = release.migrations.iter().filter(|migration| !applied(migration)).cloned().collect();
    let scripts = scripts(&ahead, &release.from_versions);
    let sources: Vec<_> =
        scripts.iter().map(|Script { path, text, phase }| Source { name: path, text, phase: *phase }).collect();
    let report = lint(&sources, dialect(cx.inventory.database.engine));
    let expected = "migrations that the version which still runs tolerates";
    let finding =
        Finding::check(CHECK.id, CHECK.requirement, report.verdict() == Verdict::Safe, expected, report.summary());
    let lines: Vec<_> = report
        .at_least(Verdict::NeedsReview)
        .map(|(file, one)| {
            format!("{}:{}: {} {}: {}", file.name, one.place.line, one.verdict.word(), one.rule.id, one.sentence())
        })
        .collect();
    if lines.is_empty() {
        return Some(finding);
    }
    let finding = finding.fix(format!("rollup db lint {}", release.archive)).evidence(lines.join("\n"));
    Some(if report.verdict() == Verdict::Unsafe { finding } else { finding.only_warn() })
}

#[cfg(test)]
mod tests {
    use rollup_model::{Facts, Release, Severity};

    use super::*;
    use crate::{AppliedKind, fixtures};

    #[test]
    fn unsafe_migrations_stop_an_upgrade_and_those_that_were_run_are_not_read_again_db_5() {
        let migration = |version: &str, phase, sql: &str| Migration {
            version: version.to_owned(),
            name: format!("V{version}__x.sql"),
            phase,
            sha256: format!("sum of {sql}"),
            sql: sql.to_owned(),
            down: None,
        };
        let inventory = fixtures::inventory();
        let facts = Facts::default();
        let node = inventory.nodes[0].name.clone();
        let judged = |migrations: &[Migration], history: Option<Vec<Applied>>| {
            let empty = serde_json::json!({
                "name": "orders", "version": "2.0.0", "from_versions": [], "architecture": "any", "archive": "x",
                "archive_size": 0, "archive_sha256": "", "unpacked_size": 0, "components": [], "migrations": [], "hooks": []
            });
            let release = Release { migrations: migrations.to_vec(), ..serde_json::from_value(empty).unwrap() };
            let cx = FindingCx { inventory: &inventory, release: Some(&release), facts: &facts, stage: Stage::Fresh };
            let mut here = fixtures::primary();
            here.history = history;
            finding(&cx, &[(&node, here)]).unwrap()
        };
        let drop = migration("2.0.0", MigrationPhase::Expand, "select 1;\nalter table t drop column a;");
        let found = judged(std::slice::from_ref(&drop), None);
        assert_eq!(
            (found.severity, found.found.as_str()),
            (Severity::Error, "1 file, 2 statements: 1 safe, 1 unsafe, 0 to be reviewed")
        );
        assert_eq!(
            found.evidence.as_deref(),
            Some("migrations/V2.0.0__x.sql:2: unsafe drop-column: a column is dropped")
        );
        assert!(found.fix.unwrap().starts_with("rollup db lint "));
        let row = Applied {
            version: "2.0.0".to_owned(),
            phase: "expand".to_owned(),
            name: drop.name.clone(),
            checksum: drop.sha256.clone(),
            kind: AppliedKind::Applied,
            run: None,
        };
        assert_eq!(judged(std::slice::from_ref(&drop), Some(vec![row])).severity, Severity::Ok);
        let contract = migration("2.0.0", MigrationPhase::Contract, &drop.sql);
        assert_eq!(judged(&[contract], None).severity, Severity::Ok);
        let asks = migration("2.0.0", MigrationPhase::Expand, "update t set a = 1 where b;");
        assert_eq!(judged(&[asks], None).severity, Severity::Warning);
    }
}
