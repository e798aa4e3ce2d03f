//! Two real PostgreSQL servers on this machine, and every script run against them.
//!
//! `cargo test -p gaussdb --features real-pair -- --test-threads 1`, as root. Each node is a mount namespace, so that both find their data
//! directory under the same path, as two machines would.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are not tests to the lint")]

mod apart;
mod archives;
mod client;
mod plans;
mod revert;
mod rig;
mod sizes;
mod way_back;

use rollup_engine::End;
use rollup_model::event::StopReason;
use rollup_remote::{Cmd, Stdin};

use self::{client::Client, rig::Rig};
use crate::{
    BackupRecord,
    engine::{Ending, Engine},
    postgresql::PostgreSql,
};

/// The promotion, told up to where to replay before it begins.
fn promote(at: crate::engine::At<'_>, ending: Ending) -> Cmd {
    PostgreSql.promote(at).stdin(Stdin::Bytes(PostgreSql.hand_over(ending).into()))
}

const UPGRADE: &str = "
node-b db.backup
original-primary db.migrate phase=expand
original-standby db.replayed
original-standby db.caught-up
original-primary db.checkpoint
original-standby db.switchover
original-primary db.replayed
";

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_moves_the_primary_there_and_back_and_loses_no_acknowledged_write_vip_4() {
    let rig = Rig::new();
    assert_eq!(rig.problems().await, [""; 0], "PRE-4");
    rig.sql("node-a", "create table orders (id serial primary key); create table probe (id int)");
    let release = plans::release(&[("1.0.0", "create table orders (id int)"), ("2.0.0", ADD_NOTE)]);

    let client = Client::start();
    let (end, report) = rig.run(UPGRADE, Some(release.clone())).await;
    assert!(matches!(end, End::Finished), "{report}");
    let (acknowledged, gap) = client.stop();
    println!("{}", rig.probe_text(rig.at("node-b")).await);
    println!("{report}\nwrite gap of the switchover: {gap} ms, {acknowledged} acknowledged writes");
    assert_eq!(rig.sql("node-b", "select count(*), pg_is_in_recovery() from probe"), format!("{acknowledged}|f"));
    assert_eq!(
        rig.sql("node-a", "select version, kind, run = '' from rollup_history.migrations order by version"),
        "1.0.0|baseline|f\n2.0.0|applied|f"
    );
    assert_eq!(rig.sql("node-b", "select tableowner from pg_tables where tablename = 'notes'"), "orders_owner");
    let set = rig.shell("node-b", "ls /tmp/rollup-pair/backup");
    let record: BackupRecord = rig.record("node-b", &set);
    assert!(record.data_bytes > 10_000_000 && record.end_lsn > record.start_lsn, "{record:?}");
    assert_eq!(rig.problems().await, [""; 0], "PRE-4 after the switchover");

    let (end, report) = rig.run("node-b db.switchover\nnode-a db.migrate phase=expand", Some(release)).await;
    assert!(matches!(end, End::Finished), "{report}");
    assert_eq!(report.matches("FoundDone").count(), 2, "{report}");

    let client = Client::start();
    let back = "node-b db.switchover primary=node-a";
    let (end, report) = rig.run(back, None).await;
    assert!(matches!(end, End::Finished), "{report}");
    let (acknowledged_back, gap) = client.stop();
    println!("write gap of the way back: {gap} ms, {acknowledged_back} acknowledged writes");
    let rows = acknowledged + acknowledged_back;
    assert_eq!(rig.sql("node-a", "select count(*), pg_is_in_recovery() from probe"), format!("{rows}|f"));
}

const ADD_NOTE: &str =
    "-- a comment\ncreate table notes (id int);\ninsert into notes values (1);\nselect 'C:\\dir' -- no end";

