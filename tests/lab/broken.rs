//! Packages that do not work: the run stops, the original primary keeps serving, and the next command works (FAIL-1, FAIL-2).

use anyhow::{Result, ensure};

use crate::bench::{Bench, Entry, When};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("package_2_0_1_never_healthy_stops_and_is_taken_back", When::Always, |bench| {
        stops(bench, "2.0.1", "health.gate@node-b")
    }),
    Entry::new("package_2_0_2_crashes_on_start_stops_and_is_taken_back", When::Soak, |bench| {
        stops(bench, "2.0.2", "@node-b")
    }),
    Entry::new("package_2_0_3_failing_migration_stops_and_is_taken_back", When::Always, |bench| {
        stops(bench, "2.0.3", "db.migrate@node-a")
    }),
    Entry::new("package_2_0_4_starts_too_slowly_stops_and_is_taken_back", When::Soak, |bench| {
        stops(bench, "2.0.4", "health.gate@node-b")
    }),
];

fn stops(bench: &Bench, version: &str, step: &str) -> Result<()> {
    bench.seed("node-a")?;
    let before = bench.portraits()?;
    let traffic = bench.traffic()?;
    let said = bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package(version)])?.expect(4)?.expect_err(step)?;
    let status = bench.lab.status();
    let primary = &status.nodes[0];
    ensure!(
        primary.vip && primary.recovery == Some(false) && primary.version == "1.0.0",
        "node-a must serve: {status:?}"
    );
    let next = Bench::next_command(&said.err, "rollback")?;
    let mut words: Vec<&str> = next.iter().map(String::as_str).collect();
    words.push("--yes");
    bench.rollup(&words)?.expect(6)?;
    let report = traffic.stop()?;
    bench.insist_nothing_lost(&report)?;
    ensure!(report.failed == 0, "{} requests failed: {:?}", report.failed, report.errors);
    bench.insist_pair("1.0.0", "node-a")?;
    bench.insist_portraits(&before)?;
    bench.insist_database(&["ref"], &[])?;
    // And the pair is ready for a good package.
    bench.rollup(&["precheck", "--pkg", &bench.package("2.0.0")])?.expect(0)?;
    Ok(())
}
