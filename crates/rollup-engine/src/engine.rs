//! The run: batches in order, what to skip when it goes on, when to stop.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use rollup_model::{
    Event, PhaseId, Plan, RunState, Step, StepState,
    event::{Operator, StopReason},
    plan::Impact,
};
use tokio::time::Instant;

use crate::{
    Hosts, Recorder, Registry, Stop,
    gather::wait_until_quiet,
    journal,
    step::{Failure, Runner},
};

/// What the operator asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Stop before this stage.
    pub pause_before: Option<PhaseId>,
    /// Go on although the forecast is over the budget (VIP-5).
    pub accept_downtime: bool,
}

/// How a run ended in this process.
#[derive(Debug)]
pub enum End {
    /// Every step has reached its aim.
    Finished,
    /// It can go on, or nothing was changed.
    Stopped(StopReason),
}

/// Runs one plan.
pub struct Engine {
    /// What actions there are.
    pub registry: Arc<Registry>,
    /// The machines.
    pub hosts: Hosts,
    /// Where events go.
    pub recorder: Arc<Recorder>,
    /// The operator's wish to stop.
    pub stop: Stop,
}

impl Engine {
    /// Begins a run. A process of it that died before its first record may have left a command under way.
    pub async fn start(&self, plan: &Plan, by: Operator, options: &Options) -> Result<End> {
        wait_until_quiet(&self.hosts, &plan.inventory).await;
        let started = Event::RunStarted {
            format: journal::FORMAT,
            run: plan.run.clone(),
            plan_digest: plan.digest(),
            by: by.clone(),
        };
        self.recorder.record(started).await?;
        self.accept_downtime(options, by).await?;
        self.go(plan, &RunState::default(), options).await
    }

    /// Goes on with a run. Nothing of an earlier process may still be running: the nodes are waited for first.
    pub async fn resume(&self, plan: &Plan, by: Operator, options: &Options) -> Result<End> {
        let prior = self.recorder.state();
        self.recorder.record(Event::RunResumed { by: by.clone() }).await?;
        self.accept_downtime(options, by).await?;
        wait_until_quiet(&self.hosts, &plan.inventory).await;
        self.go(plan, &prior, options).await
    }

    async fn accept_downtime(&self, options: &Options, by: Operator) -> Result<()> {
        if options.accept_downtime && self.recorder.state().downtime_accepted.is_none() {
            self.recorder.record(Event::DowntimeAccepted { by }).await?;
        }
        Ok(())
    }

    async fn go(&self, plan: &Plan, prior: &RunState, options: &Options) -> Result<End> {
        let runner =
            Runner { plan, registry: &self.registry, hosts: &self.hosts, recorder: &self.recorder, stop: &self.stop };
        let began = Instant::now();
        let mut deadlines: BTreeMap<PhaseId, Instant> = BTreeMap::new();
        let mut phase = None;
        for batch in plan.batches() {
            let todo: Vec<&Step> = batch.iter().filter(|step| must_run(plan, prior, step)).collect();
            let Some(first) = todo.first() else { continue };
            if self.stop.asked() {
                return self.stopped(StopReason::Operator).await;
            }
            if phase.as_ref() != Some(&first.phase) {
                if options.pause_before.as_ref() == Some(&first.phase) {
                    return self.stopped(StopReason::Pause).await;
                }
                self.recorder.record(Event::PhaseStarted { phase: first.phase.clone() }).await?;
                phase = Some(first.phase.clone());
            }
            let limit = plan.phase(&first.phase).and_then(|phase| phase.limit);
            let deadline = limit.map(|limit| {
                *deadlines.entry(first.phase.clone()).or_insert_with(|| Instant::now() + limit.duration())
            });
            let runs = todo.iter().map(|step| runner.run(step, prior.before(&step.id).cloned(), deadline));
            let results = futures_util::future::join_all(runs).await;
            let failures: Vec<Failure> =
                results.into_iter().collect::<Result<Vec<_>>>()?.into_iter().filter_map(Result::err).collect();
            if !failures.is_empty() {
                let untouched =
                    failures.iter().all(|failure| failure.blocked) && !self.recorder.state().changed_anything();
                return self.stopped(if untouched { StopReason::Blocked } else { StopReason::Failed }).await;
            }
        }
        let millis = self.recorder.state().started.map_or_else(
            || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            |started| u64::try_from(jiff::Timestamp::now().duration_since(started).as_millis()).unwrap_or_default(),
        );
        self.recorder.record(Event::RunFinished { millis }).await?;
        Ok(End::Finished)
    }

    async fn stopped(&self, reason: StopReason) -> Result<End> {
        self.recorder.record(Event::RunStopped { reason }).await?;
        Ok(End::Stopped(reason))
    }
}

/// A finished change is skipped. A finished look is repeated, since the world may have moved, unless a change after it
/// was begun: the look was that change's ground, and the change made it history.
fn must_run(plan: &Plan, prior: &RunState, step: &Step) -> bool {
    if prior.get(&step.id) != StepState::Done {
        return true;
    }
    if step.impact != Impact::Observe {
        return false;
    }
    let after = plan.steps.iter().skip_while(|other| other.id != step.id).skip(1);
    !after.filter(|other| other.impact != Impact::Observe).any(|other| prior.get(&other.id) != StepState::Pending)
}
