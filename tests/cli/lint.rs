//! `rollup db lint`, and what of it `pkg build` and `precheck` ask (DB-5, PRE-9).

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{INVENTORY, rollup};

/// A directory with a package in it whose one migration is this.
fn tree(name: &str, sql: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("migrations/contract")).unwrap();
    let manifest = "format = 1\nname = \"x\"\nversion = \"2.0.0\"\nfrom_versions = [\"1.*\"]\n";
    std::fs::write(tree.join("rollup-package.toml"), manifest).unwrap();
    std::fs::write(tree.join("migrations").join(name), sql).unwrap();
    dir
}

fn file(sql: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.sql"), sql).unwrap();
    dir
}

#[test]
fn the_example_s_migrations_are_clean_db_5() {
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/orders/migrations");
    let of = |directory: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
    };
    let files = [of(&migrations), of(&migrations.join("contract"))].concat();
    let files: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let said = rollup(Path::new("/"), &[&["db", "lint", "--strict"], files.as_slice()].concat());
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    assert!(
        said.out.starts_with("9 files, 14 statements: 14 safe, 0 unsafe, 0 to be reviewed; 3 findings waived"),
        "{}",
        said.out
    );
}

#[test]
fn a_finding_is_shown_at_its_line_with_why_and_the_safe_way_in_80_columns_db_5() {
    let dir = file("-- the first line\nALTER TABLE orders ADD COLUMN a int,\n    DROP COLUMN note;\n");
    let said = rollup(dir.path(), &["db", "lint", "x.sql"]);
    assert_eq!(said.code, 3);
    let expected = "\
unsafe[drop-column]: a column is dropped
 --> x.sql:3:5
  |
3 |     DROP COLUMN note;
  |     ^^^^^^^^^^^^^^^^
  |
  = why: The old version still names it in its statements, or maps it
         when it reads a row.
  = safe way: 1. expand: release a version that no longer uses it
              2. contract: drop it in migrations/contract/, which `rollup
                 finalize` runs when no node has the old version

1 file, 1 statement: 0 safe, 1 unsafe, 0 to be reviewed
";
    assert_eq!(said.out, expected);
    assert!(said.err.starts_with("hint: go the safe way, or say above the statement why"), "{}", said.err);
}

#[test]
fn what_must_be_reviewed_fails_only_where_that_is_asked_for_db_5() {
    let dir = file("UPDATE t SET a = 1 WHERE b;");
    assert_eq!(rollup(dir.path(), &["db", "lint", "x.sql"]).code, 0);
    let said = rollup(dir.path(), &["db", "lint", "x.sql", "--strict"]);
    assert_eq!(said.code, 3);
    assert!(said.out.contains("needs-review[data-change]"), "{}", said.out);
}

