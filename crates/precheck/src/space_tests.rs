use rollup_engine::Stage;
use rollup_model::{Facts, Release, Severity, release::Component};
use serde_json::json;

use super::*;

const MIB: u64 = 1 << 20;

fn fs(mount: &str, size: u64, available: u64) -> FileSystem {
    let used = (size - available) * MIB;
    FileSystem {
        mount: mount.to_owned(),
        size: size * MIB,
        used,
        available: available * MIB,
        inodes: 10_000,
        inodes_free: 9_000,
    }
}

fn place(path: &str, on: &FileSystem) -> Place {
    Place { path: path.to_owned(), writable: true, on: Some(on.clone()) }
}

fn release() -> Release {
    let component = Component {
        source: "x".to_owned(),
        destination: "/opt/orders/x".to_owned(),
        owner: "root".to_owned(),
        group: "root".to_owned(),
        mode: "0644".to_owned(),
        sha256: String::new(),
        size: 100 * MIB,
        capabilities: None,
        keep: false,
    };
    serde_json::from_value(json!({
        "name": "orders", "version": "2", "from_versions": [], "architecture": "any", "archive": "x",
        "archive_size": 50 * MIB, "archive_sha256": "", "unpacked_size": 150 * MIB, "components": [component],
        "migrations": [], "hooks": []
    }))
    .unwrap()
}

/// Findings of node `a`, whose set takes 1000 MiB, with these places.
fn found(places: Vec<Place>, more: &str, release: Option<&Release>, here: Option<Vec<Place>>) -> Vec<Finding> {
    let inventory = crate::findings::tests::inventory(more);
    let names: Vec<_> = inventory.node_names().cloned().collect();
    let mut facts = Facts::default();
    for node in &names {
        facts.nodes.insert(node.clone(), [("backup".to_owned(), json!({ "needed": 1000 * MIB }))].into());
    }
    facts.operator.extend(here.map(|here| ("host".to_owned(), json!(here))));
    let cx = FindingCx { inventory: &inventory, release, facts: &facts, stage: Stage::Fresh };
    findings(&cx, &[(&names[0], HostFacts { places, ..HostFacts::default() })])
}

fn bad(found: &[Finding]) -> Vec<(&str, Severity, String)> {
    let bad = found.iter().filter(|finding| finding.severity > Severity::Ok);
    bad.map(|finding| (finding.id.as_str(), finding.severity, format!("{}: {}", finding.expected, finding.found)))
        .collect()
}

#[test]
fn what_lies_on_one_file_system_is_added_up_pre_1() {
    let root = fs("/", 10_000, 1_300);
    let places = || vec![place("/var/lib/rollup", &root), place("/var/backups/rollup", &root), place("/opt", &root)];
    assert_eq!(bad(&found(places(), "", None, None)), []);
    let with_package = found(places(), "", Some(&release()), None);
    let expected = "1.3 GiB free in / for backup, its files, logs and journal, package: 1.2 GiB";
    assert_eq!(bad(&with_package), [("host.space", Severity::Error, expected.to_owned())]);
    let evidence = with_package.iter().find(|finding| finding.id == "host.space").unwrap().evidence.as_ref().unwrap();
    assert!(evidence.contains("backup: 1.0 GiB in /var/backups/rollup\nits files: 100 MiB in /opt"), "{evidence}");
}

#[test]
fn each_file_system_is_asked_only_for_what_lies_on_it_pre_1() {
    let (root, opt, backups) = (fs("/", 10_000, 5_000), fs("/opt", 1000, 150), fs("/var/backups", 10_000, 2_000));
    let places = || vec![place("/var/lib/rollup", &root), place("/var/backups/rollup", &backups), place("/opt", &opt)];
    assert_eq!(bad(&found(places(), "", Some(&release()), None)), []);
    let copies = found(places(), "backup={copies=['peer']}\n", Some(&release()), None);
    assert_eq!(bad(&copies), [], "the other node did not answer, so its set cannot be counted");
}

#[test]
fn a_nearly_full_file_system_is_found_although_the_room_would_do_pre_1() {
    let severity = |available| {
        let big = fs("/", 1_000_000, available);
        found(vec![place("/var/lib/rollup", &big)], "", None, None)
            .into_iter()
            .find(|finding| finding.id == "host.disk")
            .map(|finding| (finding.severity, finding.found))
    };
    assert_eq!(severity(110_000), Some((Severity::Ok, "89 %, 107.4 GiB free".to_owned())));
    assert_eq!(severity(100_000), Some((Severity::Warning, "90 %, 97.6 GiB free".to_owned())));
    assert_eq!(severity(50_000), Some((Severity::Error, "95 %, 48.8 GiB free".to_owned())));
}

#[test]
fn files_run_out_before_bytes_do_pre_1() {
    let many = FileSystem { inodes_free: 100, ..fs("/", 10_000, 9_000) };
    let found = found(vec![place("/var/lib/rollup", &many), place("/var/backups/rollup", &many)], "", None, None);
    let said: Vec<_> = bad(&found).into_iter().map(|(id, _, said)| (id, said)).collect();
    assert_eq!(said[0], ("host.inodes", "1000 files more in /: room for 100".to_owned()));
    assert_eq!(said[1].1, "/ less than 90 % full: 99 % of its files, 8.7 GiB free");
}

#[test]
fn a_read_only_place_and_one_that_does_not_answer_are_told_by_name_pre_1() {
    let root = fs("/", 10_000, 9_000);
    let opt = Place { writable: false, ..place("/opt", &fs("/opt", 1000, 900)) };
    // The backup directory has a check of its own.
    let backups = Place { writable: false, ..place("/var/backups/rollup", &root) };
    let dead = Place { path: "/mnt/dead".to_owned(), writable: true, on: None };
    let found = found(vec![place("/var/lib/rollup", &root), opt, backups, dead], "", None, None);
    let ids: Vec<_> = bad(&found).into_iter().map(|(id, _, said)| (id, said)).collect();
    assert_eq!(ids[0], ("host.filesystems", "file systems that can be measured: no answer for /mnt/dead".to_owned()));
    assert_eq!(ids[1], ("host.writable", "every place that a run writes to writable: not writable: /opt".to_owned()));
    let fix = found.iter().find(|finding| finding.id == "host.writable").unwrap().fix.as_ref().unwrap();
    assert_eq!(fix, "mount -o remount,rw /opt   # why it is not: findmnt -T /opt");
}

#[test]
fn the_operator_needs_room_for_the_copies_that_go_there_pre_1() {
    let small = fs("/home", 1000, 300);
    let here = || Some(vec![place("/home/o/runs", &small), place("/home/o/backups", &small)]);
    let root = fs("/", 10_000, 9_000);
    let places = || vec![place("/var/lib/rollup", &root), place("/var/backups/rollup", &root)];
    assert_eq!(bad(&found(places(), "", None, here())), []);
    let copies = "backup={copies=['operator'],operator_dir='/home/o/backups'}\n";
    let found = found(places(), copies, None, here());
    let expected = "1.0 GiB free in /home on this machine for copies of sets, journal and plan: 300 MiB";
    assert_eq!(bad(&found)[0].2, expected);
    assert_eq!(found.iter().find(|finding| finding.id == "host.space" && finding.node.is_none()).unwrap().node, None);
}
