//! Changes of roles that break in the middle, and standbys that are lost, on pairs that play openGauss and GaussDB
//! (VIP-4, DB-3, FAIL-1, FAIL-3).
//!
//! Clients write all along, and both servers are asked all along whether they write: no acknowledged write is lost, and no
//! two servers ever write at once. A run ends well, or stops with the words for it and goes on with `rollup resume`.

use anyhow::{Result, ensure};
use rollup_lab::{Engine, Traffic};

use crate::{
    bench::{Bench, Entry, Said, When},
    gauss::{fault, mend, patience},
    pair::NODES,
    shims::omm,
    writers::Writers,
};

pub(crate) const OPENGAUSS: &[Entry] = &[
    Entry::new("opengauss_switchover_that_dies_between_the_roles_ends_right_vip_4", When::Always, half)
        .on(Engine::Opengauss),
    Entry::new("opengauss_standby_lost_before_the_cutover_stops_with_words_fail_1", When::Always, lost_before)
        .on(Engine::Opengauss),
    Entry::new("opengauss_standby_lost_before_the_roles_change_leaves_the_writer_vip_4", When::Soak, lost_at_first)
        .on(Engine::Opengauss),
    Entry::new("opengauss_standby_lost_while_the_roles_change_ends_right_vip_4", When::Always, lost_in_between)
        .on(Engine::Opengauss),
    Entry::new("opengauss_commits_that_would_hang_are_found_before_anything_changes_pre_4", When::Always, hanging)
        .on(Engine::Opengauss),
    Entry::new("opengauss_migration_that_waits_for_a_stalled_standby_stops_and_goes_on_db_4", When::Soak, stalled)
        .on(Engine::Opengauss),
    Entry::new("opengauss_settings_of_commits_come_back_after_kills_db_2", When::Soak, relaxed).on(Engine::Opengauss),
];

pub(crate) const GAUSSDB: &[Entry] = &[
    Entry::new("gaussdb_switchover_that_dies_between_the_roles_stops_and_goes_on_vip_4", When::Soak, half)
        .on(Engine::Gaussdb),
    Entry::new("gaussdb_standby_lost_before_the_cutover_is_started_by_its_manager_fail_1", When::Soak, lost_before)
        .on(Engine::Gaussdb),
];

/// Who looks on while something breaks.
struct Audience {
    traffic: Traffic,
    writers: Writers,
}

impl Audience {
    fn start(bench: &Bench) -> Result<Self> {
        Ok(Self { writers: Writers::watch(bench)?, traffic: bench.traffic()? })
    }

    /// Insists that nothing was lost, and that two servers never wrote at once.
    fn insist_well(self, bench: &Bench) -> Result<()> {
        let (report, written) = (self.traffic.stop()?, self.writers.stop()?);
        crate::say(&format!(
            "        longest write gap {} ms, {} of {} requests failed, {} writes",
            report.write_gap_ms, report.failed, report.requests, report.acked_writes
        ));
        bench.insist_nothing_lost(&report)?;
        written.insist_one()
    }
}

/// The server of a node dies, as it would of a lack of memory. Nobody but a cluster manager starts it again.
fn lose(bench: &Bench, node: &str) -> Result<()> {
    let data = bench.lab.engine().data_directory();
    bench.lab.root_script(node, &format!("kill -9 $(cat {data}/gaussdb.keeper)")).map(drop)
}

/// Starts a server that was lost, as an operator does.
fn start(bench: &Bench, node: &str) -> Result<()> {
    omm(bench, node, "gs_ctl start -D $PGDATA -M standby -l /tmp/server.log")?.expect(0).map(drop)
}

/// Insists that commits of both servers wait for a standby as they did at first, and that nothing is kept for later.
fn insist_settings(bench: &Bench) -> Result<()> {
    for node in NODES {
        let shown = omm(bench, node, "gsql -X -q -A -t -d postgres -p 15400 -c 'show most_available_sync'")?;
        ensure!(shown.out.trim() == "off", "{node}: expected most_available_sync off, found {shown:?}");
        let left = bench.lab.root_script(node, "ls /var/lib/rollup")?;
        ensure!(!left.contains("database-relaxed"), "left on {node}: {left}");
    }
    Ok(())
}

