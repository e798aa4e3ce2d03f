//! The way back of files and key, and the proof that there is one.

use super::{TAKE, rig::Rig};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_behind_a_configured_link_comes_back_too_bak_1() {
    let mut rig = Rig::new();
    let linked = rig.inventory.service.config[0].replace("orders", "linked");
    rig.inventory.service.config.push(linked);
    rig.shell("node-a", "mkdir real other; printf one > real/file; ln -s ../real etc/linked");
    let ran = rig.run(TAKE).await.well();
    rig.shell("node-a", "printf two > real/file; rm etc/linked; ln -s ../other etc/linked");
    rig.run(&format!("all backup.restore set={}", ran.set)).await.well();
    assert_eq!(rig.shell("node-a", "cat real/file; readlink etc/linked"), "one../real\n");
    rig.shell("node-b", "printf x > 'etc/orders/line\nbreak'");
    rig.run("node-b backup.files").await.stopped_saying("a path with a line break cannot be kept");
}

/// What an upgrade, and whoever comes after it, may do to the files.
const CHANGE: &str = r#"
cd etc/orders
printf 'port=2\n' > api.conf
chmod 600 'with space'; chown root 'with space/back\slash *[glob]? é'
rm -r conf.d/-rf empty fifo
rm current; ln -s root.key current
rm dangling; printf 'no link any more\n' > dangling
printf 'new key' > root.key; chmod 644 root.key; chown root root.key
cd ../..
mkdir -p etc/later/deep; printf x > etc/later/deep/file
rm -r opt/orders/bin; printf 'not a directory' > opt/orders/bin
"#;

