//! `rollup precheck` without a node: what can be asked for, the forms of its answer, waivers (PRE-10).

#![expect(clippy::panic, reason = "a word of the schema that is not known here fails the test")]

use serde_json::Value;

use super::{INVENTORY, dir, rollup};

#[test]
fn every_check_is_listed_with_its_requirement_and_needs_no_inventory_pre_10() {
    let dir = tempfile::tempdir().unwrap();
    let said = rollup(dir.path(), &["precheck", "--list"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for id in [
        "host.reachable",
        "host.key",
        "host.sudo",
        "host.peers",
        "host.clock",
        "host.tools",
        "host.space",
        "host.disk",
        "host.lock",
        "host.unfinished",
        "backup.dir",
        "service.port",
        "health.unit",
        "sync.last",
        "sync.timer",
        "database.replication",
        "database.lag",
        "database.delay",
        "database.paused",
        "keepalived.active",
        "keepalived.test",
        "vip.adverts",
        "vip.owner",
        "waiver.expired",
    ] {
        assert!(said.out.lines().any(|line| line.starts_with(&format!("{id} "))), "{id} in {}", said.out);
    }
    let said = rollup(dir.path(), &["precheck", "--list", "--format", "json"]);
    let checks: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    let mut ids: Vec<_> = checks.iter().map(|check| check["id"].as_str().unwrap()).collect();
    let known = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), known, "no id is declared twice: {ids:?}");
    assert!(checks.iter().all(|check| !check["about"].as_str().unwrap().is_empty()));
}

#[test]
fn an_unknown_check_is_usage_and_suggests_the_right_one_pre_10() {
    let dir = dir();
    for (option, word, meant) in
        [("--only", "database.replicaton", "database.replication"), ("--skip", "host.clock,databse", "database")]
    {
        let said = rollup(dir.path(), &["precheck", option, word]);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{}", said.err);
        assert!(said.err.contains(&format!("did you mean `{meant}`?")), "{}", said.err);
    }
    assert_eq!(rollup(dir.path(), &["precheck", "--list", "--only", "database"]).code, 2);
}

#[test]
fn a_node_without_an_answer_blocks_whatever_else_was_asked_for_unless_it_is_skipped_by_name_pre_10() {
    let dir = dir();
    let ids = |words: &[&str]| {
        let said = rollup(dir.path(), &[&["precheck", "--format", "json"], words].concat());
        let document: Value = serde_json::from_str(&said.out).unwrap();
        let ids: Vec<_> = document["findings"].as_array().unwrap().iter().map(|f| f["id"].to_string()).collect();
        (said.code, ids.join(" "))
    };
    let (code, found) = ids(&["--only", "database"]);
    assert_eq!(code, 3);
    assert_eq!(found, r#""host.reachable" "host.reachable""#);
    let (code, found) = ids(&["--skip", "host", "--only", "PRE-4,PRE-5"]);
    assert_eq!((code, found.as_str()), (0, ""), "who skips by name gets what was asked for");
}

#[test]
fn the_json_document_is_what_the_published_schema_says_pre_10() {
    let dir = dir();
    let waiver = "[[waivers]]\ncheck = \"host.peers\"\nreason = \"T-7\"\nuntil = \"2020-01-01\"\n";
    std::fs::write(dir.path().join("rollup.toml"), format!("{INVENTORY}{waiver}")).unwrap();
    let said = rollup(dir.path(), &["precheck", "--format", "json", "--skip", "vip"]);
    assert_eq!(said.code, 3);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../docs/findings.schema.json")).unwrap();
    valid(&document, &schema, &schema, "document");
    assert_eq!((document["ok"].clone(), document["skip"].clone()), (false.into(), vec!["vip"].into()));
    let ids: Vec<_> = document["findings"].as_array().unwrap().iter().map(|finding| &finding["id"]).collect();
    assert!(ids.contains(&&Value::from("waiver.expired")), "{ids:?}");
    // The schema is not one that lets everything through.
    for (path, wrong) in
        [("/findings/0/severity", Value::from("bad")), ("/format", 2.into()), ("/findings/0/id", "x".into())]
    {
        let mut other = document.clone();
        *other.pointer_mut(path).unwrap() = wrong;
        let judged = std::panic::catch_unwind(|| valid(&other, &schema, &schema, "document"));
        assert!(judged.is_err(), "{path}");
    }
}

/// The part of JSON Schema that the published one uses; a word that is not known here is an error.
fn valid(value: &Value, schema: &Value, root: &Value, at: &str) {
    for (word, rule) in schema.as_object().unwrap() {
        match word.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "additionalProperties" => {}
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                valid(value, root.pointer(pointer).unwrap(), root, at);
            }
            "type" => {
                let names: Vec<_> = rule.as_array().map_or_else(|| vec![rule], |names| names.iter().collect());
                assert!(names.iter().any(|name| is(value, name.as_str().unwrap())), "{at}: {value} is no {rule}");
            }
            "const" => assert_eq!(value, rule, "{at}"),
            "enum" => assert!(rule.as_array().unwrap().contains(value), "{at}: {value} in {rule}"),
            "minimum" => assert!(value.as_i64() >= rule.as_i64(), "{at}: {value}"),
            "pattern" => assert!(fits(value.as_str().unwrap(), rule.as_str().unwrap()), "{at}: {value} fits {rule}"),
            "items" => value.as_array().unwrap().iter().for_each(|item| valid(item, rule, root, at)),
            "required" => {
                rule.as_array()
                    .unwrap()
                    .iter()
                    .for_each(|key| assert!(value.get(key.as_str().unwrap()).is_some(), "{at}: {key}"));
            }
            "properties" => {
                for (key, value) in value.as_object().unwrap() {
                    valid(value, rule.get(key).unwrap_or_else(|| panic!("{at}: unknown key {key}")), root, key);
                }
            }
            other => panic!("unknown word of a schema: {other}"),
        }
    }
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    }
}

