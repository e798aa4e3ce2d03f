//! `cargo xtask crash`: the crash matrix of the built-in upgrade.
//!
//! One line for each point that came out wrong, one for each group of points, then `N points, M wrong`. Status 1 when M
//! is not 0. The first argument says how much is visited: `brief`, `usual`, `long`, or `all`, which also kills the rollback
//! of every killed run, in every lane, at each of its commands, not at some of them. The second one says on which database:
//! `postgresql` or `opengauss`; without it, on both.
//! What the points cost goes to standard error.

use std::{io::Write, process::ExitCode, time::Duration};

use anyhow::bail;
use rollup_testkit::{Engine, Matrix, Range, Scenario, Switching, Vip, run_all};

/// How much is visited.
struct Extent {
    /// Of the upgrade.
    upgrade: Range,
    /// Every so many-th point where the address moves in another way: everything else is the same there.
    other_ways: usize,
    /// The same of a switch alone, of which only that is of interest.
    other_switches: usize,
    /// Of the upgrade on openGauss.
    other_engine: Range,
    /// Every so many-th point of a switch whose tools mislead.
    misleading: usize,
    /// Every so many-th point of an upgrade whose tools mislead, and of its rollbacks; 0: none.
    misled_upgrades: usize,
}

impl Extent {
    fn of(word: &str) -> anyhow::Result<Self> {
        let of = |upgrade: Range, other_ways, other_switches, other_engine, misleading, misled_upgrades| Self {
            upgrade,
            other_ways,
            other_switches,
            other_engine,
            misleading,
            misled_upgrades,
        };
        Ok(match word {
            "brief" => of(Range::brief(), 15, 12, Range { reboots: 11, ..Range::sample(11) }, 9, 0),
            "usual" => of(Range::default(), 5, 4, Range::default(), 1, 20),
            "long" => of(Range::long(), 5, 1, Range::long(), 1, 5),
            "all" => of(Range::all(), 5, 1, Range::all(), 1, 1),
            other => bail!("expected brief, usual, long or all, found `{other}`"),
        })
    }
}

fn on_postgresql(extent: &Extent, matrix: &mut Matrix) -> anyhow::Result<()> {
    let scenario = Scenario::built_in()?;
    matrix.extend(run_all(&scenario, &extent.upgrade)?);
    matrix.extend(run_all(&scenario.with_nopreempt(), &Range::sample(extent.other_ways))?);
    // A switch alone is short: every point of it where the address moves by priorities and where it is pushed. After the
    // loss of power an address that does not come back by itself needs an operator.
    for (vip, nth, reboots) in [
        (Vip::Plain, 1, 1),
        (Vip::Pushed, 1, 0),
        (Vip::Nopreempt, extent.other_switches, 0),
        (Vip::Tracked, extent.other_switches, 0),
        (Vip::Grouped, extent.other_switches, 0),
    ] {
        let scenario = Scenario::switch(Engine::Postgresql, vip)?;
        matrix.extend(run_all(&scenario, &Range { reboots, ..Range::forward(nth, nth) })?);
    }
    Ok(())
}

fn on_opengauss(extent: &Extent, matrix: &mut Matrix) -> anyhow::Result<()> {
    matrix.extend(run_all(&Scenario::on(Engine::OpenGauss(Switching::Prompt))?, &extent.other_engine)?);
    let nth = extent.misleading.div_ceil(3);
    matrix.extend(run_all(&switch(Switching::Prompt)?, &Range { reboots: nth, ..Range::forward(nth, nth) })?);
    // A tool that gives up before the servers do, one whose script gives up, too, and servers that do not come to an end.
    for switching in [
        Switching::Late(Duration::from_secs(15)),
        Switching::Late(Duration::from_secs(35)),
        Switching::Half,
        Switching::Ignored,
    ] {
        let nth = extent.misleading;
        matrix.extend(run_all(&switch(switching)?, &Range { reboots: nth, ..Range::forward(nth, nth) })?);
        if extent.misled_upgrades > 0 {
            let upgrade = Scenario::on(Engine::OpenGauss(switching))?;
            matrix.extend(run_all(&upgrade, &Range::sample(extent.misled_upgrades))?);
        }
    }
    Ok(())
}

fn switch(switching: Switching) -> anyhow::Result<Scenario> {
    Scenario::switch(Engine::OpenGauss(switching), Vip::Plain)
}

fn main() -> anyhow::Result<ExitCode> {
    let mut words = std::env::args().skip(1);
    let extent = Extent::of(&words.next().unwrap_or_else(|| "usual".to_owned()))?;
    let mut matrix = Matrix::default();
    match words.next().as_deref() {
        None => {
            on_postgresql(&extent, &mut matrix)?;
            on_opengauss(&extent, &mut matrix)?;
        }
        Some("postgresql") => on_postgresql(&extent, &mut matrix)?,
        Some("opengauss") => on_opengauss(&extent, &mut matrix)?,
        Some(other) => bail!("expected postgresql or opengauss, found `{other}`"),
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
