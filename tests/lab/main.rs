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
mod pair;
mod refused;
mod secrets;
mod sets;
mod way_back;
mod way_back_killed;

use std::{
    io::Write,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::Result;
use bench::{Bench, Entry, When};

fn scenarios() -> Vec<&'static Entry> {
    let all = [
        main_job::SCENARIOS,
        operators::SCENARIOS,
        broken::SCENARIOS,
        killed::SCENARIOS,
        life::SCENARIOS,
        sets::SCENARIOS,
        refused::SCENARIOS,
        way_back::SCENARIOS,
        way_back_killed::SCENARIOS,
    ];
    all.into_iter().flatten().collect()
}

fn say(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _closed = writeln!(std::io::stderr(), "{text}");
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let soak = words.iter().any(|word| word == "--soak");
    let filters: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let mut chosen = scenarios();
    let wanted = |entry: &Entry| filters.is_empty() || filters.iter().any(|word| entry.name.contains(word.as_str()));
    chosen.retain(|entry| (soak || entry.when != When::Soak) && wanted(entry));
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
    match run(&chosen) {
        Ok(Tally { passed, failed }) => {
            failed.iter().for_each(|name| say(&format!("FAILED  {name}")));
            say(&format!("{passed} passed, {} failed", failed.len()));
            if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(&format!("error: no lab: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<&'static str>,
}

/// Those that measure time run alone, on one lab; the others share two labs, since most of their time is waiting.
fn run(chosen: &[&'static Entry]) -> Result<Tally> {
    bench::prepare()?;
    let tally = Mutex::new(Tally::default());
    let (alone, rest): (Vec<_>, Vec<_>) = chosen.iter().partition(|entry| entry.when == When::Alone);
    let first = Bench::new(1)?;
    alone.into_iter().for_each(|entry| one(&first, entry, &tally));
    let queue = Mutex::new(rest.into_iter());
    let work = |bench: &Bench| {
        while let Some(entry) = { queue.lock().unwrap_or_else(PoisonError::into_inner).next() } {
            one(bench, entry, &tally);
        }
        bench.down()
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(|| if chosen.len() > 1 { work(&Bench::new(2)?) } else { Ok(()) });
        let first = work(&first);
        second.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a scenario panicked")))?;
        first
    })?;
    Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn one(bench: &Bench, entry: &'static Entry, tally: &Mutex<Tally>) {
    let began = Instant::now();
    let result = bench.fresh().and_then(|()| (entry.run)(bench));
    let seconds = began.elapsed().as_secs_f64();
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    match result {
        Ok(()) => {
            tally.passed += 1;
            say(&format!("ok      {} ({seconds:.0} s)", entry.name));
        }
        Err(error) => {
            tally.failed.push(entry.name);
            say(&format!("FAILED  {} ({seconds:.0} s)\n{error:#}\n", entry.name));
        }
    }
}
