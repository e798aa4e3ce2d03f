//! What stops a run that could go on, and how an operator lets it: a sick node by name, an interruption over the budget.

use rollup_engine::{Options, Stop, journal::Journal};
use rollup_model::{
    Event, Outcome, Span, StepState,
    event::{Operator, StopReason},
};
use rollup_testkit::{Ended, Run};

use crate::support::{finished, node, records, run_on, state_of, step};

fn operator() -> Operator {
    Operator { user: "ops".to_owned(), host: "desk".to_owned(), pid: 1, version: "0".to_owned() }
}

/// What `rollup confirm` writes.
fn accept(run: &Run, gate: &str) {
    let findings = run.state().unwrap().steps[&step(gate)].findings.clone();
    let (mut journal, _) = Journal::open(&run.dir()).unwrap();
    let event = Event::StepAccepted { step: step(gate), by: operator(), reason: "known bug 17".to_owned(), findings };
    journal.append(jiff::Timestamp::now(), event).unwrap();
}

fn failed(ended: &Ended) {
    assert!(matches!(ended, Ended::Stopped(StopReason::Failed)), "expected a failed step, found {ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_health_gate_is_passed_when_an_operator_accepts_it_by_name_upg_8() {
    let run = run_on(|_| {}, |world| world.knobs.never_healthy = [node("node-b")].into());
    failed(&run.live().await);
    assert_eq!(state_of(&run, "health.gate@node-b"), StepState::Failed);
    failed(&run.live().await);
    accept(&run, "health.gate@node-b");
    // It goes past the gate and the watch behind it, but clients are not moved to a node and then left there: the check
    // at the end says no again, by name.
    failed(&run.live().await);
    for gate in ["health.gate@node-b", "health.soak@node-b"] {
        let record = run.state().unwrap().steps[&step(gate)].clone();
        assert_eq!((record.state, record.outcome), (StepState::Done, Some(Outcome::Accepted)), "{gate}");
    }
    let accepted = run.state().unwrap().steps[&step("health.gate@node-b")].accepted.clone().unwrap();
    assert_eq!((accepted.by.user.as_str(), accepted.reason.as_str()), ("ops", "known bug 17"));
    assert_eq!(state_of(&run, "final.check"), StepState::Failed);
    accept(&run, "final.check");
    finished(&run.live().await);
}

#[tokio::test(start_paused = true)]
async fn what_a_package_says_of_its_health_is_asked_once_it_is_installed_pkg_1() {
    let answers_at = |port: u16| {
        run_on(
            move |plan| {
                if let Some(release) = &mut plan.release {
                    release.health.ports = vec![port];
                }
            },
            |_| {},
        )
    };
    finished(&answers_at(8080).live().await);
    let run = answers_at(9);
    failed(&run.live().await);
    let record = run.state().unwrap().steps[&step("health.gate@node-b")].clone();
    assert_eq!(record.findings[0].expected, "port 9 listening", "{record:?}");
}

#[tokio::test(start_paused = true)]
async fn what_puts_data_at_risk_is_never_accepted_upg_8() {
    let run = run_on(|_| {}, |world| world.knobs.never_healthy = [node("node-b")].into());
    failed(&run.live().await);
    accept(&run, "health.gate@node-b");
    // Meanwhile the database of that node is gone, too: nobody has accepted that.
    run.sim.world().server_dies(&node("node-b"));
    failed(&run.live().await);
    let record = run.state().unwrap().steps[&step("health.gate@node-b")].clone();
    let error = record.error.unwrap();
    assert!(error.contains("this cannot be") && error.contains("health.database"), "{error}");
    assert_eq!(state_of(&run, "vip.move@node-b"), StepState::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_forecast_over_the_budget_stops_before_the_cutover_until_it_is_accepted_vip_5() {
    let run = run_on(|plan| plan.inventory.cluster.downtime_budget = Span::millis(1), |_| {});
    failed(&run.live().await);
    assert_eq!(state_of(&run, "vip.move@node-b"), StepState::Pending);
    let found = run.state().unwrap().steps[&step("cutover.forecast")].findings[0].clone();
    assert_eq!((found.id.as_str(), found.expected.as_str()), ("cutover.forecast", "an interruption of at most 1ms"));
    assert!(found.found.contains("db.switchover@node-b"), "{}", found.found);
    assert!(found.fix.unwrap().contains("--accept-downtime"));
    failed(&run.live().await);
    let options = Options { accept_downtime: true, ..Options::default() };
    finished(&run.live_with(&options, Stop::default()).await);
    let accepted = records(&run, |event| matches!(event, Event::DowntimeAccepted { .. }));
    assert_eq!(accepted.len(), 1, "who accepted it is on record");
}
