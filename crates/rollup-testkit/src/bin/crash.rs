//! `cargo xtask crash`: the crash matrix of the built-in upgrade.
//!
//! One line for each point that came out wrong, one for each group of points, then `N points, M wrong`. Status 1 when M
//! is not 0. The argument says how much is visited: `brief`, `usual`, `long`, or `all`, which also kills the rollback of
//! every killed run, in every lane, at each of its commands, not at some of them.
//! What the points cost goes to standard error.

use std::{io::Write, process::ExitCode};

use rollup_testkit::{Range, Scenario, Vip, run_all};

fn main() -> anyhow::Result<ExitCode> {
    let extent = std::env::args().nth(1).unwrap_or_else(|| "usual".to_owned());
    // Where the address moves in another way, everything else is the same; of a switch alone only that is of interest.
    let (range, other_ways, other_switches) = match extent.as_str() {
        "brief" => (Range::brief(), 15, 12),
        "usual" => (Range::default(), 5, 4),
        "long" => (Range::long(), 5, 1),
        "all" => (Range::all(), 5, 1),
        other => anyhow::bail!("expected brief, usual, long or all, found `{other}`"),
    };
    let scenario = Scenario::built_in()?;
    let mut matrix = run_all(&scenario, &range)?;
    matrix.extend(run_all(&scenario.with_nopreempt(), &Range::sample(other_ways))?);
    // A switch alone is short: every point of it where the address moves by priorities and where it is pushed. After the
    // loss of power an address that does not come back by itself needs an operator.
    for (vip, nth, reboots) in [
        (Vip::Plain, 1, 1),
        (Vip::Pushed, 1, 0),
        (Vip::Nopreempt, other_switches, 0),
        (Vip::Tracked, other_switches, 0),
        (Vip::Grouped, other_switches, 0),
    ] {
        matrix.extend(run_all(&Scenario::switch(vip)?, &Range { reboots, ..Range::forward(nth, nth) })?);
    }
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
