use rollup_model::{Facts, Severity, release::Migration};

use super::*;
use crate::{
    facts::{Applied, AppliedKind},
    fixtures,
};

/// What is wrong, for a pair with these facts.
fn wrong(nodes: [DatabaseFacts; 2], stage: Stage, release: Option<&Release>) -> Vec<String> {
    let inventory = fixtures::inventory();
    let cx = FindingCx { inventory: &inventory, release, facts: &Facts::default(), stage };
    let nodes: Vec<_> = inventory.node_names().zip(nodes).collect();
    let findings = all(&cx, &nodes);
    findings.into_iter().filter(|finding| finding.severity != Severity::Ok).map(|finding| finding.line()).collect()
}

fn changed(mut facts: DatabaseFacts, change: impl FnOnce(&mut DatabaseFacts, &mut Server)) -> DatabaseFacts {
    let mut server = facts.server.take().unwrap();
    change(&mut facts, &mut server);
    facts.server.get_or_insert(server);
    facts
}

#[test]
fn a_healthy_pair_has_nothing_to_mend_pre_4() {
    assert_eq!(wrong([fixtures::primary(), fixtures::standby()], Stage::Fresh, None), [""; 0]);
    assert_eq!(wrong([fixtures::standby(), fixtures::primary()], Stage::Fresh, None), [""; 0]);
}

#[test]
fn each_flaw_of_the_pair_is_one_finding_that_says_what_was_found_pre_4() {
    let (primary, standby) = (fixtures::primary, fixtures::standby);
    let cases: Vec<([DatabaseFacts; 2], &str)> = vec![
        (
            [primary(), changed(standby(), |_, server| server.receiver = None)],
            "node-b database.replication: expected a standby that streams from node-a, \
             found a standby at 0/30157A0, no receiver, configured upstream 127.0.0.1",
        ),
        (
            [changed(primary(), |_, server| server.walsenders.clear()), standby()],
            "node-b database.replication: expected a standby that streams from node-a, found node-a sends to nobody",
        ),
        (
            // A running base backup is nobody's standby.
            [
                changed(primary(), |_, server| server.walsenders[0].application_name = "pg_basebackup".to_owned()),
                standby(),
            ],
            "found node-a sends to pg_basebackup streaming",
        ),
        (
            // By the standby's own word, whatever the primary believes.
            [primary(), changed(standby(), |_, server| server.replay_lsn = Some(Lsn(0x0100_0000)))],
            "node-b database.lag: expected at most 16777216 bytes not yet replayed, \
             found 33644544 bytes (primary at 0/3016000, replayed 0/1000000)",
        ),
        (
            [primary(), changed(standby(), |_, server| server.replay_paused = true)],
            "node-b database.paused: expected a standby that replays, found replay is paused",
        ),
        (
            [primary(), changed(standby(), |_, server| server.apply_delay_ms = 300_000)],
            "node-b database.delay: expected no delay before a standby replays, found recovery_min_apply_delay 5m",
        ),
        (
            [primary(), changed(standby(), |_, server| server.replay_lsn = None)],
            "node-b database.lag: expected at most 16777216 bytes not yet replayed, found unknown",
        ),
        (
            [
                changed(primary(), |_, server| {
                    if let Some(oldest) = &mut server.oldest_transaction {
                        oldest.age_s = 61;
                    }
                }),
                standby(),
            ],
            "node-a database.transactions: expected no transaction older than 1m, \
             found one of 61 s: pid 30066, postgres psql, active: begin; create table held",
        ),
        (
            [changed(primary(), |_, server| server.settings.read_only = true), standby()],
            "node-a database.writable: expected a primary that accepts writes, found default_transaction_read_only is on",
        ),
        (
            [changed(primary(), |facts, _| facts.standby_signal = true), standby()],
            "node-a database.signal: expected no standby.signal on the primary",
        ),
        (
            [primary(), changed(standby(), |_, server| server.settings.max_wal_senders = 2)],
            "node-b database.settings: expected wal_level replica or logical, max_wal_senders at least 3, \
             found wal_level replica, max_wal_senders 2",
        ),
        (
            [fixtures::facts(fixtures::PRIMARY), standby()],
            "found FATAL: role \"replicator\" is not permitted to log in",
        ),
        (
            [changed(primary(), |_, server| server.slots.push("node_b".to_owned())), standby()],
            "node-a database.slots: expected no physical replication slots, found node_b",
        ),
        (
            [fixtures::primary(), fixtures::facts(&fixtures::STANDBY.replace("7710193387451185955", "1"))],
            "database.identity: expected one system identifier, found node-a 7710193387451185955, node-b 1",
        ),
    ];
    for (nodes, expected) in cases {
        let found = wrong(nodes, Stage::Fresh, None);
        assert!(found.len() == 1 && found[0].contains(expected), "{expected}\n{found:#?}");
    }
    let found = wrong([primary(), fixtures::facts(fixtures::SILENT)], Stage::Fresh, None);
    assert!(found[0].contains("FATAL: database \"absent\" does not exist"), "{found:?}");
    let found = wrong([fixtures::stopped("shut down"), standby()], Stage::Fresh, None);
    assert!(found[0].contains("found a stopped server, `shut down` (unit inactive)"), "{found:?}");
    assert!(found[1].contains("expected exactly one primary, found none"), "{found:?}");
}

