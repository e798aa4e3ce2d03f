//! The stand-ins for openGauss and GaussDB: what they print, what they do, and how they mislead (DB-1).
//!
//! Nothing of the product runs here. What an engine of the product may rely on in a lab is what these scenarios prove.

use std::{
    io::Write,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rollup_lab::Engine;
use serde_json::Value;

use crate::{
    bench::{Bench, Entry, Said, When, pause},
    pair::NODES,
    shims_traps, trapped,
    writers::Writers,
};

pub(crate) const OPENGAUSS: &[Entry] = &[
    Entry::new("shims_of_opengauss_print_what_the_real_tools_print_db_1", When::Always, formats).on(Engine::Opengauss),
    Entry::new("shims_of_opengauss_switch_build_and_wait_for_real_db_3", When::Always, effects).on(Engine::Opengauss),
    Entry::new("shims_of_opengauss_mislead_as_the_real_tools_do_db_1", When::Always, traps).on(Engine::Opengauss),
    Entry::new("shims_of_opengauss_back_up_and_restore_for_real_db_2", When::Always, backups).on(Engine::Opengauss),
];

pub(crate) const GAUSSDB: &[Entry] =
    &[Entry::new("shims_of_gaussdb_have_a_manager_that_fights_and_misleads_db_1", When::Always, manager)
        .on(Engine::Gaussdb)];

/// How the shims' own process hears a script: as the owner of the server, with the product's environment, and with
/// nothing to read.
const AS_OMM: &str = "cd / && sudo -n -u omm bash -c 'cd; source /home/omm/gauss_env; eval \"$(cat)\" < /dev/null'";

/// Runs a script on a node as the owner of the server.
pub(crate) fn omm(bench: &Bench, node: &str, script: &str) -> Result<Said> {
    let mut command = bench.lab.ssh_command(node, [AS_OMM])?;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("expected a pipe")?.write_all(script.as_bytes())?;
    Ok(child.wait_with_output()?.into())
}

/// Polls a node until a script prints a text.
pub(crate) fn eventually(bench: &Bench, node: &str, script: &str, text: &str) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let said = omm(bench, node, script)?;
        if said.out.contains(text) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{node}: expected `{text}` of `{script}` within 30 s, found {said:?}");
        pause(150);
    }
}

/// Waits for the usual pair: this node the primary, the other one its standby in sync.
pub(crate) fn settled(bench: &Bench, primary: &str) -> Result<()> {
    for node in NODES {
        if node != primary {
            eventually(bench, node, ROLE, "Standby Normal")?;
        }
    }
    // Only a primary has a standby in sync.
    eventually(bench, primary, "gs_ctl query -D $PGDATA", "sync_state                     : Sync\n")
}

/// Role and state in one line, as the server itself says.
pub(crate) const ROLE: &str = "gsql -X -A -t -F ' ' -d postgres -p 15400 \
    -c 'select local_role, db_state from pg_stat_get_stream_replications()'";

