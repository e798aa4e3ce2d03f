//! What a plan knows of a package: the result of reading its manifest, without the package's file format.

use serde::{Deserialize, Serialize};

use crate::{NodeName, Span};

/// Where nodes note what was placed on them, a file for each package.
pub const INSTALLED: &str = "/var/lib/rollup/installed";

/// A package, as far as steps need it. Made by the `package` crate; stored in the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Product name, for example `orders`.
    pub name: String,
    /// Version, for example `2.0.0`.
    pub version: String,
    /// Versions it may replace; `*` at the end stands for anything. Empty: any.
    pub from_versions: Vec<String>,
    /// `any`, or what `uname -m` says on the nodes.
    pub architecture: String,
    /// The units it needs, in the order in which they start. The inventory decides; a difference is a warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
    /// Where the archive was read from: a file of the operator, or of a node.
    pub archive: String,
    /// The node that has the archive; none: the operator has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_node: Option<NodeName>,
    /// Size of the archive in bytes.
    pub archive_size: u64,
    /// SHA-256 of the archive, hex.
    pub archive_sha256: String,
    /// Bytes that all entries take when unpacked.
    pub unpacked_size: u64,
    /// The trusted key that has signed the archive; none: the inventory accepts unsigned packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Signer>,
    /// The archive is somebody else's, and its manifest lay beside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain: bool,
    /// Files it places.
    pub components: Vec<Component>,
    /// Where releases lie beside each other, when the package is laid out so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// What an upgrade must not touch: a file, or a directory that ends in `/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// What the version before placed and this one does not: removed when files are replaced. Known when a plan is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obsolete: Vec<String>,
    /// Whether its hooks may change the root key.
    #[serde(default)]
    pub root_key: RootKeyPolicy,
    /// Schema changes, in the order in which they run.
    pub migrations: Vec<Migration>,
    /// What its service answers beside what the inventory asks: the health gates ask for it once it is installed.
    #[serde(default, skip_serializing_if = "Answers::is_empty")]
    pub health: Answers,
    /// Programs of the package that run on the node.
    pub hooks: Vec<Hook>,
    /// Everything below `hooks/`: the programs and what they need.
    #[serde(default)]
    pub hook_files: Vec<HookFile>,
}

/// A file that a step finds in the staged tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StagedFile<'a> {
    /// Path inside the package, and below the tree.
    pub source: &'a str,
    /// SHA-256 of the content, hex.
    pub sha256: &'a str,
    /// Size in bytes.
    pub size: u64,
    /// Where it will be placed; one of the places when there are more.
    pub destination: Option<&'a str>,
}

impl Release {
    /// The archive as it is named on a command line: `FILE`, or `NODE:FILE`.
    pub fn origin(&self) -> String {
        match &self.archive_node {
            Some(node) => format!("{node}:{}", self.archive),
            None => self.archive.clone(),
        }
    }

    /// Whether an upgrade must not touch this path.
    pub fn keeps(&self, path: &str) -> bool {
        self.keep.iter().any(|kept| path == kept || (kept.ends_with('/') && path.starts_with(kept.as_str())))
    }

    /// The file of a node that is most like the one that will be placed there.
    pub fn basis(&self, destination: &str) -> String {
        self.layout.as_ref().map_or_else(|| destination.to_owned(), |layout| layout.counterpart(destination))
    }

    /// Where a node notes what a package of this name has placed.
    pub fn record(&self) -> String {
        format!("{INSTALLED}/{}", self.name)
    }

