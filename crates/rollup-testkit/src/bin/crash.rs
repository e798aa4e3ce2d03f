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
    let mut note = std::io::stderr().lock();
    for known in &matrix.known {
        writeln!(note, "known: {known}")?;
    }
    for cost in &matrix.costs { if cost.delay.as_secs() >= 20 || cost.silence.as_secs() >= 2 {
        writeln!(note, "cost: {} {} {} {}: {} s, {} ms", cost.sent.step, cost.sent.id, cost.sent.node, cost.kind, cost.delay.as_secs(), cost.silence.as_millis())?;
    } }
    writeln!(out, "{} points, {} wrong", matrix.points, matrix.wrong.len())?;
    Ok(if matrix.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
