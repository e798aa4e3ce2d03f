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
    /// The database of the pair; without it both are visited.
    #[arg(long, value_enum)]
    engine: Option<Engine>,
}

/// The database of the pair.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Engine {
    /// PostgreSQL.
    Postgresql,
    /// openGauss.
    Opengauss,
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
    of(arguments.extent, arguments.engine)
}

/// Runs the matrix on both databases; its last line is `N points, M wrong`.
pub(crate) fn visit(extent: Extent) -> Result<ExitCode> {
    of(extent, None)
}

fn of(extent: Extent, engine: Option<Engine>) -> Result<ExitCode> {
    let mut command = Command::new(crate::cargo());
    command.current_dir(crate::workspace()).args(["run", "--quiet", "--package", "rollup-testkit", "--bin", "crash"]);
    if matches!(extent, Extent::All) {
        // Hours of work are worth the minutes of a fully optimised build.
        command.arg("--release");
    }
    let word = extent.to_possible_value().context("every extent has a word")?;
    command.arg("--").arg(word.get_name());
    let engine = engine.and_then(|engine| engine.to_possible_value());
    command.args(engine.iter().map(|engine| engine.get_name()));
    let status = command.status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
