//! Scenarios on real machines: the product's own program against a lab of two systemd nodes.
//!
//! Not part of `cargo test --workspace`: without root and a lab this program says loudly what it leaves out and proves
//! nothing. `cargo xtask test` runs all of it, `cargo xtask lab-test NAME` a part.

mod bench;
mod broken;
mod faults;
mod flavours;
mod gates;
mod gauss;
mod gauss_broken;
mod gauss_copies;
mod health;
mod init;
mod killed;
mod life;
mod main_job;
mod migrations;
mod operators;
mod packages;
mod pair;
mod refused;
mod secrets;
mod sets;
mod shims;
mod shims_traps;
mod trapped;
mod vip;
mod way_back;
mod way_back_killed;
mod writers;

use std::{
    io::Write,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Result, bail};
use bench::{Bench, Entry};

fn scenarios() -> Vec<&'static Entry> {
    // Long ones first: the labs end at about the same time.
    // Those on another database last: a lab that has changed to it need not change again.
    let all = [
        main_job::SCENARIOS,
        life::SCENARIOS,
        way_back_killed::SCENARIOS,
        way_back::SCENARIOS,
        broken::SCENARIOS,
        killed::SCENARIOS,
        faults::SCENARIOS,
        flavours::SCENARIOS,
        gates::SCENARIOS,
        packages::SCENARIOS,
        migrations::SCENARIOS,
        sets::SCENARIOS,
        vip::SCENARIOS,
        refused::SCENARIOS,
        operators::SCENARIOS,
        health::SCENARIOS,
        init::SCENARIOS,
        gauss::OPENGAUSS,
        migrations::OPENGAUSS,
        gauss_broken::OPENGAUSS,
        gauss_copies::OPENGAUSS,
        shims::OPENGAUSS,
        gauss::GAUSSDB,
        gauss_broken::GAUSSDB,
        shims::GAUSSDB,
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
    chosen.retain(|entry| (soak || !entry.when.is_long()) && wanted(entry));
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

/// How many labs there are: most of the time of a scenario is waiting.
const LABS: usize = 3;

/// Those that measure time run alone, on one lab; the others share all labs.
fn run(chosen: &[&'static Entry]) -> Result<Tally> {
    bench::prepare()?;
    let tally = Mutex::new(Tally::default());
    let (alone, rest): (Vec<&Entry>, Vec<&Entry>) = chosen.iter().copied().partition(|entry| entry.when.is_alone());
    let mut first = None;
    for entry in alone {
        let bench = Bench::for_entry(1, first.take(), entry)?;
        one(first.insert(bench), entry, &tally);
    }
    let labs = LABS.min(rest.len()).max(1);
    let queue = Mutex::new(rest.into_iter());
    let work = &|number: usize, mut bench: Option<Bench>| {
        while let Some(entry) = { queue.lock().unwrap_or_else(PoisonError::into_inner).next() } {
            let ready = Bench::for_entry(number, bench.take(), entry)?;
            one(bench.insert(ready), entry, &tally);
        }
        bench.map_or(Ok(()), |bench| bench.down())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (2..=labs).map(|number| scope.spawn(move || work(number, None))).collect();
        let mut ended = vec![work(1, first)];
        ended.extend(others.into_iter().map(|other| other.join().unwrap_or_else(|_| bail!("a scenario panicked"))));
        ended.into_iter().collect::<Result<()>>()
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
