//! What can be typed after `rollup db`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use rollup_model::inventory::DatabaseEngine;

/// The replicated database.
#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// What the nodes say now
    Status,
    /// Find what of a schema change would break the version that still runs, block its clients, or cannot run as a
    /// migration; asks no node unless `--sizes` says so
    Lint(LintArguments),
}

/// What is read, and how it is said.
#[derive(Debug, Args)]
pub(crate) struct LintArguments {
    /// Packages, directories that `pkg build` would pack, or files of SQL; of `contract/FILE` and `U…__….sql` it is known
    /// when they run, everything else is read as part of the upgrade
    #[arg(value_name = "PKG|FILE", required_unless_present = "rules")]
    pub(crate) files: Vec<PathBuf>,
    /// How to print the findings
    #[arg(long, default_value = "human")]
    pub(crate) format: LintFormat,
    /// Which server the SQL is for [default: the inventory's `database.engine`, else postgresql]
    #[arg(long)]
    pub(crate) dialect: Option<DialectArgument>,
    /// Exit code 3 also where something must be reviewed by hand
    #[arg(long)]
    pub(crate) strict: bool,
    /// Ask a node of the inventory how large the tables are: what takes long is safe on a small one (8 MiB), and unsafe
    /// on a large one (1 GiB) where it would only be a question
    #[arg(long)]
    pub(crate) sizes: bool,
    /// Print every rule there is, with its reason and the safe way, and read nothing
    #[arg(long, conflicts_with_all = ["files", "format", "dialect", "strict", "sizes"])]
    pub(crate) rules: bool,
}

/// How to print what a lint finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintFormat {
    /// Each finding at its line.
    Human,
    /// A JSON document.
    Json,
    /// SARIF 2.1.0, for forges and editors.
    Sarif,
}

/// Which server SQL is for, by the names of the inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectArgument {
    /// PostgreSQL.
    Postgresql,
    /// openGauss.
    Opengauss,
    /// GaussDB.
    Gaussdb,
}

impl From<DialectArgument> for DatabaseEngine {
    fn from(dialect: DialectArgument) -> Self {
        match dialect {
            DialectArgument::Postgresql => Self::Postgresql,
            DialectArgument::Opengauss => Self::Opengauss,
            DialectArgument::Gaussdb => Self::Gaussdb,
        }
    }
}
