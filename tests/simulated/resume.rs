//! Going on: what is skipped, what is looked at again, who may.

use std::time::Duration;

use rollup_model::{Event, RunId, StepState, event::StopReason};
use rollup_testkit::{Cut, Ended, Kind, Run};

use crate::support::{
    changes, finished, limit, node, pause_before, policy, records, run, run_on, state_of, step, stop_after,
};

#[tokio::test(start_paused = true)]
async fn a_finished_step_is_skipped_and_nothing_is_done_twice_fail_3() {
    let run = run();
    assert!(matches!(pause_before(&run, "cutover").await, Ended::Stopped(StopReason::Pause)));
    assert_eq!(state_of(&run, "service.start@node-b"), StepState::Done);
    let before = run.sim.sent().len();
    finished(&run.live().await);
    let later = run.sim.sent();
    let again = later.iter().skip(before).filter(|sent| sent.mutating && sent.node == node("node-b"));
    let again: Vec<_> =
        again.map(|sent| sent.id.as_str()).filter(|id| id.starts_with("units.") || id.starts_with("files.")).collect();
    assert_eq!(again, [""; 0]);
    let mut effects = run.sim.world().effects.clone();
    let all = effects.len();
    effects.sort();
    effects.dedup();
    assert_eq!(effects.len(), all);
}

#[tokio::test(start_paused = true)]
async fn a_look_is_repeated_until_a_later_change_has_begun_fail_3() {
    let looked = |run: &Run| {
        records(run, |event| matches!(event, Event::StepFinished { step: id, .. } if *id == step("precheck.run"))).len()
    };
    let run = run();
    pause_before(&run, "package").await;
    assert_eq!(looked(&run), 1);
    pause_before(&run, "backup").await;
    assert_eq!(looked(&run), 2, "nothing was changed yet, and the world may have moved");
    finished(&run.live().await);
    assert_eq!(looked(&run), 2, "the package was copied on the ground of that look");
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_stop_lets_the_step_end_and_the_run_go_on_later() {
    let run = run();
    let ended = stop_after(&run, Duration::from_secs(4)).await;
    assert!(matches!(ended, Ended::Stopped(StopReason::Operator)), "{ended:?}");
    let state = run.state().unwrap();
    assert!(state.steps.values().all(|step| step.state == StepState::Done), "no step is left in doubt");
    finished(&run.live().await);
}

#[tokio::test(start_paused = true)]
async fn a_run_pauses_before_the_stage_that_was_asked_for() {
    let run = run();
    assert!(matches!(pause_before(&run, "standby").await, Ended::Stopped(StopReason::Pause)));
    assert_eq!(run.sim.world().times("unit.stopped"), 0);
    assert_eq!(state_of(&run, "backup.seal"), StepState::Done);
    assert_eq!(state_of(&run, "sync.freeze@node-a"), StepState::Pending);
    finished(&run.live().await);
}

#[tokio::test(start_paused = true)]
async fn a_stage_whose_limit_is_used_up_fails_and_goes_on_later_upg_7() {
    let slow_hook = |world: &mut rollup_testkit::World| world.knobs.job_takes = Some(Duration::from_secs(20));
    let run = run_on(
        |plan| {
            limit(plan, "standby", rollup_model::Span::secs(15));
            policy(plan, "health.soak@node-b", |policy| policy.stable_for = rollup_model::Span::secs(1));
        },
        slow_hook,
    );
    let ended = run.live().await;
    assert!(matches!(ended, Ended::Stopped(StopReason::Failed)), "{ended:?}");
    let state = run.state().unwrap();
    let error = state.steps[&step("hook.post-install@node-b")].error.clone().unwrap();
    assert_eq!(error, "the limit of phase `standby` is used up");
    assert_eq!(run.sim.world().holders(), [node("node-a")]);
    finished(&run.live().await);
    assert_eq!(run.sim.world().times("hook.ran"), 2, "once on each node: the job was found again");
}

#[tokio::test(start_paused = true)]
async fn a_second_operator_is_refused_and_told_who_holds_the_pair_fail_4() {
    let first = run();
    pause_before(&first, "standby").await;
    let scenario = first.scenario.clone().replan(|plan| plan.run = RunId::new("20260301-110000-cd34").unwrap());
    let second = Run::new(&scenario, first.sim.clone()).unwrap();
    let before = first.sim.sent().len();
    match second.live().await {
        Ended::Held { node: at, holder } => {
            assert_eq!((at, holder.run), (node("node-a"), first.scenario.plan.run.clone()));
            assert_eq!(holder.by.user, "ops");
        }
        other => panic!("expected to be refused, found {other:?}"),
    }
    let sent = changes(&first.sim, before);
    assert_eq!(sent, ["lock.acquire", "lock.release", "lock.release"], "the question, and giving back what is its own");
    finished(&first.live().await);
    assert_eq!(first.sim.world().locked_by(&node("node-b")), None);
}

#[tokio::test(start_paused = true)]
async fn the_lock_of_a_killed_run_is_taken_over_by_the_same_run_fail_3() {
    let run = run();
    run.sim.cut(Cut { at: 60, kind: Kind::KillAfter });
    assert!(matches!(run.live().await, Ended::Killed));
    let holder = run.scenario.plan.run.as_str();
    assert_eq!(run.sim.world().locked_by(&node("node-a")), Some(holder));
    finished(&run.live().await);
    assert_eq!(run.sim.world().locked_by(&node("node-a")), None);
}
