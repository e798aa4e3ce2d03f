//! `cargo xtask crash`: the crash matrix of the simulated pair, which belongs to `rollup-testkit`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// Runs the matrix; its last line is `N points, M wrong`. `all`: visits every point there is, also the rollback of
/// every killed run killed at each of its commands, with a fully optimised build since that is many minutes of work.
///
/// Unoptimised, nearly all the time would go into wiping root keys byte by byte.
pub(crate) fn run(all: bool) -> Result<ExitCode> {
    let mut command = Command::new(crate::cargo());
    command.current_dir(crate::workspace()).args(["run", "--quiet", "--package", "rollup-testkit", "--bin", "crash"]);
    match all {
        true => command.arg("--release").env("ROLLUP_CRASH_ALL", "1"),
        false => command.args(["--config", "profile.dev.opt-level=1"]),
    };
    let status = command.status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
