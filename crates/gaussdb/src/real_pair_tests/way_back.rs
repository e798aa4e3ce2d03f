//! The way back to a backup on two real servers, and every place where it can be cut.

use rollup_engine::End;
use rollup_model::{compile::Identity, event::StopReason};

use super::{client::Client, plans::identity, rig::Rig};
use crate::{engine::Archives, postgresql::PostgreSql, price};

const SUM: &str = "select count(*), md5(string_agg(id::text || note, ',' order by id)) from orders";
const DATA: &str = "/tmp/rollup-pair/data";

/// A pair with rows, a backup of exactly these taken on node-b, and rows after it. Returns the set and the sum of its
/// rows.
async fn backed_up(rig: &Rig) -> (String, String) {
    rig.sql("node-a", "create table orders as select id, md5(id::text) note from generate_series(1, 20000) id");
    rig.sql("node-a", "create table probe (id int)");
    replayed(rig).await;
    let sum = rig.sql("node-a", SUM);
    let set = rig.back_up("node-b").await;
    rig.sql(
        "node-a",
        "insert into orders select id, 'lost' from generate_series(20001, 30000) id; create table lost ()",
    );
    replayed(rig).await;
    (set, sum)
}

async fn replayed(rig: &Rig) {
    rig.finishes("node-b db.replayed").await;
}

fn places(rig: &Rig, node: &str) -> String {
    rig.shell(node, "cd /tmp/rollup-pair; ls -d data* | tr '\\n' ' '")
}

/// Both servers hold exactly the rows of the backup, `primary` writes, the other one streams, nothing is left over.
async fn insist_back(rig: &Rig, run: &Identity, primary: &str, standby: &str, sum: &str) {
    rig.done(run, &format!("{standby} db.discard\n{primary} db.discard")).await;
    assert_eq!((places(rig, primary), places(rig, standby)), ("data".to_owned(), "data".to_owned()));
    assert_eq!(rig.shell(primary, "ls /tmp/rollup-pair/data | grep -c -E 'rollup|backup_|signal' || true"), "0");
    assert_eq!(rig.sql(primary, "select pg_is_in_recovery(), to_regclass('lost') is null"), "f|t");
    rig.sql(primary, "insert into probe values (1)");
    rig.finishes(&format!("{standby} db.replayed")).await;
    assert_eq!((rig.sql(primary, SUM), rig.sql(standby, SUM)), (sum.to_owned(), sum.to_owned()));
    assert_eq!(rig.sql(standby, "select pg_is_in_recovery(), count(*) > 0 from probe"), "t|t");
}

