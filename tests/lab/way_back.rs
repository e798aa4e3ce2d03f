//! The way back to a backup set in each lane, with clients writing through the VIP all along (RB-1, RB-2, RB-4).

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use rollup_lab::{AcknowledgedWrite, Fate, TrafficReport};

use crate::{
    bench::{Bench, Entry, Said, When, pause},
    secrets::Watch,
};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("way_back_keep_loses_nothing_tells_no_secret_and_is_itself_taken_back", When::Always, keep),
    Entry::new("way_back_down_takes_the_schema_back_and_loses_nothing", When::Always, down),
    Entry::new("way_back_restore_loses_exactly_what_came_after_the_backup", When::Always, restore),
    Entry::new("way_back_of_one_node_after_the_first_failed", When::Always, first_node),
    Entry::new("way_back_of_one_node_after_the_second_failed", When::Soak, second_node),
];

pub(crate) const BACK: [&str; 4] = ["rollback", "--backup", "latest", "--yes"];

fn upgrade(bench: &Bench) -> Result<Said> {
    bench.rollup(&["-vv", "upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?.expect(0)
}

fn tell(lane: &str, report: &TrafficReport) {
    crate::say(&format!(
        "        {lane}: longest read gap {} ms, longest write gap {} ms, {} of {} failed, {} writes, {:?} lost",
        report.read_gap_ms,
        report.write_gap_ms,
        report.failed,
        report.requests,
        report.acked_writes,
        report.lost_writes
    ));
}

/// Rolling, node by node: the new column stays. The present state was kept first, so there is a way back from it, too.
pub(crate) fn keep(bench: &Bench) -> Result<()> {
    bench.seed("node-a")?;
    let before = bench.portraits()?;
    let watch = Watch::start(bench)?;
    let traffic = bench.traffic()?;
    let there = upgrade(bench)?;
    let upgraded = bench.portraits()?;
    let back = bench.rollup(&["-vv", "rollback", "--backup", "latest", "--lane", "keep", "--yes"])?.expect(6)?;
    bench.insist_pair("1.0.0", "node-a")?;
    bench.insist_portraits(&before)?;
    bench.insist_database(&["ref", "note"], &[])?;
    let safety = bench.newest_set("safety")?;
    let again = bench.rollup(&["-vv", "rollback", "--backup", &safety, "--yes"])?.expect(6)?;
    let report = traffic.stop()?;
    tell("keep", &report);
    bench.insist_nothing_lost(&report)?;
    bench.insist_pair("2.0.0", "node-b")?;
    bench.insist_portraits(&upgraded)?;
    watch.insist_nothing_told(&[&there, &back, &again])
}

/// Rolling, and then the package's own way back of the schema.
pub(crate) fn down(bench: &Bench) -> Result<()> {
    bench.seed("node-a")?;
    let before = bench.portraits()?;
    let traffic = bench.traffic()?;
    upgrade(bench)?;
    bench.rollup(&["rollback", "--backup", "latest", "--lane", "down", "--yes"])?.expect(6)?;
    let report = traffic.stop()?;
    tell("down", &report);
    bench.insist_nothing_lost(&report)?;
    bench.insist_pair("1.0.0", "node-a")?;
    bench.insist_portraits(&before)?;
    bench.insist_database(&["ref"], &["note"])?;
    // The history went back with the schema: the same package migrates again.
    upgrade(bench)?;
    bench.insist_database(&["ref", "note"], &[])
}

/// The database as it was: the price is announced, and it is paid to the letter.
pub(crate) fn restore(bench: &Bench) -> Result<()> {
    bench.seed("node-a")?;
    let before = bench.portraits()?;
    let traffic = bench.traffic()?;
    upgrade(bench)?;
    let taken = (moment(bench, "step-started", "backup.database")?, moment(bench, "step-finished", "backup.database")?);
    // Without the word for it nothing is lost.
    let words = ["rollback", "--backup", "latest", "--lane", "restore"];
    bench.rollup(&[&words[..], &["--yes"]].concat())?.expect(2)?;
    let announced_at = Timestamp::now();
    let shown = bench.rollup(&[&words[..], &["--dry-run"]].concat())?.expect(0)?;
    let transactions = announced_transactions(&shown)?;
    bench.rollup(&[&words[..], &["--yes", "--accept-data-loss"]].concat())?.expect(6)?;
    let replaced = bench.moment("step-started", "db.restore@node-a")?;
    let served = bench.moment("step-started", "service.start@node-a")?;
    // A few writes on the new history, which must all be there.
    pause(1500);
    let report = traffic.stop()?;
    tell("restore", &report);
    let writes = report.acknowledged()?;
    insist_fate(&writes, Fate::Kept, "before the backup", |at| at < taken.0)?;
    insist_fate(&writes, Fate::Lost, "after the backup", |at| at > taken.1 && at < replaced)?;
    insist_fate(&writes, Fate::Kept, "after the way back", |at| at > served)?;
    let lost = writes.iter().filter(|write| write.fate == Fate::Lost && write.at <= announced_at).count();
    ensure!(lost as u64 <= transactions, "announced were {transactions} transactions, lost were {lost} writes");
    bench.insist_pair("1.0.0", "node-a")?;
    bench.insist_portraits(&before)?;
    bench.insist_database(&["ref"], &["note"])?;
    let data = bench.lab.engine().data_directory();
    for node in crate::pair::NODES {
        let left = bench.lab.root_script(node, &format!("ls -d {data}*"))?;
        ensure!(left.trim() == data, "left on {node}: {left}");
    }
    Ok(())
}

/// A step's moment on whichever node it ran.
fn moment(bench: &Bench, kind: &str, step: &str) -> Result<Timestamp> {
    bench.moment(kind, &format!("{step}@node-b")).or_else(|_| bench.moment(kind, &format!("{step}@node-a")))
}

fn announced_transactions(said: &Said) -> Result<u64> {
    let text = format!("{}\n{}", said.out, said.err);
    let line = text.lines().find(|line| line.trim_start().starts_with("transactions"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.with_context(|| format!("expected a line with the lost transactions in:\n{text}"))
}

fn insist_fate(writes: &[AcknowledgedWrite], fate: Fate, what: &str, when: impl Fn(Timestamp) -> bool) -> Result<()> {
    let chosen: Vec<_> = writes.iter().filter(|write| when(write.at)).collect();
    ensure!(!chosen.is_empty(), "the clients wrote nothing {what}, so nothing is proven");
    let wrong: Vec<_> = chosen.iter().filter(|write| write.fate != fate).take(5).collect();
    ensure!(
        wrong.is_empty(),
        "{what} every write must be {fate:?}; {} were written, wrong are {wrong:?}",
        chosen.len()
    );
    Ok(())
}

/// The only node that is not as in the set is the way back of the whole pair: roles and config sync included.
fn first_node(bench: &Bench) -> Result<()> {
    let before = bench.portraits()?;
    let traffic = bench.traffic()?;
    bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.1")])?.expect(4)?;
    bench.rollup(&[&BACK[..], &["--node", "node-b"]].concat())?.expect(6)?;
    let report = traffic.stop()?;
    bench.insist_nothing_lost(&report)?;
    ensure!(report.failed == 0, "{} requests failed: {:?}", report.failed, report.errors);
    bench.insist_pair("1.0.0", "node-a")?;
    bench.insist_portraits(&before)
}

/// `od` works for everybody but the hook that makes the new root key.
const NO_OD_FOR_THE_HOOK: &str = r#"
cp /usr/bin/od /root/od.real
printf '#!/bin/sh\ngrep -qa regenerate-root-key /proc/$PPID/cmdline && exit 1\nexec /root/od.real "$@"\n' > /root/od.fake
chmod 0755 /root/od.fake
mount --bind /root/od.fake /usr/bin/od
"#;

/// The hook that makes the new root key has no `od` on the second node. That node goes back alone while the other one
/// serves on with the new version, and then the pair.
fn second_node(bench: &Bench) -> Result<()> {
    let before = bench.portraits()?;
    bench.lab.root_script("node-a", NO_OD_FOR_THE_HOOK)?;
    let traffic = bench.traffic()?;
    let said = bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?.expect(4)?;
    said.expect_err("hook.post-install@node-a")?;
    bench.lab.root_script("node-a", "umount /usr/bin/od")?;
    let set = bench.newest_set("upgrade")?;
    let words = ["rollback", "--backup", &set, "--yes"];
    let serving = bench.portrait("node-b")?;
    ensure!(serving.contains("version 2.0.0"), "node-b must have been upgraded: {serving}");
    bench.rollup(&[&words[..], &["--node", "node-b"]].concat())?.expect(3)?.expect_err("the VIP is on it")?;
    bench.rollup(&[&words[..], &["--node", "node-a"]].concat())?.expect(6)?;
    bench.insist_portrait("node-b", &serving)?;
    let but_for_the_sync = |portrait: &str| -> Vec<String> {
        portrait.lines().filter(|line| !line.contains("config-sync.timer")).map(str::to_owned).collect()
    };
    let (old, now) = (but_for_the_sync(&before[0]), but_for_the_sync(&bench.portrait("node-a")?));
    ensure!(old == now, "node-a is not back:\n{}\nbut\n{}", old.join("\n"), now.join("\n"));
    let status = bench.lab.status();
    ensure!(status.problems.is_empty(), "the lab has problems: {:?}", status.problems);
    ensure!(status.nodes[1].vip && status.nodes[1].recovery == Some(false), "roles moved: {status:?}");
    bench.rollup(&words)?.expect(6)?;
    let report = traffic.stop()?;
    bench.insist_nothing_lost(&report)?;
    bench.insist_pair("1.0.0", "node-a")?;
    bench.insist_portraits(&before)
}
