//! The program itself, without a node: usage, bad files, exit codes, closed pipes. Environment cleared, width fixed.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod health;
mod init;
mod lint;
mod packages;
mod precheck;

use std::{
    path::Path,
    process::{Command, Stdio},
};

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn rollup(dir: &Path, words: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollup"));
    command.args(words).current_dir(dir).env_clear().env("HOME", dir).env("COLUMNS", "100").stdin(Stdio::null());
    let output = command.output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

const INVENTORY: &str = r#"[cluster]
name = "orders"
[[nodes]]
name = "node-a"
host = "127.0.0.1"
[[nodes]]
name = "node-b"
host = "127.0.0.2"
[ssh]
port = 1
connect_timeout = "1s"
[vip]
address = "127.0.0.9"
[database]
engine = "postgresql"
data_dir = "/var/lib/postgresql/15/main"
unit = "postgresql@15-main.service"
name = "orders"
[service]
units = ["orders-api.service"]
"#;

fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rollup.toml"), INVENTORY).unwrap();
    dir
}

#[test]
fn help_lists_every_command_and_every_exit_code() {
    let said = rollup(Path::new("/"), &["--help"]);
    assert_eq!(said.code, 0);
    for word in [
        "init", "precheck", "plan", "upgrade", "resume", "rollback", "finalize", "backup", "status", "runs", "unlock",
        "health", "vip", "db", "sync", "pkg",
    ] {
        assert!(said.out.contains(&format!("\n  {word}")), "{word} in {}", said.out);
    }
    for code in 0..=8 {
        assert!(said.out.contains(&format!("\n  {code}  ")), "exit code {code} in {}", said.out);
    }
}

