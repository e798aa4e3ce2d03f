//! Where sets are kept, which there are, and whether the next one fits.

use anyhow::{Context, Result, bail};
use rollup_engine::{FindingCx, Probe, Stage, Subject};
use rollup_model::{Check, Finding, Inventory, inventory::Node};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Hold, Identities, SetName, keys, look::size};

/// Facts about the backup directory of a node. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFacts {
    /// Free space where the directory is or would be.
    pub free: u64,
    /// What a set takes at most: configuration and database, uncompressed.
    pub needed: u64,
    /// Whether root can write there.
    pub writable: bool,
    /// Whether the directory is there.
    #[serde(default)]
    pub there: bool,
    /// How the root key lies on the node: `file`, `absent`, `link`, or `none`: the inventory names none.
    #[serde(default)]
    pub key: String,
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

/// What is known of the operator's own machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Here {
    /// Why the identity opens nothing that the recipients are for; `None`: it does.
    identity: Option<String>,
}

const CHECKS: [Check; 6] = [
    Check::new("backup.readable", "PRE-7", "what a node says of its backup directory can be read"),
    Check::new("backup.dir", "PRE-7", "the backup directory is there, and root may write there"),
    Check::new("backup.space", "PRE-7", "room for the next set in the backup directory"),
    Check::new("backup.root-key", "BAK-2", "the root key is a file where the inventory says"),
    Check::new("backup.recipients", "BAK-2", "age recipients that the root key can be encrypted to"),
    Check::new("backup.identity", "BAK-2", "the operator's identity opens what is encrypted to them"),
];

/// `$1` directory, `$2` data directory of the database, `$3` root key or empty, then code and configuration paths.
const PROBE: &str = concat!(
    "list() {",
    list!(),
    r#"}
dir=$1 data=$2 key=$3; shift 3
at=$dir; while [ ! -d "$at" ]; do at=$(dirname "$at"); done
echo "free $(df -B1 --output=avail "$at" | tail -n 1 | tr -d ' ')"
echo "needed $(du -sbc "$data" "$@" 2>/dev/null | tail -n 1 | cut -f1)"
if [ -w "$at" ]; then echo "writable yes"; else echo "writable no"; fi
if [ -d "$dir" ]; then echo "there yes"; else echo "there no"; fi
if [ -z "$key" ]; then echo "key none"
elif [ -L "$key" ]; then echo "key link"
elif [ -f "$key" ]; then echo "key file"
else echo "key absent"; fi
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
        let key = service.root_key.clone().unwrap_or_default();
        let args = [&inventory.backup.dir, &inventory.database.data_dir, &key].into_iter().chain(paths);
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
            there: get("there")? == "yes",
            key: get("key")?.to_owned(),
            sets: parse_sets(&sets)?,
        })
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        if cx.stage == Stage::Resumed {
            return Vec::new();
        }
        let dir = &cx.inventory.backup.dir;
        let release = cx.release.map_or(0, |release| release.unpacked_size);
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
            findings.push(directory(dir, facts.there, facts.writable).on(node));
            if let Some(path) = &cx.inventory.service.root_key {
                let good = Finding::check("backup.root-key", "BAK-2", true, "the root key, a file", path);
                findings.push(keys::misplaced(node, path, &facts.key).unwrap_or_else(|| good.on(node)));
            }
        }
        if cx.inventory.service.root_key.is_some() {
            findings.extend(of_key(cx));
        }
        findings
    }

    fn checks(&self) -> &'static [Check] {
        &CHECKS
    }

    fn here(&self, inventory: &Inventory) -> Option<Value> {
        let file = inventory.backup.identity_file.as_ref().filter(|_| inventory.service.root_key.is_some())?;
        let opens = || Identities::read(file.as_ref())?.open_own(&inventory.backup.recipients);
        serde_json::to_value(Here { identity: opens().err().map(|error| format!("{error:#}")) }).ok()
    }
}

/// Whether sets can be made at all. A directory that is not there yet is made by the first run; where it was expected to
/// be mounted, somebody should know before.
pub(crate) fn directory(dir: &str, there: bool, writable: bool) -> Finding {
    let found = match (there, writable) {
        (true, true) => "writable",
        (true, false) => "not writable",
        (false, true) => "not there; the first run makes it",
        (false, false) => "not there, and it cannot be made",
    };
    let finding = Finding::check("backup.dir", "PRE-7", there && writable, format!("{dir} writable by root"), found);
    if writable {
        return finding.only_warn().fix(format!("install -d -m 0711 {dir}   # or mount what belongs there"));
    }
    finding.fix(format!("mount -o remount,rw \"$(findmnt -no TARGET -T {dir})\""))
}

