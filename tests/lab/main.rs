//! Scenarios on real machines: the product's own program against a lab of two systemd nodes.
//!
//! Not part of `cargo test --workspace`: without root and a lab this program says loudly what it leaves out and proves
//! nothing. `cargo xtask test` runs all of it, `cargo xtask lab-test NAME` a part.

mod bench;
mod broken;
mod killed;
mod life;
mod main_job;
mod operators;

use std::{io::Write, process::ExitCode, time::Instant};

use anyhow::Result;
use bench::Bench;

/// One scenario: starts on a lab as it was provisioned, and may leave it in any state.
struct Scenario {
    name: &'static str,
    /// Only in the long run.
    soak: bool,
    run: fn(&Bench) -> Result<()>,
}

fn scenarios() -> Vec<Scenario> {
    [main_job::SCENARIOS, operators::SCENARIOS, broken::SCENARIOS, killed::SCENARIOS, life::SCENARIOS]
        .into_iter()
        .flatten()
        .map(|(name, soak, run)| Scenario { name, soak: *soak, run: *run })
        .collect()
}

fn say(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _closed = writeln!(std::io::stderr(), "{text}");
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let soak = words.iter().any(|word| word == "--soak");
    let filter = words.iter().find(|word| !word.starts_with("--"));
    let mut chosen = scenarios();
    chosen.retain(|scenario| {
        (soak || !scenario.soak) && filter.is_none_or(|filter| scenario.name.contains(filter.as_str()))
    });
    if words.iter().any(|word| word == "--list") {
        chosen.iter().for_each(|scenario| say(scenario.name));
        return ExitCode::SUCCESS;
    }
    if std::env::var_os("ROLLUP_LAB_TESTS").is_none() {
        say(&format!("LEFT OUT: {} scenarios on real machines. They need root: cargo xtask test", chosen.len()));
        return ExitCode::SUCCESS;
    }
    if chosen.is_empty() {
        say("no scenario has this in its name\nhint: cargo xtask lab-test --list");
        return ExitCode::FAILURE;
    }
    let bench = match Bench::new() {
        Ok(bench) => bench,
        Err(error) => {
            say(&format!("error: no lab: {error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let (mut passed, mut failed) = (0, Vec::new());
    for scenario in &chosen {
        let began = Instant::now();
        let result = bench.fresh().and_then(|()| (scenario.run)(&bench));
        let seconds = began.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                passed += 1;
                say(&format!("ok      {} ({seconds:.0} s)", scenario.name));
            }
            Err(error) => {
                say(&format!("FAILED  {} ({seconds:.0} s)\n{error:#}\n", scenario.name));
                failed.push(scenario.name);
            }
        }
    }
    if let Err(error) = bench.down() {
        say(&format!("error: the lab could not be taken down: {error:#}"));
        return ExitCode::FAILURE;
    }
    say(&format!("{passed} passed, {} failed", failed.len()));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