#[test]
fn commits_that_wait_for_a_standby_which_is_down_are_found_before_anything_hangs_pre_4() {
    let hangs = |names: &str, commit: &str, standby: DatabaseFacts| {
        let alone = changed(fixtures::primary(), |_, server| {
            server.settings.synchronous_standby_names = names.to_owned();
            server.settings.synchronous_commit = commit.to_owned();
            server.walsenders.clear();
        });
        let lines = wrong([alone, standby], Stage::Fresh, None);
        lines.into_iter().filter(|line| line.contains("database.commits")).collect::<Vec<_>>()
    };
    let expected = "node-a database.commits: expected commits that end, \
                    found no standby streams, and every commit waits for one: synchronous_standby_names is `*`";
    assert_eq!(hangs("*", "on", fixtures::stopped("shut down in recovery")), [expected]);
    assert_eq!(hangs("*", "local", fixtures::stopped("shut down in recovery")), [""; 0]);
    assert_eq!(hangs("", "on", fixtures::stopped("shut down in recovery")), [""; 0]);
}

#[test]
fn in_the_middle_of_a_run_only_a_second_writer_matters_pre_4() {
    let two = wrong([fixtures::primary(), fixtures::primary()], Stage::Resumed, None);
    let expected = "expected at most one writable primary, \
                    found node-a a primary at 0/3016000 and node-b a primary at 0/3016000";
    assert!(two.len() == 1 && two[0].contains(expected), "{two:?}");
    assert_eq!(wrong([fixtures::stopped("shut down"), fixtures::standby()], Stage::Resumed, None), [""; 0]);
    let fresh = wrong([fixtures::primary(), fixtures::primary()], Stage::Fresh, None);
    assert!(fresh[0].contains("expected exactly one primary, found node-a and node-b"), "{fresh:?}");
}

#[test]
fn what_only_gauss_can_be_is_refused_with_its_reason_pre_4() {
    let gauss = |change: &dyn Fn(&mut Gauss)| {
        let mut gauss = fixtures::gauss();
        change(&mut gauss);
        let bad = of_gauss(&gauss).into_iter().filter(|finding| finding.severity == Severity::Error);
        bad.map(|finding| finding.found).collect::<Vec<_>>()
    };
    assert_eq!(gauss(&|_| {}), [""; 0]);
    assert_eq!(gauss(&|gauss| gauss.paxos = true), ["DCF (enable_dcf)"]);
    assert!(gauss(&|gauss| gauss.upgrade_mode = Some(2))[0].starts_with("upgrade_mode 2"));
    assert!(gauss(&|gauss| gauss.manager = Manager::Stopped)[0].contains("neither cm_agent nor om_monitor"));
    assert!(gauss(&|gauss| gauss.manager = Manager::Running)[0].contains("does not answer"));
}

#[test]
fn a_package_whose_migrations_cannot_run_is_found_before_the_first_change_upg_2() {
    let release = |version: &str, sql: &str| -> Release {
        let empty = serde_json::json!({
            "name": "orders", "version": "2.0.0", "from_versions": [], "architecture": "any", "archive": "x",
            "archive_size": 0, "archive_sha256": "", "unpacked_size": 0, "components": [], "migrations": [], "hooks": []
        });
        let mut release: Release = serde_json::from_value(empty).unwrap();
        release.migrations = vec![Migration {
            version: version.to_owned(),
            name: format!("V{version}__x.sql"),
            phase: MigrationPhase::Expand,
            sha256: "new".to_owned(),
            sql: sql.to_owned(),
            down: None,
        }];
        release
    };
    let pair = || [fixtures::primary(), fixtures::standby()];
    assert_eq!(wrong(pair(), Stage::Fresh, Some(&release("2.0.0", "select 1"))), [""; 0]);
    let found = wrong(pair(), Stage::Fresh, Some(&release("2.0.0", "vacuum full")));
    assert!(found[0].contains("found `VACUUM FULL` at V2.0.0__x.sql:1"), "{found:?}");
    let [mut primary, standby] = pair();
    primary.history = Some(vec![Applied {
        version: "2.0.0".to_owned(),
        phase: "expand".to_owned(),
        name: "V2.0.0__x.sql".to_owned(),
        checksum: "old".to_owned(),
        kind: AppliedKind::Applied,
        run: None,
    }]);
    let found = wrong([primary, standby], Stage::Fresh, Some(&release("2.0.0", "select 1")));
    assert!(found[0].contains("as it was applied, sha256 old, found sha256 new"), "{found:?}");
}
