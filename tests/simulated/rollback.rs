//! Taking a run back: what the plan holds, what is left afterwards.

use rollup_model::{Lane, event::StopReason};
use rollup_testkit::{Ended, Run, Scenario};

use crate::support::{back, finished, node, pause_before, run, run_on};

/// Steps of a plan, each with what it runs.
fn steps(run: &Run) -> Vec<(String, String)> {
    run.scenario.plan.steps.iter().map(|step| (step.id.to_string(), step.action.uses.clone())).collect()
}

fn position(steps: &[(String, String)], id: &str) -> usize {
    steps.iter().position(|(step, _)| step == id).unwrap()
}

/// Stages of a plan, in order.
fn stages(run: &Run) -> String {
    run.scenario.plan.phases.iter().map(|phase| phase.id.as_str()).collect::<Vec<_>>().join(" ")
}

#[tokio::test(start_paused = true)]
async fn a_finished_run_is_taken_back_with_the_sync_frozen_from_first_to_last_rb_1() {
    let run = run();
    let original = run.sim.world().as_before();
    finished(&run.live().await);
    let so_far = run.sim.world().effects.len();
    let back = back(&run, Lane::Keep).await;
    let steps = steps(&back);
    for node in ["node-a", "node-b"] {
        let (freeze, restore) = (position(&steps, &format!("sync.freeze@{node}")), format!("backup.restore@{node}"));
        assert!(freeze < position(&steps, &restore) && position(&steps, &restore) < position(&steps, "sync.thaw"));
    }
    finished(&back.live().await);
    let world = run.sim.world();
    let of_sync = world.effects[so_far..].iter().filter(|effect| effect.name.starts_with("sync."));
    let of_sync: Vec<_> = of_sync.map(|effect| effect.name).collect();
    assert_eq!(of_sync, ["sync.frozen", "sync.frozen", "sync.thawed", "sync.thawed", "sync.copied"]);
    assert_eq!(world.as_before(), original);
    assert_eq!((world.holders(), world.writers()), (vec![node("node-a")], vec![node("node-a")]));
    let removed = world.effects[so_far..].iter().filter(|effect| effect.name == "file.removed");
    assert_eq!(removed.count(), 4, "what the package added, and the record of it, is gone from both nodes");
    assert_eq!(world.breaches, [""; 0]);
    assert_eq!(world.set_problems(), [""; 0], "both sets are whole where they should be");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_failed_with_the_sync_frozen_gives_the_timers_back_rb_1_fail_2() {
    let run = run_on(|_| {}, |world| world.knobs.failing_starts = 1);
    let original = run.sim.world().as_before();
    assert!(matches!(run.live().await, Ended::Stopped(_)));
    let back = back(&run, Lane::Keep).await;
    assert_eq!(stages(&back), "check bring safety freeze hold idle settle finish record", "the VIP stays where it is");
    finished(&back.live().await);
    let world = run.sim.world();
    assert_eq!(world.as_before(), original);
    assert_eq!(world.times("vip.taken"), 0);
    assert_eq!(world.breaches, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn where_the_address_stays_with_a_living_owner_it_moves_and_comes_back_without_a_trace_vip_2() {
    let scenario = Scenario::built_in().unwrap().with_nopreempt();
    let run = Run::new(&scenario, scenario.pair()).unwrap();
    let original = run.sim.world().as_before();
    finished(&run.live().await);
    {
        let world = run.sim.world();
        assert_eq!(world.holders(), [node("node-b")]);
        let files =
            |value: &serde_json::Value| ["node-a", "node-b"].map(|node| value[node]["keepalived"]["config"].clone());
        assert_eq!(files(&world.as_before()), files(&original), "the override was needed for the move only");
    }
    finished(&back(&run, Lane::Keep).await.live().await);
    assert_eq!(run.sim.world().as_before(), original);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_changed_nothing_has_no_way_back() {
    let run = run();
    pause_before(&run, "package").await;
    assert!(run.rollback().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_stopped_before_its_set_was_read_back_is_undone_step_by_step_rb_1() {
    let run = run();
    pause_before(&run, "backup").await;
    let back = back(&run, Lane::Keep).await;
    let uses: Vec<_> = steps(&back).into_iter().map(|(_, uses)| uses).collect();
    assert_eq!(uses, ["package.clean", "package.clean"]);
    assert_eq!(back.scenario.plan.restores, None);
    finished(&back.live().await);
}

#[tokio::test(start_paused = true)]
async fn in_the_lane_down_the_schema_change_is_taken_back_once_and_on_both_databases_rb_2() {
    let run = run();
    finished(&run.live().await);
    assert_eq!(run.sim.world().migrations(&node("node-a")), ["V2.0.0__add_note.sql"]);
    finished(&back(&run, Lane::Down).await.live().await);
    run.sim.wait(std::time::Duration::from_secs(1)).await;
    let world = run.sim.world();
    for name in ["node-a", "node-b"] {
        assert_eq!(world.migrations(&node(name)), [""; 0]);
    }
    assert_eq!(world.times("migration.reverted"), 1);
    assert_eq!(world.breaches, [""; 0], "somebody served and wrote all along");
}

#[tokio::test(start_paused = true)]
async fn in_the_lane_restore_the_old_database_comes_back_and_nothing_of_an_exchange_stays_rb_2() {
    let run = run();
    let original = run.sim.world().as_before();
    finished(&run.live().await);
    let back = back(&run, Lane::Restore).await;
    let order = ["db.unpack@node-a", "service.stop@node-a", "db.halt@node-b", "db.restore@node-a", "db.rebuild@node-b"];
    let places = order.map(|id| position(&steps(&back), id));
    assert!(places.is_sorted(), "unpacked before anything stops, halted before anything is exchanged: {places:?}");
    let before = run.sim.world().effects.len();
    finished(&back.live().await);
    let world = run.sim.world();
    let exchanged = world.effects[before..].iter().filter(|effect| effect.name == "db.exchanged");
    assert_eq!(exchanged.map(|effect| effect.node.as_str()).collect::<Vec<_>>(), ["node-a", "node-b"]);
    assert_eq!(world.migrations(&node("node-b")), [""; 0], "the standby was made anew from the restored primary");
    assert_eq!(world.as_before(), original);
    assert_eq!(world.breaches, [""; 0], "never two writers, and an interruption only where the service is stopped");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_damaged_on_its_node_is_brought_from_its_copy_before_anything_stops_rb_1() {
    let run = run();
    let original = run.sim.world().as_before();
    finished(&run.live().await);
    let set = run.scenario.plan.backup_set.clone();
    run.sim.world().damage(&node("node-a"), &set, "node-a/files.tar.zst");
    run.sim.world().lose(&node("node-b"), &set, "node-b");
    let before = run.sim.world().effects.len();
    finished(&back(&run, Lane::Keep).await.live().await);
    let world = run.sim.world();
    let names: Vec<_> = world.effects[before..].iter().map(|effect| (effect.name, effect.key.as_str())).collect();
    let place = |wanted: &str| names.iter().position(|(name, _)| *name == wanted).unwrap();
    assert!(names[..place("unit.stopped")].contains(&("backup.copied", &format!("{set} node-a/files.tar.zst"))));
    assert!(names[..place("unit.stopped")].contains(&("backup.copied", &format!("{set} node-b/root-key.age"))));
    assert_eq!(world.as_before(), original);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_damaged_everywhere_is_refused_before_anything_is_touched_rb_1() {
    let run = run();
    finished(&run.live().await);
    let set = run.scenario.plan.backup_set.clone();
    for name in ["node-a", "node-b"] {
        run.sim.world().damage(&node(name), &set, "node-a/root-key.age");
    }
    let before = run.sim.world().effects.len();
    let after = run.sim.world().as_before();
    let back = back(&run, Lane::Keep).await;
    let ended = back.live().await;
    assert!(matches!(ended, Ended::Stopped(StopReason::Blocked)), "{ended:?}");
    let state = back.state().unwrap();
    let (step, record) = state.failed().next().unwrap();
    assert_eq!(step.as_str(), "backup.whole");
    assert!(record.error.as_ref().unwrap().contains("node-a/root-key.age"), "{:?}", record.error);
    assert_eq!(run.sim.world().effects.len(), before);
    assert_eq!(run.sim.world().as_before(), after, "and the nodes are free");
}

#[tokio::test(start_paused = true)]
async fn one_node_that_alone_differs_brings_the_pair_back_as_a_whole_rb_2() {
    let run = run_on(
        |_| {},
        |world| {
            world.knobs.never_healthy.insert(node("node-b"));
        },
    );
    let original = run.sim.world().as_before();
    assert!(matches!(run.live().await, Ended::Stopped(StopReason::Failed)));
    let back = run.rollback_by(Lane::Keep, Some(&node("node-b"))).await.unwrap().unwrap();
    assert_eq!(stages(&back), "check bring safety freeze hold idle settle finish record");
    finished(&back.live().await);
    assert_eq!(run.sim.world().as_before(), original, "the sync is thawed, too");
}

#[tokio::test(start_paused = true)]
async fn one_node_of_two_goes_back_without_touching_the_database_the_address_and_the_other_one_rb_2() {
    let run = run();
    let original = run.sim.world().as_before();
    finished(&run.live().await);
    let upgraded = run.sim.world().as_before();
    let back = run.rollback_by(Lane::Keep, Some(&node("node-a"))).await.unwrap().unwrap();
    assert_eq!(stages(&back), "check bring safety freeze node record");
    finished(&back.live().await);
    let world = run.sim.world();
    let found = world.as_before();
    assert_eq!(found["node-a"]["service"], original["node-a"]["service"]);
    // Two versions must not copy configuration to each other: the config sync is frozen and stays so.
    for (part, state) in found["node-b"].as_object().unwrap().iter().filter(|(part, _)| *part != "sync") {
        assert_eq!(state, &upgraded["node-b"][part], "{part}");
    }
    assert_eq!((world.holders(), world.writers()), (vec![node("node-b")], vec![node("node-b")]));
    assert_eq!(world.times("db.backed-up"), 1, "its safety set has no database");
    assert_eq!(world.breaches, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_way_back_is_itself_taken_back_to_its_safety_set_rb_1() {
    let run = run();
    finished(&run.live().await);
    let upgraded = run.sim.world().as_before();
    let first = back(&run, Lane::Keep).await;
    finished(&first.live().await);
    let second = back(&first, Lane::Keep).await;
    assert_eq!(second.scenario.plan.restores.as_deref(), Some(first.scenario.plan.backup_set.as_str()));
    assert_eq!(second.scenario.plan.takes_back, std::slice::from_ref(&first.scenario.plan.run));
    finished(&second.live().await);
    let world = run.sim.world();
    assert_eq!(world.as_before(), upgraded, "the node that served then serves again");
    assert_eq!(world.breaches, [""; 0]);
}