    /// Every path that installing it places, turns or removes.
    pub fn touches(&self) -> impl Iterator<Item = String> + '_ {
        let placed = self.components.iter().map(|component| component.destination.clone());
        placed.chain(self.obsolete.iter().cloned()).chain(self.layout.iter().map(Layout::current))
    }

    /// What of an earlier record this package neither places nor keeps. Releases beside each other stay.
    pub fn obsolete<'a>(&self, placed: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let stays: std::collections::BTreeSet<_> =
            self.components.iter().map(|file| file.destination.as_str()).collect();
        let releases = self.layout.as_ref().map(|layout| format!("{}/releases/", layout.root));
        let beside = |path: &str| releases.as_ref().is_some_and(|releases| path.starts_with(releases.as_str()));
        let gone = placed.into_iter().filter(|path| !stays.contains(path) && !self.keeps(path) && !beside(path));
        gone.map(str::to_owned).collect()
    }

    /// What must be staged on a node, each file once.
    pub fn staged(&self) -> impl Iterator<Item = StagedFile<'_>> {
        let placed = self.components.iter().map(|component| StagedFile {
            source: &component.source,
            sha256: &component.sha256,
            size: component.size,
            destination: Some(&component.destination),
        });
        let run = self.hook_files.iter().map(|file| StagedFile {
            source: &file.source,
            sha256: &file.sha256,
            size: file.size,
            destination: None,
        });
        let by_name: std::collections::BTreeMap<_, _> = run.chain(placed).map(|file| (file.source, file)).collect();
        by_name.into_values()
    }
}

/// Who vouches for a package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// Id of the minisign key, 16 hex digits.
    pub key: String,
    /// The comment that was signed with the archive.
    pub comment: String,
}

/// One file that a package places.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Path inside the package.
    pub source: String,
    /// Absolute path on the node.
    pub destination: String,
    /// Owner of the placed file.
    pub owner: String,
    /// Group of the placed file.
    pub group: String,
    /// Octal mode, for example `0644`.
    pub mode: String,
    /// SHA-256 of the content, hex.
    pub sha256: String,
    /// Size in bytes.
    pub size: u64,
    /// File capabilities as `setcap` reads them, for example `cap_net_bind_service=ep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<String>,
    /// Placed only where nothing is: what is there belongs to the operator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}

/// Releases beside each other: files lie in `ROOT/releases/VERSION`, and the link `ROOT/current` says which one runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// The directory of `releases` and `current`.
    pub root: String,
    /// The version, which names this release's directory.
    pub version: String,
}

impl Layout {
    /// The link that says which release runs.
    pub fn current(&self) -> String {
        format!("{}/current", self.root)
    }

    /// What the link holds when this release runs.
    pub fn target(&self) -> String {
        format!("releases/{}", self.version)
    }

    /// Where a file below `ROOT/current` really lies; every other path is itself.
    pub fn place(&self, destination: &str) -> String {
        self.swap(destination, &self.current(), &format!("{}/{}", self.root, self.target()))
    }

    /// Where the release that runs now has the file of this place.
    pub fn counterpart(&self, place: &str) -> String {
        self.swap(place, &format!("{}/{}", self.root, self.target()), &self.current())
    }

    fn swap(&self, path: &str, from: &str, to: &str) -> String {
        match path.strip_prefix(from) {
            Some(rest) if rest.starts_with('/') => format!("{to}{rest}"),
            _ => path.to_owned(),
        }
    }
}

/// Where a service answers when it is healthy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answers {
    /// TCP ports that it listens on.
    pub ports: Vec<u16>,
    /// URLs that answer 200 when asked on the node itself.
    pub urls: Vec<String>,
}

impl Answers {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty() && self.urls.is_empty()
    }
}

/// Whether the hooks of a package may change the root key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootKeyPolicy {
    /// A hook that changes it has failed.
    #[default]
    Keep,
    /// It may be another one afterwards.
    MayChange,
}

/// One file that is staged for hooks, and not placed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookFile {
    /// Path inside the package.
    pub source: String,
    /// SHA-256 of the content, hex.
    pub sha256: String,
    /// Size in bytes.
    pub size: u64,
}

