//! Backup sets by themselves: taken, listed, shown, read back, drilled, fetched, pruned; and the end of a way back
//! (BAK-1, BAK-3, BAK-4, BAK-5, FIN-4).

use anyhow::{Context, Result, ensure};

use crate::{
    bench::{Bench, Entry, When, pause},
    pair::{NODES, SETS},
    way_back::BACK,
};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("sets_are_taken_shown_proven_fetched_and_pruned", When::Always, sets),
    Entry::new("finalize_ends_every_way_back", When::Always, finalize),
];

fn sets(bench: &Bench) -> Result<()> {
    ensure!(bench.sets()?.is_empty(), "a new pair has no sets");
    let before = bench.portraits()?;
    let traffic = bench.traffic()?;
    let set = bench.create_set()?;
    let row = bench.sets()?.into_iter().find(|row| row["set"] == *set).context("the set is listed")?;
    ensure!(row["state"] == "verified" && row["held_by"].is_null(), "{row}");
    ensure!(row["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2), "{row}");
    ensure!(row["places"].as_array().is_some_and(|places| places.len() >= 2), "{row}");
    ensure!(row["bytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{row}");
    let manifest = bench.rollup(&["--json", "backup", "show", &set])?.expect(0)?.json()?;
    ensure!(manifest["set"] == *set && manifest["cluster"] == bench.cluster(), "{manifest}");
    ensure!(manifest["versions"]["node-a"] == "1.0.0", "{manifest}");
    for node in NODES {
        let key = bench.lab.root_script(node, "sha256sum < /etc/orders/root.key | cut -c 1-16")?;
        ensure!(manifest["nodes"][node]["root_key"]["fingerprint"] == key.trim(), "{node}: {manifest}");
        let parts = bench.lab.root_script(node, &format!("cd {SETS}/{set}; find -type d | sort | tr '\\n' ' '"))?;
        ensure!(parts.trim() == ". ./database ./node-a ./node-b", "either node has everything, {node} has: {parts}");
    }
    // People see the same without JSON.
    ensure!(bench.rollup(&["backup", "list"])?.expect(0)?.out.contains(&set), "the set is in the table");
    bench.rollup(&["backup", "show", &set])?.expect(0)?;
    bench.rollup(&["backup", "verify", &set])?.expect(0)?;
    bench.rollup(&["backup", "check-key", &set])?.expect(0)?;
    let listing = bench.listings()?;
    bench.rollup(&["backup", "verify", &set, "--drill", "--yes"])?.expect(0)?;
    drill_left_only_its_record(bench, &listing)?;
    let to = bench.state().join("fetched");
    bench.rollup(&["backup", "fetch", &set, "--to", &to.display().to_string()])?.expect(0)?;
    fetched_is_whole(&to, &set)?;
    // The second set is the newest verified one; pruning to one leaves it alone.
    pause(1100);
    let second = bench.create_set()?;
    bench.rollup(&["backup", "prune", "--yes"])?.expect(0)?;
    let left: Vec<_> = bench.sets()?.iter().filter_map(|row| row["set"].as_str().map(str::to_owned)).collect();
    ensure!(left == [second.clone()], "expected {second} alone, found {left:?}");
    let report = traffic.stop()?;
    bench.insist_nothing_lost(&report)?;
    ensure!(report.failed == 0, "{} requests failed: {:?}", report.failed, report.errors);
    bench.insist_portraits(&before)?;
    bench.insist_pair("1.0.0", "node-a")
}

/// Whatever was unpacked is gone, and no second server runs.
fn drill_left_only_its_record(bench: &Bench, before: &[String]) -> Result<()> {
    let gone_and_new = bench.listings()?.into_iter().zip(before).flat_map(|(after, before)| {
        let known: std::collections::BTreeSet<&str> = before.lines().collect();
        after.lines().filter(|line| !known.contains(line)).map(str::to_owned).collect::<Vec<_>>()
    });
    // The directory of the set has a new time, since the record was put in it.
    let other: Vec<_> = gone_and_new.filter(|line| !line.contains("drill-") && !line.contains(" d ")).collect();
    ensure!(other.is_empty(), "the drill left: {other:?}");
    for node in NODES {
        let servers = bench.lab.root_script(node, "pgrep -c -x -u postgres postgres -P 1 || true")?;
        ensure!(servers.trim() == "1", "{node} runs {} database servers", servers.trim());
    }
    Ok(())
}

fn fetched_is_whole(to: &std::path::Path, set: &str) -> Result<()> {
    let place = if to.join("manifest.json").exists() { to.to_owned() } else { to.join(set) };
    ensure!(place.join("manifest.json").exists(), "no manifest below {}", to.display());
    for part in ["node-a", "node-b", "database"] {
        let sums = std::fs::read_to_string(place.join(part).join("sums"))?;
        for line in sums.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [sum, size, name] = words[..] else { anyhow::bail!("expected `SHA256 SIZE NAME`: {line}") };
            let file = place.join(part).join(name);
            ensure!(std::fs::metadata(&file)?.len().to_string() == size, "{} is not {size} bytes", file.display());
            let output = std::process::Command::new("sha256sum").arg(&file).output()?;
            ensure!(output.stdout.starts_with(sum.as_bytes()), "{} was damaged on the way", file.display());
        }
    }
    Ok(())
}

/// Contract migrations run, the set is let go, and nothing leads back any more.
fn finalize(bench: &Bench) -> Result<()> {
    bench.seed("node-a")?;
    let package = bench.package("2.1.0");
    bench.rollup(&["upgrade", "--yes", "--pkg", &package, "--pause-before", "cutover"])?.expect(5)?;
    let before = bench.listings()?;
    bench.rollup(&["finalize", "--yes"])?.expect(3)?.expect_err("hint: ")?;
    bench.insist_untouched(&before)?;
    bench.rollup(&["resume"])?.expect(0)?;
    bench.insist_database(&["note", "remark"], &[])?;
    let holds = |node: &str| bench.lab.root_script(node, &format!("find {SETS} -name hold.json"));
    ensure!(holds("node-a")?.contains("hold.json"), "a finished upgrade holds its set until it is final");
    let traffic = bench.traffic()?;
    bench.rollup(&["finalize", "--yes"])?.expect(0)?;
    let report = traffic.stop()?;
    bench.insist_nothing_lost(&report)?;
    ensure!(report.failed == 0, "{} requests failed: {:?}", report.failed, report.errors);
    bench.insist_database(&["remark"], &["note"])?;
    let sets = bench.sets()?;
    ensure!(sets.iter().all(|row| row["held_by"].is_null()), "holds are left: {sets:?}");
    for node in NODES {
        let left = holds(node)?;
        ensure!(left.is_empty(), "{node}: {left}");
    }
    let before = bench.listings()?;
    bench.rollup(&["rollback", "--yes"])?.expect(2)?;
    bench.rollup(&BACK)?.expect(3)?;
    bench.rollup(&["finalize", "--yes"])?.expect(2)?;
    bench.insist_untouched(&before)?;
    bench.insist_pair("2.1.0", "node-b")
}
