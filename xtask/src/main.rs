//! Chores of this repository: `cargo xtask --help`.
//!
//! Each subcommand lives in a module of its own, which owns its arguments and its output.

mod lab;
mod packages;

use std::process::ExitCode;

use clap::Parser;

/// Chores of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// A lab of real machines on this host.
    Lab(lab::Arguments),
    /// Builds every version of the example service into packages.
    Packages(packages::Arguments),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Lab(arguments) => lab::run(arguments),
        Task::Packages(arguments) => packages::run(&arguments),
    };
    done.unwrap_or_else(|error| {
        use std::io::Write;
        // Nobody is left to tell when standard error is closed.
        let _closed = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}
