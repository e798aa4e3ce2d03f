//! Which migrations are still to be run. Pure.
//!
//! A system that was installed before there was a history knows nothing of its first migrations. While the history
//! holds no migration that was really run, expand migrations up to the installed version are therefore *adopted*: they
//! get a row marked `baseline` and are not run. Contract migrations are never adopted, since a version may well be
//! installed whose contract part still waits for the operator.

use std::cmp::Ordering;

use rollup_model::{
    Finding,
    release::{Migration, MigrationPhase},
};

use crate::{
    engine::Engine,
    facts::{Applied, AppliedKind},
    sql::{self, Refusal},
};

/// What a look at the history says.
pub(crate) struct Selection<'r> {
    /// To be run or adopted, in order.
    pub(crate) missing: Vec<(&'r Migration, AppliedKind)>,
    /// Names of those that are in the history.
    pub(crate) applied: Vec<&'r str>,
    /// Reasons not to touch anything.
    pub(crate) problems: Vec<Finding>,
}

pub(crate) fn phase_name(phase: MigrationPhase) -> &'static str {
    match phase {
        MigrationPhase::Expand => "expand",
        MigrationPhase::Contract => "contract",
    }
}

/// Numbers between dots; `None`: something else.
fn parts(version: &str) -> Option<Vec<u64>> {
    let mut parts = version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    while parts.last() == Some(&0) {
        parts.pop();
    }
    Some(parts)
}

/// Compares versions by their numbers: `1.10` is later than `1.9`, and `2.0` the same as `2.0.0`.
pub(crate) fn compare(a: &str, b: &str) -> Option<Ordering> {
    Some(parts(a)?.cmp(&parts(b)?))
}

/// The newest version among these that is older than `version`.
pub(crate) fn newest_before<'r>(migrations: &'r [Migration], version: &str) -> Option<&'r str> {
    let older = migrations.iter().map(|migration| migration.version.as_str());
    older.filter(|older| compare(older, version) == Some(Ordering::Less)).max_by_key(|older| parts(older))
}

/// Chooses from the migrations of one phase. `installed`: the version found on the node when the plan was made.
pub(crate) fn select<'r>(
    engine: &dyn Engine,
    migrations: &'r [Migration],
    phase: MigrationPhase,
    history: Option<&[Applied]>,
    installed: Option<&str>,
) -> Selection<'r> {
    let history = history.unwrap_or_default();
    let adopts = phase == MigrationPhase::Expand && history.iter().all(|row| row.kind == AppliedKind::Baseline);
    let mut selection = Selection { missing: Vec::new(), applied: Vec::new(), problems: Vec::new() };
    let mut ordered: Vec<&Migration> = migrations.iter().filter(|migration| migration.phase == phase).collect();
    ordered.sort_by_key(|migration| (parts(&migration.version), &migration.name));
    for pair in ordered.windows(2) {
        if compare(&pair[0].version, &pair[1].version) == Some(Ordering::Equal) {
            selection.problems.push(problem(
                &format!("one {} migration of version {}", phase_name(phase), pair[0].version),
                format!("`{}` and `{}`", pair[0].name, pair[1].name),
            ));
        }
    }
    for migration in ordered {
        let name = &migration.name;
        if parts(&migration.version).is_none() {
            let found = format!("`{}` of `{name}`", migration.version);
            selection.problems.push(problem("a version of numbers and dots", found));
            continue;
        }
        let row = history.iter().find(|row| {
            row.phase == phase_name(phase) && compare(&row.version, &migration.version) == Some(Ordering::Equal)
        });
        match row {
            Some(row) if row.checksum == migration.sha256 && row.kind == AppliedKind::Partial => {
                selection.problems.extend(refusals(engine, migration));
                selection.missing.push((migration, AppliedKind::Partial));
            }
            Some(row) if row.checksum == migration.sha256 => selection.applied.push(name),
            Some(row) => {
                let (expected, fix) = match row.kind {
                    AppliedKind::Partial => (
                        "as it was begun",
                        "end it with the package that began it, or take it back: rollup rollback --lane down",
                    ),
                    _ => (
                        "as it was applied",
                        "give the changed statements a new version; what was applied is never changed",
                    ),
                };
                let expected = format!("`{name}` {expected}, sha256 {}", short(&row.checksum));
                selection.problems.push(problem(&expected, format!("sha256 {}", short(&migration.sha256))).fix(fix));
            }
            None => {
                let installed = installed.and_then(|version| compare(&migration.version, version));
                if adopts && installed.is_some_and(|order| order != Ordering::Greater) {
                    selection.missing.push((migration, AppliedKind::Baseline));
                } else {
                    selection.problems.extend(refusals(engine, migration));
                    selection.missing.push((migration, AppliedKind::Applied));
                }
            }
        }
    }
    selection
}

fn refusals<'a>(engine: &dyn Engine, migration: &'a Migration) -> impl Iterator<Item = Finding> + use<'a> {
    told(&migration.name, sql::refuse(&migration.sql, engine.dialect()))
}

