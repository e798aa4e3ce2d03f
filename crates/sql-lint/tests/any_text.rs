//! Whatever the text is: it is read to its end, nothing panics, and every place in a report is in the text.

use std::time::Instant;

use proptest::prelude::*;
use sql_lint::{Dialect, Phase, Report, Source, Verdict, json, lint, page, sarif, split};

const DIALECTS: [Dialect; 2] = [Dialect::Postgresql, Dialect::Opengauss];

fn read(text: &str, dialect: Dialect) -> Report {
    lint(&[Source { name: "x.sql", text, phase: Phase::Expand }], dialect)
}

/// Words and signs that open, close or change something.
const PIECES: [&str; 64] = [
    "select ",
    "(",
    ")",
    "[",
    "]",
    ",",
    ";",
    "'",
    "\"",
    "$$",
    "$a$",
    "--",
    "/*",
    "*/",
    "\n",
    "/\n",
    "\\i x\n",
    "\\.\n",
    "E'",
    "U&'",
    "begin ",
    "end ",
    "case ",
    "when ",
    "create ",
    "or replace ",
    "function f() ",
    "procedure p ",
    "package k ",
    "as ",
    "is ",
    "begin atomic ",
    "language sql ",
    "returns int ",
    "alter table t ",
    "add column a int ",
    "drop column a ",
    "default ",
    "not ",
    "null ",
    "update t set a = 1 ",
    "delete from t ",
    "where ",
    "with x as ",
    "insert into t ",
    "values ",
    "copy t from stdin",
    "explain ",
    "declare ",
    "cursor for ",
    "union ",
    "array",
    "::int",
    "+ ",
    "rollup-lint: allow drop-column x\n",
    "é",
    "表",
    "\u{feff}",
    "1",
    "1.",
    "cast(",
    "create rule r as on insert to t do also ",
    "create schema s ",
    "grouping sets ",
];

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..120).prop_map(|pieces| pieces.concat())
}

fn holds(text: &str) {
    for dialect in DIALECTS {
        let parts = split(text, dialect);
        let mut end = 0;
        for statement in &parts.statements {
            assert!(statement.range.start >= end && text.get(statement.range.clone()).is_some(), "{text:?}");
            end = statement.range.end;
        }
        let report = read(text, dialect);
        for (_, finding) in report.at_least(Verdict::Safe) {
            assert!(text.get(finding.range.clone()).is_some(), "{finding:?}");
            assert!(finding.place.line <= text.lines().count() + 1, "{finding:?}");
        }
        let widest = page(&report, &[text], false).lines().map(|line| line.chars().count()).max();
        assert!(!text.is_ascii() || widest.is_none_or(|widest| widest <= 80), "{}", page(&report, &[text], false));
        assert!(sarif(&report, "1")["runs"][0]["results"].is_array() && json(&report)["files"].is_array());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_to_its_end_db_5(text in ".{0,400}") {
        holds(&text);
    }

    #[test]
    fn any_mixture_of_what_opens_and_closes_is_read_to_its_end_db_5(text in soup()) {
        holds(&text);
    }

    /// One piece is found all the same, whatever comes before its line.
    #[test]
    fn a_drop_behind_a_closed_statement_is_found_db_5(name in "[a-z_]{1,20}", before in "[a-z0-9 ,.*=+-]{0,60}") {
        let text = format!("select 1 {before}\n;\nDROP TABLE {name};");
        prop_assert_eq!(read(&text, Dialect::Postgresql).verdict(), Verdict::Unsafe);
    }
}

#[test]
fn what_is_nested_too_deep_is_for_a_person_to_read_db_5() {
    let nested = |open: &str, inside: &str, close: &str| {
        let count = 100_000;
        format!("select {}{inside}{};\ndrop table t;", open.repeat(count), close.repeat(count))
    };
    for text in [
        nested("(", "1", ")"),
        nested("((", "", ""),
        nested("case when 1 then ", "1", " end"),
        nested("- ", "1", ""),
        nested("not ", "true", ""),
        nested("a.", "b", ""),
        nested("1::", "int", ""),
        nested("array[", "1", "]"),
        nested("f(1, ", "1", ")"),
        format!("create function f() returns int language sql as $$ {} $$;\ndrop table t;", nested("(", "1", ")")),
        format!("do $$ {} $$;\ndrop table t;", nested("(", "1", ")")),
        "create function f() begin atomic , ".repeat(100_000),
        "/* ".repeat(100_000),
        "$a$ ".repeat(100_001),
        "explain ".repeat(100_000),
        "with a as (select 1), b as (".repeat(100_000),
    ] {
        let report = read(&text, Dialect::Postgresql);
        assert!(report.verdict() >= Verdict::NeedsReview, "{}", &text[..60]);
        let dropped = report.at_least(Verdict::Unsafe).any(|(_, finding)| finding.rule.id == "drop-table");
        let second = !text.starts_with("select ((") || text.matches("))").count() > 0;
        assert!(dropped || !second || !text.ends_with("drop table t;"), "{}", &text[..60]);
    }
}

#[test]
fn eight_mebibytes_are_read_to_their_end_db_5() {
    const SIZE: usize = 8 * 1024 * 1024;
    let many = |one: &str| one.repeat(SIZE / one.len());
    let began = Instant::now();
    for text in [
        many("insert into t (a, b) values (1, 'it''s');\n"),
        format!("insert into t values (1, 'a'){};", many(", (2, 'it''s')")),
        many("-- only comments\n"),
        many("x"),
        many("/ "),
        many("\\"),
        format!("copy t from stdin;\n{}", many("1\tit's\n")),
        format!("select '{}", many("y")),
    ] {
        let report = read(&text, Dialect::Postgresql);
        assert_eq!(report.files.len(), 1, "{:?}", began.elapsed());
    }
}
