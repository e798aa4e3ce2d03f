//! Copies at the peer and at the operator, and what comes back from them.

use rollup_model::inventory::CopyTo;

use super::{TAKE, files_in, flip, rig::Rig};
use crate::{Manifest, Place};

#[tokio::test(flavor = "multi_thread")]
async fn every_place_has_everything_and_gives_it_back_bak_5() {
    let mut rig = Rig::new();
    rig.inventory.backup.copies = vec![CopyTo::Peer, CopyTo::Operator];
    let ran = rig.run(TAKE).await.well();
    let set = &ran.set;
    let places =
        [rig.set_dir("node-a", set), rig.set_dir("node-b", set), rig.root().join("operator").join(set.as_str())];
    let content = |place: &std::path::Path| -> Vec<(String, Vec<u8>)> {
        let files = files_in(place).into_iter().filter(|file| !file.ends_with("hold.json"));
        files.map(|f| (f.strip_prefix(place).unwrap().display().to_string(), std::fs::read(f).unwrap())).collect()
    };
    let all = content(&places[0]);
    assert_eq!(all.len(), 1 + 7 + 7 + 3);
    assert!(places.iter().all(|place| content(place) == all));
    let manifest = Manifest::read(&std::fs::read(places[2].join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest.copies.len(), 3, "{:?}", manifest.copies);

    // Everything of node-b is gone there, and one copy is damaged, too: the other place has it.
    std::fs::remove_dir_all(&places[1]).unwrap();
    flip(&places[0].join("node-b/files.tar.zst"));
    let bring = format!("node-b backup.bring set={set} database=true");
    rig.run(&format!("pair backup.whole set={set} database=true\n{bring}")).await.well();
    let back = content(&places[1]);
    assert!(all.iter().filter(|(name, _)| !name.starts_with("node-a")).all(|file| back.contains(file)));
    assert!(!back.iter().any(|(name, _)| name.starts_with("node-a/")), "only what its own way back needs");

    // Damaged here, whole elsewhere.
    flip(&places[1].join("database/base.tar.zst"));
    rig.run(&bring).await.well();
    assert!(all.iter().filter(|(name, _)| name.starts_with("database")).all(|file| content(&places[1]).contains(file)));

    // Nowhere whole any more.
    flip(&places[1].join("node-b/files.tar.zst"));
    flip(&places[2].join("node-b/files.tar.zst"));
    let whole = format!("pair backup.whole set={set}");
    rig.run(&format!("pair backup.verify set={set}")).await.stopped_saying("operator");
    let lost = rig.run(&whole).await.stopped_saying("node-b/files.tar.zst as");
    assert!(lost.report.contains("operator/"), "{}", lost.report);
    rig.run(&bring).await.stopped_saying("damaged at node-a and at operator");

    // The peer has it again.
    flip(&places[0].join("node-b/files.tar.zst"));
    rig.run(&format!("{whole}\n{bring}")).await.well();
    assert_eq!(rig.shell("node-b", "find backups -name '*.partial'"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_is_named_with_its_place_bak_4() {
    let mut rig = Rig::new();
    rig.inventory.backup.copies = vec![CopyTo::Peer, CopyTo::Operator];
    let ran = rig.run(TAKE).await.well();
    let set = &ran.set;
    let verify = format!("pair backup.verify set={set}");
    let copy = rig.root().join("operator").join(set.as_str()).join("database/record.json");
    flip(&copy);
    rig.run(&verify).await.stopped_saying(&format!("expected {} as the manifest says", copy.display()));
    std::fs::remove_file(&copy).unwrap();
    rig.run(&verify).await.stopped_saying("missing");
    rig.run(&format!("pair backup.copy set={set}\n{verify}")).await.well();
    let peer = rig.set_dir("node-a", set).join("database/base.tar.zst");
    flip(&peer);
    rig.run(&verify).await.stopped_saying("node-a backup.part: expected node-a:");
    std::fs::remove_file(&peer).unwrap();
    rig.run(&format!("pair backup.copy set={set}\n{verify}")).await.well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_can_be_fetched_and_fetched_again_bak_5() {
    let rig = Rig::new();
    let ran = rig.run(TAKE).await.well();
    let to = rig.root().join("fetched");
    let say = |_: String| {};
    let manifest = crate::fetch(&rig.hosts, &rig.inventory, &ran.set, &to, &say).await.unwrap();
    let set = to.join(ran.set.as_str());
    assert_eq!(files_in(&set).len(), manifest.parts().count() + 1);
    flip(&set.join("node-a/files.tar.zst"));
    crate::fetch(&rig.hosts, &rig.inventory, &ran.set, &to, &say).await.unwrap();
    let home = rig.set_dir("node-a", &ran.set).join("node-a/files.tar.zst");
    assert_eq!(std::fs::read(set.join("node-a/files.tar.zst")).unwrap(), std::fs::read(&home).unwrap());
    std::fs::remove_file(set.join("node-a/files.tar.zst")).unwrap();
    flip(&home);
    let error = crate::fetch(&rig.hosts, &rig.inventory, &ran.set, &to, &say).await.unwrap_err();
    assert!(format!("{error:#}").contains("node-a/files.tar.zst"), "{error:#}");
    assert!(!set.join("node-a/files.tar.zst.partial").exists());
    assert_eq!(crate::manifest(&rig.hosts, &rig.inventory, &ran.set).await.unwrap(), manifest);
    let listed = crate::sets(&rig.hosts, &rig.inventory).await;
    assert_eq!(listed.iter().map(|at| &at.place).filter(|place| **place == Place::Operator).count(), 1);
}
