//! Schema changes under traffic: somebody in their way, and one that cannot be a transaction.

use std::process::Child;

use anyhow::{Result, ensure};
use rollup_lab::Engine;

use crate::bench::{Bench, Entry, Said, When, pause};

pub(crate) const SCENARIOS: &[Entry] =
    &[Entry::new("migration_that_is_blocked_waits_and_passes", When::Alone, blocked)];

pub(crate) const OPENGAUSS: &[Entry] =
    &[Entry::new("opengauss_migration_that_is_blocked_waits_and_passes", When::Always, blocked).on(Engine::Opengauss)];

/// The inventory's limit for locks, in milliseconds.
const LOCK_TIMEOUT: u64 = 3_000;

/// A session on the primary that stays in one transaction after its statement, until it is ended.
fn open_transaction(bench: &Bench, node: &str, statement: &str) -> Result<()> {
    let psql = bench.lab.engine().psql();
    let script = format!(
        "cat > /run/nightly.sql <<'SQL'\nbegin isolation level repeatable read;\n{statement};\nselect pg_sleep(300);\nSQL\n\
         chmod 644 /run/nightly.sql\n\
         systemd-run --quiet --collect --setenv=PGAPPNAME=nightly-report bash -c '{psql} -qXAt -d orders -f /run/nightly.sql'"
    );
    bench.lab.root_script(node, &script).map(drop)
}

fn end_transaction(bench: &Bench, node: &str) -> Result<()> {
    let ended = bench.sql(
        node,
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'nightly-report'",
    )?;
    ensure!(ended == "1", "expected one session to end, found {ended}");
    Ok(())
}

fn end(child: Child) -> Result<Said> {
    Ok(child.wait_with_output()?.into())
}

/// A transaction that has read the table stays open, as a forgotten session does. Each try gives up after the limit, so that
/// no writer waits longer; the tries are seen, and who is in the way is named; when that one leaves, the run goes on.
///
/// Then an index is built beside the clients, and the operator's machine dies meanwhile.
fn blocked(bench: &Bench) -> Result<()> {
    let traffic = bench.full_traffic()?;
    let mut child = bench.start_upgrade("2.0.0")?;
    bench.wait_for("step-started", "sync.freeze@node-b", &mut child)?;
    open_transaction(bench, "node-a", "select count(*) from orders")?;
    while bench.events().iter().filter(|event| event["kind"] == "step-retried").count() < 2 {
        ensure!(child.try_wait()?.is_none(), "the upgrade ended before its second try");
        pause(100);
    }
    end_transaction(bench, "node-a")?;
    let said = end(child)?.expect(0)?;
    let report = traffic.stop()?;
    let retries: Vec<_> = said.err.lines().filter(|line| line.contains("retry db.migrate@node-a")).collect();
    crate::say(&format!(
        "        {} tries, longest write gap {} ms with a limit of {LOCK_TIMEOUT}, {} of {} requests failed",
        retries.len() + 1,
        report.write_gap_ms,
        report.failed,
        report.requests
    ));
    ensure!(retries.len() >= 2, "expected two failed tries at least:\n{}", said.err);
    ensure!(retries.iter().all(|line| line.contains("again in")), "expected the pause of each in {retries:?}");
    let named = said.err.lines().find(|line| line.contains("held-by pid"));
    ensure!(named.is_some_and(|line| line.contains("nightly-report")), "expected who is in the way:\n{}", said.err);
    // A moment for the statement itself, and for a client to be served.
    ensure!((LOCK_TIMEOUT / 2..LOCK_TIMEOUT + 700).contains(&report.write_gap_ms), "{report:?}");
    bench.insist_nothing_lost(&report)?;
    bench.insist_upgraded("2.0.0")?;

    // What takes long is held against the tables as they are.
    let said = bench.rollup(&["--json", "db", "lint", "--sizes", &bench.package("2.0.3")])?.expect(0)?;
    ensure!(said.json()?["files"].is_array(), "{}", said.out);

    // The build waits for whoever has an older look at the table; nobody waits for the build.
    let traffic = bench.full_traffic()?;
    let mut child = bench.start_upgrade("2.1.0")?;
    bench.wait_for("step-started", "sync.freeze@node-a", &mut child)?;
    open_transaction(bench, "node-b", "select 1")?;
    bench.wait_for("step-started", "db.migrate@node-b", &mut child)?;
    let building = "select count(*) from pg_index where not indisvalid";
    while bench.sql("node-b", building)? == "0" {
        ensure!(child.try_wait()?.is_none(), "the upgrade ended before its index was built");
        pause(100);
    }
    child.kill()?;
    child.wait()?;
    end_transaction(bench, "node-b")?;
    bench.rollup(&["resume"])?.expect(0)?;
    let report = traffic.stop()?;
    let row = "select kind from rollup_history.migrations where version = '2.1.2'";
    let index = "select indisvalid from pg_index where indexrelid = 'orders_item'::regclass";
    for node in ["node-a", "node-b"] {
        let found = (bench.sql(node, row)?, bench.sql(node, index)?);
        ensure!(found == ("applied".to_owned(), "t".to_owned()), "{node}: {found:?}");
    }
    crate::say(&format!("        longest write gap while an index was built {} ms", report.write_gap_ms));
    bench.insist_nothing_lost(&report)?;
    bench.insist_pair("2.1.0", "node-a")
}
