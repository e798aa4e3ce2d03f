//! Migrations that somebody is in the way of, and those that cannot be one transaction, on a real server.

use rollup_engine::End;
use rollup_model::event::StopReason;

use super::{
    client::Client,
    plans::{release, release_with_way_back},
    rig::Rig,
};
use crate::{AppliedKind, engine::Change, migrations, postgresql::PostgreSql};

const MIGRATE: &str = "node-a db.migrate phase=expand";
const STATEMENTS: &str = "select string_agg(number || ' ' || (finished is not null), ', ' order by number) \
                          from rollup_history.statements where version = '2.0.0'";
const KIND: &str = "select kind from rollup_history.migrations where version = '2.0.0'";
const INDEX: &str = "select indexrelid::bigint, indisvalid from pg_index where indexrelid = 'orders_note'::regclass";

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_migration_is_tried_again_and_writers_wait_no_longer_than_the_limit_upg_2() {
    let rig = Rig::new();
    rig.sql("node-a", "create table probe (a int); alter table probe owner to orders_owner");
    rig.sql("node-a", "create table orders (a int); alter table orders owner to orders_owner");
    let client = Client::start();
    // For twelve seconds; the limit for locks is one. The first statement keeps the writers waiting from its beginning on, so
    // the third has only what is left.
    let blocker = rig.hold_lock("begin; lock table orders; select 'held', pg_sleep(12)");
    let sql = "alter table probe add note text;\nselect pg_sleep(0.6);\nalter table orders add note text;";
    let (end, report) = rig.run(MIGRATE, Some(release(&[("2.0.0", sql)]))).await;
    let (acknowledged, gap) = client.stop();
    drop(blocker);
    println!("{report}\n{acknowledged} acknowledged, longest gap {gap} ms");
    assert!(matches!(end, End::Finished), "{report}");
    let tries: Vec<_> = report.lines().filter(|line| line.contains(" retried ")).collect();
    assert!(tries.len() >= 2, "{report}");
    assert!(tries.iter().all(|line| line.contains("V2.0.0__x.sql:3: ERROR:  55P03")), "{report}");
    assert!(report.contains("held-by pid") && report.contains("lock table orders"), "{report}");
    assert!(acknowledged > 20, "{acknowledged}");
    assert!((500..1_500).contains(&gap), "{gap} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_one_transaction_is_run_statement_by_statement_and_goes_on_where_it_broke_off_db_4() {
    let rig = Rig::new();
    rig.sql("node-a", "create table orders (a int); alter table orders owner to orders_owner");
    let sql =
        "alter table orders add note text;\ncreate index concurrently orders_note on orders (note);\nvacuum orders;";
    let package = release(&[("2.0.0", sql)]);
    let change = Change { migration: &package.migrations[0], kind: AppliedKind::Applied, run: "r" };
    let commands = migrations::migrate(&PostgreSql, rig.at("node-a"), &change);
    assert_eq!(commands.len(), 3);
    rig.exec("node-a", &commands[0]).await.unwrap();
    assert_eq!((rig.sql("node-a", KIND), rig.sql("node-a", STATEMENTS)), ("partial".to_owned(), "1 true".to_owned()));

    println!("the server loses the session in the middle of the index");
    let blocker =
        rig.hold_lock("begin isolation level repeatable read; create table held (a int); select pg_sleep(60)");
    let building = async { rig.exec("node-a", &commands[1]).await };
    let killing = async {
        let building = "select count(*) from pg_index where not indisvalid";
        while rig.sql("node-a", building) == "0" {
            tokio::task::yield_now().await;
        }
        rig.sql(
            "node-a",
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'rollup-alone'",
        );
    };
    let (lost, ()) = tokio::join!(building, killing);
    assert_ne!(lost.unwrap_err().code(), Some(3));
    drop(blocker);
    assert_eq!(rig.sql("node-a", STATEMENTS), "1 true, 2 false");
    let (half, _) = rig.sql("node-a", INDEX).split_once('|').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();

    let (end, report) = rig.run(MIGRATE, Some(package.clone())).await;
    println!("{report}");
    assert!(matches!(end, End::Finished), "{report}");
    assert!(report.contains("running V2.0.0__x.sql: statement 3 of 3"), "{report}");
    assert_eq!(
        (rig.sql("node-a", KIND), rig.sql("node-a", STATEMENTS)),
        ("applied".to_owned(), "1 true, 2 true, 3 true".to_owned())
    );
    let whole = rig.sql("node-a", INDEX);
    assert!(whole.ends_with("|t") && !whole.starts_with(&half), "{whole}");
    assert_eq!(rig.sql("node-a", "select tableowner from pg_tables where tablename = 'orders'"), "orders_owner");

    println!("built, but nobody heard of it");
    rig.sql("node-a", "update rollup_history.statements set finished = null where number = 2");
    rig.sql("node-a", "update rollup_history.migrations set kind = 'partial'");
    let (end, report) = rig.run(MIGRATE, Some(package.clone())).await;
    assert!(matches!(end, End::Finished), "{report}");
    assert_eq!((rig.sql("node-a", KIND), rig.sql("node-a", INDEX)), ("applied".to_owned(), whole));
    let (end, report) = rig.run(MIGRATE, Some(package)).await;
    assert!(matches!(end, End::Finished) && report.contains("FoundDone"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_stopped_half_way_says_where_and_can_be_taken_back_db_4() {
    let rig = Rig::new();
    rig.sql(
        "node-a",
        "create table orders (a int); alter table orders owner to orders_owner; insert into orders values (1), (1)",
    );
    let sql = "create table notes (a int);\n\ncreate unique index concurrently twice on orders (a);";
    let package =
        |sql: &str| release_with_way_back(&[("2.0.0", sql, Some("drop index if exists twice; drop table notes"))]);
    let (end, report) = rig.run(MIGRATE, Some(package(sql))).await;
    println!("{report}");
    assert!(matches!(end, End::Stopped(StopReason::Failed)), "{report}");
    assert!(report.contains("statement 2 of 2 of migration `V2.0.0__x.sql` failed"), "{report}");
    assert!(report.contains("V2.0.0__x.sql:3: ERROR:  23505"), "{report}");
    assert_eq!(rig.sql("node-a", KIND), "partial");

    // What was begun is not changed under way.
    let (_, report) = rig.run(MIGRATE, Some(package(&format!("{sql}\n")))).await;
    assert!(report.contains("as it was begun"), "{report}");

    println!("once the rows are gone that were in its way, it goes on, over the half of an index");
    rig.sql("node-a", "delete from orders");
    let (end, report) = rig.run(MIGRATE, Some(package(sql))).await;
    assert!(matches!(end, End::Finished), "{report}");

    println!("and back, from the half");
    rig.sql("node-a", "update rollup_history.migrations set kind = 'partial'");
    let run = rig.sql("node-a", "select run from rollup_history.migrations");
    let (end, report) = rig.run(&format!("node-a db.revert runs=[\"{run}\"]"), Some(package(sql))).await;
    assert!(matches!(end, End::Finished), "{report}");
    let left = "select to_regclass('notes') is null, to_regclass('twice') is null, \
                (select count(*) from rollup_history.migrations) + (select count(*) from rollup_history.statements)";
    assert_eq!(rig.sql("node-a", left), "t|t|0");

    println!("an index of somebody else that broke off is left alone");
    rig.sql("node-a", "insert into orders values (1), (1)");
    let other = "psql -XAtq -h 127.0.0.1 -p 54399 -U postgres -d orders -c 'create unique index concurrently twice on orders (a)'";
    rig.shell("node-a", &format!("! {other}"));
    let (end, report) = rig.run(MIGRATE, Some(package(sql))).await;
    println!("{report}");
    assert!(matches!(end, End::Stopped(StopReason::Failed)), "{report}");
    assert!(report.contains("drop index concurrently public.twice"), "{report}");
}
