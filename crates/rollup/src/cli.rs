//! What can be typed.

mod database;
mod packages;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rollup_model::{Lane, NodeName, PhaseId, RunId, StepId};

pub(crate) use database::{Db, DialectArgument, LintArguments, LintFormat};
pub(crate) use packages::{NewPassword, Pkg};

use crate::typed::quoted_option;

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
    /// Look at two nodes and write the inventory of what is found
    Init(crate::init::Arguments),
    /// Look whether the pair is ready for an upgrade; changes nothing
    Precheck(PrecheckArguments),
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
    /// Accept a failing health gate by name, and why; `rollup resume` then goes past it
    Confirm {
        /// The run
        run: RunId,
        /// The failed step, for example health.gate@node-b
        step: StepId,
        /// Why; kept in the journal and the audit trail
        #[arg(long)]
        reason: String,
    },
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
    /// Show whether the nodes are healthy; exit code 3 when one is not
    Health(HealthArguments),
    /// The virtual address
    #[command(subcommand)]
    Vip(Vip),
    /// The replicated database
    #[command(subcommand)]
    Db(Db),
    /// The config sync
    #[command(subcommand)]
    Sync(Show),
    /// Packages
    #[command(subcommand)]
    Pkg(Pkg),
}

/// What a precheck looks at, and how it says what it saw.
#[derive(Debug, Args)]
pub(crate) struct PrecheckArguments {
    /// Also check that this package fits: FILE, or NODE:/FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) pkg: Option<PathBuf>,
    /// The manifest of an archive that has none
    #[arg(long, value_name = "FILE", requires = "pkg")]
    pub(crate) manifest: Option<PathBuf>,
    /// How to print the findings
    #[arg(long, default_value = "human")]
    pub(crate) format: Format,
    /// Treat warnings as errors
    #[arg(long)]
    pub(crate) strict: bool,
    /// Only these checks: ids, areas (`database`) or requirements (`PRE-4`)
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Without these checks
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
    /// Print every check there is, and look at nothing
    #[arg(long, conflicts_with_all = ["pkg", "strict", "only", "skip"])]
    pub(crate) list: bool,
}

/// What an upgrade is made of.
#[derive(Debug, Args)]
pub(crate) struct UpgradeArguments {
    /// The package to install: FILE, or NODE:/FILE when it lies on a node
    #[arg(long, value_name = "FILE")]
    pub(crate) pkg: PathBuf,
    /// The manifest of an archive that has none
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// A playbook of your own instead of the built-in `ha-upgrade`
    #[arg(long, value_name = "FILE")]
    pub(crate) playbook: Option<PathBuf>,
}

impl UpgradeArguments {
    /// The package as it was typed.
    pub(crate) fn package(&self) -> String {
        quoted_option("--pkg", Some(&self.pkg)) + &quoted_option("--manifest", self.manifest.as_deref())
    }
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
#[derive(Debug, Clone, Args)]
pub(crate) struct Running {
    /// Do not ask; needed when there is no terminal
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Stop before this phase; `rollup resume` goes on
    #[arg(long, value_name = "PHASE")]
    pub(crate) pause_before: Option<PhaseId>,
    /// Go on although the forecast of the interruption is over the budget
    #[arg(long)]
    pub(crate) accept_downtime: bool,
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

/// Which nodes are asked, and how often.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct HealthArguments {
    /// Only this node
    pub(crate) node: Option<NodeName>,
    /// Look every second until Ctrl-C; without a terminal, print what changes; with --json, a line for each look
    #[arg(long, short = 'w')]
    pub(crate) watch: bool,
    /// What a node runs by itself.
    #[command(subcommand)]
    pub(crate) command: Option<HealthCommand>,
}

/// What a node runs by itself.
#[derive(Debug, Subcommand)]
pub(crate) enum HealthCommand {
    /// Run on a node: answer GET /health (200 or 503, JSON) and GET /metrics (Prometheus)
    Serve {
        /// The node this is, by its name in the inventory
        #[arg(long)]
        node: NodeName,
        /// Where to listen [default: health.listen, 127.0.0.1:7480]
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<std::net::SocketAddr>,
    },
    /// Print a hardened systemd unit that runs `health serve` on a node
    Unit {
        /// The node it is for
        #[arg(long)]
        node: NodeName,
        /// Run as this user [default: one that exists only while the unit runs]
        #[arg(long, value_name = "USER")]
        user: Option<String>,
    },
}

/// Facts of one subject.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Show {
    /// What the nodes say now
    Status,
}

/// The virtual address.
#[derive(Debug, Subcommand)]
pub(crate) enum Vip {
    /// Show who has the VIP, what would move it each way, and what of earlier moves is in force
    Status,
    /// Move the VIP and the database's primary role to the other node
    Switch {
        /// The node that gets them [default: the one that does not have the VIP]
        #[arg(long, value_name = "NODE")]
        to: Option<NodeName>,
        /// Only show the steps
        #[arg(long)]
        dry_run: bool,
        /// How to run it.
        #[command(flatten)]
        running: Running,
    },
    /// Take everything of earlier moves out of keepalived
    Restore {
        /// Only show the steps
        #[arg(long)]
        dry_run: bool,
        /// How to run it.
        #[command(flatten)]
        running: Running,
    },
}
