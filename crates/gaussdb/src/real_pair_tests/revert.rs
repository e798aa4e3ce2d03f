//! Schema changes taken back on a real server.

use rollup_engine::End;
use rollup_model::event::StopReason;

use super::{plans::release_with_way_back, rig::Rig};
use crate::{engine::Reversal, migrations, postgresql::PostgreSql};

const HISTORY: &str = "select string_agg(name, ' ' order by started) from rollup_history.migrations";

#[tokio::test(flavor = "multi_thread")]
async fn schema_changes_are_taken_back_newest_first_and_once_rb_2() {
    let rig = Rig::new();
    let release = release_with_way_back(&[
        ("1.0.0", "create table orders (id int)", None),
        ("2.0.0", "create table notes (id int); insert into notes values (7)", Some("drop table notes")),
        ("3.0.0", "create view v as select id from notes", Some("-- first\n\ndrop view v")),
    ]);
    let first = release_with_way_back(&[("1.0.0", "create table orders (id int)", None)]);
    rig.sql("node-a", "create table orders (id int)");
    let migrate = "node-a db.migrate phase=expand";
    let (end, report) = rig.run(migrate, Some(first)).await;
    assert!(matches!(end, End::Finished), "{report}");
    let (end, report) = rig.run(migrate, Some(release.clone())).await;
    assert!(matches!(end, End::Finished), "{report}");
    assert_eq!(rig.sql("node-a", HISTORY), "V1.0.0__x.sql V2.0.0__x.sql V3.0.0__x.sql");
    let run = rig.sql("node-a", "select distinct run from rollup_history.migrations where kind = 'applied'");
    let revert = format!("runs=[\"{run}\",\"an-unknown-run\"]");

    // Only where it can be written.
    let (end, report) = rig.run(&format!("node-b db.revert {revert}"), Some(release.clone())).await;
    assert!(matches!(end, End::Stopped(StopReason::Blocked)), "{report}");
    assert!(report.contains("the database's primary, to change its schema there"), "{report}");

    println!("somebody is in the way");
    let blocker = rig.hold_lock("begin; lock table notes; select 'held', pg_sleep(60)");
    let (_, report) = rig.run(&format!("node-a db.revert {revert}"), Some(release.clone())).await;
    drop(blocker);
    println!("{report}");
    assert!(report.contains("migration `U2.0.0__x.sql` failed, nothing was changed by it"), "{report}");
    assert!(report.contains("55P03") && report.contains("held-by pid"), "{report}");
    // The newer one is gone, whole and with its row.
    assert_eq!(rig.sql("node-a", HISTORY), "V1.0.0__x.sql V2.0.0__x.sql");

    while rig.sql("node-a", "select count(*) from pg_locks where mode = 'AccessExclusiveLock'") != "0" {}

    println!("the rest, then once more");
    let (end, report) = rig.run(&format!("node-a db.revert {revert}"), Some(release.clone())).await;
    assert!(matches!(end, End::Finished), "{report}");
    assert_eq!(rig.sql("node-a", "select to_regclass('notes') is null, to_regclass('v') is null"), "t|t");
    assert_eq!(rig.sql("node-a", HISTORY), "V1.0.0__x.sql");
    let (end, report) = rig.run(&format!("node-a db.revert {revert}"), Some(release.clone())).await;
    assert!(matches!(end, End::Finished) && report.contains("FoundDone"), "{report}");

    println!("forward again, and back with a first answer that was lost");
    let (end, report) = rig.run(migrate, Some(release.clone())).await;
    assert!(matches!(end, End::Finished), "{report}");
    let facts = rig.facts_of("node-a").await;
    let history = facts.history.unwrap();
    let row = history.last().unwrap();
    let reversal = Reversal { row, down: release.migrations[2].down.as_ref().unwrap() };
    let cmd = migrations::revert(&PostgreSql, rig.at("node-a"), &reversal);
    rig.exec("node-a", &cmd).await.unwrap();
    rig.exec("node-a", &cmd).await.unwrap();
    assert_eq!(rig.sql("node-a", HISTORY), "V1.0.0__x.sql V2.0.0__x.sql");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversal_that_cannot_be_whole_is_not_begun_rb_2() {
    let rig = Rig::new();
    let applied = |down: Option<&str>| release_with_way_back(&[("2.0.0", "create table notes (id int)", down)]);
    let (end, report) = rig.run("node-a db.migrate phase=expand", Some(applied(None))).await;
    assert!(matches!(end, End::Finished), "{report}");
    let run = rig.sql("node-a", "select run from rollup_history.migrations");
    let step = format!("node-a db.revert runs=[\"{run}\"]");
    for (down, expected) in [
        (None, "expected a file U2.0.0__….sql in orders 2.0.0 that takes `V2.0.0__x.sql` back"),
        (Some("drop table notes;\n\\! id"), "`\\\\!` at U2.0.0__x.sql:2"),
        (Some("drop table notes;\ncommit"), "`COMMIT` at U2.0.0__x.sql:2"),
    ] {
        let (end, report) = rig.run(&step, Some(applied(down))).await;
        assert!(matches!(end, End::Stopped(StopReason::Blocked)), "{report}");
        assert!(report.contains(expected) || report.contains(&expected.replace("\\\\", "\\")), "{report}");
    }
    let (_, report) = rig.run(&step, None).await;
    assert!(report.contains("found a plan without a package"), "{report}");
    let broken = "drop table notes;\n\nalter table missing drop column a;";
    let (end, report) = rig.run(&step, Some(applied(Some(broken)))).await;
    println!("{report}");
    assert!(matches!(end, End::Stopped(StopReason::Failed)), "{report}");
    assert!(report.contains("U2.0.0__x.sql:3: ERROR:  42P01: relation \"missing\""), "{report}");
    assert_eq!(
        rig.sql("node-a", "select to_regclass('notes') is null, count(*) from rollup_history.migrations"),
        "f|1"
    );
}
