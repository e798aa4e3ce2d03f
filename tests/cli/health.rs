//! `rollup health` without a node: who is asked, what a server says of the machine it is on, what a unit holds.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

use super::{dir, rollup};

#[test]
fn a_node_that_does_not_answer_is_not_healthy_and_only_the_asked_one_counts_hlt_1() {
    let dir = dir();
    let said = rollup(dir.path(), &["health", "node-b"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert!(said.out.contains("Connection refused") && said.out.ends_with("not healthy: node-b\n"), "{}", said.out);
    assert!(!said.out.contains("node-a"), "{}", said.out);
    let said = rollup(dir.path(), &["health", "--json"]);
    let look: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &look["healthy"]), (3, &false.into()));
    assert_eq!(look["nodes"][1]["checks"][0]["id"], "host.reachable", "{look}");
}

#[test]
fn a_node_that_is_not_in_the_inventory_is_usage_hlt_1() {
    let dir = dir();
    for words in
        [&["health", "node-c"][..], &["health", "serve", "--node", "node-c"], &["health", "unit", "--node", "node-c"]]
    {
        let said = rollup(dir.path(), words);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{}", said.err);
        assert!(said.err.ends_with("hint: one of: node-a, node-b\n"), "{}", said.err);
    }
    let said = rollup(dir.path(), &["health", "node-a", "serve", "--node", "node-a"]);
    assert_eq!(said.code, 2, "{}", said.out);
}

#[test]
fn a_watch_writes_one_json_line_for_each_look_and_ends_with_its_reader_hlt_1() {
    let dir = dir();
    let mut watch = Command::new(env!("CARGO_BIN_EXE_rollup"))
        .args(["health", "--watch", "--json"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(watch.stdout.take().unwrap());
    for _ in 0..2 {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let look: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&look["healthy"], look["nodes"].as_array().map(Vec::len)), (&false.into(), Some(2)));
    }
    drop(reader);
    assert_eq!(watch.wait().unwrap().code(), Some(3));
}

/// A server that this test started, and ends.
struct Server(std::process::Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn a_server_needs_no_ssh_answers_503_and_ends_calmly_hlt_1() {
    let dir = dir();
    // What only the operator has must not be missed on a node.
    let text = std::fs::read_to_string(dir.path().join("rollup.toml")).unwrap();
    let text = text.replace("[ssh]", "[ssh]\nidentity_file = \"/nowhere/key\"");
    // Nothing listens there.
    let text = text.replace("engine = ", "port = 1\nengine = ");
    std::fs::write(dir.path().join("rollup.toml"), text).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_rollup"))
        .args(["health", "serve", "--node", "node-a", "--listen", "127.0.0.1:0"])
        .current_dir(dir.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Server(child);
    let mut said = BufReader::new(server.0.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let address =
        line.split(['/', ' ']).find(|word| word.starts_with("127.0.0.1:")).unwrap_or_else(|| panic!("{line}"));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: node\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let database = body["checks"].as_array().unwrap().iter().find(|check| check["name"] == "database on port 1");
    assert_eq!(database.unwrap()["reason"], "connection refused", "{body}");
    // A second one finds the place taken, and says what to do.
    let taken = rollup(dir.path(), &["health", "serve", "--node", "node-a", "--listen", address]);
    assert_eq!(taken.code, 1, "{}", taken.err);
    assert!(taken.err.contains("in use") && taken.err.contains("hint: see who does"), "{}", taken.err);
    let term = Command::new("kill").args(["-TERM", &server.0.id().to_string()]).status().unwrap();
    assert!(term.success());
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "nothing is said per request");
}

#[test]
fn a_server_that_could_not_ask_a_url_does_not_begin_hlt_1() {
    let dir = dir();
    let text = std::fs::read_to_string(dir.path().join("rollup.toml")).unwrap();
    std::fs::write(dir.path().join("rollup.toml"), text + "health_urls = [\"https://127.0.0.1/health\"]\n").unwrap();
    let said = rollup(dir.path(), &["health", "serve", "--node", "node-a", "--listen", "127.0.0.1:0"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("cannot ask https://127.0.0.1/health") && said.err.contains("hint: "), "{}", said.err);
}

#[test]
fn a_unit_is_printed_for_a_user_or_for_nobody_hlt_1() {
    let dir = dir();
    let said = rollup(dir.path(), &["health", "unit", "--node", "node-a"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for line in ["DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "MemoryMax=64M"] {
        assert!(said.out.lines().any(|found| found == line), "{line} in {}", said.out);
    }
    let said = rollup(dir.path(), &["health", "unit", "--node", "node-a", "--user", "monitor"]);
    assert!(said.out.lines().any(|line| line == "User=monitor") && !said.out.contains("DynamicUser"), "{}", said.out);
}