/// Whether root keys can be encrypted, and opened again.
fn of_key(cx: &FindingCx<'_>) -> Vec<Finding> {
    let backup = &cx.inventory.backup;
    let recipients = keys::unreadable_recipients(&backup.recipients).unwrap_or_else(|| {
        let found = format!("{}", backup.recipients.len());
        Finding::check("backup.recipients", "BAK-2", true, "age recipients for the root key", found)
    });
    let mut found = vec![recipients];
    let file = backup.identity_file.as_deref().unwrap_or_default();
    found.extend(cx.facts.here(BackupSubject.name()).map(|here: Here| {
        let expected = format!("the identity {file} opens what backup.recipients are for");
        let said = here.identity.as_deref().unwrap_or("it does");
        // An upgrade needs none; the way back would.
        Finding::check("backup.identity", "BAK-2", here.identity.is_none(), expected, said).only_warn().fix(
            "correct backup.identity_file or backup.recipients in rollup.toml; age-keygen -y FILE prints a recipient",
        )
    }));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollup_model::Severity;

    use crate::manifest::HoldState;

    #[test]
    fn a_backup_directory_that_is_missing_and_one_that_is_read_only_are_told_apart_pre_7() {
        let said = |there, writable| {
            let finding = directory("/b", there, writable);
            (finding.severity, finding.found)
        };
        assert_eq!(said(true, true).0, Severity::Ok);
        assert_eq!(said(false, true), (Severity::Warning, "not there; the first run makes it".to_owned()));
        assert_eq!(said(true, false), (Severity::Error, "not writable".to_owned()));
        assert_eq!(said(false, false).0, Severity::Error);
    }

    #[test]
    fn an_identity_that_opens_nothing_of_the_recipients_is_found_before_a_way_back_needs_it_pre_7() {
        use age::{secrecy::ExposeSecret, x25519::Identity};
        let (dir, mine, other) = (tempfile::tempdir().unwrap(), Identity::generate(), Identity::generate());
        let file = dir.path().join("identity.txt");
        std::fs::write(&file, mine.to_string().expose_secret()).unwrap();
        let said = |recipient: String, file: &std::path::Path| {
            let inventory = rollup_model::inventory::load(&format!(
                "cluster={{name='o'}}\nnodes=[{{name='a',host='1'}},{{name='b',host='2'}}]\nvip={{address='10.0.0.9'}}\n\
                 database={{engine='postgresql',data_dir='/d',unit='p.service',name='o'}}\n\
                 service={{units=['o.service'],root_key='/k'}}\n\
                 backup={{recipients=['{recipient}'],identity_file='{}'}}\n",
                file.display()
            ))
            .unwrap();
            let mut facts = rollup_model::Facts::default();
            facts.operator.insert("backup".to_owned(), BackupSubject.here(&inventory).unwrap());
            let cx = FindingCx { inventory: &inventory, release: None, facts: &facts, stage: Stage::Fresh };
            BackupSubject.findings(&cx).into_iter().map(|finding| (finding.severity, finding.found)).collect::<Vec<_>>()
        };
        assert!(said(mine.to_public().to_string(), &file).iter().all(|(severity, _)| *severity == Severity::Ok));
        assert_eq!(said(other.to_public().to_string(), &file)[1].0, Severity::Warning);
        let missing = said(mine.to_public().to_string(), &dir.path().join("none"));
        assert!(missing[1].1.starts_with("cannot read the age identity"), "{missing:?}");
        assert_eq!(said("age1nonsense".to_owned(), &file)[0].0, Severity::Error);
    }

    #[test]
    fn the_probe_is_read_and_unknown_text_fails_closed() {
        let inventory = rollup_model::inventory::load(
            "cluster={name='o'}\nnodes=[{name='a',host='1'},{name='b',host='2'}]\nvip={address='10.0.0.9'}\n\
             database={engine='postgresql',data_dir='/d',unit='p.service',name='o'}\nservice={units=['o.service']}\n",
        )
        .unwrap();
        let text = "free 100\nneeded 40\nwritable yes\nthere yes\nkey file\nset backup_20260101_000000 incomplete -\n\
                    set backup_20260102_000000 verified {\"run\":\"r\",\"state\":\"open\"}\n\
                    set backup_mine complete -\n";
        let facts = BackupSubject.parse(text, &inventory).unwrap();
        assert_eq!(facts.sets.len(), 2, "a directory of somebody else is left alone");
        assert_eq!((facts.sets[0].state, facts.sets[0].hold.is_none()), (SetState::Incomplete, true));
        assert_eq!(facts.sets[1].hold.as_ref().unwrap().state, HoldState::Open);
        for bad in [
            "df: no such file\n",
            "free 1\nneeded 1\nwritable yes\nthere yes\nkey file\nset backup_20260101_000000 odd -\n",
        ] {
            assert!(BackupSubject.parse(bad, &inventory).is_err(), "{bad}");
        }
        assert!(parse_sets("set backup_20260101_000000 verified {\n").is_err(), "a hold that cannot be read holds");
    }
}