/// The next primary dies when the old one is a standby already: nobody writes until it is started again.
fn half(bench: &Bench) -> Result<()> {
    bench.seed("node-a")?;
    let own = patience(bench)?;
    let audience = Audience::start(bench)?;
    fault(bench, "node-b", "switchover-half", "")?;
    let said = bench.rollup(&["-i", &own, "upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?;
    if bench.lab.engine() == Engine::Gaussdb {
        // Its manager starts the dead server and has the old primary write again, however often it is asked.
        let said = said.expect(4)?.expect_err("switchover incomplete")?;
        insist_next(&said)?;
        mend(bench, "node-b")?;
        bench.rollup(&["resume"])?.expect(0)?;
    } else {
        said.expect(0)?;
        mend(bench, "node-b")?;
    }
    audience.insist_well(bench)?;
    bench.insist_upgraded("2.0.0")?;
    bench.insist_database(&["ref", "note"], &[])?;
    insist_settings(bench)
}

/// What a stopped run says is what is to be typed.
fn insist_next(said: &Said) -> Result<()> {
    Bench::next_command(&said.err, "resume").map(drop)
}

/// The standby's server dies while its node is upgraded.
fn lost_before(bench: &Bench) -> Result<()> {
    let own = patience(bench)?;
    let audience = Audience::start(bench)?;
    let upgrade = ["-i", &own, "upgrade", "--yes", "--pkg", &bench.package("2.0.0")];
    let mut child = bench.start_run(&upgrade)?;
    bench.wait_for("step-started", "service.install@node-b", &mut child)?;
    lose(bench, "node-b")?;
    let said = Said::from(child.wait_with_output()?);
    if bench.lab.engine() == Engine::Gaussdb {
        // Its manager starts a dead server again, before anybody has to look.
        said.expect(0)?;
        audience.insist_well(bench)?;
        bench.insist_upgraded("2.0.0")?;
        return insist_settings(bench);
    }
    let said = said.expect(4)?;
    insist_next(&said)?;
    said.expect_err("an answer of the database on port 15400")?.expect_err("connection refused")?;
    let status = bench.lab.status();
    ensure!(status.nodes[0].vip && status.nodes[0].recovery == Some(false), "roles moved: {status:?}");
    start(bench, "node-b")?;
    bench.rollup(&["resume"])?.expect(0)?;
    audience.insist_well(bench)?;
    bench.insist_upgraded("2.0.0")?;
    insist_settings(bench)
}

/// The next primary's server dies before anything has changed: the old one writes on, and the run says what to start.
fn lost_at_first(bench: &Bench) -> Result<()> {
    let own = patience(bench)?;
    let audience = Audience::start(bench)?;
    let mut child = bench.start_run(&["-i", &own, "vip", "switch", "--yes"])?;
    bench.wait_for("step-started", "db.switchover@node-b", &mut child)?;
    lose(bench, "node-b")?;
    let said = Said::from(child.wait_with_output()?).expect(4)?;
    insist_next(&said)?;
    said.expect_err("a running standby")?.expect_err("gs_ctl start -D /opt/huawei/install/data/dn -M standby")?;
    ensure!(bench.lab.status().nodes[0].recovery == Some(false), "node-a should write still: {:?}", bench.lab.status());
    start(bench, "node-b")?;
    bench.rollup(&["resume"])?.expect(0)?;
    audience.insist_well(bench)?;
    bench.insist_pair("1.0.0", "node-b")?;
    insist_settings(bench)
}

/// It dies while the old primary stops: nobody writes, and the run itself starts it again and goes on.
fn lost_in_between(bench: &Bench) -> Result<()> {
    let own = patience(bench)?;
    let audience = Audience::start(bench)?;
    fault(bench, "node-a", "switchover-delay", "2")?;
    let child = bench.start_run(&["-i", &own, "vip", "switch", "--yes"])?;
    let state = format!("{}/gaussdb.state", bench.lab.engine().data_directory());
    bench
        .lab
        .root_script("node-a", &format!("timeout 60 sh -c 'until grep -q Demoting {state}; do sleep 0.02; done'"))?;
    lose(bench, "node-b")?;
    Said::from(child.wait_with_output()?).expect(0)?;
    mend(bench, "node-a")?;
    audience.insist_well(bench)?;
    bench.insist_pair("1.0.0", "node-b")?;
    insist_settings(bench)
}

/// The primary's commits wait for a standby that is down: before a run begins, and in its middle.
fn hanging(bench: &Bench) -> Result<()> {
    let own = patience(bench)?;
    let upgrade = ["-i", &own, "upgrade", "--yes", "--pkg", &bench.package("2.0.0")];
    let audience = Audience::start(bench)?;
    omm(bench, "node-b", "gs_ctl stop -D $PGDATA -m fast")?.expect(0)?;
    let before = bench.listings()?;
    let said = bench.rollup(&upgrade)?.expect(3)?;
    said.expect_err("no standby streams, and every commit waits for one")?.expect_err("most_available_sync=on")?;
    bench.insist_untouched(&before)?;
    start(bench, "node-b")?;

    let mut child = bench.start_run(&upgrade)?;
    bench.wait_for("step-started", "backup.verify", &mut child)?;
    lose(bench, "node-b")?;
    let said = Said::from(child.wait_with_output()?).expect(4)?;
    insist_next(&said)?;
    said.expect_err("no standby streams, and every commit waits for one")?;
    start(bench, "node-b")?;
    bench.rollup(&["resume"])?.expect(0)?;
    audience.insist_well(bench)?;
    bench.insist_upgraded("2.0.0")?;
    insist_settings(bench)
}

/// The standby receives nothing more and nobody has noticed: a migration waits in its commit until its limit.
fn stalled(bench: &Bench) -> Result<()> {
    bench.seed("node-a")?;
    let own = patience(bench)?;
    let audience = Audience::start(bench)?;
    let mut child = bench.start_run(&["-i", &own, "upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?;
    bench.wait_for("step-started", "sync.freeze@node-a", &mut child)?;
    bench.lab.root_script("node-b", "kill -STOP $(pgrep -f walreceiver)")?;
    let said = Said::from(child.wait_with_output()?);
    bench.lab.root_script("node-b", "kill -CONT $(pgrep -f walreceiver)")?;
    let said = said.expect(4)?.expect_err("db.migrate@node-a")?;
    insist_next(&said)?;
    bench.rollup(&["resume"])?.expect(0)?;
    audience.insist_well(bench)?;
    bench.insist_upgraded("2.0.0")?;
    bench.insist_database(&["ref", "note"], &[])?;
    insist_settings(bench)
}

/// A way back that lets commits go on is killed before, while and after it does.
fn relaxed(bench: &Bench) -> Result<()> {
    bench.seed("node-a")?;
    bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?.expect(0)?;
    let back = ["rollback", "--backup", "latest", "--lane", "restore", "--yes", "--accept-data-loss"];
    let places = [("db.relax@node-a", 20), ("db.rebuild@node-b", 400), ("db.tighten@node-a", 20)];
    bench.killed_at(bench.start_run(&back)?, &places)?.expect(6)?;
    bench.insist_pair("1.0.0", "node-a")?;
    bench.insist_database(&["ref"], &["note"])?;
    insist_settings(bench)
}