#[test]
fn an_unknown_word_is_usage_and_suggests_the_right_one() {
    let said = rollup(Path::new("/"), &["upgrad"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("'upgrade'"), "{}", said.err);
}

#[test]
fn a_missing_inventory_says_how_to_name_one() {
    let dir = tempfile::tempdir().unwrap();
    let said = rollup(dir.path(), &["precheck"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(said.err.starts_with("error: cannot read the inventory rollup.toml: "), "{}", said.err);
    assert!(said.err.lines().last().unwrap().starts_with("hint: "), "{}", said.err);
}

#[test]
fn every_mistake_in_an_inventory_is_shown_at_its_line() {
    let dir = dir();
    let wrong = INVENTORY.replace("data_dir = \"/var", "data_dir = \"var").replace("\"127.0.0.2\"", "\"127.0.0.9\"");
    std::fs::write(dir.path().join("rollup.toml"), wrong).unwrap();
    let said = rollup(dir.path(), &["precheck"]);
    assert_eq!(said.code, 2);
    assert_eq!(said.err.matches("error: error").count(), 0, "{}", said.err);
    for text in ["rollup.toml:8", "is the VIP, which moves", "rollup.toml:16", "has 2 mistakes"] {
        assert!(said.err.contains(text), "{text} in {}", said.err);
    }
}

#[test]
fn nodes_that_do_not_answer_are_findings_with_ssh_s_own_words_pre_2() {
    let dir = dir();
    let said = rollup(dir.path(), &["precheck"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert!(said.out.contains("host.reachable") && said.out.contains("Connection refused"), "{}", said.out);
    let said = rollup(dir.path(), &["precheck", "--format", "json"]);
    let findings: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert!(findings.to_string().contains("host.reachable"), "{findings}");
    let said = rollup(dir.path(), &["precheck", "--format", "junit"]);
    assert!(said.out.starts_with("<?xml"), "{}", said.out);
}

#[test]
fn without_a_terminal_nothing_is_asked_and_nothing_is_done() {
    let dir = dir();
    let said = rollup(dir.path(), &["upgrade", "--pkg", "missing.tar.gz"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("there is no package missing.tar.gz") && said.err.contains("hint: "), "{}", said.err);
}

#[test]
fn a_file_that_is_no_package_is_refused_with_its_reason_pkg_4() {
    let dir = dir();
    std::fs::write(dir.path().join("x.tar.gz"), "hello").unwrap();
    let said = rollup(dir.path(), &["pkg", "inspect", "x.tar.gz"]);
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(said.err.contains("not a package"), "{}", said.err);
    let said = rollup(dir.path(), &["pkg", "verify", "x.tar.gz"]);
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(said.err.contains("hint: ") && said.err.contains("package.allow_unsigned"), "PKG-1: {}", said.err);
}

#[test]
fn with_no_runs_every_command_about_runs_says_so() {
    let dir = dir();
    assert_eq!(rollup(dir.path(), &["runs", "list"]).out, "no runs\n");
    for words in [vec!["status"], vec!["resume"], vec!["rollback"], vec!["finalize"]] {
        let said = rollup(dir.path(), &words);
        assert_eq!(said.code, 2, "{words:?}");
        assert_eq!(said.err.lines().last(), Some("hint: rollup runs list"), "{}", said.err);
    }
}

#[test]
fn a_set_on_a_node_that_does_not_answer_is_not_said_to_be_missing_rb_1() {
    let dir = dir();
    for words in [["rollback", "--backup", "backup_20200101_000000"], ["backup", "show", "latest"]] {
        let said = rollup(dir.path(), &words);
        assert_eq!(said.code, 3, "{words:?}: {}", said.err);
        assert!(said.err.contains("not every place could be asked: "), "{}", said.err);
        assert_eq!(said.err.lines().last(), Some("hint: rollup precheck"), "{}", said.err);
    }
}

#[test]
fn a_damaged_journal_names_file_and_line_and_is_left_alone() {
    let dir = dir();
    let run = dir.path().join(".local/state/rollup/runs/20260101-000000-aaaa");
    std::fs::create_dir_all(&run).unwrap();
    std::fs::write(run.join("plan.json"), "{\n\"format\": 1\n").unwrap();
    std::fs::write(run.join("journal.jsonl"), "").unwrap();
    let said = rollup(dir.path(), &["status", "20260101-000000-aaaa"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("plan.json:"), "{}", said.err);
    let said = rollup(dir.path(), &["runs", "list"]);
    assert_eq!(said.code, 0, "one damaged run hides no other");
    assert!(said.err.contains("warning: run 20260101-000000-aaaa cannot be read"), "{}", said.err);
    assert_eq!(said.out, "", "there is a run, so nothing says that there is none");
    for command in ["status", "resume", "rollback"] {
        let said = rollup(dir.path(), &[command]);
        assert_eq!(said.code, 1, "an older run never takes the place of the one that cannot be read: {}", said.err);
        assert!(said.err.contains("plan.json:"), "{}", said.err);
    }
}

#[test]
fn a_hint_can_be_typed_as_it_stands_with_the_options_that_were_typed() {
    let dir = dir();
    let said = rollup(dir.path(), &["--state-dir", "my runs", "-i", "rollup.toml", "status"]);
    assert_eq!(said.err.lines().last(), Some("hint: rollup --state-dir 'my runs' runs list"), "{}", said.err);
    std::fs::rename(dir.path().join("rollup.toml"), dir.path().join("pair.toml")).unwrap();
    let said = rollup(dir.path(), &["-i", "pair.toml", "unlock", "20260101-000000-aaaa", "--reason", "x"]);
    let hint = "hint: rollup -i pair.toml unlock 20260101-000000-aaaa --reason 'x' --yes";
    assert_eq!(said.err.lines().last(), Some(hint), "{}", said.err);
}

#[test]
fn a_key_file_that_is_not_there_is_named_instead_of_ssh_s_permission_denied() {
    let dir = dir();
    let wrong = INVENTORY.replace("port = 1", "port = 1\nidentity_file = \"keys/none\"");
    std::fs::write(dir.path().join("rollup.toml"), wrong).unwrap();
    let said = rollup(dir.path(), &["precheck"]);
    assert_eq!(said.code, 2);
    assert!(said.err.starts_with("error: ssh.identity_file: there is no file /"), "{}", said.err);
    assert!(said.err.contains("keys/none") && said.err.contains("hint: "), "{}", said.err);
}

#[test]
fn a_package_is_verified_where_it_is_built_without_an_inventory_pkg_2() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("payload")).unwrap();
    std::fs::write(tree.join("payload/x"), "hello").unwrap();
    let manifest = "format = 1\nname = \"x\"\nversion = \"1.0.0\"\nunits = [\"x.service\"]\n[[components]]\n\
                    source = \"payload/x\"\ndestination = \"/opt/x/x\"\nowner = \"root\"\ngroup = \"root\"\nmode = \"0644\"\n";
    std::fs::write(tree.join("rollup-package.toml"), manifest).unwrap();
    let said = rollup(dir.path(), &["--json", "pkg", "build", "tree", "-o", "x-1.0.0.tar.gz"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let built: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let said = rollup(dir.path(), &["--json", "pkg", "verify", "x-1.0.0.tar.gz"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let verified: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(verified["sha256"], built["sha256"]);
    assert!(said.err.starts_with("note: no inventory"), "{}", said.err);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rollup"))
        .args(["--help"])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}