#[tokio::test(flavor = "multi_thread")]
async fn a_switchover_that_was_cut_off_goes_on_from_every_state_vip_4() {
    let rig = Rig::new();
    let over = "node-b db.switchover";
    let back = "node-a db.switchover";
    let (a, b) = (rig.at("node-a"), rig.at("node-b"));

    println!("cut after the demotion");
    rig.exec("node-a", &PostgreSql.demote(a, b.node)).await.unwrap();
    rig.finishes(over).await;
    rig.finishes(back).await;

    println!("cut after the demotion, and taken back");
    rig.exec("node-a", &PostgreSql.demote(a, b.node)).await.unwrap();
    rig.finishes(back).await;

    println!("cut after the promotion, and taken back");
    let ending = rig.demote("node-a", "node-b").await;
    rig.exec("node-b", &promote(b, ending)).await.unwrap();
    rig.finishes(back).await;

    println!("cut after the rejoin, and taken back at once");
    let ending = rig.demote("node-a", "node-b").await;
    rig.exec("node-b", &promote(b, ending)).await.unwrap();
    rig.exec("node-a", &PostgreSql.rejoin(a, b.node)).await.unwrap();
    rig.finishes(back).await;

    println!("cut after the demotion, and a restart of that machine");
    rig.exec("node-a", &PostgreSql.demote(a, b.node)).await.unwrap();
    rig.start("node-a");
    assert_eq!(rig.sql("node-a", "select pg_is_in_recovery()"), "t", "it must never come back as a writer");
    rig.finishes(over).await;
    rig.finishes(back).await;

    println!("the same, and then stopped");
    rig.exec("node-a", &PostgreSql.demote(a, b.node)).await.unwrap();
    rig.start("node-a");
    rig.shell("node-a", "runuser -u postgres -- pg_ctl -s -D /tmp/rollup-pair/data -m fast stop");
    rig.finishes(over).await;
    rig.finishes(back).await;

    println!("cut after the promotion");
    let ending = rig.demote("node-a", "node-b").await;
    rig.exec("node-b", &promote(b, ending)).await.unwrap();
    rig.exec("node-b", &promote(b, ending)).await.unwrap();
    rig.finishes(over).await;
    rig.finishes(back).await;

    println!("cut before the stop: the mark alone");
    rig.shell("node-a", "touch /tmp/rollup-pair/data/standby.signal");
    let problems = rig.problems().await;
    assert!(problems[0].contains("database.signal"), "{problems:?}");
    rig.finishes(back).await;
    assert_eq!(rig.problems().await, [""; 0]);

    println!("a unit that restarts by itself");
    let revived = rig.revive("node-a");
    rig.demote("node-a", "node-b").await;
    drop(revived);
    rig.finishes(over).await;
    rig.finishes(back).await;

    println!("every command twice");
    rig.exec("node-a", &PostgreSql.checkpoint(a)).await.unwrap();
    let ending = rig.demote("node-a", "node-b").await;
    assert_eq!(rig.demote("node-a", "node-b").await, ending);
    rig.exec("node-a", &PostgreSql.reinstate(a)).await.unwrap();
    rig.exec("node-a", &PostgreSql.reinstate(a)).await.unwrap();
    assert_eq!(rig.sql("node-a", "select pg_is_in_recovery()"), "f");
    rig.streams("node-b").await;
    rig.finishes(over).await;
    rig.exec("node-a", &PostgreSql.rejoin(a, b.node)).await.unwrap();
    rig.exec("node-a", &PostgreSql.rejoin(a, b.node)).await.unwrap();
    let refused = rig.exec("node-b", &PostgreSql.rejoin(b, a.node)).await;
    assert!(matches!(&refused, Err(error) if error.code() == Some(3)), "a primary is not demoted by a rejoin");
    rig.finishes(back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_last_of_the_log_nothing_is_promoted_and_the_old_primary_comes_back_vip_4() {
    let rig = Rig::new();
    let (a, b) = (rig.at("node-a"), rig.at("node-b"));
    rig.sql("node-a", "create table probe (id int)");
    // Receives, but does not replay: the position that counts is the standby's own.
    rig.sql("node-b", "select pg_wal_replay_pause()");
    rig.sql("node-a", "insert into probe select generate_series(1, 1000)");
    let (end, report) = rig.run("node-b db.switchover", None).await;
    assert!(matches!(end, End::Stopped(StopReason::Failed)), "{report}");
    assert!(report.contains("the roles were not changed and node-a is the primary again"), "{report}");
    assert_eq!(rig.sql("node-a", "select pg_is_in_recovery(), count(*) from probe"), "f|1000");
    rig.sql("node-b", "select pg_wal_replay_resume()");
    rig.streams("node-b").await;

    // A promotion that is asked for too much says so, and does nothing.
    let far = Ending::Shutdown("F/0".parse().unwrap());
    let error = rig.exec("node-b", &promote(b, far)).await.unwrap_err();
    println!("{:?}", PostgreSql.promotion(&error));
    assert_eq!(error.code(), Some(3));

    // Two writers: seen, said, and left alone.
    rig.sql("node-b", "select pg_promote()");
    rig.sql("node-a", "create table more (id int)");
    let (end, report) = rig.run("node-b db.switchover", None).await;
    assert!(matches!(end, End::Stopped(StopReason::Blocked)), "{report}");
    assert!(report.contains("expected one writer, found two"), "{report}");
    assert!(rig.problems().await.iter().any(|line| line.contains("exactly one primary")), "PRE-4");

    // A standby with nobody to send to it is no reason to stop the primary.
    let error = rig.exec("node-a", &PostgreSql.demote(a, b.node)).await.unwrap_err();
    assert_eq!(error.code(), Some(3));
    assert_eq!(rig.sql("node-a", "select pg_is_in_recovery()"), "f");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_changes_nothing_and_says_which_line_and_who_is_in_the_way_upg_2() {
    let rig = Rig::new();
    rig.sql("node-a", "create table orders (id serial primary key); alter table orders owner to orders_owner");
    let migrate = "node-a db.migrate phase=expand";

    let broken = "create table x (a int);\n\nupdate x set missing = 1;";
    let (_, report) = rig.run(migrate, Some(plans::release(&[("2.0.0", broken)]))).await;
    println!("{report}");
    assert!(report.contains("V2.0.0__x.sql:3: ERROR:  42703: column \"missing\""), "{report}");
    assert!(report.contains("nothing was changed by it"), "{report}");
    assert_eq!(rig.sql("node-a", "select to_regclass('x') is null, to_regclass('rollup_history.migrations')"), "t|");

    // Cut in the middle of the input, as a lost connection would: nothing is kept of it.
    let release = plans::release(&[("2.0.0", "create table x (a int)")]);
    let change =
        crate::engine::Change { migration: &release.migrations[0], kind: crate::AppliedKind::Applied, run: "r" };
    let mut cmd = crate::migrations::migrate(&PostgreSql, rig.at("node-a"), &change).remove(0);
    if let rollup_remote::Stdin::Bytes(bytes) = &mut cmd.stdin {
        bytes.truncate(bytes.len() - "COMMIT;\n".len());
    }
    let _ = rig.exec("node-a", &cmd).await;
    assert_eq!(rig.sql("node-a", "select to_regclass('x') is null"), "t");

    let blocker = rig.hold_lock("begin; lock table orders; select 'held', pg_sleep(60)");
    let (_, report) = rig.run(migrate, Some(plans::release(&[("2.0.0", "alter table orders add note text")]))).await;
    drop(blocker);
    println!("{report}");
    assert!(report.contains("55P03") && report.contains("held-by pid"), "{report}");
    assert!(report.contains("lock table orders"), "{report}");

    let (_, report) = rig.run(migrate, Some(plans::release(&[("2.0.0", "vacuum full orders")]))).await;
    assert!(report.contains("cannot run inside a transaction"), "{report}");
    let (end, report) = rig.run(migrate, Some(plans::release(&[("2.0.0", "create table x (a int)")]))).await;
    assert!(matches!(end, End::Finished), "{report}");
    let (_, report) = rig.run(migrate, Some(plans::release(&[("2.0.0", "create table changed (a int)")]))).await;
    assert!(report.contains("as it was applied"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_says_what_stands_in_the_way_pre_4() {
    let rig = Rig::new();
    let mut at = rig.at("node-a");
    let mut elsewhere = at.inventory.clone();
    elsewhere.database.name = "absent".to_owned();
    at.inventory = &elsewhere;
    let silent = rig.probe_text(at).await;
    assert!(silent.contains("database \"absent\" does not exist"), "{silent}");

    rig.shell("node-a", "psql -XAtq -h 127.0.0.1 -p 54399 -U postgres -d orders -c 'alter role replicator nologin'");
    let blocker = rig.hold_lock("begin; create table held (id int); lock table held; select pg_sleep(60)");
    let primary = rig.probe_text(rig.at("node-a")).await;
    drop(blocker);
    let facts = PostgreSql.parse(&primary).unwrap();
    assert!(matches!(facts.login_peer, Some(crate::Login::Fails(_))), "{primary}");
    assert!(facts.server.unwrap().oldest_transaction.is_some(), "{primary}");

    let standby = rig.probe_text(rig.at("node-b")).await;
    rig.shell("node-b", "runuser -u postgres -- pg_ctl -s -D /tmp/rollup-pair/data -m fast stop");
    let stopped = rig.probe_text(rig.at("node-b")).await;
    rig.shell("node-b", "rm -r /tmp/rollup-pair/data");
    let absent = rig.probe_text(rig.at("node-b")).await;
    for text in [silent, primary, standby, stopped, absent] {
        println!("{text}---");
        assert!(PostgreSql.parse(&text).is_ok());
    }
}
