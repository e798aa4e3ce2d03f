//! `kill -9` of the program in the middle of a step, then `rollup resume` and a good end (FAIL-3).

use anyhow::{Result, ensure};

use crate::{
    bench::{Bench, Entry, Said, When, pause},
    writers::Writers,
};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("killed_at_five_places", When::Always, |bench| killed(bench, PLACES)),
    Entry::new("killed_in_the_backup", When::Soak, |bench| killed(bench, &[("backup.database@node-b", 100)])),
    Entry::new("killed_while_stopping_units", When::Soak, |bench| killed(bench, &[("service.stop@node-b", 30)])),
    Entry::new("killed_while_thawing_the_sync", When::Soak, |bench| killed(bench, &[("sync.thaw", 10)])),
    Entry::new("killed_in_the_switchover_before_the_demotion", When::Soak, |bench| {
        killed(bench, &[("db.switchover@node-b", 5)])
    }),
    Entry::new("killed_in_the_switchover_after_the_promotion", When::Soak, |bench| {
        killed(bench, &[("db.switchover@node-b", 600)])
    }),
    Entry::new("killed_while_freezing_the_sync", When::Soak, |bench| killed(bench, &[("sync.freeze@node-a", 10)])),
    Entry::new("killed_in_the_hook", When::Soak, |bench| killed(bench, &[("hook.post-install@node-b", 30)])),
    Entry::new("killed_right_after_the_vip_was_raised", When::Soak, |bench| killed(bench, &[("vip.move@node-b", 30)])),
    Entry::new("killed_every_nine_seconds", When::Soak, again_and_again),
];

/// Where an upgrade is killed, in the order in which it gets there: the step, and milliseconds after it was begun.
pub(crate) const PLACES: &[(&str, u64)] = &[
    ("db.migrate@node-a", 5),
    ("service.install@node-b", 15),
    ("vip.move@node-b", 500),
    ("db.switchover@node-b", 120),
    ("service.start@node-a", 30),
];

/// Kills the program at these places and goes on every time.
pub(crate) fn killed(bench: &Bench, places: &[(&str, u64)]) -> Result<()> {
    let (writers, traffic) = (Writers::watch(bench)?, bench.traffic()?);
    bench.killed_at(bench.start_upgrade("2.0.0")?, places)?.expect(0)?;
    let report = traffic.stop()?;
    crate::say(&format!(
        "        longest read gap {} ms, longest write gap {} ms, {} of {} failed",
        report.read_gap_ms, report.write_gap_ms, report.failed, report.requests
    ));
    bench.insist_nothing_lost(&report)?;
    writers.stop()?.insist_one()?;
    bench.insist_upgraded("2.0.0")
}

fn again_and_again(bench: &Bench) -> Result<()> {
    let traffic = bench.traffic()?;
    let mut child = bench.start_upgrade("2.0.0")?;
    bench.wait_for("step-started", "package.distribute@node-a", &mut child)?;
    for lives in 1.. {
        ensure!(lives < 60, "no end after {lives} lives");
        // A watch that is cut short begins anew, so that a busy machine, where it takes longer, is given more time.
        pause(9000 + 250 * lives);
        if let Some(status) = child.try_wait()? {
            let said: Said = child.wait_with_output()?.into();
            ensure!(status.success(), "{}", said.err);
            crate::say(&format!("        finished in life {lives}"));
            break;
        }
        child.kill()?;
        child.wait()?;
        // The end may have come just before the kill; then only the lock may be left.
        if bench.events().iter().any(|event| event["kind"] == "run-finished") {
            crate::say(&format!("        finished in life {lives}, killed after it"));
            break;
        }
        child = bench.command(&["resume"]).spawn()?;
    }
    let report = traffic.stop()?;
    bench.insist_nothing_lost(&report)?;
    bench.insist_upgraded("2.0.0")
}
