//! `kill -9` on the way back and on the way there: `rollup resume` and `rollup rollback --backup` find a good end (RB-2).

use anyhow::{Result, ensure};

use crate::{
    bench::{Bench, Entry, When},
    way_back::BACK,
};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("way_back_restore_is_killed_five_times", When::Soak, |bench| {
        let lane = ["rollback", "--backup", "latest", "--lane", "restore", "--yes", "--accept-data-loss"];
        killed(bench, &lane, RESTORE).and_then(|()| bench.insist_database(&["ref"], &["note"]))
    }),
    Entry::new("way_back_keep_is_killed_five_times", When::Soak, |bench| {
        killed(bench, &BACK, KEEP).and_then(|()| bench.insist_database(&["ref", "note"], &[]))
    }),
    Entry::new("way_back_down_is_killed_in_the_schema", When::Soak, |bench| {
        let lane = ["rollback", "--backup", "latest", "--lane", "down", "--yes"];
        killed(bench, &lane, DOWN).and_then(|()| bench.insist_database(&["ref"], &["note"]))
    }),
    Entry::new("upgrade_killed_on_the_first_node_is_taken_back_by_its_set", When::Soak, |bench| {
        taken_back(bench, "service.install@node-b", 15)
    }),
    Entry::new("upgrade_killed_in_the_switchover_is_taken_back_by_its_set", When::Soak, |bench| {
        taken_back(bench, "db.switchover@node-b", 120)
    }),
    Entry::new("upgrade_killed_on_the_second_node_is_taken_back_by_its_set", When::Soak, |bench| {
        taken_back(bench, "service.start@node-a", 30)
    }),
];

/// Where a way back is killed, in the order in which it gets there: the step, and milliseconds after it was begun.
const RESTORE: &[(&str, u64)] = &[
    ("backup.files@node-a", 50),
    ("db.unpack@node-a", 200),
    ("backup.restore@node-b", 30),
    ("db.restore@node-a", 150),
    ("db.rebuild@node-b", 400),
];
const KEEP: &[(&str, u64)] = &[
    ("backup.seal", 20),
    ("backup.restore@node-a", 60),
    ("vip.move@node-a", 300),
    ("db.switchover@node-a", 120),
    ("service.start@node-b", 30),
];
const DOWN: &[(&str, u64)] = &[("db.switchover@node-a", 120), ("db.revert@node-a", 5)];

fn killed(bench: &Bench, words: &[&str], places: &[(&str, u64)]) -> Result<()> {
    bench.seed("node-a")?;
    let before = bench.portraits()?;
    bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?.expect(0)?;
    let traffic = bench.traffic()?;
    bench.killed_at(bench.start_run(words)?, places)?.expect(6)?;
    // What is lost is for others to count; here the clients only have to find a writer again.
    let report = traffic.stop()?;
    ensure!(report.acked_writes > 0, "the clients wrote nothing: {report:?}");
    if !words.contains(&"restore") {
        bench.insist_nothing_lost(&report)?;
    }
    bench.insist_pair("1.0.0", "node-a")?;
    bench.insist_portraits(&before)
}

fn taken_back(bench: &Bench, step: &str, millis: u64) -> Result<()> {
    bench.seed("node-a")?;
    let before = bench.portraits()?;
    let traffic = bench.traffic()?;
    bench.kill_upgrade_in(step, millis)?;
    bench.rollup(&BACK)?.expect(6)?;
    let report = traffic.stop()?;
    bench.insist_nothing_lost(&report)?;
    bench.insist_pair("1.0.0", "node-a")?;
    bench.insist_portraits(&before)?;
    bench.insist_database(&["ref"], &[])
}
