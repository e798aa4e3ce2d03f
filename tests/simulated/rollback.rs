//! Taking a run back.

use rollup_testkit::{Ended, Run, Scenario};

use crate::support::{finished, node, run, run_on};

/// Steps of a plan, each with what it runs.
fn steps(run: &Run) -> Vec<(String, String)> {
    run.scenario.plan.steps.iter().map(|step| (step.id.to_string(), step.action.uses.clone())).collect()
}

fn position(steps: &[(String, String)], id: &str) -> usize {
    steps.iter().position(|(step, _)| step == id).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_finished_run_is_taken_back_with_the_sync_frozen_from_first_to_last_rb_1() {
    let run = run();
    let original = run.sim.world().as_before();
    finished(&run.live().await);
    let so_far = run.sim.world().effects.len();
    let back = run.rollback().unwrap().unwrap();
    let steps = steps(&back);
    assert_eq!(steps[0], ("sync.thaw".to_owned(), "sync.refreeze".to_owned()));
    for node in ["node-a", "node-b"] {
        let at = position(&steps, &format!("sync.freeze@{node}"));
        assert_eq!(steps[at].1, "sync.unfreeze");
        assert!(position(&steps, &format!("service.install@{node}")) < at, "the old files are in place before");
    }
    finished(&back.live().await);
    let world = run.sim.world();
    let of_sync = world.effects[so_far..].iter().filter(|effect| effect.name.starts_with("sync."));
    let of_sync: Vec<_> = of_sync.map(|effect| effect.name).collect();
    assert_eq!(of_sync, ["sync.frozen", "sync.frozen", "sync.unfrozen", "sync.unfrozen"]);
    assert_eq!(world.as_before(), original);
    assert_eq!((world.holders(), world.writers()), (vec![node("node-a")], vec![node("node-a")]));
    assert_eq!(world.breaches, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_failed_with_the_sync_frozen_gives_the_timers_back_rb_1() {
    let run = run_on(|_| {}, |world| world.knobs.failing_starts = 1);
    let original = run.sim.world().as_before();
    assert!(matches!(run.live().await, Ended::Stopped(_)));
    let back = run.rollback().unwrap().unwrap();
    let steps = steps(&back);
    assert!(steps.iter().all(|(_, uses)| uses != "sync.refreeze"), "it is frozen still: {steps:?}");
    finished(&back.live().await);
    assert_eq!(run.sim.world().as_before(), original);
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
    finished(&run.rollback().unwrap().unwrap().live().await);
    assert_eq!(run.sim.world().as_before(), original);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_changed_nothing_has_no_way_back() {
    let run = run();
    crate::support::pause_before(&run, "package").await;
    assert!(run.rollback().unwrap().is_none());
}