/// The two patterns of the schema.
fn fits(text: &str, pattern: &str) -> bool {
    let all = |text: &str, allowed: fn(char) -> bool| !text.is_empty() && text.chars().all(allowed);
    let small = |c: char| c.is_ascii_lowercase() || c == '-';
    match pattern {
        r"^[a-z-]+\.[a-z-]+$" => text.split_once('.').is_some_and(|(area, noun)| all(area, small) && all(noun, small)),
        "^[A-Z]+-[0-9]+$" => text
            .split_once('-')
            .is_some_and(|(area, number)| all(area, |c| c.is_ascii_uppercase()) && all(number, |c| c.is_ascii_digit())),
        other => panic!("unknown pattern {other}"),
    }
}

#[test]
fn junit_has_a_suite_for_each_node_with_its_counts_pre_10() {
    let dir = dir();
    let said = rollup(dir.path(), &["precheck", "--format", "junit", "--only", "host"]);
    assert_eq!(said.code, 3);
    let suites: Vec<_> = said.out.lines().filter(|line| line.trim_start().starts_with("<testsuite ")).collect();
    let names: Vec<_> = suites.iter().map(|line| line.split('"').nth(1).unwrap()).collect();
    assert_eq!(names[..2], ["node-a", "node-b"]);
    assert!(suites[0].contains(r#"tests="1" failures="1" errors="0" skipped="0""#), "{}", suites[0]);
    assert!(said.out.contains(r#"<testcase classname="node-a.PRE-2" name="host.reachable: an answer over ssh">"#));
}

#[test]
fn a_log_without_a_terminal_hears_at_once_what_is_waited_for_and_never_a_bar_pre_10() {
    let dir = dir();
    for format in ["human", "json", "junit"] {
        let said = rollup(dir.path(), &["precheck", "--format", format]);
        assert_eq!(said.err, "precheck: reading the facts of all nodes\n", "{format}");
        assert!(!said.out.contains('\r') && !said.out.contains('\u{1b}'));
    }
    assert_eq!(rollup(dir.path(), &["-q", "precheck"]).err, "");
}

#[test]
fn a_waiver_that_names_no_check_or_one_that_may_not_be_waived_is_a_mistake_at_its_line_pre_10() {
    let dir = dir();
    let waiver = |check: &str| format!("[[waivers]]\ncheck = \"{check}\"\nreason = \"T-7\"\nuntil = \"2099-01-01\"\n");
    let text = format!("{INVENTORY}{}{}", waiver("host.clok"), waiver("vip.owner"));
    std::fs::write(dir.path().join("rollup.toml"), text).unwrap();
    let said = rollup(dir.path(), &["precheck"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    for text in
        ["there is no check `host.clok`", "did you mean `host.clock`?", "`vip.owner` can never be waived", "2 mistakes"]
    {
        assert!(said.err.contains(text), "{text} in {}", said.err);
    }
}

#[test]
fn a_package_that_is_not_accepted_is_a_finding_beside_all_others_pre_9() {
    let dir = dir();
    std::fs::write(dir.path().join("x.tar.gz"), "hello").unwrap();
    let said = rollup(dir.path(), &["precheck", "--pkg", "x.tar.gz", "--format", "json"]);
    assert_eq!(said.code, 3, "{}", said.err);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let ids: Vec<_> = document["findings"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect();
    assert_eq!(ids[..3], ["package.accepted", "host.reachable", "host.reachable"]);
    let said = rollup(dir.path(), &["precheck", "--pkg", "missing.tar.gz"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("there is no package missing.tar.gz"), "{}", said.err);
}

#[test]
fn the_handbook_names_every_check_and_nothing_that_is_none_pre_10() {
    let said = rollup(std::path::Path::new("/"), &["precheck", "--list", "--format", "json"]);
    let checks: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    let page = include_str!("../../docs/precheck.md");
    let rows: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    for check in &checks {
        let id = check["id"].as_str().unwrap();
        assert!(rows.contains(&id), "docs/precheck.md has no line for {id}");
    }
    let known: Vec<_> = checks.iter().map(|check| check["id"].as_str().unwrap()).collect();
    let unknown: Vec<_> = rows.iter().filter(|id| !known.contains(id)).collect();
    assert!(unknown.is_empty(), "docs/precheck.md names {unknown:?}");
}
