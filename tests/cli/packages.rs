//! Packages on a machine without nodes: built, signed, verified, and every wrong turn (PKG-1, PKG-2).

use std::path::Path;

use serde_json::Value;

use crate::rollup;

/// A directory with a package in it.
fn built() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("payload")).unwrap();
    std::fs::write(tree.join("payload/x"), "hello").unwrap();
    let manifest = "format = 1\nname = \"x\"\nversion = \"1.0.0\"\n[[components]]\nsource = \"payload/x\"\n\
                    destination = \"/opt/x/x\"\nowner = \"root\"\ngroup = \"root\"\nmode = \"0644\"\n";
    std::fs::write(tree.join("rollup-package.toml"), manifest).unwrap();
    good(dir.path(), &["pkg", "build", "tree", "-o", "x.tar.gz"]);
    dir
}

fn good(dir: &Path, words: &[&str]) -> String {
    let said = rollup(dir, words);
    assert_eq!(said.code, 0, "{words:?}: {}", said.err);
    said.out
}

fn refused(dir: &Path, words: &[&str], code: i32, texts: &[&str]) {
    let said = rollup(dir, words);
    assert_eq!(said.code, code, "{words:?}: {}", said.err);
    for text in texts {
        assert!(said.err.contains(text), "{words:?}: expected `{text}` in:\n{}", said.err);
    }
}

#[test]
fn a_package_is_signed_and_verified_with_the_public_key_alone_pkg_2() {
    let dir = built();
    let dir = dir.path();
    let said = good(dir, &["--json", "pkg", "keygen", "--no-password"]);
    let keys: Value = serde_json::from_str(&said).unwrap();
    let public = keys["public"].as_str().unwrap();
    refused(
        dir,
        &["pkg", "verify", "x.tar.gz", "--key", "release.pub"],
        3,
        &["is not signed", "x.tar.gz.minisig", "hint: "],
    );
    let said = good(dir, &["pkg", "sign", "x.tar.gz"]);
    assert!(said.contains("x.tar.gz.minisig") && said.contains(keys["key"].as_str().unwrap()), "{said}");
    for key in ["release.pub", public] {
        let said = good(dir, &["--json", "pkg", "verify", "x.tar.gz", "--key", key]);
        let verified: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(verified["signed_by"], keys["key"]);
    }
    good(dir, &["pkg", "keygen", "--no-password", "--secret", "other.key", "--public", "other.pub"]);
    refused(dir, &["pkg", "verify", "x.tar.gz", "--key", "other.pub"], 3, &["was made with key", "expected", "hint: "]);
    let mut bytes = std::fs::read(dir.join("x.tar.gz")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(dir.join("x.tar.gz"), bytes).unwrap();
    refused(dir, &["pkg", "verify", "x.tar.gz", "--key", public], 3, &["is not what key", "hint: do not install it"]);
}

#[test]
fn a_password_comes_from_a_file_where_nobody_can_be_asked_pkg_2() {
    let dir = built();
    let dir = dir.path();
    refused(dir, &["pkg", "keygen"], 2, &["without a terminal", "--password-file FILE", "--no-password"]);
    assert!(!dir.join("release.key").exists());
    std::fs::write(dir.join("password"), "open sesame\n").unwrap();
    good(dir, &["pkg", "keygen", "--password-file", "password"]);
    refused(dir, &["pkg", "keygen", "--password-file", "password"], 3, &["release.key", "exists"]);
    refused(
        dir,
        &["pkg", "sign", "x.tar.gz"],
        2,
        &["rollup pkg sign --secret release.key --password-file FILE x.tar.gz"],
    );
    good(dir, &["pkg", "sign", "x.tar.gz", "--password-file", "password"]);
    good(dir, &["pkg", "verify", "x.tar.gz", "--key", "release.pub"]);
    std::fs::write(dir.join("wrong"), "open\n").unwrap();
    refused(dir, &["pkg", "sign", "x.tar.gz", "--password-file", "wrong"], 3, &["release.key", "password"]);
    std::fs::write(dir.join("wrong"), "\n").unwrap();
    refused(dir, &["pkg", "sign", "x.tar.gz", "--password-file", "wrong"], 2, &["expected one line that is not empty"]);
}

#[test]
fn wrong_turns_with_keys_say_what_was_expected_pkg_2() {
    let dir = built();
    let dir = dir.path();
    refused(dir, &["pkg", "sign", "x.tar.gz"], 3, &["cannot read release.key"]);
    good(dir, &["pkg", "keygen", "--no-password"]);
    refused(dir, &["pkg", "sign", "x.tar.gz", "--secret", "release.pub"], 3, &["expected a secret key"]);
    refused(dir, &["pkg", "sign", "none.tar.gz"], 3, &["none.tar.gz"]);
    refused(dir, &["pkg", "verify", "x.tar.gz", "--key", "RWnothing"], 3, &["`RWnothing`", "begin with `RW`"]);
    refused(dir, &["pkg", "verify", "x.tar.gz", "--key", "x.tar.gz"], 2, &["hint: name the `.pub` file"]);
}

#[test]
fn a_package_is_shown_to_people_and_to_programs_pkg_2() {
    let dir = built();
    let dir = dir.path();
    let page = good(dir, &["pkg", "inspect", "x.tar.gz"]);
    for text in ["x 1.0.0", "any version", "/opt/x/x", "root:root", "0644"] {
        assert!(page.contains(text), "expected `{text}` in:\n{page}");
    }
    let document: Value = serde_json::from_str(&good(dir, &["--json", "pkg", "inspect", "x.tar.gz"])).unwrap();
    assert_eq!(document["entries"]["manifest"]["name"], "x");
    assert_eq!(document["release"]["components"][0]["destination"], "/opt/x/x");
}

#[test]
fn the_same_directory_gives_the_same_bytes_pkg_2() {
    let dir = built();
    let dir = dir.path();
    good(dir, &["pkg", "build", "tree", "-o", "y.tar.gz"]);
    assert_eq!(std::fs::read(dir.join("x.tar.gz")).unwrap(), std::fs::read(dir.join("y.tar.gz")).unwrap());
}

#[test]
fn an_archive_of_others_needs_its_manifest_pkg_1() {
    let dir = built();
    let dir = dir.path();
    std::fs::create_dir(dir.join("v")).unwrap();
    std::fs::write(dir.join("v/app"), "hello").unwrap();
    assert!(
        std::process::Command::new("tar").current_dir(dir).args(["-czf", "v.tar.gz", "v"]).status().unwrap().success()
    );
    refused(dir, &["pkg", "inspect", "v.tar.gz"], 3, &["unexpected entry", "hint: "]);
    let manifest = "format = 1\nname = \"v\"\nversion = \"3\"\n[[components]]\nsource = \"v/app\"\n\
                    destination = \"/opt/v/app\"\nowner = \"root\"\ngroup = \"root\"\nmode = \"0755\"\n";
    std::fs::write(dir.join("v.toml"), manifest).unwrap();
    let page = good(dir, &["pkg", "inspect", "v.tar.gz", "--manifest", "v.toml"]);
    assert!(page.contains("v 3") && page.contains("/opt/v/app"), "{page}");
    refused(dir, &["pkg", "inspect", "v.tar.gz", "--manifest", "none.toml"], 3, &["cannot read none.toml"]);
}
