use rollup_model::release::{DownMigration, Migration};

use super::*;

fn migration(version: &str, phase: MigrationPhase, down: bool) -> Migration {
    let down = down.then(|| DownMigration {
        name: format!("U{version}__x.sql"),
        sha256: String::new(),
        sql: "drop table x".to_owned(),
    });
    let sql = "create table x ()".to_owned();
    Migration {
        version: version.to_owned(),
        name: format!("V{version}__x.sql"),
        phase,
        sha256: sum(version),
        sql,
        down,
    }
}

fn sum(version: &str) -> String {
    format!("sum-{version}")
}

fn release(migrations: Vec<Migration>) -> Release {
    let empty = json!({
        "name": "orders", "version": "3.0.0", "from_versions": [], "architecture": "any", "archive": "x",
        "archive_size": 0, "archive_sha256": "", "unpacked_size": 0, "components": [], "migrations": [], "hooks": []
    });
    Release { migrations, ..serde_json::from_value(empty).unwrap() }
}

fn row(version: &str, run: &str) -> Applied {
    Applied {
        version: version.to_owned(),
        phase: "expand".to_owned(),
        name: format!("V{version}__x.sql"),
        checksum: sum(version),
        kind: AppliedKind::Applied,
        run: Some(run.to_owned()),
    }
}

fn runs(names: &[&str]) -> Vec<RunId> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn what_the_runs_applied_is_taken_back_newest_first_and_nothing_else_rb_2() {
    use MigrationPhase::Expand;
    let package = release(vec![migration("2.0.0", Expand, true), migration("3.0.0", Expand, true)]);
    let adopted = Applied { kind: AppliedKind::Baseline, ..row("1.0.0", "b") };
    let history = [adopted, row("1.5.0", "a"), row("2.0.0", "b"), row("3", "c")];
    let names = |history: &[Applied], of: &[&str]| revertible(Some(history), Some(&package), &runs(of));
    let older = Applied { checksum: sum("3.0.0"), ..row("3", "c") };
    let history: Vec<_> = history.into_iter().map(|row| if row.version == "3" { older.clone() } else { row }).collect();
    assert_eq!(names(&history, &["b", "c"]).unwrap(), ["V3__x.sql", "V2.0.0__x.sql"]);
    assert_eq!(names(&history, &["c"]).unwrap(), ["V3__x.sql"]);
    // A reversal whose answer was lost: the history has no row of it any more.
    assert_eq!(names(&history[..2], &["b", "c"]).unwrap(), [""; 0]);
    assert_eq!(revertible(None, None, &runs(&["b"])).unwrap(), [""; 0]);
}

#[test]
fn without_a_way_back_it_is_said_which_file_is_missing_rb_2() {
    use MigrationPhase::{Contract, Expand};
    let with = |down| release(vec![migration("2.0.0", Expand, down), migration("2.0.0", Contract, false)]);
    let why = |history: &[Applied], release: Option<&Release>, of: &[&str]| {
        revertible(Some(history), release, &runs(of)).unwrap_err()
    };
    let one = [row("2.0.0", "a")];
    let missing = why(&one, Some(&with(false)), &["a"]);
    assert!(
        missing.contains("expected a file U2.0.0__….sql in orders 3.0.0 that takes `V2.0.0__x.sql` back"),
        "{missing}"
    );
    assert!(why(&one, None, &["a"]).contains("the package that brought `V2.0.0__x.sql`"));
    assert!(why(&[row("9", "a")], Some(&with(true)), &["a"]).contains("orders 3.0.0, which does not have it"));
    let other = [Applied { checksum: "else".to_owned(), ..row("2.0.0", "a") }];
    assert!(why(&other, Some(&with(true)), &["a"]).contains("as it was applied, sha256 else, found sha256 sum-2.0.0"));
    // Something else may build on it.
    let built = [row("2.0.0", "a"), row("3.0.0", "b")];
    assert!(why(&built, Some(&with(true)), &["a"]).contains("found `V3.0.0__x.sql`, which b has applied since"));
    // What removed something cannot be taken back.
    let contract = [Applied { phase: "contract".to_owned(), ..row("2.0.0", "a") }];
    assert!(why(&contract, Some(&with(true)), &["a"]).contains("found `V2.0.0__x.sql`, a contract migration"));
}
