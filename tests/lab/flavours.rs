//! VIP and database go to the other node and back with every flavour of keepalived, as clients see it (VIP-1 to VIP-5).
//!
//! `cargo xtask bench cutover` measures the same table; here it is held against limits that no busy machine breaks.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rollup_lab::{Audience, Flavour, Observed, Traffic, TrafficOptions};
use serde_json::Value;

use crate::{
    bench::{Bench, Entry, When},
    pair::NODES,
};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("flavours_of_keepalived_most_different", When::Alone, |bench| table(bench, MOST)),
    Entry::new("flavours_of_keepalived_all_others", When::SoakAlone, |bench| table(bench, OTHERS)),
];

/// A flavour, how the plan must move its VIP, and how long its rules say that takes at most, in milliseconds.
struct Row(Flavour, &'static str, i64);

/// Three adverts and the skew of a priority of 120 are 3.53 s; a tracked file counts from the last advert.
const MOST: &[Row] = &[
    Row(Flavour::TrackFile, "track-file", 3_600),
    Row(Flavour::SyncGroup, "priority", 3_600),
    Row(Flavour::Vrrp3, "priority", 1_150),
];

const OTHERS: &[Row] = &[
    Row(Flavour::Preempt, "priority", 3_600),
    Row(Flavour::NopreemptTrackFile, "priority", 3_600),
    Row(Flavour::Nopreempt, "priority", 3_600),
    Row(Flavour::NopreemptLink, "priority", 3_600),
    Row(Flavour::PreemptDelay, "priority", 3_600),
    Row(Flavour::Unicast, "priority", 3_600),
    Row(Flavour::Include, "priority", 3_600),
    // The owner comes down to below its peer.
    Row(Flavour::Owner, "priority", 3_750),
];

/// What ssh, an edit with its test, a reload and a machine with much else to do may add, in milliseconds.
const MARGIN: i64 = 8_000;
/// Limits on the longest time without a good answer, in milliseconds: sanity, not the aim. What this machine does to
/// clients that nobody disturbs comes on top, twice.
const READ_GAP: u64 = 300;
const WRITE_GAP: u64 = 1_500;

/// What a finished move may not leave behind: its mark, its originals, its block.
const LEFT: &str =
    "find /var/lib/rollup/keepalived -type f 2> /dev/null; grep -rl rollup.*BEGIN /etc/keepalived || true";

fn table(bench: &Bench, rows: &[Row]) -> Result<()> {
    let quiet = TrafficOptions { seconds: Some(5), ..TrafficOptions::default() };
    let quiet = Traffic::start(&bench.lab, bench.xtask(), &quiet)?.finish()?;
    let floor = quiet.read_gap_ms.max(quiet.write_gap_ms);
    crate::say(&format!("        nothing happens: gaps {} and {} ms", quiet.read_gap_ms, quiet.write_gap_ms));
    for row in rows {
        let Row(flavour, strategy, limit) = row;
        let began = Instant::now();
        bench.lab.set_flavour(*flavour)?;
        let before = bench.lab.keepalived_portrait()?;
        let mut said = String::new();
        for (node, expected) in [("node-b", Some(*strategy)), ("node-a", None)] {
            let observed =
                switch(bench, node, expected, limit + MARGIN, floor).with_context(|| format!("{flavour} to {node}"))?;
            let traffic = &observed.traffic;
            said += &format!(
                "; to {node}: gaps {} and {} ms, {} of {} failed",
                traffic.read_gap_ms, traffic.write_gap_ms, traffic.failed, traffic.requests
            );
            bench.insist_pair("1.0.0", node)?;
        }
        let after = bench.lab.keepalived_portrait()?;
        ensure!(after == before, "{flavour}: keepalived is not as it was:\n{before}\n{after}");
        for node in NODES {
            let left = bench.lab.root_script(node, LEFT)?;
            ensure!(left.is_empty(), "{flavour}: something of ours is left on {node}:\n{left}");
        }
        crate::say(&format!("        {flavour}{said} ({:.0} s)", began.elapsed().as_secs_f64()));
    }
    Ok(())
}

/// Moves everything to a node under traffic; what was seen.
fn switch(bench: &Bench, node: &str, strategy: Option<&str>, limit: i64, floor: u64) -> Result<Observed> {
    let kept = TrafficOptions { readers: 1, writers: 1, every_ms: 20, keep_alive: true, ..TrafficOptions::default() };
    // Many that ask seldom: one whose request hangs when the VIP leaves must not look like an outage.
    let traffic = TrafficOptions { readers: 6, writers: 6, every_ms: 60, ..TrafficOptions::default() };
    let audience = Audience { traffic, kept: Some(kept) };
    let ((), observed) = bench.lab.observe(bench.xtask(), &audience, || {
        bench.rollup(&["vip", "switch", "--to", node, "--yes"])?.expect(0).map(drop)
    })?;
    let (way, began) = (chosen(bench)?, bench.moment("step-started", &format!("vip.move@{node}"))?);
    if let Some(expected) = strategy {
        ensure!(way == expected, "expected a move by {expected}, found `{way}`");
    }
    let came = observed.came(node).with_context(|| format!("the VIP did not come to {node}"))?;
    let took = came.duration_since(began).as_millis();
    ensure!(took <= i128::from(limit), "expected the VIP on {node} within {limit} ms, found {took} ms");
    let traffic = &observed.traffic;
    ensure!(
        traffic.read_gap_ms < READ_GAP + 2 * floor,
        "nobody could read for {} ms: {:?}",
        traffic.read_gap_ms,
        traffic.reads
    );
    ensure!(
        traffic.write_gap_ms < WRITE_GAP + 2 * floor,
        "nobody could write for {} ms: {:?}",
        traffic.write_gap_ms,
        traffic.writes
    );
    bench.insist_nothing_lost(traffic)?;
    observed.kept.as_ref().map_or(Ok(()), |kept| bench.insist_nothing_lost(kept))?;
    Ok(observed)
}

/// The strategy that the plan of the newest run settled on; empty where it only takes something of ours back.
fn chosen(bench: &Bench) -> Result<String> {
    let run = bench.runs().pop().context("expected a run")?;
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(run.join("plan.json"))?)?;
    let actions = plan["steps"].as_array().context("expected steps")?.iter().map(|step| &step["action"]);
    let action =
        actions.into_iter().find(|action| action["uses"] == "vip.move").context("expected a move of the VIP")?;
    Ok(action["with"]["strategy"].as_str().unwrap_or_default().to_owned())
}
