//! What a plan knows of a package: the result of reading its manifest, without the package's file format.

use serde::{Deserialize, Serialize};

use crate::Span;

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
    /// Where the archive was read from: a file of the operator.
    pub archive: String,
    /// Size of the archive in bytes.
    pub archive_size: u64,
    /// SHA-256 of the archive, hex.
    pub archive_sha256: String,
    /// Bytes that all entries take when unpacked.
    pub unpacked_size: u64,
    /// The trusted key that has signed the archive; none: the inventory accepts unsigned packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Signer>,
    /// Files it places.
    pub components: Vec<Component>,
    /// Schema changes, in the order in which they run.
    pub migrations: Vec<Migration>,
    /// Programs of the package that run on the node.
    pub hooks: Vec<Hook>,
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