/// What of a file that leads back cannot run.
pub(crate) fn refused_back<'a>(
    engine: &dyn Engine,
    name: &'a str,
    sql: &str,
) -> impl Iterator<Item = Finding> + use<'a> {
    told(name, sql::refuse_unless_whole(sql, engine.dialect()))
}

fn told(name: &str, refusals: Vec<Refusal>) -> impl Iterator<Item = Finding> + use<'_> {
    refusals.into_iter().map(move |refusal| {
        let found = format!("`{}` at {name}:{}: {}", refusal.found, refusal.line, refusal.why);
        problem("statements that a migration can run", found)
            .fix(format!("rollup db lint names the safe way; or take it out of `{name}` and run it by hand"))
    })
}

fn problem(expected: &str, found: String) -> Finding {
    Finding::check("database.migrations", "UPG-2", false, expected, found)
}

pub(crate) fn short(sum: &str) -> &str {
    sum.get(..12).unwrap_or(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgresql::PostgreSql;

    fn migration(version: &str, phase: MigrationPhase, sql: &str) -> Migration {
        Migration {
            version: version.to_owned(),
            name: format!("V{version}__x.sql"),
            phase,
            sha256: format!("sum-{version}"),
            sql: sql.to_owned(),
            down: None,
        }
    }

    fn row(version: &str, kind: AppliedKind) -> Applied {
        let checksum = format!("sum-{version}");
        let (version, phase) = (version.to_owned(), "expand".to_owned());
        Applied { version, phase, name: String::new(), checksum, kind, run: None }
    }

    fn chosen(history: Option<&[Applied]>, installed: &str) -> (Vec<(String, AppliedKind)>, Vec<String>) {
        let all = [
            migration("10.0.0", MigrationPhase::Expand, "select 10"),
            migration("2.0.0", MigrationPhase::Expand, "select 2"),
            migration("1.0.0", MigrationPhase::Expand, "\\i by-hand"),
            migration("2.0.0", MigrationPhase::Contract, "vacuum"),
        ];
        let selection = select(&PostgreSql, &all, MigrationPhase::Expand, history, Some(installed));
        let missing = selection.missing.iter().map(|(m, kind)| (m.version.clone(), *kind)).collect();
        (missing, selection.problems.iter().map(Finding::line).collect())
    }

    #[test]
    fn migrations_run_in_the_order_of_their_numbers_and_once_upg_2() {
        use AppliedKind::{Applied, Baseline};
        let (missing, problems) = chosen(Some(&[row("1.0.0", Applied)]), "1.0.0");
        assert_eq!(missing, [("2.0.0".to_owned(), Applied), ("10.0.0".to_owned(), Applied)]);
        assert_eq!(problems, [""; 0]);
        // Adopted: the version that was installed by hand, and nothing of it is run or judged.
        let (missing, problems) = chosen(None, "1.0.0");
        assert_eq!(missing[0], ("1.0.0".to_owned(), Baseline));
        assert_eq!((missing.len(), problems.len()), (3, 0));
        // Cut between two adopted rows: the second is still adopted.
        let (missing, _) = chosen(Some(&[row("1.0.0", Baseline)]), "2.0.0");
        assert_eq!(missing[0], ("2.0.0".to_owned(), Baseline));
        // Once something was run, nothing is adopted any more.
        let (missing, _) = chosen(Some(&[row("2.0.0", Applied)]), "2.0.0");
        assert_eq!(missing[0], ("1.0.0".to_owned(), Applied));
        // A version that cannot be compared adopts nothing, and the file is then judged like any other.
        let (missing, problems) = chosen(None, "baseline");
        assert_eq!(missing[0], ("1.0.0".to_owned(), Applied));
        assert!(problems[0].contains("`\\i` at V1.0.0__x.sql:1"), "{problems:?}");
    }

    #[test]
    fn a_contract_migration_is_never_adopted_db_4() {
        let all = [migration("2.0.0", MigrationPhase::Contract, "alter table a drop column b")];
        let selection = select(&PostgreSql, &all, MigrationPhase::Contract, None, Some("2.0.0"));
        assert_eq!(selection.missing[0].1, AppliedKind::Applied);
    }

    #[test]
    fn a_file_that_changed_after_it_was_applied_stops_everything_db_4() {
        let mut changed = row("2", AppliedKind::Applied);
        changed.checksum = "0123456789abcdef".to_owned();
        let (_, problems) = chosen(Some(&[changed]), "1.0.0");
        assert!(problems[1].contains("as it was applied, sha256 0123456789ab, found sha256 sum-2.0.0"), "{problems:?}");
        let twice = [
            migration("2.0", MigrationPhase::Expand, "select 1"),
            migration("2.0.0", MigrationPhase::Expand, "select 2"),
            migration("two", MigrationPhase::Expand, "select 3"),
        ];
        assert_eq!(select(&PostgreSql, &twice, MigrationPhase::Expand, None, None).problems.len(), 2);
    }
}
