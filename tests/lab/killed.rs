//! `kill -9` of the program in the middle of a step, then `rollup resume` and a good end (FAIL-3).

use anyhow::{Result, ensure};

use crate::bench::{Bench, Entry, Said, When, pause};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("killed_in_the_backup", When::Always, |bench| killed(bench, "backup.database@node-b", 100)),
    Entry::new("killed_in_the_migration", When::Always, |bench| killed(bench, "db.migrate@node-a", 5)),
    Entry::new("killed_while_stopping_units", When::Soak, |bench| killed(bench, "service.stop@node-b", 30)),
    Entry::new("killed_while_replacing_files", When::Always, |bench| killed(bench, "service.install@node-b", 15)),
    Entry::new("killed_while_the_vip_moves", When::Always, |bench| killed(bench, "vip.move@node-b", 500)),
    Entry::new("killed_in_the_database_switchover", When::Always, |bench| killed(bench, "db.switchover@node-b", 120)),
    Entry::new("killed_on_the_second_node", When::Always, |bench| killed(bench, "service.start@node-a", 30)),
    Entry::new("killed_while_thawing_the_sync", When::Soak, |bench| killed(bench, "sync.thaw", 10)),
    Entry::new("killed_in_the_switchover_before_the_demotion", When::Soak, |bench| {
        killed(bench, "db.switchover@node-b", 5)
    }),
    Entry::new("killed_in_the_switchover_after_the_promotion", When::Soak, |bench| {
        killed(bench, "db.switchover@node-b", 600)
    }),
    Entry::new("killed_while_freezing_the_sync", When::Soak, |bench| killed(bench, "sync.freeze@node-a", 10)),
    Entry::new("killed_in_the_hook", When::Soak, |bench| killed(bench, "hook.post-install@node-b", 30)),
    Entry::new("killed_right_after_the_vip_was_raised", When::Soak, |bench| killed(bench, "vip.move@node-b", 30)),
    Entry::new("killed_every_nine_seconds", When::Soak, again_and_again),
];

/// Kills the program `millis` after a step was begun.
fn killed(bench: &Bench, step: &str, millis: u64) -> Result<()> {
    let traffic = bench.traffic()?;
    bench.kill_upgrade_in(step, millis)?;
    let finished = bench.events().iter().any(|event| event["kind"] == "step-finished" && event["step"] == step);
    bench.rollup(&["status"])?.expect(0)?;
    bench.rollup(&["resume"])?.expect(0)?;
    let report = traffic.stop()?;
    crate::say(&format!(
        "        {step} {}; longest read gap {} ms, longest write gap {} ms, {} of {} failed",
        if finished { "had just finished" } else { "was in doubt" },
        report.read_gap_ms,
        report.write_gap_ms,
        report.failed,
        report.requests
    ));
    bench.insist_nothing_lost(&report)?;
    bench.insist_upgraded("2.0.0")
}

fn again_and_again(bench: &Bench) -> Result<()> {
    let traffic = bench.traffic()?;
    let mut child = bench.start_upgrade("2.0.0")?;
    bench.wait_for("step-started", "package.distribute@node-a", &mut child)?;
    for lives in 1.. {
        ensure!(lives < 60, "no end after {lives} lives");
        // Longer than the longest step: a watch that is cut short begins anew.
        pause(9000);
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
