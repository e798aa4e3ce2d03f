//! The manifest of a set: what is in it, whose it is, what it leads back to. The same bytes at every place.
//!
//! Pure. A manifest carries its own checksum, so that one that was damaged is told from one that is older.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result, bail, ensure};
use rollup_model::{NodeName, Role, RunId, plan::hex};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Place;

/// The format this build reads and writes.
pub(crate) const FORMAT: u32 = 1;

/// Name of a set, `backup_YYYYMMDD_HHMMSS`: sorts by time and is safe in a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SetName(String);

impl SetName {
    /// Checks a text and takes it as a name.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let digits = text.strip_prefix("backup_").and_then(|rest| rest.split_once('_'));
        let good = digits.is_some_and(|(date, time)| {
            [(date, 8), (time, 6)]
                .iter()
                .all(|(part, length)| part.len() == *length && part.bytes().all(|byte| byte.is_ascii_digit()))
        });
        ensure!(good, "expected the name of a set, `backup_YYYYMMDD_HHMMSS`, found `{text}`");
        Ok(Self(text))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SetName {
    type Error = anyhow::Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl From<SetName> for String {
    fn from(name: SetName) -> String {
        name.0
    }
}

impl std::str::FromStr for SetName {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a set was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The way back of an upgrade.
    Upgrade,
    /// An operator asked for it.
    Manual,
    /// The state before a way back.
    Safety,
}

/// How far a set with a manifest has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sealed {
    /// Everything was written.
    Complete,
    /// Everything was read back.
    Verified,
}

/// `hold.json`: an upgrade that may still need the set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The upgrade.
    pub run: RunId,
    /// How far it is.
    pub state: HoldState,
}

/// How far the upgrade is that holds a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldState {
    /// It goes on, or may go on.
    Open,
    /// It has reached its end, and can still be taken back.
    Done,
}

/// What a set holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this document's form.
    pub format: u32,
    /// The set.
    pub set: SetName,
    /// The system it was taken of: `cluster.name` of the inventory.
    pub cluster: String,
    /// The run that took it.
    pub run: RunId,
    /// What for.
    pub purpose: Purpose,
    /// When that run's plan was made.
    pub created: jiff::Timestamp,
    /// How far it has come.
    pub state: Sealed,
    /// When it was last read back.
    pub verified_at: Option<jiff::Timestamp>,
    /// Which node played which part then; the VIP was on `original-primary`.
    pub bindings: BTreeMap<Role, NodeName>,
    /// The package that was to be installed.
    pub release: Option<ReleaseName>,
    /// Version found on each node.
    pub versions: BTreeMap<NodeName, String>,
    /// What was taken on each node.
    pub nodes: BTreeMap<NodeName, NodeParts>,
    /// The database's part.
    pub database: Option<DatabaseParts>,
    /// Places that had every part when it was sealed, or last read back.
    pub copies: Vec<Place>,
    /// SHA-256, hex, of this document with this field empty.
    pub digest: String,
}

/// A package by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseName {
    /// Product name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// What was taken on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeParts {
    /// Its files in the set.
    pub parts: Vec<Part>,
    /// What each configured path held.
    pub paths: Vec<PathKept>,
    /// Configured paths that did not exist.
    pub absent: Vec<String>,
    /// The root key, where one is configured.
    pub root_key: Option<RootKeyPart>,
}

/// One file of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Path in the set's directory, for example `node-a/files.tar.zst`.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, hex.
    pub sha256: String,
    /// `USER:GROUP`.
    pub owner: String,
    /// Octal mode, for example `600`.
    pub mode: String,
}

/// What one configured path held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathKept {
    /// The path on the node.
    pub path: String,
    /// Regular files in it, itself included.
    pub files: u64,
    /// Bytes they have together.
    pub bytes: u64,
    /// `USER:GROUP` of the path itself.
    pub owner: String,
    /// Octal mode of the path itself.
    pub mode: String,
}

/// The root key in a set: where it was and how to recognise it. The key itself is in `NODE/root-key.age`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootKeyPart {
    /// Its place on the node.
    pub path: String,
    /// Octal mode.
    pub mode: String,
    /// Owner.
    pub owner: String,
    /// Group.
    pub group: String,
    /// The first 16 hex digits of the key's SHA-256: names the key without telling it.
    pub fingerprint: String,
    /// age recipients it was encrypted to.
    pub recipients: Vec<String>,
}

/// The database's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseParts {
    /// The node it was taken on.
    pub node: NodeName,
    /// `record.json`, as the crate that took it wrote it.
    pub record: Value,
    /// Its files in the set.
    pub parts: Vec<Part>,
}