#[test]
fn programs_get_json_and_sarif_db_5() {
    let sql = "-- rollup-lint: allow drop-table nobody has read it since 1.4\nDROP TABLE old;\nDROP TABLE t;\n";
    let dir = file(sql);
    let said = rollup(dir.path(), &["db", "lint", "--format", "json", "x.sql"]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &document["format"], &document["verdict"]), (3, &Value::from(1), &Value::from("unsafe")));
    let findings = document["files"][0]["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 2);
    assert_eq!(findings[0]["waived"], "nobody has read it since 1.4");
    assert_eq!((&findings[1]["rule"], &findings[1]["place"]["line"]), (&Value::from("drop-table"), &Value::from(3)));
    assert_eq!(rollup(dir.path(), &["--json", "db", "lint", "x.sql"]).out, said.out);

    let said = rollup(dir.path(), &["db", "lint", "--format", "sarif", "x.sql"]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let run = &document["runs"][0];
    assert_eq!((said.code, &document["version"]), (3, &Value::from("2.1.0")));
    let results = run["results"].as_array().unwrap();
    assert_eq!(results[0]["suppressions"][0]["kind"], "inSource");
    let region = &results[1]["locations"][0]["physicalLocation"]["region"];
    let place = ["startLine", "startColumn", "endLine", "endColumn"].map(|key| region[key].as_u64().unwrap());
    assert_eq!(place, [3, 1, 3, 13]);
    let rule = &run["tool"]["driver"]["rules"][results[1]["ruleIndex"].as_u64().unwrap() as usize];
    assert_eq!(rule["id"], results[1]["ruleId"]);
}

#[test]
fn what_cannot_be_read_is_usage_with_a_hint_db_5() {
    let dir = file("select 1");
    std::fs::write(dir.path().join("bytes.sql"), [0xff, 0xfe]).unwrap();
    std::fs::write(dir.path().join("x.tar.gz"), "hello").unwrap();
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    for (what, text) in [
        ("none.sql", "cannot read none.sql"),
        ("none.tar.gz", "cannot read none.tar.gz"),
        ("bytes.sql", "bytes.sql is no text: expected UTF-8"),
        ("x.tar.gz", "x.tar.gz is not a package"),
        ("empty", "has no `rollup-package.toml`"),
    ] {
        let said = rollup(dir.path(), &["db", "lint", "x.sql", what]);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{what}");
        assert!(said.err.contains(text) && said.err.contains("\nhint: "), "{what}: {}", said.err);
    }
    assert_eq!(rollup(dir.path(), &["db", "lint"]).code, 2);
}

#[test]
fn a_package_is_read_as_a_directory_and_as_an_archive_in_the_order_of_its_run_db_5() {
    let dir = tree("V2.0.0__x.sql", "ALTER TABLE t ADD COLUMN a int;");
    let migrations = dir.path().join("tree/migrations");
    std::fs::write(migrations.join("V1.0.0__init.sql"), "DROP TABLE long_ago;").unwrap();
    std::fs::write(migrations.join("U2.0.0__x.sql"), "ALTER TABLE t DROP COLUMN a;").unwrap();
    std::fs::write(migrations.join("contract/V2.0.1__y.sql"), "ALTER TABLE t DROP COLUMN b;\nVACUUM FULL t;").unwrap();
    let names = |words: &[&str], code: i32| {
        let said = rollup(dir.path(), &[&["--json", "db", "lint"], words].concat());
        assert_eq!(said.code, code, "{}", said.err);
        assert!(said.err.contains("note: every version that the package replaces has run V1.0.0__init.sql; not read"));
        let document: Value = serde_json::from_str(&said.out).unwrap();
        let files = document["files"].as_array().unwrap();
        files.iter().map(|file| format!("{} {}", file["file"], file["verdict"])).collect::<Vec<_>>().join("\n")
    };
    let read = "\"tree/migrations/V2.0.0__x.sql\" \"safe\"\n\"tree/migrations/U2.0.0__x.sql\" \"safe\"\n\
                \"tree/migrations/contract/V2.0.1__y.sql\" \"unsafe\"";
    assert_eq!(names(&["tree"], 3), read);
    std::fs::write(migrations.join("contract/V2.0.1__y.sql"), "ALTER TABLE t DROP COLUMN b;").unwrap();
    let said = rollup(dir.path(), &["pkg", "build", "tree", "-o", "x.tar.zst"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let read = read.replace("\"tree/", "\"x.tar.zst/").replace("\"unsafe\"", "\"safe\"");
    assert_eq!(names(&["x.tar.zst"], 0), read);
}

#[test]
fn when_a_file_runs_is_known_by_where_it_lies_db_5() {
    let dir = file("ALTER TABLE t DROP COLUMN a;");
    std::fs::create_dir(dir.path().join("contract")).unwrap();
    for (name, code) in [("x.sql", 3), ("contract/V2__x.sql", 0), ("U2__x.sql", 0), ("Users__x.sql", 3)] {
        let sql = "ALTER TABLE t DROP COLUMN a;";
        std::fs::write(dir.path().join(name), sql).unwrap();
        assert_eq!(rollup(dir.path(), &["db", "lint", name]).code, code, "{name}");
    }
}

#[test]
fn the_dialect_is_the_inventory_s_unless_it_is_typed_db_5() {
    let dir = file("ALTER TYPE mood ADD VALUE 'calm';");
    let code = |words: &[&str]| rollup(dir.path(), &[&["db", "lint", "x.sql"], words].concat()).code;
    assert_eq!((code(&[]), code(&["--dialect", "gaussdb"])), (0, 3));
    std::fs::write(dir.path().join("rollup.toml"), INVENTORY.replace("\"postgresql\"", "\"opengauss\"")).unwrap();
    assert_eq!((code(&[]), code(&["--dialect", "postgresql"])), (3, 0));
    assert_eq!(
        rollup(dir.path(), &["-i", "none.toml", "db", "lint", "x.sql"]).code,
        2,
        "one that is named must be there"
    );
}

#[test]
fn sizes_that_no_node_tells_are_not_made_up_db_5() {
    let dir = file("CREATE INDEX i ON t (a);");
    assert_eq!(rollup(dir.path(), &["db", "lint", "--sizes", "x.sql"]).code, 2, "an inventory is needed");
    std::fs::write(dir.path().join("rollup.toml"), INVENTORY).unwrap();
    let said = rollup(dir.path(), &["db", "lint", "--sizes", "x.sql"]);
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{}", said.err);
    assert!(said.err.contains("no node says how large the tables are: node-a: "), "{}", said.err);
    assert!(said.err.contains("Connection refused") && said.err.contains("\nhint: "), "{}", said.err);
}

#[test]
fn a_package_with_an_unsafe_migration_is_not_built_unless_it_says_why_db_5() {
    let drop = "ALTER TABLE t DROP COLUMN a;";
    let dir = tree("V2.0.0__x.sql", drop);
    let build = || rollup(dir.path(), &["pkg", "build", "tree", "-o", "x.tar.gz"]);
    let said = build();
    assert_eq!((said.code, said.out.as_str()), (3, ""));
    for text in
        ["unsafe[drop-column]", "tree/migrations/V2.0.0__x.sql:1:15", "nothing was built", "rollup db lint tree"]
    {
        assert!(said.err.contains(text), "{text} in {}", said.err);
    }
    assert!(!dir.path().join("x.tar.gz").exists());
    let migration = dir.path().join("tree/migrations/V2.0.0__x.sql");
    std::fs::write(&migration, format!("-- rollup-lint: allow drop-column 1.4 was the last to read it\n{drop}"))
        .unwrap();
    let said = build();
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    std::fs::write(&migration, "UPDATE t SET a = 1 WHERE b;").unwrap();
    let said = build();
    assert_eq!(said.code, 0);
    assert!(said.err.contains("needs-review[data-change]"), "what must be reviewed is told: {}", said.err);
}

#[test]
fn every_rule_is_listed_and_its_document_is_that_list_db_5() {
    let said = rollup(Path::new("/"), &["db", "lint", "--rules"]);
    assert_eq!(said.code, 0);
    let rules: Vec<Value> =
        serde_json::from_str(&rollup(Path::new("/"), &["--json", "db", "lint", "--rules"]).out).unwrap();
    assert!(rules.len() > 60);
    for rule in &rules {
        let id = rule["id"].as_str().unwrap();
        assert!(said.out.contains(&format!("### `{id}`")), "{id}");
    }
    let document = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lint.md")).unwrap();
    assert!(document.ends_with(&said.out), "docs/lint.md must end with what `rollup db lint --rules` prints");
}

#[test]
fn a_precheck_says_what_of_the_package_is_not_safe_pre_9() {
    let drop = "-- rollup-lint: allow drop-column it is waived while it is built\nALTER TABLE t DROP COLUMN a;";
    let dir = tree("V2.0.0__x.sql", drop);
    std::fs::write(dir.path().join("rollup.toml"), format!("{INVENTORY}[package]\nallow_unsigned = true\n")).unwrap();
    let check = || {
        let words = ["precheck", "--format", "json", "--only", "schema.lint", "--skip", "host", "--pkg", "x.tar.gz"];
        let said = rollup(dir.path(), &words);
        let document: Value = serde_json::from_str(&said.out).unwrap();
        let finding = document["findings"].as_array().unwrap().iter().find(|one| one["id"] == "schema.lint").cloned();
        (said.code, finding.unwrap())
    };
    assert_eq!(rollup(dir.path(), &["pkg", "build", "tree", "-o", "x.tar.gz"]).code, 0);
    let (code, finding) = check();
    assert_eq!((code, &finding["severity"], &finding["requirement"]), (0, &"ok".into(), &"PRE-9".into()));
    // One that was built elsewhere, for another server.
    std::fs::write(dir.path().join("tree/migrations/V2.0.0__x.sql"), "ALTER TYPE mood ADD VALUE 'calm';").unwrap();
    assert_eq!(rollup(dir.path(), &["pkg", "build", "tree", "-o", "x.tar.gz", "--dialect", "postgresql"]).code, 0);
    let inventory =
        format!("{}[package]\nallow_unsigned = true\n", INVENTORY.replace("\"postgresql\"", "\"opengauss\""));
    std::fs::write(dir.path().join("rollup.toml"), inventory).unwrap();
    let (code, finding) = check();
    assert_eq!((code, &finding["severity"]), (3, &"error".into()));
    assert!(finding["evidence"].as_str().unwrap().contains("V2.0.0__x.sql:1: unsafe outside-transaction"), "{finding}");
    assert!(finding["fix"].as_str().unwrap().starts_with("rollup db lint "), "{finding}");
}
