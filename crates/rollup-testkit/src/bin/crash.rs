//! `cargo xtask crash`: the crash matrix of the built-in upgrade.
//!
//! One line for each point that came out wrong, one for each group of points, then `N points, M wrong`. Status 1 when M
//! is not 0. `ROLLUP_CRASH_ALL=1` visits every point: it also kills the rollback of every killed run, in every lane, at
//! each of its commands, not at one of them.
//! What the points cost goes to standard error.

use std::{io::Write, process::ExitCode};

use rollup_testkit::{Range, Scenario, run_all};

fn main() -> anyhow::Result<ExitCode> {
    let all = std::env::var_os("ROLLUP_CRASH_ALL").is_some_and(|value| value == "1");
    let range = if all { Range::all() } else { Range::default() };
    let scenario = Scenario::built_in()?;
    let mut matrix = run_all(&scenario, &range)?;
    // The address moves in another way there; everything else is the same.
    matrix.extend(run_all(&scenario.with_nopreempt(), &Range::sample(5))?);
    let mut out = std::io::stdout().lock();
    for wrong in &matrix.wrong {
        writeln!(out, "{wrong}")?;
    }
    let mut note = std::io::stderr().lock();
    for cost in matrix.costs.iter().take(3) {
        writeln!(note, "no writer for {} ms: {}", cost.silence.as_millis(), cost.place)?;
    }
    for group in &matrix.groups {
        let seconds = group.took.as_secs_f64();
        writeln!(out, "{}: {} points, {} wrong, {seconds:.1} s", group.name, group.points, group.wrong)?;
    }
    writeln!(out, "{} points, {} wrong", matrix.points(), matrix.wrong.len())?;
    Ok(if matrix.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
