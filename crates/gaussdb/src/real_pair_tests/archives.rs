//! Backups of real servers: what is in them, what is left of one that failed, and what a drill finds.

use rollup_engine::End;
use rollup_remote::RemoteError;

use super::{client::Client, plans::identity, rig::Rig};
use crate::{
    DrillRecord,
    engine::{Archives, Engine},
    postgresql::PostgreSql,
};

const BACKUPS: &str = "/tmp/rollup-pair/backup";

/// Everything of a set that must be true whatever it was taken from.
fn insist_whole(rig: &Rig, node: &str, set: &str) {
    let sums = "cd $(ls -d /tmp/rollup-pair/backup/*/database); \
        while read -r sum size name; do [ \"$(stat -c '%s %a' $name)\" = \"$size 600\" ]; echo \"$sum  $name\"; done < sums \
        | sha256sum --check --quiet --strict; ls | tr '\\n' ' '; stat -c %a . ..";
    let sums = sums.replace("/*/", &format!("/{set}/"));
    assert_eq!(rig.shell(node, &sums), "base.tar.zst record.json sums 700\n711", "bak_1");
}

fn slots(rig: &Rig, node: &str) -> String {
    rig.sql(node, "select count(*) from pg_replication_slots where slot_name like 'rollup%'")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_load_leads_back_and_a_drill_disturbs_nobody_bak_4() {
    let rig = Rig::new();
    rig.sql("node-a", "create table probe (id int); create table orders as select generate_series(1, 100000) id");
    let client = Client::start();
    let before = rig.facts_of("node-a").await.server.unwrap();
    let set = rig.back_up("node-b").await;
    let after = rig.facts_of("node-a").await.server.unwrap();
    insist_whole(&rig, "node-b", &set);
    let record = rig.record("node-b", &set);
    assert_eq!(Some(record.system_identifier.as_str()), rig.facts_of("node-b").await.system_identifier());
    assert!(record.data_bytes > record.bytes && record.bytes > 1_000_000, "{record:?}");
    assert!(
        record.next_xid <= after.next_xid.unwrap() && record.next_xid + 50 >= before.next_xid.unwrap(),
        "{record:?}"
    );
    let commit = record.last_commit.expect("a standby tells when what it has replayed was committed");
    assert!(commit <= record.taken_at, "{record:?}");

    let drill = format!("node-b db.drill set={set}");
    let (end, report) = rig.run(&drill, None).await;
    println!("{report}");
    assert!(matches!(end, End::Finished), "{report}");
    let proven: DrillRecord =
        serde_json::from_str(&rig.shell("node-b", &format!("cat {BACKUPS}/{set}/drill-db-*.json"))).unwrap();
    assert_eq!((proven.tables, proven.databases, proven.node.as_str()), (2, 3, "node-b"));
    assert!(proven.version.starts_with("15."), "{proven:?}");
    assert!(rig.facts_of("node-b").await.is_streaming_standby());
    // One that was killed is cleared up by the next.
    let at = rig.at("node-b");
    let cmd = PostgreSql.drill(at, &set, "killed", record.data_bytes);
    let mut child = rig.spawn("node-b", &cmd);
    let scratch = format!("{BACKUPS}/{set}/drill-db.partial");
    rig.shell("node-b", &format!("until [ -e {scratch}/postmaster.pid ]; do sleep 0.01; done"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(rig.shell("node-b", &format!("ls {scratch}")).contains("rollup-private"));
    rig.exec("node-b", &cmd).await.unwrap();
    assert_eq!(rig.shell("node-b", &format!("ls -d {BACKUPS}/{set}/*partial || true")), "");
    assert_eq!(rig.shell("node-b", "pgrep -c -f '[d]rill-db.partial' || true"), "0");
    let text = rig.exec("node-b", &PostgreSql.drill_look(at, &set, "killed")).await.unwrap().stdout;
    assert_eq!(PostgreSql.read_drill(&text).unwrap().unwrap().tables, 2);

    // The primary's own is no different.
    let of_primary = rig.back_up("node-a").await;
    let (acknowledged, gap) = client.stop();
    println!("{acknowledged} acknowledged writes, {gap} ms without one");
    insist_whole(&rig, "node-a", &of_primary);
    let (end, report) = rig.run(&format!("node-a db.drill set={of_primary}"), None).await;
    assert!(matches!(end, End::Finished), "{report}");
    assert_eq!((slots(&rig, "node-a"), slots(&rig, "node-b")), ("0".to_owned(), "0".to_owned()));
    assert_eq!(rig.sql("node-a", "select count(*) from probe"), acknowledged.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_cut_off_leaves_nothing_that_looks_whole_bak_1() {
    let rig = Rig::new();
    rig.shell("node-b", &format!("mkdir -p -m 0700 {BACKUPS}/set/database.partial {BACKUPS}/set/database"));
    rig.shell("node-b", &format!("chmod 711 {BACKUPS} {BACKUPS}/set"));
    let at = rig.at("node-b");
    let look = PostgreSql.backup_look(at, "set");
    let output = rig.exec("node-b", &look).await.unwrap();
    assert_eq!(PostgreSql.read_backup(&output.stdout).unwrap(), None);

    println!("killed in the middle of it");
    let backup = PostgreSql.base_backup(at, "set");
    rig.replace_program("node-b", "zstd", "sleep 2; exec $real \"$@\"");
    let mut child = rig.spawn("node-b", &backup);
    let running = || rig.shell("node-b", "pgrep -c -f '[b]ase.tar.zst' || true");
    while slots(&rig, "node-b") != "1" || running() == "1" {}
    child.kill().unwrap();
    child.wait().unwrap();
    // Its other processes are still there: the slot must not wait for them.
    assert_ne!(running(), "0");
    let began = std::time::Instant::now();
    while slots(&rig, "node-b") != "0" {}
    assert!(began.elapsed().as_secs() < 2, "the slot outlived the script by {:?}", began.elapsed());
    rig.give_program_back("node-b", "zstd");

    println!("again, and twice");
    rig.exec("node-b", &backup).await.unwrap();
    rig.exec("node-b", &backup).await.unwrap();
    insist_whole(&rig, "node-b", "set");
    let output = rig.exec("node-b", &look).await.unwrap();
    println!("{}", output.stdout);
    assert!(PostgreSql.read_backup(&output.stdout).unwrap().is_some());
    // A file that has lost its end is none.
    rig.shell("node-b", &format!("truncate -s -1 {BACKUPS}/set/database/base.tar.zst"));
    assert_eq!(rig.exec("node-b", &look).await.unwrap().stdout, "");

    // Where the socket is not open for replication, the standby's own login serves.
    let reload = "sed -i '/^local *replication/d' /tmp/rollup-pair/data/pg_hba.conf; \
        kill -HUP $(head -n 1 /tmp/rollup-pair/data/postmaster.pid)";
    rig.shell("node-b", reload);
    rig.exec("node-b", &PostgreSql.base_backup(at, "other")).await.unwrap();

    println!("a disk that is too small");
    rig.shell("node-b", &format!("mount -t tmpfs -o size=1m none {BACKUPS}"));
    let error = rig.exec("node-b", &backup).await.unwrap_err();
    assert!(matches!(&error, RemoteError::Exit { stderr, .. } if stderr.contains("not enough space")), "{error}");
    // One that fills up while it is written: whatever was measured before.
    rig.replace_program("node-b", "df", "echo; echo 99999999999999");
    let error = rig.exec("node-b", &backup).await.unwrap_err();
    println!("{error}");
    assert!(matches!(&error, RemoteError::Exit { stderr, .. } if stderr.contains("No space left")), "{error}");
    assert_eq!(rig.shell("node-b", &format!("ls -A {BACKUPS}/set")), "");
    assert_eq!(slots(&rig, "node-b"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_bit_is_found_before_anything_is_interrupted_rb_1() {
    let rig = Rig::new();
    rig.sql("node-a", "create table orders as select generate_series(1, 100000) id");
    let set = rig.back_up("node-b").await;
    let database = format!("{BACKUPS}/{set}/database");
    rig.shell("node-b", &format!("cp -a {database} /tmp/rollup-pair/whole"));
    let insist_refused = async |expected: &str| {
        for step in ["db.unpack", "db.drill"] {
            let (end, report) = rig.run(&format!("node-b {step} set={set}"), None).await;
            println!("{report}");
            assert!(!matches!(end, End::Finished) && report.contains(expected), "{step}: {report}");
        }
        assert_eq!(rig.shell("node-b", "ls -d /tmp/rollup-pair/data?* || true"), "");
        assert_eq!(rig.shell("node-b", &format!("ls {BACKUPS}/{set}")), "database");
        assert!(rig.facts_of("node-b").await.is_streaming_standby());
    };
    // In the archive: its own checksums tell.
    let flip =
        "printf '\\x5a' | dd of=base.tar.zst bs=1 seek=$(($(stat -c %s base.tar.zst) / 2)) conv=notrunc status=none";
    rig.shell("node-b", &format!("cd {database}; {flip}"));
    insist_refused("cannot be unpacked: it is damaged").await;
    // Before it was packed: the archive is whole, but does not hold what the server sent.
    let change = "cd /tmp/rollup-pair/whole; zstd -q -d base.tar.zst; \
        at=$(grep -a -b -o -m 1 'PG_VERSION' base.tar | head -n 1 | cut -d: -f 1); \
        printf 'x' | dd of=base.tar bs=1 seek=$((at + 514)) conv=notrunc status=none; \
        zstd -q -f base.tar; sed -i \"s/[0-9]* base.tar.zst/$(stat -c %s base.tar.zst) base.tar.zst/\" sums; rm base.tar";
    rig.shell("node-b", &format!("{change}; rm -r {database}; cp -a . {database}"));
    insist_refused("does not hold what was backed up").await;
    // A part that was cut short is none at all.
    rig.shell("node-b", &format!("truncate -s -1 {database}/base.tar.zst"));
    let (_, report) = rig.run(&format!("node-b db.unpack set={set}"), None).await;
    assert!(report.contains("expected a whole database in"), "{report}");
    // Nor is another cluster's.
    rig.shell("node-b", &format!("rm -r {database}"));
    let set = rig.back_up("node-b").await;
    rig.shell(
        "node-b",
        &format!(
            "cd {BACKUPS}/{set}/database; sed -i 's/\"system_identifier\":\"7/\"system_identifier\":\"8/' record.json"
        ),
    );
    let (_, report) = rig.run(&format!("node-b db.unpack set={set}"), None).await;
    assert!(report.contains("a backup of the cluster with system identifier"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_outside_the_data_directory_are_kept_beside_the_backup_bak_1() {
    let rig = Rig::new();
    // As Debian has them.
    let move_out = "pg_ctl() { runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl -s -D /tmp/rollup-pair/data \"$@\"; }; \
        pg_ctl -m fast stop; install -d -o postgres /tmp/rollup-pair/etc/conf.d; cd /tmp/rollup-pair; \
        mv data/postgresql.conf data/pg_hba.conf data/pg_ident.conf etc/; echo 'work_mem = 7MB' > etc/conf.d/a.conf; \
        printf \"data_directory = '/tmp/rollup-pair/data'\\nhba_file = '/tmp/rollup-pair/etc/pg_hba.conf'\\n\
ident_file = '/tmp/rollup-pair/etc/pg_ident.conf'\\ninclude_dir = 'conf.d'\\n\" >> etc/postgresql.conf; \
        printf ' -c config_file=/tmp/rollup-pair/etc/postgresql.conf' >> options; tr -d '\\n' < options > o; mv o options";
    for node in ["node-b", "node-a"] {
        rig.shell(node, move_out);
        rig.start(node);
    }
    rig.streams("node-b").await;
    rig.sql("node-a", "create table orders as select generate_series(1, 1000) id");
    rig.finishes("node-b db.replayed").await;
    let set = rig.back_up("node-b").await;
    let kept = rig.shell("node-b", &format!("cd {BACKUPS}/{set}/database; ls; tar -tf config.tar.zst"));
    assert_eq!(
        kept,
        "base.tar.zst\nconfig.tar.zst\nrecord.json\nsums\ntmp/rollup-pair/etc/conf.d/a.conf\ntmp/rollup-pair/etc/pg_hba.conf\n\
         tmp/rollup-pair/etc/pg_ident.conf\ntmp/rollup-pair/etc/postgresql.conf"
    );
    let run = identity("outside");
    rig.sql("node-a", "insert into orders values (0)");
    let steps = format!(
        "node-b db.drill set={set}\nnode-b db.unpack set={set}\nnode-a db.halt\nnode-b db.restore set={set}\n\
         node-a db.rebuild primary=node-b\nnode-a db.discard\nnode-b db.discard"
    );
    rig.done(&run, &steps).await;
    assert_eq!(rig.sql("node-b", "select count(*), current_setting('work_mem') from orders"), "1000|7MB");
    assert_eq!(rig.shell("node-b", "ls /tmp/rollup-pair/data/*.conf"), "/tmp/rollup-pair/data/postgresql.auto.conf");
    assert_eq!(rig.problems().await, [""; 0]);
    let text = rig.probe_text(rig.at("node-a")).await;
    assert!(PostgreSql.parse(&text).unwrap().is_streaming_standby(), "{text}");
}