impl Manifest {
    /// Reads a manifest; one that is not exactly what was written is an error.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let format = serde_json::from_slice::<Value>(bytes).context("not a JSON document")?;
        let format = format.get("format").cloned().unwrap_or_default();
        if format != FORMAT {
            bail!("expected format {FORMAT}, found {format}; it was written by another version");
        }
        let manifest: Manifest = serde_json::from_slice(bytes).context("not a manifest")?;
        ensure!(manifest.bytes()? == bytes, "its own checksum is another: it was changed after it was written");
        Ok(manifest)
    }

    /// The document as it is stored, with its checksum.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let pretty = |manifest: &Manifest| serde_json::to_vec_pretty(manifest);
        let mut sealed = Manifest { digest: String::new(), ..self.clone() };
        sealed.digest = hex(&Sha256::digest(pretty(&sealed)?));
        Ok(pretty(&sealed)?)
    }

    /// Every file of the set.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.nodes.values().flat_map(|node| &node.parts).chain(self.database.iter().flat_map(|part| &part.parts))
    }

    /// The files that a node's way back needs.
    pub fn parts_of(&self, node: &NodeName, database: bool) -> Vec<&Part> {
        let own = self.nodes.get(node).into_iter().flat_map(|node| &node.parts);
        let database = self.database.iter().filter(|_| database).flat_map(|part| &part.parts);
        own.chain(database).collect()
    }

    /// The files that belong on a node: what was taken there.
    pub fn home_of(&self, node: &NodeName) -> Vec<&Part> {
        self.parts_of(node, self.database.as_ref().is_some_and(|database| database.node == *node))
    }

    /// The node that a file was taken on.
    pub fn home(&self, part: &Part) -> Option<&NodeName> {
        let folder = part.name.split('/').next().unwrap_or_default();
        match self.database.as_ref().filter(|_| folder == DATABASE) {
            Some(database) => Some(&database.node),
            None => self.nodes.keys().find(|node| node.as_str() == folder),
        }
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.parts().map(|part| part.size).sum()
    }

    /// Whether both describe one set, however far each has come.
    pub(crate) fn is_same_set(&self, other: &Manifest) -> bool {
        let plain = |manifest: &Manifest| Manifest {
            state: Sealed::Complete,
            verified_at: None,
            copies: Vec::new(),
            digest: String::new(),
            ..manifest.clone()
        };
        plain(self) == plain(other)
    }
}

/// The directory of the database's part.
pub(crate) const DATABASE: &str = "database";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn part(name: &str, size: u64) -> Part {
        let (sha256, owner, mode) = ("ab".repeat(32), "root:root".to_owned(), "600".to_owned());
        Part { name: name.to_owned(), size, sha256, owner, mode }
    }

    pub(crate) fn sample() -> Manifest {
        let node = |name: &str| NodeName::new(name).unwrap();
        let parts = |name: &str| NodeParts {
            parts: vec![part(&format!("{name}/files.tar.zst"), 100), part(&format!("{name}/sums"), 10)],
            paths: vec![PathKept {
                path: "/etc/orders".to_owned(),
                files: 2,
                bytes: 30,
                owner: "orders:orders".to_owned(),
                mode: "750".to_owned(),
            }],
            absent: vec!["/opt/orders/new".to_owned()],
            root_key: Some(RootKeyPart {
                path: "/etc/orders/root.key".to_owned(),
                mode: "600".to_owned(),
                owner: "orders".to_owned(),
                group: "orders".to_owned(),
                fingerprint: "0011223344556677".to_owned(),
                recipients: vec!["age1…".to_owned()],
            }),
        };
        Manifest {
            format: FORMAT,
            set: SetName::new("backup_20260301_100000").unwrap(),
            cluster: "orders".to_owned(),
            run: RunId::new("20260301-100000-ab12").unwrap(),
            purpose: Purpose::Upgrade,
            created: "2026-03-01T10:00:00Z".parse().unwrap(),
            state: Sealed::Complete,
            verified_at: None,
            bindings: BTreeMap::from([(Role::OriginalPrimary, node("node-a"))]),
            release: Some(ReleaseName { name: "orders".to_owned(), version: "2.0.0".to_owned() }),
            versions: BTreeMap::from([(node("node-a"), "1.0.0".to_owned())]),
            nodes: BTreeMap::from([(node("node-a"), parts("node-a")), (node("node-b"), parts("node-b"))]),
            database: Some(DatabaseParts {
                node: node("node-b"),
                record: serde_json::json!({ "state": "verified", "bytes": 5, "ratio": 0.1 }),
                parts: vec![part("database/base.tar.zst", 1000)],
            }),
            copies: vec![Place::Operator, Place::Node(node("node-b"))],
            digest: String::new(),
        }
    }

    #[test]
    fn a_manifest_comes_back_as_it_was_written_bak_1() {
        let bytes = sample().bytes().unwrap();
        let read = Manifest::read(&bytes).unwrap();
        assert_eq!(read.bytes().unwrap(), bytes, "the same bytes at every place");
        assert_eq!(Manifest { digest: String::new(), ..read.clone() }, sample());
        assert_eq!(read.size(), 1220);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("  \"state\": \"complete\"")).count(), 1, "{text}");
    }

    #[test]
    fn no_single_bit_of_a_manifest_can_change_unnoticed_bak_1() {
        let bytes = sample().bytes().unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(Manifest::read(&damaged).is_err(), "byte {at} bit {bit}");
            }
        }
        assert!(Manifest::read(&bytes[..bytes.len() - 1]).is_err());
        assert!(Manifest::read(b"").is_err());
    }

    #[test]
    fn what_was_read_back_is_still_the_same_set() {
        let verified = Manifest { state: Sealed::Verified, verified_at: Some(jiff::Timestamp::UNIX_EPOCH), ..sample() };
        assert!(sample().is_same_set(&verified));
        assert!(!sample().is_same_set(&Manifest { cluster: "other".to_owned(), ..sample() }));
    }

    #[test]
    fn every_file_has_a_home() {
        let manifest = sample();
        let homes: Vec<_> = manifest.parts().map(|part| manifest.home(part).unwrap().as_str()).collect();
        assert_eq!(homes, ["node-a", "node-a", "node-b", "node-b", "node-b"]);
        let node = |name: &str| NodeName::new(name).unwrap();
        assert_eq!(manifest.home_of(&node("node-a")).len(), 2);
        assert_eq!(manifest.home_of(&node("node-b")).len(), 3);
        assert_eq!(manifest.parts_of(&node("node-a"), true).len(), 3);
    }

    #[test]
    fn names_of_sets_that_would_leave_the_directory_are_refused() {
        for bad in ["", "..", "backup_../../etc", "backup_20260301", "backup_20260301_10000a", "x_20260301_100000"] {
            assert!(SetName::new(bad).is_err(), "{bad}");
        }
    }
}
