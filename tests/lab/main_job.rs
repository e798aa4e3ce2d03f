//! The main job: plan, then upgrade under traffic.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    bench::{Bench, Entry, When},
    pair::NODES,
};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("plan_shows_every_step_changes_nothing_and_is_what_runs", When::Always, plan_is_what_runs),
    Entry::new("upgrade_under_traffic_loses_nothing", When::Alone, upgrade),
    Entry::new("upgrade_twice_goes_there_and_back_again", When::Soak, twice),
];

/// What the product keeps on a node for itself, which no listing of a pair has.
const OWN: &str = "find /var/lib/rollup -printf '%p %m %U %G %s %T@\n' 2>/dev/null | sort";

fn plan_is_what_runs(bench: &Bench) -> Result<()> {
    let own = || NODES.iter().map(|node| bench.lab.root_script(node, OWN)).collect::<Result<Vec<_>>>();
    let before = (bench.listings()?, own()?);
    let package = bench.package("2.0.0");
    let shown = bench.rollup(&["plan", "--pkg", &package])?.expect(0)?;
    let plan: Value = serde_json::from_str(&bench.rollup(&["plan", "--pkg", &package, "--json"])?.expect(0)?.out)?;
    for step in plan["steps"].as_array().into_iter().flatten() {
        let (id, node) = step["id"]
            .as_str()
            .and_then(|id| id.split_once('@'))
            .unwrap_or((step["id"].as_str().unwrap_or(""), "pair"));
        let impact = if step["impact"] == "observe" { "look" } else { step["impact"].as_str().unwrap_or("?") };
        let line = shown
            .out
            .lines()
            .find(|line| [id, node, impact].iter().all(|word| line.split_whitespace().any(|w| w == *word)));
        ensure!(line.is_some(), "expected a line with {id}, {node} and {impact} in:\n{}", shown.out);
    }
    bench.insist_untouched(&before.0).context("planning changed a node")?;
    ensure!(before.1 == own()?, "planning left something:\n{:?}\n{:?}", before.1, own()?);
    bench.rollup(&["upgrade", "--yes", "--pkg", &package])?.expect(0)?;
    let status: Value = serde_json::from_str(&bench.rollup(&["status", "--json"])?.expect(0)?.out)?;
    let ran = status["run"].as_str().unwrap_or_default();
    let run: Value = serde_json::from_str(&bench.rollup(&["runs", "show", ran, "--json"])?.expect(0)?.out)?;
    ensure!(run["plan"]["steps"] == plan["steps"], "other steps ran than were shown");
    bench.insist_upgraded("2.0.0")
}

pub(crate) fn upgrade(bench: &Bench) -> Result<()> {
    let traffic = bench.full_traffic()?;
    let said = bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?.expect(0)?;
    let report = traffic.stop()?;
    crate::say(&format!(
        "        longest read gap {} ms, longest write gap {} ms, {} of {} requests failed, {} writes",
        report.read_gap_ms, report.write_gap_ms, report.failed, report.requests, report.acked_writes
    ));
    bench.insist_nothing_lost(&report)?;
    bench.insist_upgraded("2.0.0")?;
    // The journal is on both nodes, whole.
    let run = Bench::next_command(&said.err, "status")?;
    let local = std::fs::read_to_string(bench.state().join("runs").join(&run[1]).join("journal.jsonl"))?;
    for node in ["node-a", "node-b"] {
        let copy = bench.lab.root_script(node, &format!("cat /var/lib/rollup/runs/{}/journal.jsonl", run[1]))?;
        ensure!(
            local.starts_with(copy.trim_end()) && copy.contains("run-finished"),
            "the copy on {node} is not the journal"
        );
        let audit = bench.lab.root_script(node, "cat /var/lib/rollup/audit.jsonl")?;
        ensure!(audit.contains(&run[1]), "no audit record on {node}: {audit}");
        let left = bench.lab.root_script(node, "ls /var/lib/rollup; ls /var/lib/rollup/staging 2>/dev/null || true")?;
        ensure!(!left.contains("staging") && !left.contains("lock"), "left on {node}: {left}");
    }
    Ok(())
}

/// Roles swap with each upgrade; priorities must not grow for ever.
fn twice(bench: &Bench) -> Result<()> {
    bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?.expect(0)?;
    bench.insist_pair("2.0.0", "node-b")?;
    bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?.expect(0)?;
    bench.insist_pair("2.0.0", "node-a")
}
