//! A change whose end was not seen: looked at and finished at once, and not for ever.

use std::time::Duration;

use rollup_model::{Event, StepState};
use rollup_testkit::{Cut, Ended, Kind, Run};

use crate::support::{finished, node, records, run, state_of, step};

/// The place of a command among those that change something.
async fn place_of(id: &str) -> usize {
    let run = run();
    finished(&run.live().await);
    run.sim.sent().iter().filter(|sent| sent.mutating).position(|sent| sent.id == id).unwrap()
}

fn retries(run: &Run, id: &str) -> usize {
    records(run, |event| matches!(event, Event::StepRetried { step: of, .. } if *of == step(id))).len()
}

#[tokio::test(start_paused = true)]
async fn a_lost_promotion_is_finished_at_once_vip_4() {
    let at = place_of("db.promote").await;
    for kind in [Kind::LostBefore, Kind::LostAfter, Kind::LostLate] {
        let run = run();
        run.sim.cut(Cut { at, kind });
        finished(&run.live().await);
        assert_eq!(run.sim.fired().unwrap().id, "db.promote");
        assert_eq!(retries(&run, "db.switchover@node-b"), 1, "{kind}");
        let world = run.sim.world();
        assert_eq!(world.times("db.promoted"), 1, "{kind}");
        assert!(world.longest_silence < Duration::from_secs(10), "{kind}: {:?}", world.longest_silence);
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_lost_again_and_again_is_given_up_after_three_times_fail_1() {
    let run = run();
    run.sim.make_deaf(&node("node-b"), "units.start");
    let ended = run.live().await;
    assert!(matches!(ended, Ended::Stopped(_)), "{ended:?}");
    assert_eq!(state_of(&run, "service.start@node-b"), StepState::Failed);
    let sent = run.sim.sent().iter().filter(|sent| sent.id == "units.start").count();
    assert_eq!((sent, retries(&run, "service.start@node-b")), (4, 3), "three that do not count, and the one try");
    run.sim.heal();
    finished(&run.live().await);
    assert_eq!(run.sim.world().times("unit.started"), 4);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_boots_between_stop_and_start_has_its_units_started_anew_upg_5() {
    let at = place_of("files.install").await;
    let run = run();
    run.sim.cut(Cut { at, kind: Kind::RebootAfter });
    finished(&run.live().await);
    let world = run.sim.world();
    let started = world.effects.iter().filter(|effect| effect.name == "unit.started" && effect.node == node("node-b"));
    assert_eq!(started.count(), 2, "those that the boot brought up have not seen the new root key");
    assert_eq!(world.breaches, [""; 0]);
}
