//! How large tables are, asked of either node.

use rollup_remote::ReadOnly;

use super::rig::Rig;
use crate::table_sizes;

#[tokio::test(flavor = "multi_thread")]
async fn either_node_knows_the_size_of_every_table_db_5() {
    let rig = Rig::new();
    rig.sql(
        "node-a",
        "create table small (a int); create schema app; create table app.\"Odd name\" (a text);
         insert into app.\"Odd name\" select repeat('x', 100) from generate_series(1, 20000);
         create table parts (a int) partition by list (a); create table part_1 partition of parts for values in (1);
         insert into parts select 1 from generate_series(1, 20000); create temp table mine (a int)",
    );
    let written = rig.sql("node-a", "select pg_current_wal_lsn()");
    let replayed = format!("select pg_last_wal_replay_lsn() >= '{written}'");
    while rig.sql("node-b", &replayed) != "t" {}
    for node in ["node-a", "node-b"] {
        let host = ReadOnly::new(rig.hosts[&rig.at(node).node.name].as_ref());
        let sizes = table_sizes(host, rig.inventory, rig.at(node).node).await.unwrap();
        let names: Vec<_> = sizes.iter().map(|size| format!("{}.{}", size.schema, size.table)).collect();
        assert_eq!(names, ["app.Odd name", "public.part_1", "public.parts", "public.small"], "{node}");
        let bytes: Vec<_> = sizes.iter().map(|size| size.bytes).collect();
        assert!(bytes[0] > 2_000_000 && bytes[1] > 500_000 && bytes[2] == bytes[1] && bytes[3] == 0, "{bytes:?}");
    }
}
