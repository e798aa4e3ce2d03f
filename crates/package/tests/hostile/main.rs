//! Hostile archives, one table: each is refused for its own reason, writes nothing outside the staging directory, and
//! costs no more memory than a good one (PKG-4), on this machine and on a node that has it.
//!
//! `cargo test -p package --test hostile -- --show` prints the table. Each archive is read by a process of its own, this
//! program again, whose peak memory the kernel tells.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test program that prints a table")]

mod archives;
#[path = "../format/local.rs"]
mod local;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use archives::{Case, cases};
use rollup_model::inventory::PackagePolicy;

/// What reading may take at most, in KiB. A good package of a few bytes takes about a tenth.
const MOST: u64 = 64 * 1024;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, archive, target] = &words[..]
        && flag == "--read"
    {
        return read(Path::new(archive), Path::new(target));
    }
    // Words of the test runner that ask for other tests.
    if words.iter().any(|word| word == "--list") || words.iter().any(|word| !word.starts_with('-')) {
        return ExitCode::SUCCESS;
    }
    let show = words.iter().any(|word| word == "--show");
    let all = cases();
    let wrong: Vec<String> = all.iter().filter_map(|case| judge(case, show).err()).collect();
    wrong.iter().for_each(|why| println!("WRONG   {why}"));
    println!("hostile archives: {} refused, {} wrong", all.len() - wrong.len(), wrong.len());
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Unpacks an archive, or says why not; then the peak of this process.
fn read(archive: &Path, target: &Path) -> ExitCode {
    let policy = PackagePolicy { allow_unsigned: true, ..PackagePolicy::default() };
    // A node's archive is never unpacked here: it is refused by what the node tells of it.
    let on_node = target.as_os_str() == ON_NODE;
    let refused = match on_node {
        true => local::read(archive, None, &policy).err(),
        false => package::unpack_checked(archive, target, &policy).err(),
    };
    println!("{}", refused.map_or_else(|| "accepted".to_owned(), |error| error.to_string().replace('\n', " ")));
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{}", peak.trim().trim_end_matches(" kB"));
    ExitCode::SUCCESS
}

/// Instead of a directory to unpack into.
const ON_NODE: &str = "on-node";

/// Every path below a directory, with its size.
fn listing(directory: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                left.push(entry.path());
            }
            found.insert(entry.path().display().to_string(), if meta.is_dir() { 0 } else { meta.len() });
        }
    }
    found
}

fn judge(case: &Case, show: bool) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("x.tar.gz");
    (case.make)(&archive);
    // What an archive may try to reach.
    fs::write(directory.path().join("victim"), "victim").unwrap();
    let before = listing(directory.path());
    for target in [directory.path().join("staging"), ON_NODE.into()] {
        let child = Command::new(std::env::current_exe().unwrap()).arg("--read").arg(&archive).arg(&target).output();
        let child = child.unwrap();
        let said = String::from_utf8(child.stdout).unwrap();
        let Some((reason, peak)) = said.trim_end().rsplit_once('\n') else {
            panic!("{}: {said}{}", case.name, String::from_utf8_lossy(&child.stderr))
        };
        let peak: u64 = peak.parse().unwrap();
        let on_node = target.as_os_str() == ON_NODE;
        let whose = if on_node { "on a node" } else { "here" };
        if show {
            println!("{:44} {whose:9} {peak:>6} KiB  {reason}", case.name);
        }
        let left = listing(directory.path());
        let expected = if on_node { case.on_node.unwrap_or(case.reason) } else { case.reason };
        match () {
            () if reason == "accepted" => return Err(format!("{} {whose}: accepted", case.name)),
            () if !reason.contains(expected) => {
                return Err(format!("{} {whose}: expected `{expected}`, found `{reason}`", case.name));
            }
            () if left != before => return Err(format!("{} {whose}: it left {left:?}", case.name)),
            () if peak > MOST => return Err(format!("{} {whose}: reading it took {peak} KiB", case.name)),
            () => {}
        }
    }
    Ok(())
}
