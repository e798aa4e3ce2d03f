//! `kill -9` of the program in the middle of a step, then `rollup resume` and a good end (FAIL-3).

use anyhow::{Result, ensure};

use crate::bench::{Bench, Entry, Said, pause};

pub(crate) const SCENARIOS: &[Entry] = &[
    ("killed_in_the_backup", false, |bench| killed(bench, "backup.database@node-b", 100)),
    ("killed_in_the_migration", false, |bench| killed(bench, "db.migrate@node-a", 5)),
    ("killed_while_stopping_units", false, |bench| killed(bench, "service.stop@node-b", 30)),
    ("killed_while_replacing_files", false, |bench| killed(bench, "service.install@node-b", 15)),
    ("killed_while_the_vip_moves", false, |bench| killed(bench, "vip.move@node-b", 500)),
    ("killed_in_the_database_switchover", false, |bench| killed(bench, "db.switchover@node-b", 120)),
    ("killed_on_the_second_node", false, |bench| killed(bench, "service.start@node-a", 30)),
    ("killed_while_thawing_the_sync", false, |bench| killed(bench, "sync.thaw", 10)),
    ("killed_in_the_switchover_before_the_demotion", true, |bench| killed(bench, "db.switchover@node-b", 5)),
    ("killed_in_the_switchover_after_the_promotion", true, |bench| killed(bench, "db.switchover@node-b", 600)),
    ("killed_while_freezing_the_sync", true, |bench| killed(bench, "sync.freeze@node-a", 10)),
    ("killed_in_the_hook", true, |bench| killed(bench, "hook.post-install@node-b", 30)),
    ("killed_right_after_the_vip_was_raised", true, |bench| killed(bench, "vip.move@node-b", 30)),
    ("killed_every_two_seconds", true, again_and_again),
];

/// Kills the program `millis` after a step was begun.
fn killed(bench: &Bench, step: &str, millis: u64) -> Result<()> {
    let traffic = bench.traffic()?;
    let mut child = bench.start_upgrade("2.0.0")?;
    bench.wait_for("step-started", step, &mut child)?;
    pause(millis);
    child.kill()?;
    child.wait()?;
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
        pause(2000);
        if let Some(status) = child.try_wait()? {
            let said: Said = child.wait_with_output()?.into();
            ensure!(status.success(), "{}", said.err);
            crate::say(&format!("        finished in life {lives}"));
            break;
        }
        child.kill()?;
        child.wait()?;
        child = bench.command(&["resume"]).spawn()?;
    }
    let report = traffic.stop()?;
    bench.insist_nothing_lost(&report)?;
    bench.insist_upgraded("2.0.0")
}
