//! `cargo xtask crash`: the crash matrix of the simulated pair, which belongs to `rollup-testkit`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// Runs the matrix; its last line is `N points, M wrong`.
pub(crate) fn run() -> Result<ExitCode> {
    let mut command = Command::new(crate::cargo());
    command.current_dir(crate::workspace()).args(["run", "--quiet", "--package", "rollup-testkit", "--bin", "crash"]);
    let status = command.status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
