//! `cargo xtask crash`: the crash matrix of the simulated pair, which belongs to `rollup-testkit`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

/// How much of the matrix is visited.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Brief is a part of `cargo xtask test`, long of `cargo xtask soak`; all of it takes hours.
    #[arg(long, value_enum, default_value_t = Extent::Usual)]
    extent: Extent,
}

/// How much of the matrix is visited.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Extent {
    /// Every change of the upgrade killed in every way, a part of everything else.
    Brief,
    /// Every point of the upgrade and of its rollbacks.
    Usual,
    /// Rollbacks of killed upgrades are killed, too.
    Long,
    /// Those at each of their commands.
    All,
}

/// Runs the matrix as asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    visit(arguments.extent)
}

/// Runs the matrix; its last line is `N points, M wrong`.
pub(crate) fn visit(extent: Extent) -> Result<ExitCode> {
    let mut command = Command::new(crate::cargo());
    command.current_dir(crate::workspace()).args(["run", "--quiet", "--package", "rollup-testkit", "--bin", "crash"]);
    if matches!(extent, Extent::All) {
        // Hours of work are worth the minutes of a fully optimised build.
        command.arg("--release");
    }
    let word = extent.to_possible_value().context("every extent has a word")?;
    let status = command.arg("--").arg(word.get_name()).status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
