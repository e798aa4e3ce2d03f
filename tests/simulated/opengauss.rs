//! The same pair with openGauss: its tools change both roles with one request, and only watch; and what commits wait for,
//! on either database.

use std::time::Duration;

use rollup_model::{Event, Lane};
use rollup_testkit::{Cut, Ended, Engine, Kind, Range, Run, Scenario, Switching, Vip, run_all};

use crate::support::{back, changes, finished, node, on, pause_before, records};

const PROMPT: Engine = Engine::OpenGauss(Switching::Prompt);

/// How often a step was tried again.
fn retries(run: &Run) -> usize {
    records(run, |event| matches!(event, Event::StepRetried { .. })).len()
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_on_opengauss_changes_the_roles_by_one_request_and_is_taken_back_in_every_lane_vip_4_rb_2() {
    for lane in Lane::ALL {
        let run = on(PROMPT);
        let original = run.sim.world().as_before();
        finished(&run.live().await);
        {
            let world = run.sim.world();
            assert_eq!((world.holders(), world.writers()), (vec![node("node-b")], vec![node("node-b")]));
            assert_eq!(
                (world.times("db.demoted"), world.times("db.promoted")),
                (1, 1),
                "no server was stopped or started"
            );
            assert_eq!((world.times("db.stopped"), world.times("db.started")), (0, 0));
        }
        finished(&back(&run, lane).await.live().await);
        let world = run.sim.world();
        assert_eq!(world.as_before(), original, "{lane}");
        assert_eq!(world.times("db.built"), usize::from(lane == Lane::Restore));
        assert_eq!(world.breaches, [""; 0], "{lane}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_switchover_that_comes_true_after_its_tool_gave_up_is_not_asked_for_again_vip_4() {
    // The script sees the first one, and no longer the second one.
    for (late, seen) in [(15, true), (35, false)] {
        let run = on(Engine::OpenGauss(Switching::Late(Duration::from_secs(late))));
        finished(&run.live().await);
        let world = run.sim.world();
        assert_eq!((world.times("db.demoted"), world.times("db.promoted")), (1, 1));
        assert_eq!(run.sim.sent().iter().filter(|sent| sent.id == "db.promote").count(), 1, "{late} s");
        assert_eq!(world.writers(), [node("node-b")]);
        assert_eq!(world.breaches, [""; 0]);
        drop(world);
        assert_eq!(retries(&run) == 0, seen, "{late} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_switchover_that_ends_between_the_roles_is_finished_with_the_proof_vip_4() {
    let run = on(Engine::OpenGauss(Switching::Half));
    finished(&run.live().await);
    let world = run.sim.world();
    assert_eq!((world.times("db.demoted"), world.times("db.promoted")), (1, 1));
    assert_eq!(
        run.sim.sent().iter().filter(|sent| sent.id == "db.promote").count(),
        2,
        "a switchover, then a failover"
    );
    assert_eq!(world.writers(), [node("node-b")]);
    assert_eq!(world.breaches, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_switchover_that_the_servers_ignore_is_asked_for_once_more_vip_4() {
    let run = on(Engine::OpenGauss(Switching::Ignored));
    finished(&run.live().await);
    assert_eq!(run.sim.world().writers(), [node("node-b")]);
    assert_eq!(run.sim.sent().iter().filter(|sent| sent.id == "db.promote").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn commits_go_on_while_there_is_no_standby_and_wait_again_afterwards_db_2() {
    for engine in [Engine::Postgresql, PROMPT] {
        let run = on(engine);
        let original = run.sim.world().as_before();
        assert_eq!(original["node-a"]["database"]["commits"][0]["names"], "*", "commits wait for a standby");
        finished(&run.live().await);
        let back = back(&run, Lane::Restore).await;
        pause_before(&back, "rebuild").await;
        let between = run.sim.world().as_before();
        let commits = &between["node-a"]["database"]["commits"];
        assert_ne!(
            commits, &original["node-a"]["database"]["commits"],
            "they go on, and what was set is kept: {commits}"
        );
        assert!(commits[1].is_string(), "{commits}");
        finished(&back.live().await);
        let world = run.sim.world();
        assert_eq!(world.as_before(), original);
        assert_eq!((world.times("db.relaxed"), world.times("db.tightened")), (1, 1));
        assert_eq!(world.breaches, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_back_another_way_puts_back_what_a_broken_off_way_back_had_set_db_2_rb_1() {
    for engine in [Engine::Postgresql, PROMPT] {
        let restored = async |cut: Option<usize>| {
            let run = on(engine);
            let original = run.sim.world().as_before();
            finished(&run.live().await);
            let first = back(&run, Lane::Restore).await;
            let so_far = run.sim.sent().len();
            cut.into_iter().for_each(|at| first.sim.cut_from_now(Cut { at, kind: Kind::KillBefore }));
            let ended = first.live().await;
            (first, original, so_far, ended)
        };
        let (whole, _, so_far, _) = restored(None).await;
        let at = changes(&whole.sim, so_far).iter().position(|id| id == "db.tighten").unwrap();
        let (first, original, _, ended) = restored(Some(at)).await;
        assert!(matches!(ended, Ended::Killed), "{ended:?}");
        finished(&back(&first, Lane::Keep).await.live().await);
        let world = first.sim.world();
        assert_eq!(world.as_before(), original);
        assert_eq!(world.breaches, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_way_back_without_the_step_that_lets_commits_go_on_is_found_db_2() {
    for engine in [Engine::Postgresql, PROMPT] {
        let run = on(engine);
        finished(&run.live().await);
        let mut back = back(&run, Lane::Restore).await;
        back.scenario = back.scenario.replan(|plan| plan.steps.retain(|step| step.action.uses != "db.relax"));
        finished(&back.live().await);
        let breaches = run.sim.world().breaches.clone();
        assert!(breaches.iter().any(|breach| breach.contains("commits wait for a standby")), "{breaches:?}");
    }
}

#[test]
fn a_cut_anywhere_in_a_change_of_roles_on_opengauss_is_survived_fail_3_vip_4() {
    // Some of each kind here; `cargo xtask crash` visits them all.
    for switching in [Switching::Prompt, Switching::Half] {
        let scenario = Scenario::switch(Engine::OpenGauss(switching), Vip::Plain).unwrap();
        let matrix = run_all(&scenario, &Range { reboots: 11, ..Range::forward(11, 11) }).unwrap();
        assert!(matrix.points() > 60, "{} points", matrix.points());
        let wrong: Vec<_> = matrix.wrong.iter().map(ToString::to_string).collect();
        assert_eq!(wrong, [""; 0]);
    }
}
