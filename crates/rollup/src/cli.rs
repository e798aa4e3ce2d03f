//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rollup_model::{NodeName, PhaseId, RunId};

/// Upgrade a primary/standby pair over SSH: standby first, VIP over, old primary second.
#[derive(Debug, Parser)]
#[command(name = "rollup", version, after_help = crate::exit::HELP, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What applies to every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The inventory of the pair
    #[arg(
        long,
        short = 'i',
        global = true,
        env = "ROLLUP_INVENTORY",
        default_value = "rollup.toml",
        value_name = "FILE"
    )]
    pub(crate) inventory: PathBuf,
    /// Where runs are kept [default: $XDG_STATE_HOME/rollup or ~/.local/state/rollup]
    #[arg(long, global = true, env = "ROLLUP_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Write data as JSON to standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colour
    #[arg(long, global = true, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: Color,
    /// Show more: every finding, debug log
    #[arg(long, short = 'v', global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Show nothing but the end
    #[arg(long, short = 'q', global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look whether the pair is ready for an upgrade; changes nothing
    Precheck {
        /// Also check that this package fits
        #[arg(long, value_name = "FILE")]
        pkg: Option<PathBuf>,
        /// How to print the findings
        #[arg(long, default_value = "human")]
        format: Format,
        /// Treat warnings as errors
        #[arg(long)]
        strict: bool,
    },
    /// Show every step of an upgrade; changes nothing
    Plan(UpgradeArguments),
    /// Upgrade the pair
    Upgrade {
        /// What to run.
        #[command(flatten)]
        upgrade: UpgradeArguments,
        /// How to run it.
        #[command(flatten)]
        running: Running,
    },
    /// Go on with a run that was stopped, failed or killed
    // Its plan was confirmed; scripts may give `--yes` everywhere.
    #[command(mut_arg("yes", |yes| yes.hide(true)))]
    Resume {
        /// The run [default: the last one that is not over]
        run: Option<RunId>,
        /// How to run it.
        #[command(flatten)]
        running: Running,
    },
    /// Take back what a run has changed, newest change first
    Rollback {
        /// The run [default: the last one]
        #[arg(long, conflicts_with = "backup")]
        run: Option<RunId>,
        /// The run that made this backup set, for example backup_20261120_091500
        #[arg(long, value_name = "SET")]
        backup: Option<String>,
        /// Only show the steps
        #[arg(long)]
        dry_run: bool,
        /// How to run it.
        #[command(flatten)]
        running: Running,
    },
    /// Show where a run stands, also while another process works on it
    Status {
        /// The run [default: the last one]
        run: Option<RunId>,
    },
    /// Runs of this machine
    #[command(subcommand)]
    Runs(Runs),
    /// Free nodes from the lock of a run that will not go on
    Unlock {
        /// The run that holds the lock
        run: RunId,
        /// Why; kept in the audit trail of the nodes
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Show whether the nodes are healthy
    Health {
        /// Only this node
        node: Option<NodeName>,
    },
    /// The virtual address
    #[command(subcommand)]
    Vip(Show),
    /// The replicated database
    #[command(subcommand)]
    Db(Show),
    /// The config sync
    #[command(subcommand)]
    Sync(Show),
    /// Packages
    #[command(subcommand)]
    Pkg(Pkg),
}

/// What an upgrade is made of.
#[derive(Debug, Args)]
pub(crate) struct UpgradeArguments {
    /// The package to install
    #[arg(long, value_name = "FILE")]
    pub(crate) pkg: PathBuf,
    /// A playbook of your own instead of the built-in `ha-upgrade`
    #[arg(long, value_name = "FILE")]
    pub(crate) playbook: Option<PathBuf>,
}

/// How a plan is run.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// Do not ask; needed when there is no terminal
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Stop before this phase; `rollup resume` goes on
    #[arg(long, value_name = "PHASE")]
    pub(crate) pause_before: Option<PhaseId>,
}

/// How to print findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table.
    Human,
    /// A JSON document.
    Json,
    /// JUnit XML for CI.
    Junit,
}

/// Runs of this machine.
#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// All runs, newest first
    List,
    /// One run with its steps
    Show {
        /// The run
        run: RunId,
    },
}

/// Facts of one subject.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Show {
    /// What the nodes say now
    Status,
}

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
    },
    /// Show what a package holds
    Inspect {
        /// The archive
        package: PathBuf,
    },
    /// Check every entry and checksum of a package
    Verify {
        /// The archive
        package: PathBuf,
    },
}