fn steps(primary: &str, standby: &str, set: &str) -> String {
    format!(
        "{primary} db.unpack set={set}\n{standby} db.halt\n{primary} db.restore set={set}\n\
         {standby} db.rebuild primary={primary}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pair_comes_back_to_exactly_the_rows_of_the_backup_rb_1() {
    let rig = Rig::new();
    // What belongs to a node stays there, wherever the backup comes from.
    rig.sql("node-a", "alter system set work_mem = '5MB'");
    rig.sql("node-b", "alter system set work_mem = '6MB'");
    let (set, sum) = backed_up(&rig).await;
    let facts = [rig.facts_of("node-a").await, rig.facts_of("node-b").await];
    let price = price(&rig.record("node-b", &set), &facts, jiff::Timestamp::now());
    println!("{price:?}");
    assert!(price.wal_bytes.unwrap() > 100_000 && price.transactions.unwrap() >= 1, "{price:?}");
    assert!(price.last_commit.unwrap() > price.since && price.minutes == 1, "{price:?}");

    println!("on the node where it was taken");
    let run = identity("there");
    let client = Client::start();
    let report = rig.done(&run, &format!("node-b db.unpack set={set}")).await;
    // Nobody was interrupted by that, and the pair still serves.
    println!("{report}");
    assert!(client.stop().0 > 0);
    assert_eq!(rig.sql("node-a", "select pg_is_in_recovery()"), "f");
    let report = rig.done(&run, &steps("node-b", "node-a", &set)).await;
    println!("{report}");
    assert_eq!(report.matches("FoundDone").count(), 1, "what was unpacked is not unpacked again: {report}");
    assert_eq!(rig.problems().await, [""; 0], "PRE-4 in the middle");
    assert_eq!(places(&rig, "node-b"), "data data.rollup-old");
    // The same run again finds everything done.
    let report = rig.done(&run, &format!("node-b db.restore set={set}\nnode-a db.rebuild primary=node-b")).await;
    assert_eq!(report.matches("FoundDone").count(), 2, "{report}");
    insist_back(&rig, &run, "node-b", "node-a", &sum).await;
    assert_eq!(rig.sql("node-b", "show work_mem") + &rig.sql("node-a", "show work_mem"), "6MB5MB");
    assert_eq!(rig.facts_of("node-b").await.control.unwrap().timeline, 2);

    println!("and brought to the other one");
    rig.finishes("node-a db.switchover").await;
    rig.sql("node-a", "create table lost ()");
    rig.shell("node-b", "cp -a /tmp/rollup-pair/backup /tmp/rollup-pair-servers/node-a/");
    let run = identity("elsewhere");
    rig.done(&run, &steps("node-a", "node-b", &set)).await;
    insist_back(&rig, &run, "node-a", "node-b", &sum).await;
    assert_eq!(rig.sql("node-b", "show work_mem") + &rig.sql("node-a", "show work_mem"), "6MB5MB");
    // A timeline of its own: the one of the switchover is another history.
    assert_eq!(rig.facts_of("node-a").await.server.unwrap().timeline, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_that_was_cut_anywhere_is_finished_by_the_same_steps_rb_2() {
    let rig = Rig::new();
    let (set, sum) = backed_up(&rig).await;
    rig.shell("node-b", "cp -a /tmp/rollup-pair/backup /tmp/rollup-pair-servers/node-a/");
    let stop = format!("runuser -u postgres -- pg_ctl -s -D {DATA} -m fast stop");
    let (aside, into) = (format!("mv {DATA} {DATA}.rollup-old"), format!("mv {DATA}.rollup-new {DATA}"));
    let crash = format!(
        "pid=$(head -n 1 {DATA}/postmaster.pid); kill -9 $pid; while [ -e /proc/$pid ]; do sleep 0.01; done; sleep 0.5"
    );
    let mark = format!("touch {DATA}/standby.signal");
    // What is done to the server, and to the directories.
    let cuts = [
        ("the mark alone", "true", mark.clone()),
        ("stopped", stop.as_str(), mark.clone()),
        ("between the renames", &stop, format!("{mark}; {aside}")),
        ("after the renames", &stop, format!("{mark}; {aside}; {into}")),
        ("crashed, and between the renames", &crash, aside),
    ];
    // There and back again: each round restores on the node that is the standby by then.
    let (mut primary, mut standby) = ("node-b", "node-a");
    for (number, (name, server, directories)) in cuts.iter().enumerate() {
        println!("restore: {name}");
        let run = identity(&format!("cut{number}"));
        rig.sql(standby, "create table if not exists lost ()");
        rig.done(&run, &format!("{primary} db.unpack set={set}\n{standby} db.halt")).await;
        assert_eq!(rig.exec(standby, &PostgreSql.halt(rig.at(standby))).await.unwrap().stdout, "", "twice");
        rig.shell(primary, &format!("{server}; {directories}"));
        rig.done(&run, &format!("{primary} db.restore set={set}")).await;
        println!("rebuild: {name}");
        // The same places on the other node: made anew, cut, and finished.
        let source = rig.at(primary).node;
        let rebuild = PostgreSql.rebuild(rig.at(standby), source, run.run.as_str(), 0);
        let early = rebuild.argv[2].replace("echo \"putting the copy in place\"", "exit 0");
        let mut copied = rebuild.clone();
        copied.argv[2] = early;
        rig.exec(standby, &copied).await.unwrap();
        assert!(places(&rig, standby).contains("data.rollup-new"));
        rig.shell(standby, directories);
        rig.done(&run, &format!("{standby} db.rebuild primary={primary}")).await;
        insist_back(&rig, &run, primary, standby, &sum).await;
        (primary, standby) = (standby, primary);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_over_one_that_was_broken_off_keeps_what_was_there_first_rb_4() {
    let rig = Rig::new();
    let (set, sum) = backed_up(&rig).await;
    rig.shell("node-b", "touch /tmp/rollup-pair/data/first");
    let broken = identity("broken");
    rig.done(&broken, &format!("node-b db.unpack set={set}\nnode-a db.halt\nnode-b db.restore set={set}")).await;
    rig.sql("node-b", "create table lost ()");
    let again = identity("again");
    // Killed while what was unpacked runs for the first time.
    let mut child = rig.spawn("node-b", &PostgreSql.unpack(rig.at("node-b"), &set, "killed", 0));
    rig.shell("node-b", &format!("until [ -e {DATA}.rollup-new.partial/postmaster.pid ]; do sleep 0.01; done"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(places(&rig, "node-b"), "data data.rollup-new.partial data.rollup-old");
    rig.done(&again, &steps("node-b", "node-a", &set)).await;
    assert_eq!(places(&rig, "node-b"), "data data.rollup-old data.rollup-spent");
    assert_eq!(rig.shell("node-b", "ls /tmp/rollup-pair/data*/first"), "/tmp/rollup-pair/data.rollup-old/first");
    insist_back(&rig, &again, "node-b", "node-a", &sum).await;

    // What nobody knows is never put aside again.
    rig.shell("node-b", "install -d /tmp/rollup-pair/data.rollup-old");
    let (end, report) = rig.run(&format!("node-b db.unpack set={set}"), None).await;
    assert!(matches!(end, End::Stopped(StopReason::Blocked)), "{report}");
    assert!(report.contains("found /tmp/rollup-pair/data.rollup-old"), "{report}");
    assert!(rig.problems().await[0].contains("database.leftovers"));
    let error = rig.exec("node-b", &PostgreSql.unpack(rig.at("node-b"), &set, "r", 0)).await.unwrap_err();
    assert_eq!(error.code(), Some(3), "{error}");
    // Nor removed while the server is down.
    rig.shell("node-b", &format!("runuser -u postgres -- pg_ctl -s -D {DATA} -m fast stop"));
    let (_, report) = rig.run("node-b db.discard", None).await;
    assert!(report.contains("a server that answers, before /tmp/rollup-pair/data.rollup-old goes"), "{report}");
    let error = rig.exec("node-b", &PostgreSql.discard(rig.at("node-b"))).await.unwrap_err();
    assert_eq!(error.code(), Some(3), "{error}");
    rig.start("node-b");
    rig.streams("node-a").await;
    rig.finishes("node-b db.discard").await;
    // A disk of its own cannot be renamed.
    rig.shell("node-b", &format!("mount --bind {DATA} {DATA}"));
    let (end, report) = rig.run(&format!("node-b db.unpack set={set}"), None).await;
    assert!(matches!(end, End::Stopped(StopReason::Blocked)) && report.contains("found a mount point"), "{report}");
    rig.shell("node-b", &format!("umount {DATA}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_never_a_second_writer_rb_1() {
    let rig = Rig::new();
    let (set, _) = backed_up(&rig).await;
    let run = identity("writer");
    rig.done(&run, &format!("node-b db.unpack set={set}")).await;
    let refused = async |expected: &str| {
        let (end, report) = rig.run_as(&run, &format!("node-b db.restore set={set}"), None).await;
        assert!(matches!(end, End::Stopped(StopReason::Blocked)) && report.contains(expected), "{report}");
        assert!(rig.facts_of("node-b").await.server.is_some() && places(&rig, "node-b") == "data data.rollup-new");
    };
    refused("node-a database.primary: expected no server that may write beside node-b, found a primary").await;
    // Stopped is not enough: the next boot would bring it up as a writer.
    rig.shell("node-a", &format!("runuser -u postgres -- pg_ctl -s -D {DATA} -m fast stop"));
    refused("`shut down` (unit inactive), which would come up as a primary").await;
    rig.done(&run, "node-a db.halt").await;
    rig.start("node-a");
    assert_eq!(rig.sql("node-a", "select pg_is_in_recovery()"), "t", "a halted server never comes up as a writer");
    rig.done(&run, "node-a db.halt").await;

    // Back up in the part it played; and never beside another primary.
    rig.done(&run, "node-a db.start role=primary").await;
    assert_eq!(rig.sql("node-a", "select pg_is_in_recovery()"), "f");
    rig.streams("node-b").await;
    rig.done(&run, "node-b db.halt\nnode-b db.start role=standby").await;
    rig.streams("node-b").await;
    rig.done(&run, &format!("node-a db.halt\nnode-b db.restore set={set}")).await;
    let (end, report) = rig.run_as(&run, "node-a db.start role=primary", None).await;
    assert!(matches!(end, End::Stopped(StopReason::Blocked)), "{report}");
    // A primary is not made a standby by force.
    rig.shell("node-a", &format!("rm {DATA}/standby.signal"));
    rig.start("node-a");
    let (end, report) = rig.run_as(&run, "node-a db.rebuild primary=node-b", None).await;
    assert!(matches!(end, End::Stopped(StopReason::Blocked)), "{report}");
    assert!(report.contains("node-a database.primary: expected no server that may write beside node-b"), "{report}");
    // Not what another run has unpacked.
    rig.done(&run, "node-a db.halt").await;
    let (_, report) = rig.run(&format!("node-b db.restore set={set}"), None).await;
    assert!(report.contains("unpacked in /tmp/rollup-pair/data.rollup-new for this run"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_standby_finds_its_slot_and_is_made_once_more_when_it_cannot_follow_rb_2() {
    let rig = Rig::new();
    // The slot is the node's own setting; a restored primary does not have it.
    rig.sql("node-a", "alter system set primary_slot_name = 'node_a'");
    let (set, sum) = backed_up(&rig).await;
    let run = identity("slot");
    rig.done(&run, &steps("node-b", "node-a", &set)).await;
    assert_eq!(rig.sql("node-b", "select slot_name, active from pg_replication_slots"), "node_a|t");

    // The log that a stopped standby needs is gone.
    rig.shell("node-a", &format!("runuser -u postgres -- pg_ctl -s -D {DATA} -m fast stop"));
    rig.sql("node-b", "select pg_drop_replication_slot('node_a')");
    rig.sql("node-b", "alter system set wal_keep_size = 0");
    rig.sql("node-b", "select pg_reload_conf()");
    rig.sql("node-b", "create table filler as select repeat(id::text, 1000) from generate_series(1, 20000) id");
    for _ in 0..4 {
        rig.sql("node-b", "select pg_switch_wal()");
        rig.sql("node-b", "checkpoint");
    }
    let report = rig.done(&run, "node-a db.rebuild primary=node-b").await;
    println!("{report}");
    assert_eq!(rig.sql("node-b", "select slot_name, active from pg_replication_slots"), "node_a|t");
    rig.done(&run, "node-a db.replayed\nnode-a db.discard\nnode-b db.discard").await;
    assert_eq!((rig.sql("node-a", SUM), rig.sql("node-b", SUM)), (sum.clone(), sum));
    assert_eq!((places(&rig, "node-a"), places(&rig, "node-b")), ("data".to_owned(), "data".to_owned()));
}
