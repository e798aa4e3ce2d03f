//! Statements with the verdict that they must get, and the rules that must give it: `tests/corpus/*.toml`.

use serde::Deserialize;
use sql_lint::{Dialect, Phase, Source, Verdict, lint};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    about: String,
    sql: String,
    is: Verdict,
    /// In the order of the alphabet; each as often as it is found.
    #[serde(default)]
    rules: Vec<String>,
    #[serde(default = "expand")]
    phase: Phase,
    #[serde(default)]
    dialect: Option<String>,
}

fn expand() -> Phase {
    Phase::Expand
}

const FILES: [(&str, &str); 4] = [
    ("squawk", include_str!("corpus/squawk.toml")),
    ("strong_migrations", include_str!("corpus/strong_migrations.toml")),
    ("opengauss", include_str!("corpus/opengauss.toml")),
    ("rollup", include_str!("corpus/rollup.toml")),
];

#[test]
fn every_statement_of_the_corpus_gets_its_label_db_5() {
    let (mut count, mut wrong) = (0, Vec::new());
    for (file, text) in FILES {
        for case in toml::from_str::<Corpus>(text).unwrap().case {
            count += 1;
            let dialect = match case.dialect.as_deref() {
                Some("opengauss") => Dialect::Opengauss,
                _ => Dialect::Postgresql,
            };
            let source = Source { name: file, text: &case.sql, phase: case.phase };
            let report = lint(&[source], dialect);
            let mut found: Vec<_> = report.at_least(Verdict::NeedsReview).map(|(_, one)| one.rule.id).collect();
            found.sort_unstable();
            if (report.verdict(), &found) != (case.is, &case.rules.iter().map(String::as_str).collect()) {
                wrong.push(format!(
                    "{file}: {} {}\n  expected {} {:?}\n  found    {} {found:?}",
                    case.about,
                    case.sql,
                    case.is.word(),
                    case.rules,
                    report.verdict().word()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 80, "{count} statements");
}
