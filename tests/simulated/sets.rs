//! Backup sets in a run: what is kept, what holds it, where its copies are, and a way back that is broken off.

use std::time::Duration;

use rollup_model::{Lane, inventory::CopyTo};
use rollup_testkit::{Cut, Ended, Kind, Run, Scenario, World};

use crate::support::{back, changes, finished, node, pause_before, run, run_on};

/// The hold of the run's set on a node, in a word.
fn hold(run: &Run, name: &str) -> &'static str {
    match run.sim.world().hold_of(&node(name), &run.scenario.plan.backup_set) {
        None => "none",
        Some(hold) if hold.contains("open") => "open",
        Some(_) => "done",
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_holds_its_set_until_it_is_taken_back_bak_3() {
    let run = run();
    let old = run.sim.world().sets_of(&node("node-a"));
    pause_before(&run, "standby").await;
    assert_eq!([hold(&run, "node-a"), hold(&run, "node-b")], ["open"; 2]);
    assert_eq!(run.sim.world().sets_of(&node("node-a")).len(), 2, "the older set stays while this one may fail");
    finished(&run.live().await);
    assert_eq!([hold(&run, "node-a"), hold(&run, "node-b")], ["done"; 2]);
    let sets = run.sim.world().sets_of(&node("node-b"));
    assert_eq!(sets, std::slice::from_ref(&run.scenario.plan.backup_set), "{old:?} leads back to nothing any more");
    let back = back(&run, Lane::Keep).await;
    finished(&back.live().await);
    assert_eq!([hold(&run, "node-a"), hold(&run, "node-b")], ["none"; 2]);
    let kept = run.sim.world().sets_of(&node("node-a"));
    assert_eq!(kept, [run.scenario.plan.backup_set.clone(), back.scenario.plan.backup_set.clone()]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_failed_keeps_its_set_and_the_one_before_bak_3() {
    let run = run_on(|_| {}, |world| world.knobs.failing_starts = 1);
    assert!(matches!(run.live().await, Ended::Stopped(_)));
    assert_eq!([hold(&run, "node-a"), hold(&run, "node-b")], ["open"; 2]);
    assert_eq!(run.sim.world().sets_of(&node("node-a")).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn every_part_is_on_both_nodes_and_the_root_key_is_readable_on_neither_bak_2_bak_5() {
    let run = run();
    finished(&run.live().await);
    let world = run.sim.world();
    let manifest = world.manifest(&run.scenario.plan.backup_set).unwrap();
    let copies: Vec<_> = manifest.copies.iter().map(ToString::to_string).collect();
    assert_eq!(copies, ["node-a", "node-b"]);
    assert_eq!(world.set_problems(), [""; 0]);
    let keys = manifest.nodes.values().filter_map(|parts| parts.root_key.as_ref());
    assert!(keys.clone().all(|key| key.recipients == run.scenario.plan.inventory.backup.recipients));
    assert_eq!(keys.count(), 2);
    // Each command is looked at: arguments and input.
    assert_eq!(world.breaches, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_no_node_has_any_more_comes_back_from_the_operator_bak_5_rb_1() {
    let scenario = Scenario::built_in().unwrap().replan(|plan| plan.inventory.backup.copies = vec![CopyTo::Operator]);
    let run = Run::new(&scenario, scenario.pair()).unwrap();
    let original = run.sim.world().as_before();
    finished(&run.live().await);
    let set = scenario.plan.backup_set.clone();
    let here = std::path::Path::new(scenario.plan.inventory.backup.operator_dir.as_ref().unwrap()).join(&set);
    assert!(here.join("manifest.json").is_file() && here.join("database/base.tar.zst").is_file());
    for name in ["node-a", "node-b"] {
        for folder in ["node-a", "node-b", "database"] {
            run.sim.world().lose(&node(name), &set, folder);
        }
    }
    finished(&back(&run, Lane::Restore).await.live().await);
    let world = run.sim.world();
    assert_eq!(world.as_before(), original);
    assert_eq!(world.breaches, [""; 0]);
}

/// A finished run, and its rollback, which is killed right after this command has changed something.
async fn killed_after(lane: Lane, id: &str) -> (Run, Run) {
    killed_on(|_| {}, lane, id).await
}

/// The same on a pair that misbehaves.
async fn killed_on(world: fn(&mut World), lane: Lane, id: &str) -> (Run, Run) {
    let run = || run_on(|_| {}, world);
    let whole = run();
    finished(&whole.live().await);
    let back_of_whole = back(&whole, lane).await;
    let before = whole.sim.sent().len();
    finished(&back_of_whole.live().await);
    let at = changes(&whole.sim, before).iter().position(|sent| sent == id).unwrap();
    let run = run();
    finished(&run.live().await);
    let back = back(&run, lane).await;
    back.sim.cut_from_now(Cut { at, kind: Kind::KillAfter });
    assert!(matches!(back.live().await, Ended::Killed), "{id}");
    assert_eq!(back.sim.fired().unwrap().id, id);
    (run, back)
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_is_killed_goes_on_and_exchanges_the_directories_once_fail_3_rb_2() {
    let original = run().sim.world().as_before();
    for id in ["db.unpack", "db.halt", "db.restore", "db.rebuild", "db.discard"] {
        let (run, back) = killed_after(Lane::Restore, id).await;
        finished(&back.live().await);
        let world = run.sim.world();
        assert_eq!(world.times("db.exchanged"), 2, "{id}: once on each node");
        assert_eq!(world.as_before(), original, "{id}");
        assert_eq!(world.breaches, [""; 0], "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_in_the_middle_of_its_work_is_attached_to_whatever_a_look_finds_fail_3() {
    let slowly = |world: &mut World| {
        world.knobs.job_takes = Some(Duration::from_secs(60));
        world.knobs.slow_renames = true;
    };
    let original = run().sim.world().as_before();
    let (run, back) = killed_on(slowly, Lane::Restore, "db.rebuild").await;
    let sent = run.sim.sent().len();
    let ended = back.live().await;
    assert!(matches!(ended, Ended::Finished), "{ended:?} {:?}", back.state().unwrap().failed().next());
    let looked = run.sim.sent().into_iter().skip(sent).filter(|sent| sent.id == "db.place-look").count();
    assert!(looked > 0, "nobody looked while the job was at work");
    let world = run.sim.world();
    assert_eq!(world.times("db.exchanged"), 2, "once on each node");
    assert_eq!(world.as_before(), original);
    assert_eq!(world.breaches, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_was_broken_off_is_begun_anew_and_takes_both_back_rb_1_fail_3() {
    let original = run().sim.world().as_before();
    let keep = ["backup.put-back", "units.stop", "units.start", "db.demote", "vip.override"];
    let restore = ["db.unpack", "units.stop", "db.halt", "db.restore", "vip.override", "db.rebuild"];
    let lanes = [(Lane::Keep, &keep[..]), (Lane::Restore, &restore[..])];
    for (lane, id) in lanes.into_iter().flat_map(|(lane, ids)| ids.iter().map(move |id| (lane, *id))) {
        let (run, first) = killed_after(lane, id).await;
        let second = back(&first, lane).await;
        assert_eq!(second.scenario.plan.restores, Some(run.scenario.plan.backup_set.clone()), "{id}");
        let taken = [first.scenario.plan.run.clone(), run.scenario.plan.run.clone()];
        assert_eq!(second.scenario.plan.takes_back, taken, "{id}");
        let ended = second.live().await;
        assert!(matches!(ended, Ended::Finished), "{id}: {ended:?} {:?}", second.state().unwrap().failed().next());
        run.sim.wait(Duration::from_secs(5)).await;
        let world = run.sim.world();
        assert_eq!(world.as_before(), original, "{id}");
        assert_eq!(world.breaches, [""; 0], "{id}");
    }
}
