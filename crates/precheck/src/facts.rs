//! What is read about a machine, and its parser.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// Facts about a machine. Sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// `uname -m`.
    pub architecture: String,
    /// What installs packages there: `apt-get`, `dnf`, `yum` or `zypper`; empty: none of them.
    pub installer: String,
    /// Tools that a run needs and that are missing.
    pub missing_tools: Vec<String>,
    /// Versions of those whose version matters; empty: it could not be told.
    pub versions: BTreeMap<String, String>,
    /// The node's clock when it answered, in seconds since 1970.
    pub clock: f64,
    /// Doors of other nodes that do not open.
    pub closed_doors: Vec<Door>,
    /// The run that holds the node's lock.
    pub lock: Option<String>,
    /// Every place that a run writes to, with its file system.
    pub places: Vec<Place>,
    /// Copies of runs, newest first.
    pub runs: Vec<Seen>,
}

/// A port of another node that does not take a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// The address that was tried.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The node answers, but nothing listens there.
    pub refuses: bool,
}

/// A place that a run writes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The path; what is measured is the nearest directory that is there.
    pub path: String,
    /// Whether root may write there; a file system that is mounted read-only says no.
    pub writable: bool,
    /// Its file system; `None`: it could not be measured.
    pub on: Option<FileSystem>,
}

/// A file system. Counts of files are 0 where it has no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Where it is mounted.
    pub mount: String,
    /// Bytes in all.
    pub size: u64,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that may be used.
    pub available: u64,
    /// Files that it can hold.
    pub inodes: u64,
    /// Files that it can still take.
    pub inodes_free: u64,
}

impl FileSystem {
    /// How full it is, as `df` counts: what is kept for root alone is not there for anybody.
    pub fn percent(&self) -> u64 {
        percent(self.used, self.used + self.available)
    }

    /// How much of its count of files is in use.
    pub fn inode_percent(&self) -> u64 {
        percent(self.inodes.saturating_sub(self.inodes_free), self.inodes)
    }
}

fn percent(used: u64, all: u64) -> u64 {
    if all == 0 { 0 } else { u64::try_from((u128::from(used) * 100).div_ceil(u128::from(all))).unwrap_or(100) }
}

/// A copy of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its name.
    pub run: String,
    /// Whether its journal has an end there.
    pub over: bool,
    /// How many changes it has begun.
    pub changes: u32,
    /// What its plan is: `upgrade`, `backup` …
    pub kind: String,
}

/// Reads what the probe prints.
pub(crate) fn parse(text: &str) -> Result<HostFacts> {
    let mut facts = HostFacts::default();
    ensure!(text.lines().any(|line| line == "end"), "expected an answer that ends with `end`");
    for line in text.lines().filter(|line| !line.trim().is_empty() && *line != "end") {
        let (key, value) = line.split_once(' ').with_context(|| format!("expected `KEY VALUE`, found `{line}`"))?;
        let value = value.trim();
        match key {
            "clock" => facts.clock = value.parse().with_context(|| format!("expected seconds, found `{value}`"))?,
            "architecture" => facts.architecture = value.to_owned(),
            "installer" => facts.installer = value.to_owned(),
            "missing" => facts.missing_tools.push(value.to_owned()),
            "lock" => facts.lock = Some(value.to_owned()),
            "version" => {
                let (tool, version) = value.split_once(' ').unwrap_or((value, ""));
                facts.versions.insert(tool.to_owned(), version.trim().to_owned());
            }
            "peer" => facts.closed_doors.push(door(value)?),
            "fs" => facts.places.push(place(value)?),
            "run" => facts.runs.push(seen(value)?),
            _ => bail!("expected a known key, found `{line}`"),
        }
    }
    ensure!(facts.clock > 0.0, "expected a line `clock …`, found none");
    Ok(facts)
}

fn door(value: &str) -> Result<Door> {
    let words: Vec<_> = value.split(' ').collect();
    let [address, port, answer @ ("refuses" | "silent")] = words[..] else {
        bail!("expected `peer ADDRESS PORT refuses|silent`, found `{value}`")
    };
    let port = port.parse().with_context(|| format!("expected a port, found `{port}`"))?;
    Ok(Door { address: address.to_owned(), port, refuses: answer == "refuses" })
}

fn place(value: &str) -> Result<Place> {
    let (may, rest) = value.split_once(' ').with_context(|| format!("expected `fs MAY PLACE`, found `{value}`"))?;
    let (path, df) = rest.split_once('\t').with_context(|| format!("expected a tab, found `{rest}`"))?;
    ensure!(["rw", "ro"].contains(&may), "expected rw or ro, found `{may}`");
    let on = if df == "unknown" { None } else { Some(file_system(df)?) };
    Ok(Place { path: path.to_owned(), writable: may == "rw", on })
}

fn file_system(df: &str) -> Result<FileSystem> {
    let mut rest = df.trim_start();
    let mut number = || -> Result<u64> {
        let (word, tail) = rest.split_once(' ').with_context(|| format!("expected six values of df, found `{df}`"))?;
        rest = tail.trim_start();
        // `-` stands for a file system that does not count its files.
        if word == "-" { Ok(0) } else { word.parse().with_context(|| format!("expected a number, found `{word}`")) }
    };
    let (size, used, available, inodes, inodes_free) = (number()?, number()?, number()?, number()?, number()?);
    Ok(FileSystem { mount: rest.trim_end().to_owned(), size, used, available, inodes, inodes_free })
}

fn seen(value: &str) -> Result<Seen> {
    let words: Vec<_> = value.split(' ').collect();
    let [run, state @ ("over" | "open"), changes, kind] = words[..] else {
        bail!("expected `run NAME over|open CHANGES KIND`, found `{value}`")
    };
    let changes = changes.parse().with_context(|| format!("expected a number, found `{changes}`"))?;
    Ok(Seen { run: run.to_owned(), over: state == "over", changes, kind: kind.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_says_is_read_and_unknown_text_is_an_error_pre_8() {
        let facts = parse(crate::fixtures::NODE).unwrap();
        assert_eq!((facts.architecture.as_str(), facts.installer.as_str()), ("x86_64", "apt-get"));
        assert_eq!(facts.versions["systemd"], "252");
        let root = facts.places[0].on.as_ref().unwrap();
        assert_eq!((root.mount.as_str(), root.percent(), root.inode_percent()), ("/", 64, 4));
        assert_eq!(facts.places[1].on.as_ref().unwrap().mount, "/srv/with blank");
        assert!(!facts.places[1].writable && facts.places[2].on.is_none());
        assert_eq!(facts.closed_doors[0], Door { address: "10.78.0.12".to_owned(), port: 5432, refuses: true });
        assert_eq!((facts.runs[0].changes, facts.runs[0].over, facts.runs[1].over), (3, false, true));
        for bad in
            ["", "clock 1\n", "end\n", "clock 1\nodd x\nend\n", "clock 1\nfs rw /a\t1 2\nend\n", "clock x\nend\n"]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn how_full_a_file_system_is_counts_what_can_be_used_pre_1() {
        let fs = FileSystem { mount: "/".to_owned(), size: 1000, used: 900, available: 50, inodes: 0, inodes_free: 0 };
        assert_eq!(fs.percent(), 95, "50 of 1000 are kept for root, and 900 of the other 950 are in use");
        assert_eq!(fs.inode_percent(), 0);
    }
}