#[tokio::test(flavor = "multi_thread")]
async fn files_come_back_with_content_mode_and_owner_and_absent_ones_go_rb_1() {
    let rig = Rig::new();
    for name in ["node-a", "node-b"] {
        // What the archive leaves out on purpose.
        rig.shell(name, "rm etc/orders/.rollup-new.root.key etc/orders/conf.d/hard-link-of-the-key");
    }
    let before = [rig.state("node-a"), rig.state("node-b")];
    let ran = rig.run(TAKE).await.well();
    rig.shell("node-a", CHANGE);
    rig.shell("node-b", "printf 'port=3\n' > etc/orders/api.conf");
    assert_ne!(rig.state("node-a"), before[0]);
    let restore = format!("all backup.restore set={}", ran.set);
    let manifest = crate::manifest(&rig.hosts, &rig.inventory, &ran.set).await.unwrap();
    assert_eq!(crate::differing(&rig.hosts, &rig.inventory, &manifest).await.unwrap().len(), 2);
    rig.run(&restore).await.well();
    assert!(crate::differing(&rig.hosts, &rig.inventory, &manifest).await.unwrap().is_empty());
    for (name, before) in ["node-a", "node-b"].iter().zip(&before) {
        assert_eq!(&rig.state(name), before, "{name}");
        assert_eq!(rig.shell(name, "find backups -name '*.partial' -o -name '.rollup-new*'; ls etc"), "orders\n");
    }
    let again = rig.run(&restore).await.well();
    assert!(!again.report.contains("StepStarted"), "a second time there is nothing to do: {}", again.report);

    // The key alone.
    rig.shell("node-a", "chmod 444 etc/orders/root.key");
    rig.run(&restore).await.well();
    assert_eq!(rig.state("node-a"), before[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_can_be_taken_back_with_its_own_safety_set_rb_1() {
    let rig = Rig::new();
    // What the archive leaves out on purpose.
    rig.shell("node-a", "rm etc/orders/.rollup-new.root.key etc/orders/conf.d/hard-link-of-the-key");
    let ran = rig.run(TAKE).await.well();
    rig.shell("node-a", "printf 'port=2\n' > etc/orders/api.conf; printf 'second key' > etc/orders/root.key");
    let after = rig.state("node-a");
    let take = TAKE.replace("purpose=upgrade", "purpose=safety");
    let back = rig.run(&format!("{take}\nall backup.restore set={}", ran.set)).await.well();
    assert_ne!(rig.state("node-a"), after);
    assert!(back.report.contains(&format!("\"safety\": String(\"{}\")", back.set)), "{}", back.report);
    assert!(!rig.set_dir("node-a", &back.set).join("hold.json").exists(), "only an upgrade holds a set");
    rig.run(&format!("all backup.restore set={}", back.set)).await.well();
    assert_eq!(rig.state("node-a"), after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_identity_is_refused_before_a_file_is_touched_bak_2() {
    let mut rig = Rig::new();
    let ran = rig.run(TAKE).await.well();
    rig.shell("node-a", "printf 'port=2\n' > etc/orders/api.conf; printf 'second key' > etc/orders/root.key");
    let changed = rig.state("node-a");
    let set = &ran.set;
    let ways = [format!("all backup.restore set={set}"), format!("pair backup.whole set={set}")];
    rig.inventory.backup.identity_file = Some(rig.root().join("stranger.txt").display().to_string());
    for way in &ways {
        rig.run(way).await.stopped_saying("it was encrypted to other recipients");
    }
    let error = crate::check_key(&rig.hosts, &rig.inventory, set, None).await.unwrap_err();
    assert!(format!("{error:#}").contains("other recipients"), "{error:#}");
    let right = rig.root().join("identity.txt");
    let checked = crate::check_key(&rig.hosts, &rig.inventory, set, Some(&right)).await.unwrap();
    assert_eq!(checked.len(), 2);
    rig.inventory.backup.identity_file = None;
    for way in &ways {
        rig.run(way).await.stopped_saying("identity_file, the age identity of one of: age1");
    }
    assert_eq!(rig.state("node-a"), changed);
    // Where the key is as it was, nobody needs to open it.
    rig.shell("node-b", "printf 'port=2\n' > etc/orders/api.conf");
    rig.run(&format!("node-b backup.restore set={set}")).await.well();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_s_set_and_an_unverified_one_lead_nowhere_rb_1() {
    let mut rig = Rig::new();
    let take = TAKE.replace("pair backup.verify", "").replace("pair backup.copy", "");
    let ran = rig.run(&take).await.well();
    let whole = format!("pair backup.whole set={}", ran.set);
    rig.run(&whole).await.stopped_saying("never verified");
    rig.run(&format!("pair backup.verify set={}", ran.set)).await.well();
    rig.run(&whole).await.well();
    rig.inventory.cluster.name = "other".to_owned();
    rig.run(&whole).await.stopped_saying("taken of cluster `other`, found of `pair`");
    rig.run("pair backup.whole set=backup_20200101_000000").await.stopped_saying("none at node-a");
    rig.run("all backup.restore set=backup_20200101_000000").await.stopped_saying("backup.set");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_proves_the_way_back_and_leaves_only_its_record_bak_4() {
    let rig = Rig::new();
    let ran = rig.run(TAKE).await.well();
    let before = [rig.state("node-a"), rig.state("node-b")];
    let drill = format!("all backup.drill set={}", ran.set);
    let drilled = rig.run(&drill).await.well();
    assert_eq!([rig.state("node-a"), rig.state("node-b")], before);
    let record = rig.set_dir("node-a", &ran.set).join(format!("drill-{}.json", drilled.plan.run));
    let record: crate::DrillRecord = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    assert_eq!((record.files, record.root_key.as_ref().map(String::len)), (6, Some(16)));
    assert_eq!(rig.shell("node-a", "find backups -name '*.partial' -o -name 'drill.*'"), "");

    // An archive whose checksum is right and whose list is not.
    let part = rig.set_dir("node-a", &ran.set).join("node-a");
    let contents = std::fs::read_to_string(part.join("contents")).unwrap();
    std::fs::write(part.join("contents"), contents.replacen("f 640", "f 600", 1)).unwrap();
    rig.run(&drill).await.stopped_saying("something else than its list says");
    assert_eq!(rig.shell("node-a", "find backups -name '*.partial'"), "");
}
