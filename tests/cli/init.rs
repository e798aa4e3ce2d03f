//! `rollup init` without a node: usage, files that are there, nodes that are not.

use crate::rollup;

const NODES: [&str; 2] = ["ops@127.0.0.1:1", "ops@127.0.0.2:1"];

fn init(dir: &std::path::Path, words: &[&str]) -> crate::Said {
    rollup(dir, &[&["init"][..], words].concat())
}

#[test]
fn two_nodes_are_needed_that_an_inventory_can_hold() {
    let dir = tempfile::tempdir().unwrap();
    for (words, error) in [
        (&["ops@a"][..], "required arguments were not provided"),
        (&["ops@a", "ops@b", "ops@c"], "unexpected argument 'ops@c'"),
        (&["ops@a", "ops@a"], "expected two nodes, found a twice"),
        (&["ops@a", "root@b"], "expected one user and one port for both nodes"),
        (&["a:22", "b:23"], "expected one user and one port for both nodes"),
        (&["a", "b:port"], "expected a port, found `port`"),
        (&["a", "--identity-file", "keys/none", "b"], "--identity-file: there is no file keys/none"),
        (&["a", "-F", "none", "b"], "--ssh-config: there is no file none"),
    ] {
        let said = init(dir.path(), words);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{words:?}: {}", said.err);
        assert!(said.err.contains(error), "{words:?}: expected {error} in {}", said.err);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_file_that_is_there_is_left_alone_and_the_command_that_replaces_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("my pair.toml");
    std::fs::write(&file, "mine").unwrap();
    let said = init(dir.path(), &["-o", "my pair.toml", "--name", "orders", NODES[0], NODES[1]]);
    assert_eq!(said.code, 2, "{}", said.err);
    let hint = "hint: rollup init --force -o 'my pair.toml' --name orders ops@127.0.0.1:1 ops@127.0.0.2:1";
    assert!(said.err.contains(hint), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn nodes_that_do_not_answer_are_both_named_with_a_command_to_try() {
    let dir = tempfile::tempdir().unwrap();
    let said = init(dir.path(), &NODES);
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{}", said.err);
    for text in [
        "error: 127.0.0.1 cannot be reached: ",
        "error: 127.0.0.2 cannot be reached: ",
        "hint: ssh -l ops -p 1 127.0.0.1 true",
    ] {
        assert!(said.err.contains(text), "{text} in {}", said.err);
    }
    assert!(!dir.path().join("rollup.toml").exists());
}

#[test]
fn an_inventory_with_an_open_question_is_refused_at_its_line() {
    let dir = crate::dir();
    let open = crate::INVENTORY.replace("127.0.0.9", "?");
    std::fs::write(dir.path().join("rollup.toml"), open).unwrap();
    let said = rollup(dir.path(), &["precheck"]);
    assert_eq!(said.code, 2);
    for text in ["expected an answer to the question above, found `?`", "rollup.toml:13:11", "has 1 mistake"] {
        assert!(said.err.contains(text), "{text} in {}", said.err);
    }
}
