//! `cargo xtask lab`: boots, shows, enters and removes labs. What a lab is belongs to `rollup-lab`.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use rollup_lab::{
    Flavour, FlavourWord, INSIDE_VARIABLE, Impairment, Lab, LabName, LabOptions, LabStatus, Places, TrafficOptions,
    run_client, run_relay,
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Args)]
struct Name {
    /// Which lab.
    #[arg(long, default_value = "lab")]
    name: LabName,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Boots a lab and waits until it works; a lab of this name that is there is replaced.
    Up {
        #[command(flatten)]
        lab: Name,
        /// 2 for a pair, 3 for a pair with a spare standby of the database.
        #[arg(long, default_value_t = 2)]
        nodes: usize,
        /// How keepalived is configured, and what the database is: `opengauss,nopreempt`. Default: preempt, postgresql.
        #[arg(long, value_delimiter = ',')]
        flavour: Vec<FlavourWord>,
        /// The version of the example service that the nodes run at first.
        #[arg(long, default_value = "1.0.0")]
        version: String,
        /// The package of that version [default: target/packages/orders-VERSION.tar.gz].
        #[arg(long)]
        package: Option<PathBuf>,
    },
    /// Cuts the power of a lab and removes all traces of it.
    Down {
        #[command(flatten)]
        lab: Name,
    },
    /// Returns a running lab to the state that `up` left.
    Reset {
        #[command(flatten)]
        lab: Name,
    },
    /// Configures keepalived of a running lab anew; `reset` brings back what `up` was told.
    Flavour {
        /// Which flavour.
        flavour: Flavour,
        #[command(flatten)]
        lab: Name,
    },
    /// Shows what every node is and what is wrong; exit status 1 when something is.
    Status {
        #[command(flatten)]
        lab: Name,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Runs a command at the operator's place.
    Exec {
        #[command(flatten)]
        lab: Name,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Runs a command on a node as the login user, over ssh; without a command, opens a shell there.
    Ssh {
        /// Which node.
        node: String,
        #[command(flatten)]
        lab: Name,
        /// The command.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Opens a shell at the operator's place, with `ROLLUP_INVENTORY` set.
    Shell {
        #[command(flatten)]
        lab: Name,
    },
    /// Cuts the power of a node.
    Kill {
        /// Which node.
        node: String,
        #[command(flatten)]
        lab: Name,
    },
    /// Cuts the power of a node, gives it back and waits until it answers.
    Reboot {
        /// Which node.
        node: String,
        #[command(flatten)]
        lab: Name,
    },
    /// Reads and writes through the VIP until Ctrl-C and reports the longest gaps and lost writes as JSON.
    Client(ClientArguments),
    /// Makes the network of a node a bad one until Ctrl-C.
    Relay(RelayArguments),
}

#[derive(Debug, Args)]
struct RelayArguments {
    /// Which node.
    node: String,
    #[command(flatten)]
    lab: Name,
    /// Milliseconds added to each round trip.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Lost frames of each direction, out of a hundred.
    #[arg(long, default_value_t = 0)]
    loss_percent: u64,
    /// Only ssh is slow and lossy.
    #[arg(long)]
    only_ssh: bool,
    /// The node hears no adverts.
    #[arg(long)]
    drop_vrrp_in: bool,
    /// Nobody hears the node's adverts.
    #[arg(long)]
    drop_vrrp_out: bool,
}

#[derive(Debug, Args)]
struct ClientArguments {
    #[command(flatten)]
    lab: Name,
    /// Clients that read.
    #[arg(long, default_value_t = 3)]
    readers: usize,
    /// Clients that write.
    #[arg(long, default_value_t = 3)]
    writers: usize,
    /// Milliseconds from one request of a client to its next.
    #[arg(long, default_value_t = 10)]
    every_ms: u64,
    /// Reuse connections instead of making one per request.
    #[arg(long)]
    keep_alive: bool,
    /// Stop after this many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Stop when this file appears.
    #[arg(long)]
    stop_file: Option<PathBuf>,
    /// Write the report here instead of to standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let places = Places::from_environment();
    let open = |name: &Name| Lab::open(&places, &name.name);
    match arguments.action {
        Action::Up { lab, nodes, flavour, version, package } => {
            let package = package.unwrap_or_else(|| default_package(&version));
            let began = Instant::now();
            let (flavour, engine) = FlavourWord::together(&flavour)?;
            let options = LabOptions { name: lab.name, nodes, flavour, engine, version, package, places };
            let lab = Lab::up(&options, &note)?;
            note(&format!("lab `{}` is up after {:.1} s", lab.name(), began.elapsed().as_secs_f64()));
            show(&format!("inventory: {}", lab.inventory_path().display()))
        }
        Action::Down { lab } => Lab::down(&places, &lab.name).map(|()| ExitCode::SUCCESS),
        Action::Reset { lab } => {
            let began = Instant::now();
            open(&lab)?.reset()?;
            note(&format!("lab `{}` is as new after {:.1} s", lab.name, began.elapsed().as_secs_f64()));
            Ok(ExitCode::SUCCESS)
        }
        Action::Flavour { flavour, lab } => {
            let began = Instant::now();
            open(&lab)?.set_flavour(flavour)?;
            note(&format!("lab `{}` has the flavour {flavour} after {:.1} s", lab.name, began.elapsed().as_secs_f64()));
            Ok(ExitCode::SUCCESS)
        }
        Action::Status { lab, json } => {
            let status = open(&lab)?.status();
            show(&if json { serde_json::to_string_pretty(&status)? } else { table(&status) })?;
            Ok(if status.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Action::Exec { lab, command } => {
            let (program, words) = command.split_first().context("no command")?;
            become_command(open(&lab)?.operator_command(program).args(words).env("PATH", search_path()?))
        }
        Action::Ssh { node, lab, command } => become_command(&mut open(&lab)?.ssh_command(&node, command)?),
        Action::Shell { lab } => {
            let lab = open(&lab)?;
            let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/bash".into());
            become_command(lab.operator_command(shell).current_dir(lab.directory()).env("PATH", search_path()?))
        }
        Action::Kill { node, lab } => open(&lab)?.kill(&node).map(|()| ExitCode::SUCCESS),
        Action::Reboot { node, lab } => open(&lab)?.reboot(&node).map(|()| ExitCode::SUCCESS),
        Action::Client(arguments) => client(&places, arguments),
        Action::Relay(arguments) => relay(&places, &arguments),
    }
}

fn relay(places: &Places, arguments: &RelayArguments) -> Result<ExitCode> {
    let lab = Lab::open(places, &arguments.lab.name)?;
    if std::env::var_os(INSIDE_VARIABLE).is_none() {
        return become_command(lab.operator_command(std::env::current_exe()?).args(std::env::args_os().skip(1)));
    }
    let RelayArguments { delay_ms, loss_percent, only_ssh, drop_vrrp_in, drop_vrrp_out, .. } = *arguments;
    let impairment = Impairment { delay_ms, loss_percent, only_ssh, drop_vrrp_in, drop_vrrp_out };
    run_relay(&lab, &arguments.node, impairment, &|text| show(text).map(drop))?;
    Ok(ExitCode::SUCCESS)
}

fn client(places: &Places, arguments: ClientArguments) -> Result<ExitCode> {
    let lab = Lab::open(places, &arguments.lab.name)?;
    if std::env::var_os(INSIDE_VARIABLE).is_none() {
        // Only the operator's namespace has a way to the VIP: start over from there.
        return become_command(lab.operator_command(std::env::current_exe()?).args(std::env::args_os().skip(1)));
    }
    let ClientArguments { readers, writers, every_ms, keep_alive, seconds, stop_file, out, .. } = arguments;
    ensure!(readers + writers > 0, "no clients: give --readers or --writers");
    let options = TrafficOptions { readers, writers, every_ms, keep_alive, seconds, stop_file };
    let report = run_client(&lab, &options, out.as_deref())?;
    match out {
        Some(_) => Ok(ExitCode::SUCCESS),
        None => show(&serde_json::to_string_pretty(&report)?),
    }
}

/// Replaces this process, so that signals and the exit status are those of the command.
fn become_command(command: &mut Command) -> Result<ExitCode> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))
}

/// The search path with the programs that were built together with this one in front, `rollup` among them.
fn search_path() -> Result<OsString> {
    let program = std::env::current_exe()?;
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let built = program.parent().map(Path::to_owned).into_iter();
    Ok(std::env::join_paths(built.chain(std::env::split_paths(&inherited)))?)
}

/// Where `cargo xtask packages` puts a package.
fn default_package(version: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    workspace.join("target/packages").join(format!("orders-{version}.tar.gz"))
}

fn table(status: &LabStatus) -> String {
    let LabStatus { name, engine, flavour, operator_namespace, .. } = status;
    let mut text = format!("lab {name} ({engine}, {flavour}), operator in {operator_namespace}\n");
    for node in &status.nodes {
        let database = match node.recovery {
            Some(true) => "standby",
            Some(false) => "primary",
            None => "no database",
        };
        let vip = if node.vip { "VIP" } else { "-" };
        let (name, address, version) = (&node.name, &node.address, &node.version);
        text += &format!("  {name}  {address:<12} {database:<12} {vip:<4} version {version} health {:?}", node.health);
        if !node.failed_units.is_empty() {
            text += &format!("  failed: {}", node.failed_units.join(" "));
        }
        text.push('\n');
    }
    for problem in &status.problems {
        text += &format!("problem: {problem}\n");
    }
    text.trim_end().to_owned()
}

fn show(text: &str) -> Result<ExitCode> {
    match writeln!(io::stdout(), "{text}") {
        // A reader that had enough is not a failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS).context("cannot write"),
    }
}

fn note(text: &str) {
    // Progress is a courtesy: without a reader the work goes on.
    let _closed = writeln!(io::stderr(), "{text}");
}
