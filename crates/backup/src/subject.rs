//! Where sets are kept, which there are, and whether the next one fits.

use anyhow::{Context, Result, bail};
use rollup_engine::{FindingCx, Probe, Stage, Subject};
use rollup_model::{Finding, Inventory, inventory::Node};
use serde::{Deserialize, Serialize};

use crate::{Hold, SetName, look::size};

/// Facts about the backup directory of a node. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFacts {
    /// Free space where the directory is or would be.
    pub free: u64,
    /// What a set takes at most: configuration and database, uncompressed.
    pub needed: u64,
    /// Whether root can write there.
    pub writable: bool,
    /// The sets, oldest first.
    pub sets: Vec<SetFact>,
}

/// One set on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFact {
    /// Its name.
    pub name: SetName,
    /// How far it has come.
    pub state: SetState,
    /// The upgrade that may still need it.
    pub hold: Option<Hold>,
}

/// How far a set has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetState {
    /// Without a manifest.
    Incomplete,
    /// Everything was written.
    Complete,
    /// Everything was read back.
    Verified,
}

/// The backup directory.
pub struct BackupSubject;

macro_rules! list {
    () => {
        r#"
for set in "$1"/backup_*; do
  [ -d "$set" ] || continue
  state=$(sed -n 's/^  "state": "\([a-z]*\)",\{0,1\}$/\1/p' "$set/manifest.json" 2>/dev/null | head -n 1 || true)
  hold=$(head -c 500 "$set/hold.json" 2>/dev/null | tr -d '\n' || true)
  echo "set ${set##*/} ${state:-incomplete} ${hold:--}"
done
"#
    };
}

/// Prints `set NAME STATE HOLD` for each set, oldest first; the hold as it lies there, or `-`. `$1` directory of all
/// sets.
pub(crate) const LIST: &str = list!();

/// Reads what [`LIST`] prints. Directories with other names are none of ours.
pub(crate) fn parse_sets(text: &str) -> Result<Vec<SetFact>> {
    let mut sets = Vec::new();
    for line in text.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        let ["set", name, state, hold] = words[..] else { bail!("expected `set NAME STATE HOLD`, found `{line}`") };
        let Ok(name) = SetName::new(name) else { continue };
        let state = match state {
            "incomplete" => SetState::Incomplete,
            "complete" => SetState::Complete,
            "verified" => SetState::Verified,
            other => bail!("{name}: expected a state, found `{other}`"),
        };
        let hold = match hold {
            "-" => None,
            hold => Some(serde_json::from_str(hold).with_context(|| format!("{name}: hold.json cannot be read"))?),
        };
        sets.push(SetFact { name, state, hold });
    }
    Ok(sets)
}

/// `$1` directory, `$2` data directory of the database, then code and configuration paths.
const PROBE: &str = concat!(
    "list() {",
    list!(),
    r#"}
dir=$1 data=$2; shift 2
at=$dir; while [ ! -d "$at" ]; do at=$(dirname "$at"); done
echo "free $(df -B1 --output=avail "$at" | tail -n 1 | tr -d ' ')"
echo "needed $(du -sbc "$data" "$@" 2>/dev/null | tail -n 1 | cut -f1)"
if [ -w "$at" ]; then echo "writable yes"; else echo "writable no"; fi
list "$dir"
"#
);

impl Subject for BackupSubject {
    type Facts = BackupFacts;

    fn name(&self) -> &'static str {
        "backup"
    }

    fn probe(&self, inventory: &Inventory, _: &Node) -> Option<Probe> {
        let service = &inventory.service;
        let paths = service.code.iter().chain(&service.config);
        let args = [&inventory.backup.dir, &inventory.database.data_dir].into_iter().chain(paths);
        Some(Probe { script: PROBE, args: args.cloned().collect() })
    }

    fn parse(&self, text: &str, _: &Inventory) -> Result<BackupFacts> {
        let get = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            line.with_context(|| format!("expected a line `{key} …`"))
        };
        let number = |key: &str| {
            let text = get(key)?;
            text.parse().with_context(|| format!("{key}: expected a number, found `{text}`"))
        };
        let sets: String =
            text.lines().filter(|line| line.starts_with("set ")).map(|line| format!("{line}\n")).collect();
        Ok(BackupFacts {
            free: number("free")?,
            needed: number("needed")?,
            writable: get("writable")? == "yes",
            sets: parse_sets(&sets)?,
        })
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        if cx.stage == Stage::Resumed {
            return Vec::new();
        }
        let dir = &cx.inventory.backup.dir;
        let release = cx.release.map_or(0, |release| release.archive_size + release.unpacked_size);
        let mut findings = Vec::new();
        for (node, facts) in cx.each(self) {
            let needed = facts.needed + facts.needed / 5 + release;
            findings.push(
                Finding::check(
                    "backup.space",
                    "PRE-7",
                    facts.free >= needed,
                    format!("{} free for a backup set and the package in {dir}", size(needed)),
                    size(facts.free),
                )
                .on(node)
                .fix("rollup backup prune"),
            );
            findings.push(writable(dir, facts.writable).on(node));
        }
        findings
    }
}

/// Whether sets can be made at all.
pub(crate) fn writable(dir: &str, writable: bool) -> Finding {
    let found = if writable { "writable" } else { "not writable" };
    Finding::check("backup.writable", "PRE-7", writable, format!("{dir} writable by root"), found)
        .fix(format!("install -d -m 0711 {dir}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::HoldState;

    #[test]
    fn the_probe_is_read_and_unknown_text_fails_closed() {
        let inventory = rollup_model::inventory::load(
            "cluster={name='o'}\nnodes=[{name='a',host='1'},{name='b',host='2'}]\nvip={address='10.0.0.9'}\n\
             database={engine='postgresql',data_dir='/d',unit='p.service',name='o'}\nservice={units=['o.service']}\n",
        )
        .unwrap();
        let text = "free 100\nneeded 40\nwritable yes\nset backup_20260101_000000 incomplete -\n\
                    set backup_20260102_000000 verified {\"run\":\"r\",\"state\":\"open\"}\n\
                    set backup_mine complete -\n";
        let facts = BackupSubject.parse(text, &inventory).unwrap();
        assert_eq!(facts.sets.len(), 2, "a directory of somebody else is left alone");
        assert_eq!((facts.sets[0].state, facts.sets[0].hold.is_none()), (SetState::Incomplete, true));
        assert_eq!(facts.sets[1].hold.as_ref().unwrap().state, HoldState::Open);
        for bad in ["df: no such file\n", "free 1\nneeded 1\nwritable yes\nset backup_20260101_000000 odd -\n"] {
            assert!(BackupSubject.parse(bad, &inventory).is_err(), "{bad}");
        }
        assert!(parse_sets("set backup_20260101_000000 verified {\n").is_err(), "a hold that cannot be read holds");
    }
}
