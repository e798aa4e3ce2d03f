//! Hostile archives, one table: each is refused for its own reason, writes nothing outside the staging directory, and
//! costs no more memory than a good one (PKG-4).
//!
//! `cargo test -p package --test hostile -- --show` prints the table. Each archive is read by a process of its own, this
//! program again, whose peak memory the kernel tells.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test program that prints a table")]

mod archives;

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
    match package::unpack_checked(archive, target, &policy) {
        Ok(_) => println!("accepted"),
        Err(error) => println!("{}", error.to_string().replace('\n', " ")),
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{}", peak.trim().trim_end_matches(" kB"));
    ExitCode::SUCCESS
}

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
    let staging = directory.path().join("staging");
    let child = Command::new(std::env::current_exe().unwrap()).arg("--read").arg(&archive).arg(&staging).output();
    let said = String::from_utf8(child.unwrap().stdout).unwrap();
    let Some((reason, peak)) = said.trim_end().rsplit_once('\n') else { panic!("{}: {said}", case.name) };
    let peak: u64 = peak.parse().unwrap();
    if show {
        println!("{:44} {peak:>6} KiB  {reason}", case.name);
    }
    let left = listing(directory.path());
    match () {
        () if reason == "accepted" => Err(format!("{}: accepted", case.name)),
        () if !reason.contains(case.reason) => {
            Err(format!("{}: expected `{}`, found `{reason}`", case.name, case.reason))
        }
        () if left != before => Err(format!("{}: it left {left:?}", case.name)),
        () if peak > MOST => Err(format!("{}: reading it took {peak} KiB", case.name)),
        () => Ok(()),
    }
}
