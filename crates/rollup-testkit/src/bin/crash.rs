//! `cargo xtask crash`: the crash matrix of the built-in upgrade.
//!
//! One line for each point that came out wrong, then `N points, M wrong`. Status 1 when M is not 0. Causes that are
//! known, and what the points cost, go to standard error.

use std::{io::Write, process::ExitCode};

use rollup_testkit::{Range, Scenario, run_all};

fn main() -> anyhow::Result<ExitCode> {
    let matrix = run_all(&Scenario::built_in()?, &Range::default())?;
    let mut out = std::io::stdout().lock();
    for wrong in &matrix.wrong {
        writeln!(out, "{wrong}")?;
    }
    let mut note = std::io::stderr().lock();
    for cost in matrix.costs.iter().take(3) {
        let (sent, silence) = (&cost.sent, cost.silence.as_millis());
        writeln!(note, "no writer for {silence} ms: {} `{}` on {}, {}", sent.step, sent.id, sent.node, cost.kind)?;
    }
    writeln!(out, "{} points, {} wrong", matrix.points, matrix.wrong.len())?;
    Ok(if matrix.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
