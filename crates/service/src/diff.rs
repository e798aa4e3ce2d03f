//! What a package would change on a node, and what somebody changed there by hand since the last install.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use rollup_model::Release;
use rollup_remote::{Cmd, ReadOnly};
use serde::Serialize;

use crate::{
    files::{Placed, Wanted, look, wanted},
    record::{self, Recorded},
};

/// Prints the record of a package, if there is one. `$1` the record.
const RECORD: &str = r#"if [ -f "$1" ]; then cat "$1"; fi"#;

/// What an install would do with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Nothing is there yet.
    Add,
    /// Another content would be there.
    Replace,
    /// The same content would have another owner, group or mode.
    Attributes,
    /// The version before placed it, and this one has not got it.
    Remove,
    /// It is the operator's own and stays.
    Keep,
    /// It is as the package wants it.
    Same,
}

/// One path of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The path.
    pub path: String,
    /// What an install would do.
    pub change: Change,
    /// What is there now, in words.
    pub now: String,
    /// It is not what the last install put there.
    pub by_hand: bool,
}

/// Compares a node with a package. Only reads.
///
/// # Errors
/// The node does not answer, or has a record that cannot be read.
pub async fn diff(host: ReadOnly<'_>, release: &Release, limit: Duration) -> Result<Vec<Difference>> {
    let said = host.exec(&Cmd::read("files.record", RECORD, [release.record()]).deadline(limit)).await?.stdout;
    let recorded = record::read(&said).with_context(|| host.name().to_owned())?;
    let mut release = release.clone();
    release.obsolete = release.obsolete(recorded.iter().map(|file| file.path.as_str()));
    let mut paths: Vec<String> = release.touches().chain(recorded.iter().map(|file| file.path.clone())).collect();
    paths.sort();
    paths.dedup();
    let found = look(host, &paths, limit).await?;
    Ok(compare(&release, &recorded, &found))
}

fn compare(release: &Release, recorded: &[Recorded], found: &BTreeMap<String, Placed>) -> Vec<Difference> {
    let placed: BTreeMap<_, _> = recorded.iter().map(|file| (file.path.as_str(), file.sha256.as_str())).collect();
    let wanted = wanted(release);
    let each = wanted.iter().filter(|(path, _)| **path != release.record()).map(|(path, wanted)| {
        let now = found.get(path).unwrap_or(&Placed::Absent);
        let change = match (wanted, now) {
            (Wanted::Kept(_), Placed::File { .. } | Placed::Link(_)) => Change::Keep,
            (Wanted::Is(wanted), now) if wanted == now => Change::Same,
            (Wanted::Is(Placed::Absent), _) => Change::Remove,
            (_, Placed::Absent) => Change::Add,
            (Wanted::Is(Placed::File { sha256: new, .. }), Placed::File { sha256: old, .. }) if new == old => {
                Change::Attributes
            }
            _ => Change::Replace,
        };
        let last = placed.get(path.as_str());
        let by_hand = last.is_some_and(|last| !matches!(now, Placed::File { sha256, .. } if sha256 == last));
        Difference { path: path.clone(), change, now: now.to_string(), by_hand }
    });
    // What is obsolete and gone already is nothing that an install would do.
    each.filter(|difference| {
        difference.change != Change::Same
            || wanted.get(&difference.path) != Some(&Wanted::Is(Placed::Absent))
            || difference.by_hand
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_path_is_told_once_with_what_would_happen_to_it_upg_4() {
        let (new, old, hand) = ("aa".repeat(32), "bb".repeat(32), "cc".repeat(32));
        let component = |path: &str, sha: &str, keep: bool| {
            json!({ "source": format!("payload{path}"), "destination": path, "owner": "o", "group": "o", "mode": "0644",
                    "sha256": sha, "size": 1, "keep": keep })
        };
        let release: Release = serde_json::from_value(json!({
            "name": "orders", "version": "2.0.0", "from_versions": [], "architecture": "any", "archive": "x",
            "archive_size": 0, "archive_sha256": "", "unpacked_size": 0, "migrations": [], "hooks": [],
            "obsolete": ["/o/gone", "/o/old"],
            "components": [
                component("/o/add", &new, false), component("/o/replace", &new, false), component("/o/same", &new, false),
                component("/o/mode", &new, false), component("/o/hand", &new, false), component("/o/keep", &new, true)
            ]
        }))
        .unwrap();
        let file = |sha: &str, mode: &str| Placed::File {
            sha256: sha.to_owned(),
            mode: mode.to_owned(),
            owner: "o".to_owned(),
            group: "o".to_owned(),
        };
        let found: BTreeMap<_, _> = [
            ("/o/replace", file(&old, "644")),
            ("/o/same", file(&new, "644")),
            ("/o/mode", file(&new, "600")),
            ("/o/hand", file(&hand, "644")),
            ("/o/keep", file(&hand, "644")),
            ("/o/old", file(&old, "644")),
        ]
        .map(|(path, placed)| (path.to_owned(), placed))
        .into();
        let record: String =
            ["/o/replace", "/o/hand", "/o/old", "/o/gone"].map(|path| format!("{old} 0644 o o {path}\n")).concat();
        let recorded = record::read(&format!("# orders 1.0.0\n{record}")).unwrap();
        let told: Vec<_> = compare(&release, &recorded, &found)
            .into_iter()
            .map(|difference| (difference.path, difference.change, difference.by_hand))
            .collect();
        let expected = [
            ("/o/add", Change::Add, false),
            ("/o/gone", Change::Same, true),
            ("/o/hand", Change::Replace, true),
            ("/o/keep", Change::Keep, false),
            ("/o/mode", Change::Attributes, false),
            ("/o/old", Change::Remove, false),
            ("/o/replace", Change::Replace, false),
            ("/o/same", Change::Same, false),
        ];
        assert_eq!(told, expected.map(|(path, change, by_hand)| (path.to_owned(), change, by_hand)));
    }
}