/// A text without what differs from call to call: times, processes, positions, addresses, numbers, dots of patience.
/// Blanks and tabs stay.
fn shape(text: &str) -> String {
    let text = text.replace("db1", "node-a").replace("db2", "node-b").replace("appdb", "orders");
    let line = |line: &str| -> String {
        // `[2026-11-29 21:15:07.350][32][dn_6001_6002][gs_ctl]: ` → `[dn][gs_ctl]: `
        let bare = match line.split_once("][").filter(|(time, _)| time.starts_with("[20")) {
            Some((_, rest)) => format!("[{}", rest.split_once("][").map_or(rest, |(_, rest)| rest)),
            None => line.to_owned(),
        };
        let word = |word: &str| {
            let plain = word.trim_end_matches('.');
            let dots = if plain.len() < word.len() { "." } else { "" };
            // `gs_dump[port='15400'][orders][2026-11-29`
            if let Some((head, _)) = plain.split_once("][20") {
                return format!("{head}][#");
            }
            let varies = plain.contains(|letter: char| letter.is_ascii_digit()) && !plain.contains("][");
            format!("{}{dots}", if varies { "#" } else { plain })
        };
        bare.split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Insists that a tool printed what a fixture shows, but for what varies.
fn insist_shape(found: &str, fixture: &str) -> Result<()> {
    let (found_shape, expected) = (shape(found), shape(fixture));
    ensure!(
        found_shape == expected,
        "expected the shape of\n{fixture}\nfound\n{found}\n({expected:?}\n{found_shape:?})"
    );
    Ok(())
}

/// What was printed with each run of blanks, dashes and equal lines as one: tables whose width follows the names.
fn loose(text: &str) -> String {
    let one = |line: &str| {
        let dashes = line.len() > 10 && line.bytes().all(|byte| byte == b'-');
        if dashes { "-".to_owned() } else { line.split_whitespace().collect::<Vec<_>>().join(" ") }
    };
    text.lines().map(one).collect::<Vec<_>>().join("\n")
}

fn formats(bench: &Bench) -> Result<()> {
    settled(bench, "node-a")?;
    let on = |node: &str, code: i32, script: &str| omm(bench, node, script)?.expect(code);
    // `query` of a primary that nobody writes to: a location that is on its way would be shown as it is.
    let primary = on("node-a", 0, "gs_ctl query -D $PGDATA")?;
    insist_shape(&primary.out, include_str!("shims/query_primary.txt"))?;
    ensure!(primary.err.is_empty(), "the real tools keep their standard error in a file: {}", primary.err);
    insist_shape(&on("node-b", 0, "gs_ctl query -D $PGDATA")?.out, include_str!("shims/query_standby.txt"))?;
    insist_shape(
        &on("node-a", 0, "gs_om -t status --detail")?.out,
        include_str!("shims/gs_om_status_detail_normal.txt"),
    )?;
    insist_shape(
        &on("node-a", 0, "gs_ctl start -D $PGDATA -M primary")?.out,
        include_str!("shims/start_already_running_rc0.txt"),
    )?;
    insist_shape(
        &on("node-a", 0, "gs_ctl switchover -D $PGDATA")?.out,
        include_str!("shims/switchover_already_primary.txt"),
    )?;
    insist_shape(&on("node-b", 0, "gs_ctl stop -D $PGDATA -m fast")?.out, include_str!("shims/stop_ok.txt"))?;
    insist_shape(&on("node-b", 1, "gs_ctl query -D $PGDATA")?.out, include_str!("shims/query_down.txt"))?;
    insist_shape(&on("node-a", 0, "gs_ctl query -D $PGDATA")?.out, include_str!("shims/query_primary_alone.txt"))?;
    let down = on("node-a", 0, "gs_om -t status --detail")?.out;
    ensure!(down.contains("S Down    Manually stopped\n") && down.contains("cluster_state   : Degraded\n"), "{down}");
    insist_shape(
        &on("node-b", 0, "gs_ctl start -D $PGDATA -M standby -l /tmp/server.log")?.out,
        include_str!("shims/start_ok.txt"),
    )?;
    settled(bench, "node-a")?;
    insist_shape(&on("node-b", 0, "gs_ctl build -D $PGDATA -b full")?.out, include_str!("shims/build_full_ok.txt"))?;
    insist_shape(
        &on("node-b", 0, "gs_ctl querybuild -D $PGDATA")?.out,
        include_str!("shims/querybuild_completed.txt"),
    )?;
    settled(bench, "node-a")?;
    insist_shape(&on("node-b", 0, "gs_ctl switchover -D $PGDATA")?.out, include_str!("shims/switchover_ok.txt"))?;
    settled(bench, "node-b")?;
    on("node-a", 0, "gs_ctl switchover -D $PGDATA")?;
    settled(bench, "node-a")?;

    let dump = "gs_dump -f /tmp/orders.dump -F c -p 15400 orders";
    insist_shape(&on("node-a", 0, dump)?.out, include_str!("shims/gs_dump_ok_v6.txt"))?;
    insist_shape(&on("node-b", 1, dump)?.out, include_str!("shims/gs_dump_standby_rc1.txt"))?;
    let again = on("node-a", 1, "gs_restore -d orders -p 15400 /tmp/orders.dump")?;
    insist_shape(&again.out, include_str!("shims/gs_restore_with_errors_rc1.txt"))?;
    failures(bench)?;
    sql(bench)?;

    // As root, every tool refuses.
    for (tool, text) in [("gs_ctl query -D $PGDATA", "cannot be run as root"), ("gs_om -t status", "GAUSS-50105")] {
        let root = format!("source /home/omm/gauss_env; {tool} < /dev/null; echo rc $?");
        let said = bench.lab.root_script("node-a", &format!("bash <<'ROOT'\n{root}\nROOT"))?;
        ensure!(said.contains(text) && said.ends_with("rc 1\n"), "{tool}: {said}");
    }
    // Pure parts of the shims, where their own language is.
    let unit = "cd /opt/huawei/install/shim && python3 -m unittest -q gaussshim.selftest";
    on("node-a", 0, unit).map(drop)
}

/// What is printed when something fails.
fn failures(bench: &Bench) -> Result<()> {
    let fault = |script: &str| {
        bench.lab.root_script("node-b", &format!("mkdir -p /run/rollup-lab/gauss; cd /run/rollup-lab/gauss; {script}"))
    };
    fault("touch switchover-ignored")?;
    let late = omm(bench, "node-b", "gs_ctl switchover -D $PGDATA -t 1")?.expect(0)?;
    insist_shape(&late.out, include_str!("shims/switchover_timeout_v6.txt"))?;
    fault("rm switchover-ignored; echo connect > build-fails")?;
    let build = "gs_ctl stop -D $PGDATA > /dev/null; gs_ctl build -D $PGDATA -b full";
    let failed = omm(bench, "node-b", build)?.expect(1)?;
    insist_shape(&failed.out, include_str!("shims/build_full_failed.txt"))?;
    fault("rm build-fails")?;
    omm(bench, "node-b", "gs_ctl start -D $PGDATA -M standby")?.expect(0)?;
    settled(bench, "node-a")
}

/// What gsql understands, refuses, and says about locks.
fn sql(bench: &Bench) -> Result<()> {
    let gsql = |sql: &str| omm(bench, "node-a", &format!("gsql -X -q -A -t -d orders -p 15400 <<'SQL'\n{sql}\nSQL\n"));
    for (query, answer) in [
        ("select gs_deployment(), opengauss_version();", "OpenSourceCentralized|6.0.0"),
        ("show most_available_sync; show lockwait_timeout; show server_version;", "off\n20min\n9.2.4"),
        ("select pg_xlog_location_diff('0/20', '0/10'), pg_is_in_recovery();", "16|f"),
        ("select count(*) from pg_catalog.pg_stat_get_wal_senders() where peer_role != 'Secondary';", "1"),
        ("select setting, context from pg_settings where name = 'session_timeout';", "600|user"),
        ("select count(*) from pg_settings where name = 'lock_timeout';", "0"),
        ("set session_timeout = 0; select current_setting('session_timeout');", "0"),
        ("begin; set local lockwait_timeout = '7s'; show lockwait_timeout;", "7s"),
        ("select 'pg_lsn in a text', $$pg_promote()$$ -- pg_lsn\n;", "pg_lsn in a text|pg_promote()"),
    ] {
        let said = gsql(query)?.expect(0)?;
        ensure!(said.out.trim() == answer && said.err.is_empty(), "`{query}`: expected `{answer}`, found {said:?}");
    }
    for (query, error) in [
        ("set lock_timeout = 5;", "unrecognized configuration parameter \"lock_timeout\""),
        ("select pg_promote();", "function pg_promote() does not exist"),
        ("select pg_current_wal_lsn();", "function pg_current_wal_lsn() does not exist"),
        ("select '0/0'::pg_lsn;", "type \"pg_lsn\" does not exist"),
        ("select jsonb_build_object('a', 1);", "function jsonb_build_object(unknown, integer) does not exist"),
        ("insert into orders (ref, item) values ('x', 'y') on conflict do nothing;", "at or near \"conflict\""),
        ("select current_setting('nothing', true);", "function current_setting(unknown, boolean) does not exist"),
        ("select wait_event from pg_stat_activity;", "column \"wait_event\" does not exist"),
        ("select sent_lsn from pg_stat_replication;", "column \"sent_lsn\" does not exist"),
        ("select 1 \\gset", "invalid command \\gset"),
        ("\\if true", "invalid command \\if"),
        ("set role orders; set lockwait_timeout = 5;", "permission denied to set parameter \"lockwait_timeout\""),
    ] {
        let said = gsql(query)?;
        ensure!(said.err.contains(error), "`{query}`: expected `{error}`, found {said:?}");
    }
    // A lock that somebody else holds.
    let waits =
        "gsql -q -d orders -p 15400 -c 'begin; lock table orders; select pg_sleep(2)' > /tmp/holder 2>&1 & sleep 0.4
printf '\\n\\nset lockwait_timeout = 300;\\nalter table orders add column x text;\\n' > /tmp/step3.sql
gsql -X -q -v ON_ERROR_STOP=1 -d orders -p 15400 -f /tmp/step3.sql; code=$?; wait; exit $code";
    let said = omm(bench, "node-a", waits)?.expect(3)?;
    let (found, fixture) = (said.err.trim_end(), include_str!("shims/gsql_lock_timeout_stderr.txt").trim_end());
    let words = |text: &str| {
        let text = shape(text);
        text.split("statement <").next().map(|head| head.replace("#:", "")).unwrap_or_default()
    };
    ensure!(words(found) == words(fixture), "expected the shape of\n{fixture}\nfound\n{found}");
    ensure!(
        found.starts_with("gsql:/tmp/step3.sql:4: ERROR:  Lock wait timeout: ") && found.contains("hold lockmode"),
        "{found}"
    );
    ensure!(said.out.starts_with("total time: ") && said.out.ends_with("  ms\n"), "{said:?}");
    Ok(())
}

fn effects(bench: &Bench) -> Result<()> {
    settled(bench, "node-a")?;
    let on = |node: &str, code: i32, script: &str| omm(bench, node, script)?.expect(code);
    // There and back under traffic: nothing that was acknowledged is lost.
    let traffic = bench.traffic()?;
    for (next, last) in [("node-b", "node-a"), ("node-a", "node-b")] {
        let said = on(next, 0, "gs_ctl switchover -D $PGDATA -t 60")?;
        ensure!(said.out.contains("switchover completed ("), "{}", said.out);
        settled(bench, next)?;
        let status = bench.lab.status();
        let standby = status.nodes.iter().find(|node| node.name == last).context("two nodes")?;
        ensure!(standby.recovery == Some(true), "{last} should follow {next}: {status:?}");
    }
    let report = traffic.stop()?;
    bench.insist_nothing_lost(&report)?;
    crate::say(&format!("        two switchovers: write gap {} ms", report.write_gap_ms));

    // Commits wait for a standby that is stopped, until they need not.
    let write = "timeout 2 gsql -q -d orders -p 15400 -v ON_ERROR_STOP=1 \
        -c \"insert into orders (ref, item) values ('waits-' || random(), 'x')\"";
    on("node-b", 0, "gs_ctl stop -D $PGDATA -m fast")?;
    on("node-a", 124, write)?;
    on("node-a", 0, "gs_guc reload -D $PGDATA -c 'most_available_sync=on'")?;
    eventually(bench, "node-a", &format!("{write} && echo committed"), "committed")?;
    on("node-b", 0, "gs_ctl start -D $PGDATA -M standby")?;
    settled(bench, "node-a")?;
    on("node-a", 0, "gs_guc reload -D $PGDATA -c 'most_available_sync=off'")?;
    eventually(bench, "node-a", "gs_ctl query -D $PGDATA", "sync_most_available            : Off")?;

    // Without -M a server is nobody's standby: it takes writes of its own, and only a build brings it back.
    on("node-b", 0, "gs_ctl stop -D $PGDATA && gs_ctl start -D $PGDATA")?;
    eventually(bench, "node-b", ROLE, "Normal Normal")?;
    // The watch that other scenarios rely on sees two writers where there are two.
    let writers = Writers::watch(bench)?;
    pause(2_000);
    writers.stop()?.insist_two()?;
    insist_shape(&on("node-b", 0, "gs_ctl query -D $PGDATA")?.out, include_str!("shims/query_normal_mode.txt"))?;
    let own = "gsql -q -d orders -p 15400 -c 'create table stray as select 1 as x; select pg_switch_xlog()'";
    on("node-b", 0, own)?;
    let is_stray = "gsql -At -d orders -p 15400 -c \"select count(*) from pg_class where relname = 'stray'\"";
    ensure!(on("node-b", 0, is_stray)?.out.trim() == "1", "the stray server should have a table of its own");
    on("node-b", 0, "gs_ctl stop -D $PGDATA && gs_ctl start -D $PGDATA -M standby")?;
    eventually(bench, "node-b", ROLE, "Standby Need repair")?;
    let before = on("node-b", 0, "stat -c %i $PGDATA/PG_VERSION")?.out;
    let built = on("node-b", 0, "gs_ctl build -D $PGDATA -b full")?.out;
    ensure!(built.contains("full build build completed(") && built.contains("server started ("), "{built}");
    settled(bench, "node-a")?;
    ensure!(on("node-b", 0, "stat -c %i $PGDATA/PG_VERSION")?.out != before, "a build makes all files anew");
    ensure!(on("node-b", 0, is_stray)?.out.trim() == "0", "a build replaces everything");

    // A power cut of both: each comes back in the role that it had.
    on("node-b", 0, "gs_ctl switchover -D $PGDATA")?;
    settled(bench, "node-b")?;
    NODES.iter().try_for_each(|node| bench.lab.kill(node))?;
    NODES.iter().try_for_each(|node| bench.power_on(node))?;
    settled(bench, "node-b")
}

fn traps(bench: &Bench) -> Result<()> {
    settled(bench, "node-a")?;
    shims_traps::OPENGAUSS.iter().try_for_each(|trap| trapped::one(bench, trap))
}

fn backups(bench: &Bench) -> Result<()> {
    settled(bench, "node-a")?;
    let on = |node: &str, code: i32, script: &str| omm(bench, node, script)?.expect(code);
    let catalogue = "gs_probackup init -B /tmp/pb && gs_probackup add-instance -B /tmp/pb -D $PGDATA --instance dn";
    on("node-a", 0, catalogue)?;
    let taken = on("node-a", 0, "gs_probackup backup -B /tmp/pb --instance dn -b FULL -d postgres -p 15400")?;
    ensure!(taken.out.is_empty() && taken.err.contains("INFO: Backup start, gs_probackup version: 2.4.2"), "{taken:?}");
    let show = "gs_probackup show -B /tmp/pb --instance dn --format=json";
    let shown = on("node-a", 0, show)?;
    let new = shown.json()?;
    let record = &new["backup_info"][0]["backups"][0];
    ensure!(record["status"] == "OK", "{new}");
    let id = record["id"].as_str().context("expected an id")?.to_owned();
    // An id is as good as any other, and may have no digit.
    let fixture = include_str!("shims/probackup_show_json_v6.txt").replace("\"true\"", "\"false\"");
    insist_shape(&shown.out.replace(&id, "SDGQ2T"), &fixture)?;
    for version in ["5.0.0", "6.0.0-RC1"] {
        bench.lab.root_script(
            "node-a",
            &format!("mkdir -p /run/rollup-lab/gauss; echo {version} > /run/rollup-lab/gauss/version"),
        )?;
        let old: Value = on("node-a", 0, show)?.json()?;
        ensure!(old[0]["backups"][0]["id"] == id.as_str(), "{version}: expected the old layout, found {old}");
    }
    bench.lab.root_script("node-a", "rm /run/rollup-lab/gauss/version")?;

    // Damage is found; what is whole comes back.
    let validate = format!("gs_probackup validate -B /tmp/pb --instance dn -i {id}");
    let bad = format!("echo x >> /tmp/pb/backups/dn/{id}/database/PG_VERSION; {validate}");
    let said = on("node-a", 1, &bad)?;
    ensure!(said.err.contains("WARNING: Some backups are not valid"), "{said:?}");
    on("node-a", 0, &format!("truncate -s -2 /tmp/pb/backups/dn/{id}/database/PG_VERSION; {validate}"))?;
    let restore = format!("gs_probackup restore -B /tmp/pb --instance dn -D $PGDATA -i {id}");
    on("node-a", 1, &restore)?.expect_err("ERROR: Restore destination is not empty")?;
    on("node-a", 0, "gsql -q -d orders -p 15400 -c 'create table after_the_backup as select 1 as x'")?;
    on("node-b", 0, "gs_ctl stop -D $PGDATA")?;
    let back =
        format!("gs_ctl stop -D $PGDATA && mv $PGDATA $PGDATA.old && {restore} && gs_ctl start -D $PGDATA -M primary");
    on("node-a", 0, &back)?;
    on("node-b", 0, "gs_ctl build -D $PGDATA -b full")?;
    settled(bench, "node-a")?;
    let left = "gsql -At -d orders -p 15400 -c \"select count(*) from pg_class where relname = 'after_the_backup'\"";
    for node in NODES {
        ensure!(on(node, 0, left)?.out.trim() == "0", "{node} should be as it was when the backup was taken");
    }

    // The plain copy, from either node, and what it refuses.
    let copy = "gs_basebackup -D /tmp/copy -F p -X stream -c fast -p 15400";
    ensure!(on("node-b", 0, copy)?.out.ends_with("gs_basebackup: base backup successfully\n"), "the last line says so");
    ensure!(on("node-b", 1, copy)?.out.contains("directory \"/tmp/copy\" exists but is not empty"), "twice is refused");
    let tar = on("node-a", 1, "gs_basebackup -D /tmp/tar -F t -X stream -p 15400")?.out;
    ensure!(tar.contains("wal streaming can only be used in plain mode"), "{tar}");
    let dumped = "gs_dump -f /tmp/o.dump -F c -p 15400 orders > /dev/null && \
        gsql -q -p 15400 -d postgres -c 'create database copy' && gs_restore -d copy -p 15400 /tmp/o.dump && \
        gsql -At -p 15400 -d copy -c \"select count(*) from orders where ref = 'first'\"";
    let said = on("node-a", 0, dumped)?.out;
    ensure!(said.starts_with("restore operation successful\n") && said.ends_with("\n1\n"), "{said}");
    Ok(())
}

fn manager(bench: &Bench) -> Result<()> {
    settled(bench, "node-a")?;
    let on = |node: &str, code: i32, script: &str| omm(bench, node, script)?.expect(code);
    let normal = on("node-a", 0, "cm_ctl query -Cv")?.out;
    ensure!(
        loose(&normal)
            == loose(&include_str!("shims/cm_query_Cv_normal.txt").replace("db1", "node-a").replace("db2", "node-b")),
        "{normal}"
    );
    let version = on("node-a", 0, "gsql -At -d postgres -p 15400 -c 'select version(), gs_deployment()'")?.out;
    ensure!(
        version.starts_with("gaussdb (GaussDB Kernel 505.2.1.SPC0800 build ")
            && version.ends_with("|BusinessCentralized\n"),
        "{version}"
    );
    for process in ["om_monitor", "cm_agent"] {
        on("node-a", 0, &format!("pgrep -u omm -x {process}"))?;
    }

    // gs_ctl fights the agent; a flag of the manager does not.
    on("node-b", 0, "gs_ctl stop -D $PGDATA")?;
    settled(bench, "node-a")?;
    let stopped = on("node-a", 0, "cm_ctl stop -n 2 -D $PGDATA")?.out;
    ensure!(stopped.contains("cm_ctl: stop instance successfully. \n"), "{stopped}");
    pause(2_500);
    on("node-b", 3, "test -e $GAUSSHOME/bin/instance_manual_start_6002 && gs_ctl status -D $PGDATA")?;
    let down = on("node-b", 0, "cm_ctl query -Cv")?.out;
    ensure!(down.contains("6002     S Down Manually stopped") && down.contains("cluster_state   : Degraded"), "{down}");
    on("node-b", 0, "cm_ctl start -n 2 -D $PGDATA")?;
    settled(bench, "node-a")?;

    let traffic = bench.traffic()?;
    let switched = on("node-a", 0, "cm_ctl switchover -n 2 -D $PGDATA")?.out;
    insist_shape(&switched, include_str!("shims/cm_switchover_ok.txt"))?;
    settled(bench, "node-b")?;
    bench.insist_nothing_lost(&traffic.stop()?)?;
    ensure!(
        on("node-a", 0, "cm_ctl query -Cv")?.out.contains("balanced        : No"),
        "the roles are not the configured ones"
    );
    on("node-a", 0, "cm_ctl switchover -n 1 -D $PGDATA")?;
    settled(bench, "node-a")?;
    let built = on("node-a", 0, "cm_ctl build -n 2 -D $PGDATA -b full")?.out;
    ensure!(built.ends_with("cm_ctl: build successfully.\n"), "{built}");
    settled(bench, "node-a")?;

    on("node-a", 0, "cm_ctl pause")?;
    on("node-b", 0, "gs_ctl stop -D $PGDATA")?;
    pause(2_500);
    on("node-b", 3, "gs_ctl status -D $PGDATA")?;
    on("node-a", 0, "cm_ctl resume")?;
    settled(bench, "node-a")?;
    shims_traps::GAUSSDB.iter().try_for_each(|trap| trapped::one(bench, trap))?;

    // Without its processes the manager answers nobody, and the servers go on.
    let manager_is = |verb: &str| -> Result<()> {
        let script = format!("systemctl {verb} gaussdb-cm.service");
        NODES.iter().try_for_each(|node| bench.lab.root_script(node, &script).map(drop))
    };
    manager_is("stop")?;
    on("node-a", 1, "pgrep -u omm -x 'om_monitor|cm_agent'")?;
    let silent = on("node-a", 255, "cm_ctl query -Cv")?.out;
    insist_shape(&silent, include_str!("shims/cm_unreachable_rc255.txt"))?;
    settled(bench, "node-a")?;
    manager_is("start")?;
    eventually(bench, "node-a", "cm_ctl query -Cv", "cluster_state   : Normal")?;

    // The primary is stopped by hand: the standby is elected. A power cut changes no roles.
    on("node-a", 0, "cm_ctl stop -n 1 -D $PGDATA")?;
    eventually(bench, "node-b", ROLE, "Primary Normal")?;
    on("node-b", 0, "cm_ctl start -n 1 -D $PGDATA")?;
    eventually(bench, "node-a", ROLE, "Standby")?;
    on("node-a", 0, "cm_ctl build -n 1 -D $PGDATA -b full")?;
    settled(bench, "node-b")?;
    NODES.iter().try_for_each(|node| bench.lab.kill(node))?;
    NODES.iter().try_for_each(|node| bench.power_on(node))?;
    settled(bench, "node-b")
}
