//! `cargo xtask crash`: the crash matrix of the built-in upgrade.
//!
//! One line for each point that came out wrong, then `N points, M wrong`. Status 1 when M is not 0.

use std::{io::Write, process::ExitCode};

use rollup_testkit::{Range, Scenario, run_all};

fn main() -> anyhow::Result<ExitCode> {
    let matrix = run_all(&Scenario::built_in()?, &Range::default())?;
    let mut out = std::io::stdout().lock();
    for wrong in &matrix.wrong {
        writeln!(out, "{wrong}")?;
    }
    if let Some((_, slowest)) = &matrix.slowest {
        writeln!(std::io::stderr(), "most simulated time lost: {slowest}")?;
    }
    writeln!(out, "{} points, {} wrong", matrix.points, matrix.wrong.len())?;
    Ok(if matrix.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
