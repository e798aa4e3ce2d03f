//! What the tests of this layer share.

use std::{sync::Arc, time::Duration};

use rollup_engine::{Options, Stop};
use rollup_model::{Event, Lane, NodeName, PhaseId, Plan, Policy, Record, Span, StepId, StepState};
use rollup_testkit::{Ended, Engine, Run, Scenario, Sim, World};

pub(crate) fn step(id: &str) -> StepId {
    StepId::new(id).unwrap()
}

pub(crate) fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

/// The built-in upgrade on a healthy pair.
pub(crate) fn run() -> Run {
    run_on(|_| {}, |_| {})
}

/// The built-in upgrade, changed, on a pair that misbehaves.
pub(crate) fn run_on(plan: impl FnOnce(&mut Plan), world: impl FnOnce(&mut World)) -> Run {
    let scenario = Scenario::built_in().unwrap().replan(plan);
    let pair = scenario.pair_with(world);
    Run::new(&scenario, pair).unwrap()
}

/// The built-in upgrade on a healthy pair with this database.
pub(crate) fn on(engine: Engine) -> Run {
    let scenario = Scenario::on(engine).unwrap();
    Run::new(&scenario, scenario.pair()).unwrap()
}

/// The rollback of what became of a run.
pub(crate) async fn back(run: &Run, lane: Lane) -> Run {
    run.rollback_by(lane, None).await.unwrap().unwrap()
}

/// Changes the policy of one step.
pub(crate) fn policy(plan: &mut Plan, id: &str, change: impl FnOnce(&mut Policy)) {
    change(&mut plan.steps.iter_mut().find(|step| step.id.as_str() == id).unwrap().policy);
}

/// Gives a stage a limit.
pub(crate) fn limit(plan: &mut Plan, phase: &str, limit: Span) {
    plan.phases.iter_mut().find(|found| found.id.as_str() == phase).unwrap().limit = Some(limit);
}

/// Runs until the stage would begin.
pub(crate) async fn pause_before(run: &Run, phase: &str) -> Ended {
    let options = Options { pause_before: Some(PhaseId::new(phase).unwrap()), ..Options::default() };
    run.live_with(&options, Stop::default()).await
}

/// Runs with a wish to stop that comes after this simulated time.
pub(crate) async fn stop_after(run: &Run, time: Duration) -> Ended {
    let stop = Stop::default();
    let signal = async {
        tokio::time::sleep_until(tokio::time::Instant::now() + time).await;
        stop.ask();
    };
    let options = Options::default();
    tokio::join!(run.live_with(&options, stop.clone()), signal).0
}

pub(crate) fn finished(ended: &Ended) {
    assert!(matches!(ended, Ended::Finished), "expected a finished run, found {ended:?}");
}

/// What the journal says of a step.
pub(crate) fn state_of(run: &Run, id: &str) -> StepState {
    run.state().unwrap().get(&step(id))
}

/// Records that fit.
pub(crate) fn records(run: &Run, fits: impl Fn(&Event) -> bool) -> Vec<Record> {
    run.records().unwrap().into_iter().filter(|record| fits(&record.event)).collect()
}

/// Ids of commands that were sent to a node after the first `skip` ones, changes only.
pub(crate) fn changes(sim: &Arc<Sim>, skip: usize) -> Vec<String> {
    sim.sent().into_iter().skip(skip).filter(|sent| sent.mutating).map(|sent| sent.id).collect()
}
