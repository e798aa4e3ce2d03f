//! Chores of this repository: `cargo xtask --help`.
//!
//! Each subcommand lives in a module of its own, which owns its arguments and its output.

mod bench;
mod check;
mod crash;
mod demo;
mod fuzz;
mod lab;
mod packages;
mod tidy;

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;

/// Chores of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// The main job on real machines: lab, upgrade under traffic, target/demo/summary.json.
    Demo(demo::Arguments),
    /// Everything that matters: lints, tests, crash matrix, scenarios on real machines.
    Test,
    /// `test` with the long matrices.
    Soak,
    /// Format, lints, dependency picture, licences.
    Ci,
    /// The crash matrix: a cut before and after every change of the upgrade on the simulated pair.
    Crash(crash::Arguments),
    /// What a backup costs, held against the same job by hand: target/bench/backup.json.
    Bench(bench::Arguments),
    /// Random bytes as keepalived configurations, guided by what they reach.
    Fuzz(fuzz::Arguments),
    /// Only the scenarios on real machines.
    LabTest(check::LabTest),
    /// Holds the crates against docs/architecture.md.
    Tidy,
    /// A lab of real machines on this host.
    Lab(lab::Arguments),
    /// Builds every version of the example service into packages.
    Packages(packages::Arguments),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Test => check::test(false),
        Task::Soak => check::test(true),
        Task::Ci => check::lint(),
        Task::Crash(arguments) => crash::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::LabTest(arguments) => check::lab_test(&arguments),
        Task::Tidy => tidy::run(),
        Task::Lab(arguments) => lab::run(arguments),
        Task::Packages(arguments) => packages::run(&arguments),
    };
    done.unwrap_or_else(|error| {
        say(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// Tells people. Nobody is left to tell when standard error is closed.
fn say(text: &str) {
    let _closed = writeln!(std::io::stderr(), "{text}");
}

/// A headline before something that takes a while.
fn step(what: &str) {
    say(&format!("== {what}"));
}

/// The root of the checkout this program was built from.
fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The cargo that runs this program.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Builds a program of this workspace, optimised or not, and says where it is.
fn build(root: &Path, package: &str, optimised: bool) -> Result<PathBuf> {
    step(&format!("building {package}"));
    let mut command = Command::new(cargo());
    command.current_dir(root).args(["build", "--quiet", "--package", package]);
    let folder = if optimised { "release" } else { "debug" };
    if optimised {
        command.arg("--release");
    }
    ensure!(command.status().context("cannot run cargo")?.success(), "`cargo build --package {package}` failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join(folder).join(package))
}
