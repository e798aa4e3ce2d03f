//! Full disks, kills, and files that change while they are archived.

use std::{io::Write, process::Command};

use rollup_remote::Cmd;

use super::{TAKE, rig::Rig};
use crate::files::TAKE as SCRIPT;

/// A small file system; unmounted at the end.
struct Small(std::path::PathBuf);

impl Small {
    fn at(path: std::path::PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let mut mount = Command::new("mount");
        assert!(
            mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "small"]).arg(&path).status().unwrap().success()
        );
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_leaves_nothing_bak_1() {
    let mut rig = Rig::new();
    rig.shell("node-a", "head -c 6000000 /dev/urandom > opt/orders/bin/random");
    let small = Small::at(rig.file("node-a", "backups"), "4m");
    rig.run(TAKE).await.stopped_saying("node-a backup.space: expected");
    rig.run("node-a backup.files").await.stopped_saying("not enough space in");
    assert_eq!(rig.shell("node-a", "find backups -mindepth 3"), "", "no debris");
    let used = rig.shell("node-a", "du -s --block-size=1 backups | cut -f 1");
    assert!(used.trim().parse::<u64>().unwrap() < 100_000, "{used}");
    drop(small);

    // A copy that does not fit.
    rig.inventory.backup.copies = vec![rollup_model::inventory::CopyTo::Peer];
    let _small = Small::at(rig.file("node-b", "backups"), "4m");
    let no_look = TAKE.replace("pair backup.ready", "").replace("backup-source db.backup", "");
    rig.run(&no_look).await.stopped_saying("No space left on device");
    assert_eq!(rig.shell("node-b", "find backups -name '*.partial'"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_without_room_changes_nothing_rb_1() {
    let rig = Rig::new();
    rig.shell("node-a", "seq 1 3000000 > opt/orders/bin/compressible");
    let _small = Small::at(rig.file("node-a", "backups"), "12m");
    let take = TAKE.replace("pair backup.ready", "");
    let ran = rig.run(&take).await.well();
    rig.shell("node-a", "printf x > etc/orders/api.conf");
    let changed = rig.state("node-a");
    rig.run(&format!("node-a backup.restore set={}", ran.set)).await.stopped_saying("not enough space");
    rig.run(&format!("node-a backup.drill set={}", ran.set)).await.stopped_saying("not enough space");
    assert_eq!(rig.state("node-a"), changed);
    assert_eq!(rig.shell("node-a", "find backups -name '*.partial'"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_take_that_was_killed_is_taken_again_bak_1() {
    let rig = Rig::new();
    rig.shell("node-a", "head -c 60000000 /dev/urandom > opt/orders/bin/random");
    let (plan, registry) = rig.plan(TAKE);
    let key = rig.inventory.service.root_key.clone().unwrap();
    let args = [plan.backup_dir(), "node-a".to_owned(), key];
    let args = args.into_iter().chain(crate::files::paths(&plan));
    let cmd = Cmd::mutate("backup.take", SCRIPT, args);
    let archive = rig.file("node-a", "backups/sets").join(&plan.backup_set).join("node-a.partial/files.tar.zst");
    for _ in 0..3 {
        let mut command = rig.by_hand("node-a", &cmd);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        while !std::fs::metadata(&archive).is_ok_and(|meta| meta.len() > 1_000_000) {
            assert!(child.try_wait().unwrap().is_none(), "it was too fast to be killed");
        }
        let group = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        child.wait().unwrap();
        assert!(archive.exists(), "killed in the middle");
        assert!(!archive.parent().unwrap().with_file_name("node-a").exists(), "whole or not there");
    }
    let ran = rig.go(plan, registry).await.well();
    assert!(!archive.exists());
    rig.run(&format!("pair backup.whole set={} database=true", ran.set)).await.well();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_it_is_archived_is_listed_as_it_was_archived_bak_1() {
    let rig = Rig::new();
    rig.shell("node-a", "head -c 20000000 /dev/urandom > opt/orders/bin/random; mkdir opt/orders/log opt/orders/tmp");
    let log = rig.file("node-a", "opt/orders/log/growing");
    let fleeting = rig.file("node-a", "opt/orders/tmp");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let busy = std::thread::spawn(move || {
        let mut file = std::fs::File::create(log).unwrap();
        let mut number = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            file.write_all(&[b'x'; 1000]).unwrap();
            number += 1;
            let (one, other) = (fleeting.join(format!("{number}")), fleeting.join("last"));
            std::fs::write(&one, "x").unwrap();
            std::fs::rename(&one, &other).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a program that writes now and then")]
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    let ran = rig.run(TAKE).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    busy.join().unwrap();
    let set = ran.well().set;
    rig.run(&format!("node-a backup.drill set={set}\nnode-a backup.restore set={set}")).await.well();
}
