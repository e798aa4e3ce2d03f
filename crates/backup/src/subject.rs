//! Where sets are kept, and whether the next one fits.

use anyhow::{Context, Result};
use rollup_engine::{FindingCx, Probe, Stage, Subject};
use rollup_model::{Finding, Inventory, inventory::Node};
use serde::{Deserialize, Serialize};

/// Facts about the backup directory of a node. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFacts {
    /// Free space where the directory is or would be.
    pub free: u64,
    /// What a set takes at most: configuration and database, uncompressed.
    pub needed: u64,
    /// Whether root can write there.
    pub writable: bool,
    /// Names of the sets, oldest first.
    pub sets: Vec<String>,
}

/// The backup directory.
pub struct BackupSubject;

/// `$1` directory, `$2` data directory of the database, then configuration paths.
const PROBE: &str = r#"
dir=$1 data=$2; shift 2
at=$dir; while [ ! -d "$at" ]; do at=$(dirname "$at"); done
echo "free $(df -B1 --output=avail "$at" | tail -n 1 | tr -d ' ')"
echo "needed $(du -sbc "$data" "$@" 2>/dev/null | tail -n 1 | cut -f1)"
if [ -w "$at" ]; then echo "writable yes"; else echo "writable no"; fi
for set in "$dir"/backup_*; do [ -d "$set" ] && echo "set ${set##*/}"; done
"#;

impl Subject for BackupSubject {
    type Facts = BackupFacts;

    fn name(&self) -> &'static str {
        "backup"
    }

    fn probe(&self, inventory: &Inventory, _: &Node) -> Option<Probe> {
        let args = [&inventory.backup.dir, &inventory.database.data_dir].into_iter().chain(&inventory.service.config);
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
        Ok(BackupFacts {
            free: number("free")?,
            needed: number("needed")?,
            writable: get("writable")? == "yes",
            sets: text.lines().filter_map(|line| line.strip_prefix("set ")).map(str::to_owned).collect(),
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
            let mib = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
            let needed = facts.needed + facts.needed / 5 + release;
            findings.push(
                Finding::check(
                    "backup.space",
                    "PRE-7",
                    facts.free >= needed,
                    format!("{} free for a backup set and the package in {dir}", mib(needed)),
                    mib(facts.free),
                )
                .on(node)
                .fix(format!("rm -r {dir}/{}", facts.sets.first().map_or("<an old set>", String::as_str))),
            );
            let found = if facts.writable { "writable" } else { "not writable" };
            findings.push(
                Finding::check("backup.writable", "PRE-7", facts.writable, format!("{dir} writable by root"), found)
                    .on(node)
                    .fix(format!("install -d -m 0711 {dir}")),
            );
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_is_read_and_unknown_text_fails_closed() {
        let inventory = rollup_model::inventory::load(
            "cluster={name='o'}\nnodes=[{name='a',host='1'},{name='b',host='2'}]\nvip={address='10.0.0.9'}\n\
             database={engine='postgresql',data_dir='/d',unit='p.service',name='o'}\nservice={units=['o.service']}\n",
        )
        .unwrap();
        let facts = BackupSubject.parse("free 100\nneeded 40\nwritable yes\nset backup_1\n", &inventory).unwrap();
        assert_eq!(facts.sets, ["backup_1"]);
        assert!(BackupSubject.parse("df: no such file\n", &inventory).is_err());
    }
}
