//! `cargo xtask bench cutover`: what clients notice when VIP and database go to the other node and back.
//!
//! Owns the table over the flavours of keepalived. The same clients watch the floor (nothing happens), the product, and
//! the same switchover typed by hand; all three in one run, since the machine of today is not the one of yesterday.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use jiff::Timestamp;
use rollup_lab::{Audience, Flavour, Lab, LabName, Observed, TrafficOptions};
use serde_json::{Value, json};

use super::{
    Grounds,
    by_hand::Hand,
    figures::{figures, result, table},
};

/// Reads may be unanswered for this long, writes for that long.
pub(super) const AIM_MS: (f64, f64) = (30.0, 300.0);
pub(super) const WAYS: [(&str, &str); 2] = [("there", "node-b"), ("back", "node-a")];

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How often each way is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only these flavours.
    #[arg(long)]
    flavour: Vec<Flavour>,
    /// Seconds for which the floor is measured in each round.
    #[arg(long, default_value_t = 8)]
    floor_seconds: u64,
    /// The program [default: an optimised build].
    #[arg(long)]
    rollup: Option<PathBuf>,
    /// Name of the lab.
    #[arg(long, default_value = "bench")]
    name: LabName,
    /// Leave the lab up, to look around.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let grounds = Grounds::prepare(arguments.rollup.as_deref(), &arguments.name)?;
    let state = grounds.out.join("state");
    let _none = fs::remove_dir_all(&state);
    let (rollup, clients) = (grounds.rollup.clone(), grounds.clients.clone());
    let bench = Bench { lab: grounds.boot()?, rollup, clients, state };
    let result = bench.measure(arguments);
    if !arguments.keep {
        grounds.down()?;
    }
    let result = result?;
    crate::say(&table(&result));
    grounds.write("cutover.json", &result)?;
    Ok(if result["reached"] == json!(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Bench {
    lab: Lab,
    rollup: PathBuf,
    clients: PathBuf,
    state: PathBuf,
}

/// One way, seen from outside.
pub(super) struct Sample {
    /// From the moment when the VIP was told to move until the new owner had it.
    pub(super) elect_ms: f64,
    pub(super) observed: Observed,
}

impl Bench {
    fn measure(&self, arguments: &Arguments) -> Result<Value> {
        let chosen = if arguments.flavour.is_empty() { Flavour::ALL.to_vec() } else { arguments.flavour.clone() };
        let rounds = arguments.rounds.max(1);
        let mut floor = Vec::new();
        let mut rows = Vec::new();
        let mut hand = [Vec::new(), Vec::new()];
        for flavour in chosen {
            crate::step(&format!("flavour {flavour}"));
            self.lab.set_flavour(flavour)?;
            let before = self.lab.keepalived_portrait()?;
            let (mut ways, mut strategies, mut restored) =
                ([Vec::new(), Vec::new()], [String::new(), String::new()], true);
            for round in 0..rounds {
                for (way, (name, node)) in WAYS.iter().enumerate() {
                    let sample = self.with_rollup(node, &mut strategies[way])?;
                    note(&format!("{name} {}", round + 1), &sample);
                    ways[way].push(sample);
                }
                restored &= self.lab.keepalived_portrait()? == before;
                if flavour == Flavour::Preempt {
                    floor.push(self.floor(arguments.floor_seconds)?);
                    for (way, (name, node)) in WAYS.iter().enumerate() {
                        let sample = self.by_hand(node)?;
                        note(&format!("by hand, {name} {}", round + 1), &sample);
                        hand[way].push(sample);
                    }
                }
            }
            for (way, samples) in ways.iter().enumerate() {
                rows.push(json!({
                    "flavour": flavour.name(),
                    "way": WAYS[way].0,
                    "strategy": strategies[way],
                    "restored": restored,
                    "figures": figures(samples),
                }));
            }
        }
        Ok(result(rounds, &floor, &rows, &hand))
    }

    /// Nothing happens: what the clients themselves make of this machine.
    fn floor(&self, seconds: u64) -> Result<Observed> {
        let limited = |options: TrafficOptions| TrafficOptions { seconds: Some(seconds), ..options };
        let Audience { traffic, kept } = audience();
        let audience = Audience { traffic: limited(traffic), kept: kept.map(limited) };
        let ((), seen) = self.lab.observe(&self.clients, &audience, || pause(seconds))?;
        Ok(seen)
    }

    fn with_rollup(&self, node: &str, strategy: &mut String) -> Result<Sample> {
        let ((), observed) = self.lab.observe(&self.clients, &audience(), || {
            let mut command = self.lab.operator_command(&self.rollup);
            command.args(["vip", "switch", "--to", node, "--yes"]).env("ROLLUP_STATE_DIR", &self.state);
            let output = command.stdin(Stdio::null()).output().context("cannot run rollup")?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "`rollup vip switch --to {node}` ended with {}:\n{said}", output.status);
            Ok(())
        })?;
        let run = newest(&self.state.join("runs"))?;
        let plan: Value = serde_json::from_str(&fs::read_to_string(run.join("plan.json"))?)?;
        *strategy = chosen_strategy(&plan).unwrap_or_else(|| "unknown".to_owned());
        let told = begun(&fs::read_to_string(run.join("journal.jsonl"))?)?;
        sample(told, node, observed)
    }

    fn by_hand(&self, node: &str) -> Result<Sample> {
        let hand = Hand::new(&self.lab, &self.state.join("by-hand"))?;
        let (told, observed) = self.lab.observe(&self.clients, &audience(), || hand.switch(node))?;
        self.lab.wait_ready()?;
        sample(told, node, observed)
    }
}

/// Many that ask seldom and in turn, a request of each kind every 5 ms: one that hangs when the VIP leaves is no outage, and
/// two cores keep some air. On a machine that is full, what is measured is who waits for a core. Some keep connections.
fn audience() -> Audience {
    let traffic = TrafficOptions { readers: 8, writers: 8, every_ms: 40, ..TrafficOptions::default() };
    let kept = TrafficOptions { readers: 1, writers: 1, every_ms: 20, keep_alive: true, ..TrafficOptions::default() };
    Audience { traffic, kept: Some(kept) }
}

fn sample(told: Timestamp, node: &str, observed: Observed) -> Result<Sample> {
    let came = observed.came(node).with_context(|| format!("the VIP did not come to {node}"))?;
    ensure!(observed.traffic.lost_writes == Some(0), "acknowledged writes are missing: {:?}", observed.traffic);
    Ok(Sample { elect_ms: came.duration_since(told).as_secs_f64() * 1000.0, observed })
}

/// The newest run of the operator's machine.
fn newest(runs: &Path) -> Result<PathBuf> {
    let newest = fs::read_dir(runs)?.filter_map(|entry| Some(entry.ok()?.path())).max();
    newest.with_context(|| format!("expected a run in {}", runs.display()))
}

/// The strategy that the plan settled on; a move that only takes back what an earlier one left needs none.
fn chosen_strategy(plan: &Value) -> Option<String> {
    let mut actions = plan["steps"].as_array()?.iter().map(|step| &step["action"]);
    let action = actions.find(|action| action["uses"] == "vip.move")?;
    Some(action["with"]["strategy"].as_str().unwrap_or("take back").to_owned())
}

/// When the journal says that the VIP began to move.
fn begun(journal: &str) -> Result<Timestamp> {
    let records = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_move = |event: &Value| {
        event["kind"] == "step-started" && event["step"].as_str().is_some_and(|step| step.starts_with("vip.move"))
    };
    let mut moves = records.filter(|record| is_move(&record["event"]));
    let record = moves.next().context("expected that the VIP was moved")?;
    Ok(record["at"].as_str().unwrap_or_default().parse()?)
}

fn note(what: &str, sample: &Sample) {
    let traffic = &sample.observed.traffic;
    crate::say(&format!(
        "   {what:<18} elected after {:>5.0} ms, gap of reads {:>4} ms, of writes {:>4} ms, {} of {} failed",
        sample.elect_ms, traffic.read_gap_ms, traffic.write_gap_ms, traffic.failed, traffic.requests
    ));
}

fn pause(seconds: u64) -> Result<()> {
    let slept = Command::new("sleep").arg(seconds.to_string()).status()?;
    ensure!(slept.success(), "`sleep` ended with {slept}");
    Ok(())
}
