//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rollup_model::{Lane, NodeName, PhaseId, RunId};

/// Upgrade a primary/standby pair over SSH: standby first, VIP over, old primary second.
#[derive(Debug, Parser)]
#[command(name = "rollup", version, after_help = crate::exit::HELP, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    /// What applies to every command.
    #[command(flatten, next_help_heading = "Options of every command")]
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
    /// Bring the pair back to a backup set
    Rollback(RollbackArguments),
    /// Make the last upgrade final: contract migrations run, there is no way back from then on
    Finalize {
        /// The upgrade [default: the last one]
        #[arg(long)]
        run: Option<RunId>,
        /// Only show the steps
        #[arg(long)]
        dry_run: bool,
        /// How to run it.
        #[command(flatten)]
        running: Running,
    },
    /// Backup sets: take, prove, keep and remove them
    #[command(subcommand)]
    Backup(Backup),
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

/// What a way back is made of.
#[derive(Debug, Args)]
pub(crate) struct RollbackArguments {
    /// The upgrade to take back; its set is the one it took first [default: the last one]
    #[arg(long, conflicts_with = "backup")]
    pub(crate) run: Option<RunId>,
    /// The set to go back to, for example backup_20261120_091500, or `latest`: the newest that is
    /// verified and no safety set
    #[arg(long, value_name = "SET")]
    pub(crate) backup: Option<String>,
    /// What becomes of the database: keep its changes, take them back, or restore the full backup
    /// [default: keep; never restore]
    #[arg(long, value_name = "LANE")]
    pub(crate) lane: Option<LaneArgument>,
    /// Bring only this node back: code, configuration and root key, never the database
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<NodeName>,
    /// Only show the way back and its price
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Lose what was written since the backup; needed for `--lane restore` where nobody can be asked
    #[arg(long)]
    pub(crate) accept_data_loss: bool,
    /// Go back to a set that is older than `backup.refuse_after`
    #[arg(long)]
    pub(crate) force: bool,
    /// The age identity that opens the set's root key [default: backup.identity_file]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// How to run it.
    #[command(flatten)]
    pub(crate) running: Running,
}

/// What becomes of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LaneArgument {
    /// Expand migrations stay; nothing is lost.
    Keep,
    /// The package's down migrations run; what is in new columns is lost.
    Down,
    /// The full backup comes back; everything written since is lost.
    Restore,
}

impl From<LaneArgument> for Lane {
    fn from(lane: LaneArgument) -> Self {
        match lane {
            LaneArgument::Keep => Lane::Keep,
            LaneArgument::Down => Lane::Down,
            LaneArgument::Restore => Lane::Restore,
        }
    }
}

/// Backup sets.
#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Take a set of both nodes as they stand, and read it back
    Create {
        /// Only show the steps
        #[arg(long)]
        dry_run: bool,
        /// How to run it.
        #[command(flatten)]
        running: Running,
    },
    /// All sets, wherever they are kept
    List,
    /// The manifest of a set
    Show {
        /// The set, or `latest`
        set: String,
    },
    /// Read every part of a set back and compare it with its manifest
    Verify {
        /// The set, or `latest`
        set: String,
        /// Also restore it in a scratch directory: files unpack, the database starts and answers, the key opens
        #[arg(long)]
        drill: bool,
        /// The age identity that opens the set's root key [default: backup.identity_file]
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
        /// How to run it.
        #[command(flatten)]
        running: Running,
    },
    /// Remove sets beyond `backup.keep` that no run needs any more
    Prune {
        /// Only show what would go
        #[arg(long)]
        dry_run: bool,
        /// How to run it.
        #[command(flatten)]
        running: Running,
    },
    /// Copy a set to this machine
    Fetch {
        /// The set, or `latest`
        set: String,
        /// The directory to copy it into [default: backup.operator_dir]
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Open the root key of a set in memory and compare it with its fingerprint
    CheckKey {
        /// The set, or `latest`
        set: String,
        /// The age identity that opens it [default: backup.identity_file]
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
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
