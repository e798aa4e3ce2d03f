//! What can be typed after `rollup pkg`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rollup_model::NodeName;

/// Packages.
#[derive(Debug, Subcommand)]
pub(crate) enum Pkg {
    /// Pack a directory that holds `rollup-package.toml`
    Build {
        /// The directory
        dir: PathBuf,
        /// The archive to write; `.tar.gz` or `.tar.zst`
        #[arg(long, short = 'o', value_name = "FILE")]
        output: PathBuf,
        /// Which server its migrations are for [default: the inventory's `database.engine`, else postgresql]
        #[arg(long)]
        dialect: Option<super::DialectArgument>,
    },
    /// Show what a package holds
    Inspect {
        /// The archive: FILE, or NODE:/FILE
        package: PathBuf,
        /// The manifest of an archive that has none
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
    /// Check the signature, every entry and every checksum of a package
    Verify {
        /// The archive: FILE, or NODE:/FILE; its signature is ARCHIVE.minisig
        package: PathBuf,
        /// The manifest of an archive that has none
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
        /// Accept only what this public key has signed: the key, or its `.pub` file [default: the inventory's keys]
        #[arg(long = "key", value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Show what a package would change on the nodes, and what somebody changed there by hand
    Diff {
        /// The archive: FILE, or NODE:/FILE
        package: PathBuf,
        /// Only this node
        node: Option<NodeName>,
        /// The manifest of an archive that has none
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
        /// Also what is as the package wants it
        #[arg(long)]
        all: bool,
    },
    /// Make the pair of keys that packages are signed with and verified by
    Keygen {
        /// The secret key to write
        #[arg(long, value_name = "FILE", default_value = "release.key")]
        secret: PathBuf,
        /// The public key to write
        #[arg(long, value_name = "FILE", default_value = "release.pub")]
        public: PathBuf,
        /// What opens it.
        #[command(flatten)]
        password: NewPassword,
    },
    /// Sign a package: write ARCHIVE.minisig, which `minisign` verifies, too
    Sign {
        /// The archive
        package: PathBuf,
        /// The manifest of an archive that has none
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
        /// The secret key, made by `rollup pkg keygen` or `minisign -G`
        #[arg(long, value_name = "FILE", default_value = "release.key")]
        secret: PathBuf,
        /// Read the key's password from this file instead of asking
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

/// The password of a new key.
#[derive(Debug, Args)]
pub(crate) struct NewPassword {
    /// Read the password from this file instead of asking
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    pub(crate) password_file: Option<PathBuf>,
    /// No password: whoever reads the file can sign
    #[arg(long)]
    pub(crate) no_password: bool,
}
