//! Every script on real files: owners, modes, links, damage in each file, full disks, kills.
//!
//! `cargo test -p backup --features real-files`, as root.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are not tests to the lint")]

mod copies;
mod interrupted;
mod rig;
mod way_back;

use std::{
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use self::rig::{KEY, Rig, node};
use crate::{Manifest, SetState};

const TAKE: &str = "
pair backup.ready
all backup.files
all backup.key
backup-source db.backup
pair backup.seal purpose=upgrade
pair backup.copy
pair backup.verify
";

/// Every file below a directory.
fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_in(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Flips one bit in the middle of a file; keeps size, owner and mode.
fn flip(file: &Path) {
    let open = std::fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let at = open.metadata().unwrap().len() / 2;
    let mut byte = [0];
    open.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 4;
    open.write_all_at(&byte, at).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_whole_private_and_says_what_is_in_it_bak_1() {
    let rig = Rig::new();
    let ran = rig.run(TAKE).await.well();
    assert!(rig.heard.lock().unwrap().contains("archiving 14 paths, about 3 MiB"));
    let set = rig.set_dir("node-a", &ran.set);
    let names: Vec<_> =
        files_in(&set).iter().map(|path| path.strip_prefix(&set).unwrap().display().to_string()).collect();
    assert_eq!(
        names,
        [
            "hold.json",
            "manifest.json",
            "node-a/absent",
            "node-a/contents",
            "node-a/files.tar.zst",
            "node-a/key-sums",
            "node-a/root-key.age",
            "node-a/root-key.json",
            "node-a/sums"
        ]
    );
    let mode = |path: &Path| format!("{:o}", std::fs::metadata(path).unwrap().mode() & 0o7777);
    assert_eq!([mode(&set), mode(&set.join("node-a"))], ["711", "700"]);
    assert!(files_in(&set).iter().all(|file| mode(file) == "600"));
    let bytes = std::fs::read(set.join("manifest.json")).unwrap();
    assert_eq!(bytes, std::fs::read(rig.set_dir("node-b", &ran.set).join("manifest.json")).unwrap());
    let manifest = Manifest::read(&bytes).unwrap();
    let parts = &manifest.nodes[&node("node-a")];
    // What packages have placed is noted at one place of this very machine.
    let absent: Vec<_> = parts.absent.iter().filter(|path| *path != rollup_model::release::INSTALLED).collect();
    assert_eq!(absent, [&rig.inventory.service.config[2]]);
    let paths: Vec<_> = parts.paths.iter().map(|path| (path.path.rsplit('/').next().unwrap(), path.files)).collect();
    assert_eq!(paths, [("orders", 4), ("api.conf", 1), ("orders", 2)], "{:?}", parts.paths);
    assert_eq!((parts.paths[0].owner.as_str(), parts.paths[0].mode.as_str()), ("daemon:daemon", "750"));
    assert_eq!(manifest.database.unwrap().record["engine"], "test");
    assert!(manifest.verified_at.is_some() && manifest.copies.is_empty());

    // Once more with the same plan: nothing is needed any more.
    let (_, registry) = rig.plan(TAKE);
    let again = rig.go(ran.plan, registry).await.well();
    assert!(!again.report.contains("StepStarted"), "{}", again.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_bit_in_any_file_is_named_bak_4() {
    let rig = Rig::new();
    let ran = rig.run(TAKE).await.well();
    let (verify, whole) =
        (format!("pair backup.verify set={}", ran.set), format!("pair backup.whole set={} database=true", ran.set));
    rig.run(&verify).await.well();
    rig.run(&whole).await.well();
    let mut flipped = 0;
    for name in ["node-a", "node-b"] {
        for file in files_in(&rig.set_dir(name, &ran.set)) {
            let short = file.strip_prefix(rig.set_dir(name, &ran.set)).unwrap().display().to_string();
            if short == "hold.json" || std::fs::metadata(&file).unwrap().len() == 0 {
                continue;
            }
            flip(&file);
            let blamed = format!("{name} backup.part: expected {name}:");
            for steps in [&verify, &whole] {
                let looked = rig.run(steps).await;
                // One damaged manifest of two does not stand in the way of a way back.
                if short == "manifest.json" && steps == &whole {
                    looked.well();
                    continue;
                }
                let looked = looked.stopped_saying(&blamed);
                assert!(looked.report.contains(&format!("{}/{short} as", ran.set)), "{short}: {}", looked.report);
            }
            flip(&file);
            flipped += 1;
        }
    }
    assert_eq!(flipped, 19);
    rig.run(&verify).await.well();
    std::fs::remove_file(rig.set_dir("node-b", &ran.set).join("database/base.tar.zst")).unwrap();
    rig.run(&verify).await.stopped_saying("database/base.tar.zst as the manifest says, found is missing");
    rig.run(&whole).await.stopped_saying("found missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_root_key_in_the_clear_anywhere_bak_2() {
    let mut rig = Rig::new();
    rig.inventory.backup.copies =
        vec![rollup_model::inventory::CopyTo::Peer, rollup_model::inventory::CopyTo::Operator];
    let ran = rig.run(TAKE).await.well();
    let set = &ran.set;
    for name in ["node-a", "node-b"] {
        rig.shell(name, "printf other > etc/orders/root.key; printf x > etc/orders/api.conf");
    }
    rig.run(&format!("pair backup.whole set={set}\nall backup.drill set={set}\nall backup.restore set={set}"))
        .await
        .well();
    crate::check_key(&rig.hosts, &rig.inventory, set, None).await.unwrap();
    let secrets = |name: &str| {
        let key = KEY.replace("NODE", name);
        let bytes = format!("{:?}", key.as_bytes());
        let base64 = {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.encode(&key)
        };
        [key, bytes[1..bytes.len() - 1].to_owned(), base64[..40].to_owned(), "leftover".to_owned()]
    };
    let heard = rig.heard.lock().unwrap().clone();
    assert!(heard.len() > 10_000 && heard.contains("backup.put-key"));
    for name in ["node-a", "node-b"] {
        for secret in secrets(name) {
            assert!(!heard.contains(&secret), "in what was run, answered, shown or recorded: {secret}");
        }
        assert_eq!(rig.shell(name, "cat etc/orders/root.key"), KEY.replace("NODE", name), "it did come back");
        for place in [rig.file("node-a", "backups"), rig.file("node-b", "backups"), rig.root().join("operator")] {
            for file in files_in(&place) {
                let unpacked =
                    format!("case {0:?} in *.zst) zstd -qdc {0:?} ;; *) cat {0:?} ;; esac", file.display().to_string());
                let text = rig.shell(name, &unpacked);
                for secret in secrets(name) {
                    assert!(!text.contains(&secret), "{} holds {secret}", file.display());
                }
            }
        }
    }
    assert!(files_in(&rig.root().join("operator")).len() >= 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_said_before_the_first_byte_pre_7() {
    let mut rig = Rig::new();
    rig.inventory.backup.recipients = Vec::new();
    rig.run(TAKE).await.stopped_saying("age-keygen");
    let only_key = "all backup.key";
    rig.run(only_key).await.stopped_saying("backup.recipients");
    let mut rig = Rig::new();
    rig.shell("node-b", "rm etc/orders/root.key");
    rig.run(TAKE).await.stopped_saying("node-b backup.root-key: expected the root key, a file");
    rig.run(only_key).await.stopped_saying("found nothing there");
    rig.shell("node-b", "ln -s elsewhere etc/orders/root.key");
    rig.run(only_key).await.stopped_saying("readlink -f");
    rig.inventory.service.root_key = None;
    rig.run(TAKE).await.well();
}

#[tokio::test(flavor = "multi_thread")]
async fn old_sets_go_when_the_upgrade_is_over_bak_3() {
    let rig = Rig::new();
    let names = |node: &str| rig.shell(node, "ls backups/sets").lines().map(str::to_owned).collect::<Vec<_>>();
    let first = rig.run(TAKE).await.well();
    let second = rig.run(&format!("{TAKE}\nall backup.prune")).await.well();
    assert_eq!(names("node-a"), [first.set.as_str(), second.set.as_str()], "the first upgrade goes on");
    let released = format!("all backup.release set={}\npair backup.survey\nall backup.prune", first.set);
    let survey = rig.run(&released).await.well();
    assert!(survey.report.contains("surplus"), "{}", survey.report);
    assert_eq!(names("node-a"), [second.set.as_str()]);
    let unfinished = rig.run("all backup.files").await.well();
    let third = rig.run(&format!("{TAKE}\nall backup.prune")).await.well();
    assert_eq!(names("node-b"), [unfinished.set.as_str(), third.set.as_str()], "the second one's hold was done");
    let sets = crate::sets(&rig.hosts, &rig.inventory).await;
    let here = sets[0].sets.as_ref().unwrap();
    assert_eq!([here[0].fact.state, here[1].fact.state], [SetState::Incomplete, SetState::Verified]);
    assert_eq!(here[1].manifest.as_ref().unwrap().set, third.set);
}