/// One schema change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// Version in the file name, for example `2.0.0`; orders the migrations.
    pub version: String,
    /// File name, for example `V2.0.0__add_note.sql`.
    pub name: String,
    /// Whether the old version tolerates it.
    pub phase: MigrationPhase,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// The statements.
    pub sql: String,
    /// The file that takes it back (`U2.0.0__….sql`), where the package has one.
    #[serde(default)]
    pub down: Option<DownMigration>,
}

impl Migration {
    /// Whether every version that a package may replace has this schema change already, so that no upgrade by it runs it.
    /// Never of a contract migration: a version may well be installed whose contract part waits for the operator.
    pub fn is_settled(&self, from_versions: &[String]) -> bool {
        let numbers = |version: &str| -> Option<Vec<u64>> {
            let mut numbers: Vec<u64> = version.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
            while numbers.last() == Some(&0) {
                numbers.pop();
            }
            Some(numbers)
        };
        // The oldest that fits `1.*` is 1.
        let oldest = |pattern: &String| numbers(pattern.strip_suffix(".*").unwrap_or(pattern));
        let has_it =
            |pattern| matches!((oldest(pattern), numbers(&self.version)), (Some(from), Some(own)) if own <= from);
        self.phase == MigrationPhase::Expand && !from_versions.is_empty() && from_versions.iter().all(has_it)
    }

    /// Its path in a package.
    pub fn path(&self) -> String {
        match self.phase {
            MigrationPhase::Expand => format!("migrations/{}", self.name),
            MigrationPhase::Contract => format!("migrations/contract/{}", self.name),
        }
    }
}

/// What takes one schema change back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownMigration {
    /// File name, for example `U2.0.0__add_note.sql`.
    pub name: String,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// The statements.
    pub sql: String,
}

/// Whether the old version tolerates a schema change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationPhase {
    /// Runs during the upgrade.
    Expand,
    /// Runs when the operator finalizes.
    Contract,
}

/// A program of the package that runs on the node as root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// When it runs.
    pub on: HookPoint,
    /// Path inside the package.
    pub run: String,
    /// Limit for one run.
    pub limit: Span,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookPoint {
    /// Before files are replaced; units are stopped.
    PreInstall,
    /// After files are replaced and verified.
    PostInstall,
    /// Before units start.
    PreStart,
    /// After units are active, before the health gate.
    PostStart,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_lie_beside_each_other_upg_4() {
        let layout = Layout { root: "/opt/orders".to_owned(), version: "2.0.0".to_owned() };
        let place = layout.place("/opt/orders/current/lib/a.jar");
        assert_eq!(place, "/opt/orders/releases/2.0.0/lib/a.jar");
        assert_eq!(layout.counterpart(&place), "/opt/orders/current/lib/a.jar");
        for other in ["/opt/orders/currently/a", "/etc/systemd/system/orders.service"] {
            assert_eq!((layout.place(other).as_str(), layout.counterpart(other).as_str()), (other, other));
        }
    }

    #[test]
    fn a_change_that_every_older_version_has_is_settled_db_5() {
        let migration = |version: &str, phase| Migration {
            version: version.to_owned(),
            name: String::new(),
            phase,
            sha256: String::new(),
            sql: String::new(),
            down: None,
        };
        let settled = |version: &str, from: &[&str]| {
            let from: Vec<_> = from.iter().map(|from| (*from).to_owned()).collect();
            migration(version, MigrationPhase::Expand).is_settled(&from)
        };
        assert!(settled("1.0.0", &["1.*"]) && settled("1.0.0", &["2.1", "1.0"]) && settled("0.9", &["1.0.0"]));
        assert!(!settled("1.2.0", &["1.*"]) && !settled("2.0.0", &["1.0.0", "2.0.0"]), "an older one may be installed");
        assert!(!settled("1.0.0", &[]) && !settled("1.0.0", &["*"]) && !settled("1.0.0", &["1.0.0-rc.1"]));
        assert!(!migration("1.0.0", MigrationPhase::Contract).is_settled(&["2.0.0".to_owned()]));
    }
}
