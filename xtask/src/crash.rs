//! `cargo xtask crash`: the crash matrix of the simulated pair, which belongs to `rollup-testkit`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// Runs the matrix; its last line is `N points, M wrong`. `all`: also kills the rollback of every killed run at each of its
/// commands, with an optimised build since that is minutes of work.
pub(crate) fn run(all: bool) -> Result<ExitCode> {
    let mut command = Command::new(crate::cargo());
    command.current_dir(crate::workspace()).args(["run", "--quiet", "--package", "rollup-testkit", "--bin", "crash"]);
    if all {
        command.arg("--release").env("ROLLUP_CRASH_ALL", "1");
    }
    let status = command.status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
