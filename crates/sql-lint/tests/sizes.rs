//! What a table's size makes of a verdict, where it is known.

use sql_lint::{Against, Dialect, Phase, Source, Table, Verdict, lint};

#[test]
fn what_takes_long_on_a_large_table_takes_a_moment_on_a_small_one_db_5() {
    const MIB: u64 = 1 << 20;
    let table = |name: &str, bytes| Table { schema: "app".to_owned(), table: name.to_owned(), bytes };
    let tables = [table("tiny", MIB), table("middle", 100 * MIB), table("huge", 5000 * MIB)];
    let of = |sql: &str| {
        let source = Source { name: "x.sql", text: sql, phase: Phase::Expand };
        let report = lint(&[source], Against { dialect: Dialect::Postgresql, tables: &tables });
        let rules: Vec<_> = report.at_least(Verdict::NeedsReview).map(|(_, finding)| finding.rule.id).collect();
        (report.verdict(), rules.join(" "))
    };
    for (sql, small, middle, large) in [
        ("CREATE INDEX i ON %s (a)", Verdict::Safe, Verdict::Unsafe, Verdict::Unsafe),
        ("CREATE INDEX IF NOT EXISTS i ON app.%s (a)", Verdict::Safe, Verdict::NeedsReview, Verdict::Unsafe),
        ("UPDATE %s SET a = 1 WHERE b", Verdict::Safe, Verdict::NeedsReview, Verdict::Unsafe),
        ("UPDATE %s SET a = 1", Verdict::Safe, Verdict::Unsafe, Verdict::Unsafe),
        ("ALTER TABLE %s ADD COLUMN a uuid DEFAULT gen_random_uuid()", Verdict::Safe, Verdict::Unsafe, Verdict::Unsafe),
        // The old version's rows are held against it, however few there are.
        ("ALTER TABLE %s ADD CONSTRAINT c CHECK (a > 0)", Verdict::NeedsReview, Verdict::Unsafe, Verdict::Unsafe),
        // What breaks the old version breaks it with one row.
        ("ALTER TABLE %s DROP COLUMN a", Verdict::Unsafe, Verdict::Unsafe, Verdict::Unsafe),
        ("LOCK TABLE %s", Verdict::Unsafe, Verdict::Unsafe, Verdict::Unsafe),
    ] {
        let found = ["tiny", "middle", "huge"].map(|name| of(&sql.replace("%s", name)).0);
        assert_eq!(found, [small, middle, large], "{sql}");
    }
    assert_eq!(of("CREATE INDEX i ON other.tiny (a)").0, Verdict::Unsafe, "nothing is known of it");
    let both = "WITH gone AS (DELETE FROM huge WHERE b RETURNING a) INSERT INTO tiny SELECT a FROM gone";
    assert_eq!(of(both), (Verdict::Unsafe, "data-change".to_owned()), "each table by its own size");
}

#[test]
fn the_size_is_told_with_the_finding_and_a_waiver_of_it_is_not_idle_db_5() {
    let tables = [Table { schema: "public".to_owned(), table: "t".to_owned(), bytes: 3 << 30 }];
    let report = |sql: &str, tables: &[Table]| {
        let source = Source { name: "x.sql", text: sql, phase: Phase::Expand };
        lint(&[source], Against { dialect: Dialect::Postgresql, tables })
    };
    let found = report("REINDEX TABLE t", &tables);
    let sentence = found.files[0].findings[0].sentence();
    assert_eq!(sentence, "an index is rebuilt while nobody can write: t has 3.0 GiB");
    let tiny = [Table { bytes: 1, ..tables[0].clone() }];
    let waived = "-- rollup-lint: allow reindex it is small\nREINDEX TABLE t";
    assert_eq!(report(waived, &tiny).verdict(), Verdict::Safe);
}
