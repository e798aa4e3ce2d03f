//! The life of a step: tries, groups, what happens when its aim is not reached.

use rollup_model::{Event, StepState, event::StopReason};
use rollup_testkit::Ended;

use crate::support::{finished, node, policy, records, run, run_on, state_of, step};

#[tokio::test(start_paused = true)]
async fn a_database_that_keeps_its_roles_stops_no_upgrade_vip_4() {
    let run = run_on(|plan| plan.inventory.database.switchover = rollup_model::inventory::Switchover::Never, |_| {});
    let ended = run.live().await;
    assert!(matches!(ended, Ended::Finished), "{ended:?} {:?}", run.state().unwrap().failed().collect::<Vec<_>>());
    let world = run.sim.world();
    assert_eq!((world.holders(), world.writers()), (vec![node("node-b")], vec![node("node-a")]));
}

#[tokio::test(start_paused = true)]
async fn a_vip_that_never_moves_leaves_its_owner_and_gets_its_priority_back_vip_2() {
    let run = run_on(|_| {}, |world| world.knobs.vip_never_moves = true);
    let ended = run.live().await;
    assert!(matches!(ended, Ended::Stopped(StopReason::Failed)), "{ended:?}");
    let state = run.state().unwrap();
    let record = &state.steps[&step("vip.move@node-b")];
    assert_eq!((record.state, record.undone), (StepState::Failed, true));
    {
        let mut world = run.sim.world();
        assert_eq!(world.holders(), [node("node-a")]);
        assert_eq!(world.writers(), [node("node-a")]);
        let edits = world.effects.iter().filter(|effect| effect.name == "keepalived.reloaded");
        let edits: Vec<_> = edits.map(|effect| effect.key.as_str()).collect();
        assert_eq!(edits, ["120", "100"], "raised once, and taken back");
        assert_eq!(world.breaches, [""; 0]);
        world.knobs.vip_never_moves = false;
    }
    finished(&run.live().await);
    assert_eq!(run.sim.world().holders(), [node("node-b")]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_get_healthy_keeps_address_and_writer_where_they_are_fail_2() {
    let run = run_on(
        |_| {},
        |world| {
            world.knobs.never_healthy.insert(node("node-b"));
        },
    );
    let ended = run.live().await;
    assert!(matches!(ended, Ended::Stopped(StopReason::Failed)), "{ended:?}");
    assert_eq!(state_of(&run, "health.gate@node-b"), StepState::Failed);
    let world = run.sim.world();
    assert_eq!((world.holders(), world.writers()), (vec![node("node-a")], vec![node("node-a")]));
    assert_eq!(world.times("unit.stopped"), 2, "only the standby's units");
    assert_eq!(world.breaches, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_systemd_restarts_starts_the_soak_again_upg_6() {
    let soak = |flaps| async move {
        let run = run_on(|_| {}, |world| world.knobs.flaps = flaps);
        finished(&run.live().await);
        run.state().unwrap().steps[&step("health.soak@node-b")].millis.unwrap()
    };
    let (calm, flapping) = (soak(0).await, soak(3).await);
    // Three looks ten seconds apart; the last restart comes fifteen seconds after the start, and counts for ten more.
    assert!((20_000..22_000).contains(&calm), "{calm} ms");
    assert!((42_000..46_000).contains(&flapping), "{flapping} ms");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_dies_and_comes_back_all_the_time_never_gets_the_address_upg_6() {
    let run = run_on(|_| {}, |world| world.knobs.flaps = u32::MAX);
    assert!(matches!(run.live().await, Ended::Stopped(StopReason::Failed)));
    let error = run.state().unwrap().steps[&step("health.soak@node-b")].error.clone().unwrap();
    assert!(error.contains("restarted by systemd"), "{error}");
    assert_eq!(run.sim.world().holders(), [node("node-a")]);
}

#[tokio::test(start_paused = true)]
async fn steps_of_one_group_run_at_once() {
    let run = run();
    finished(&run.live().await);
    let sent = run.sim.sent();
    let began = |id: &str, at: &str| sent.iter().find(|sent| sent.id == id && sent.node == node(at)).unwrap().at;
    let first_end = sent.iter().find(|sent| sent.id == "job.clear").unwrap().at;
    for (id, at) in [("backup.take", "node-a"), ("backup.take", "node-b"), ("db.base-backup", "node-b")] {
        assert!(began(id, at) < first_end, "{id} on {at} waited for another step of its group");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_tried_as_often_as_its_policy_says_and_each_failure_is_kept() {
    let run = run_on(
        |plan| policy(plan, "service.start@node-b", |policy| policy.attempts = 3),
        |world| world.knobs.failing_starts = 2,
    );
    finished(&run.live().await);
    let retried = records(
        &run,
        |event| matches!(event, Event::StepRetried { step: id, .. } if *id == step("service.start@node-b")),
    );
    let attempts: Vec<_> = retried
        .iter()
        .map(|record| match &record.event {
            Event::StepRetried { attempt, error, .. } => {
                assert!(error.contains("`units.start` ended with status 1"), "{error}");
                *attempt
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(attempts, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_tries_are_used_up_stops_the_run_with_its_reason_fail_1() {
    let run = run_on(|_| {}, |world| world.knobs.failing_starts = 1);
    assert!(matches!(run.live().await, Ended::Stopped(StopReason::Failed)));
    let error = run.state().unwrap().steps[&step("service.start@node-b")].error.clone().unwrap();
    assert!(error.contains("Job failed"), "{error}");
    finished(&run.live().await);
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_others_are_in_the_way_of_is_tried_at_growing_distances_within_its_limit_upg_2() {
    let pauses = |tries| async move {
        let run = run_on(|_| {}, |world| world.knobs.blocked_migrations = tries);
        let ended = run.live().await;
        let retried = records(&run, |event| matches!(event, Event::StepRetried { .. }));
        let seconds = retried.iter().map(|record| match &record.event {
            Event::StepRetried { pause_ms, error, .. } => {
                assert!(error.contains("lock timeout"), "{error}");
                pause_ms / 1000
            }
            other => panic!("{other:?}"),
        });
        (run.state().unwrap(), matches!(ended, Ended::Finished), seconds.collect::<Vec<_>>())
    };
    let (_, finished, seconds) = pauses(7).await;
    assert!(finished);
    assert_eq!(seconds, [2, 4, 8, 16, 30, 30, 30]);
    // The limit is five minutes; what is left at its end is no time for another try.
    let (state, finished, seconds) = pauses(u32::MAX).await;
    assert!(!finished && (10..14).contains(&seconds.len()), "{seconds:?}");
    let failed = &state.steps[&step("db.migrate@node-a")];
    assert!(failed.error.as_ref().is_some_and(|error| error.contains("nothing was changed by it")), "{failed:?}");
}
