//! The life of one step: check, journal, apply, poll the check until it is true.

use std::time::Duration;

use anyhow::{Result, anyhow};
use rollup_model::{
    Event, Finding, Outcome, Plan, Severity, Step, Undo,
    plan::{Impact, Target},
};
use rollup_remote::{Job, RemoteError, quiet};
use serde_json::Value;
use tokio::time::Instant;

use crate::{Action, ApplyCx, Busy, Cx, Hosts, Recorder, Registry, State, Stop};

/// Everything a step needs from its run.
pub(crate) struct Runner<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) registry: &'a Registry,
    pub(crate) hosts: &'a Hosts,
    pub(crate) recorder: &'a Recorder,
    pub(crate) stop: &'a Stop,
}

/// Why a step did not reach its aim.
pub(crate) struct Failure {
    pub(crate) error: anyhow::Error,
    pub(crate) findings: Vec<Finding>,
    /// The check said no and nothing of this step was changed.
    pub(crate) blocked: bool,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { error, findings: Vec::new(), blocked: false }
    }
}

/// How long a node may be out of reach before a first look at it gives up.
const REACH: Duration = Duration::from_secs(30);

/// How often a change whose end was not seen is looked at and done again without counting as a try.
const LOST_AT_MOST: u32 = 3;

/// The longest pause before a change that somebody was in the way of is tried again.
const BUSY_PAUSE: Duration = Duration::from_secs(30);

/// Whether a change ended without its end being seen. What became of it is asked of the node, never of the connection.
fn is_lost(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause| matches!(cause, RemoteError::InDoubt { .. } | RemoteError::Unreachable { .. }))
}

#[expect(clippy::disallowed_methods, reason = "the engine owns waiting: Policy.poll and Policy.backoff")]
pub(crate) async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}

impl Runner<'_> {
    /// Runs one step to its end and records it. `Err` only when the journal cannot be written.
    ///
    /// `before`: what the first check of an earlier process saw, when that process began the change.
    /// `deadline`: end of the stage's limit.
    pub(crate) async fn run(
        &self,
        step: &Step,
        before: Option<Value>,
        deadline: Option<Instant>,
    ) -> Result<Result<(), Failure>> {
        let began = Instant::now();
        let work = self.work(step, before);
        let result = match deadline {
            None => work.await,
            Some(deadline) => {
                let limited = tokio::time::timeout_at(deadline, work).await;
                limited.unwrap_or_else(|_| Err(anyhow!("the limit of phase `{}` is used up", step.phase).into()))
            }
        };
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok((outcome, evidence)) => {
                self.recorder.record(Event::StepFinished { step: step.id.clone(), outcome, evidence, millis }).await?;
                Ok(Ok(()))
            }
            Err(mut failure) => {
                // An error of the journal itself must not be taken for a failed step.
                if failure.error.downcast_ref::<JournalLost>().is_some() {
                    return Err(failure.error);
                }
                let undone = self.undo_if_asked(step, &mut failure).await;
                self.recorder
                    .record(Event::StepFailed {
                        step: step.id.clone(),
                        error: format!("{:#}", failure.error),
                        findings: failure.findings.clone(),
                        undone,
                        millis,
                    })
                    .await?;
                Ok(Err(failure))
            }
        }
    }

    fn cx<'a>(&'a self, step: &'a Step, before: Option<&'a Value>) -> Cx<'a> {
        Cx { plan: self.plan, step, before, run: self.recorder.state(), hosts: self.hosts, registry: self.registry }
    }

    async fn work(&self, step: &Step, before: Option<Value>) -> Result<(Outcome, Value), Failure> {
        let action = self.registry.build(&step.action)?;
        if step.impact == Impact::Observe {
            if let Some(accepted) = self.accepted(action.as_ref(), step).await? {
                return Ok(accepted);
            }
            let evidence = self.wait_until_done(action.as_ref(), step, None).await?;
            return Ok((Outcome::Observed, evidence));
        }
        self.change(action.as_ref(), step, before).await
    }

    /// A gate that an operator has accepted (UPG-8): one look decides whether what is wrong now is of the kind that may
    /// be accepted. `None`: nobody has, or there is nothing to accept.
    async fn accepted(&self, action: &dyn Action, step: &Step) -> Result<Option<(Outcome, Value)>, Failure> {
        let run = self.recorder.state();
        // Who accepts a gate accepts the watch that follows it on the same node, too.
        let same =
            |other: &&Step| (&other.phase, &other.on, &other.action.uses) == (&step.phase, &step.on, &step.action.uses);
        let gates = self.plan.steps.iter().filter(same);
        let mut accepted = gates.filter_map(|gate| run.steps.get(&gate.id)?.accepted.as_ref());
        let Some(accepted) = accepted.next() else { return Ok(None) };
        let findings = match self.look(action, step, None, REACH).await? {
            State::Done { .. } => return Ok(None),
            State::Blocked { findings } => findings,
            State::Needed { because, .. } => because,
        };
        let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
        if errors.is_empty() {
            return Ok(None);
        }
        if let Some(finding) = errors.iter().find(|finding| !action.acceptable(finding)) {
            let error = anyhow!("accepted by {}, but this cannot be: {}", accepted.by.user, finding.line());
            return Err(Failure { error, findings, blocked: false });
        }
        Ok(Some((Outcome::Accepted, serde_json::json!({ "accepted": accepted, "findings": findings }))))
    }

    async fn change(
        &self,
        action: &dyn Action,
        step: &Step,
        mut before: Option<Value>,
    ) -> Result<(Outcome, Value), Failure> {
        let policy = &step.policy;
        let (mut attempt, mut lost, mut busy, mut begun) = (0, 0, 0, false);
        let patience = Instant::now() + policy.attempt_timeout.duration();
        loop {
            let seen = match self.look(action, step, before.as_ref(), REACH).await? {
                State::Done { evidence } => {
                    let outcome = if begun { Outcome::Applied } else { Outcome::FoundDone };
                    // The watch that a policy asks for holds here too.
                    if policy.stable_checks > 1 {
                        self.wait_until_done(action, step, before.as_ref()).await?;
                    }
                    return Ok((outcome, evidence));
                }
                // A job that an earlier process began is in the middle of its work: what is seen now says nothing of its
                // end. It is attached to.
                State::Blocked { .. } if before.is_some() && self.job_is_there(step).await => Value::Null,
                State::Blocked { findings } => return Err(blocked(step, findings, before.is_none())),
                State::Needed { before: seen, .. } => seen,
            };
            let kept = before.get_or_insert(seen).clone();
            let started = Event::StepStarted { step: step.id.clone(), before: kept };
            self.recorder.record(started).await.map_err(JournalLost::wrap)?;
            begun = true;
            let failure = match self.attempt(action, step, before.as_ref()).await {
                Ok(evidence) => return Ok((Outcome::Applied, evidence)),
                Err(failure) => failure,
            };
            // A change whose end was not seen is no failed try: the nodes are quiet now, so the next look says what is
            // so, and what is still needed is done at once. Waiting here could leave the pair without a writer.
            let backoff = policy.backoff.duration();
            let wait = if is_lost(&failure.error) && lost < LOST_AT_MOST {
                lost += 1;
                Duration::ZERO
            } else if failure.error.is::<Busy>() {
                let wait = backoff.saturating_mul(1 << busy.min(10)).min(BUSY_PAUSE);
                if Instant::now() + wait >= patience || self.stop.asked() {
                    return Err(failure);
                }
                busy += 1;
                wait
            } else {
                attempt += 1;
                if attempt >= policy.attempts {
                    return Err(failure);
                }
                backoff
            };
            let retried = Event::StepRetried {
                step: step.id.clone(),
                attempt: attempt + lost + busy,
                error: format!("{:#}", failure.error),
                pause_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            };
            self.recorder.record(retried).await.map_err(JournalLost::wrap)?;
            self.pause_unless_stopped(wait).await;
        }
    }

    /// A wish to stop is heard in a long pause, too: the next try is then the last.
    async fn pause_unless_stopped(&self, wait: Duration) {
        let end = Instant::now() + wait;
        while Instant::now() < end && !self.stop.asked() {
            pause(end.saturating_duration_since(Instant::now()).min(Duration::from_secs(1))).await;
        }
    }

    async fn job_is_there(&self, step: &Step) -> bool {
        let Target::Node(node) = &step.on else { return false };
        let Some(host) = self.hosts.get(node) else { return false };
        // A node that cannot be asked has told nothing against what was found.
        Job::is_there(host.as_ref(), self.plan.run.as_str(), step.id.as_str()).await.unwrap_or(false)
    }

    /// One try of the change, and the look that proves it. After an error nothing of the try is still running.
    async fn attempt(&self, action: &dyn Action, step: &Step, before: Option<&Value>) -> Result<Value, Failure> {
        let cx = ApplyCx { cx: self.cx(step, before), recorder: self.recorder };
        let limit = step.policy.attempt_timeout.duration();
        #[expect(clippy::disallowed_methods, reason = "the engine owns Policy.attempt_timeout")]
        let applied = tokio::time::timeout(limit, action.apply(&cx)).await;
        match applied {
            Ok(Ok(())) => self.wait_until_done(action, step, before).await,
            Ok(Err(error)) => {
                if is_lost(&error) {
                    self.quiesce(step, Duration::from_secs(60)).await;
                }
                Err(error.into())
            }
            Err(_) => {
                self.quiesce(step, limit).await;
                Err(anyhow!("not done within {}", step.policy.attempt_timeout).into())
            }
        }
    }

    /// Waits until no earlier change is still running on the nodes of this step; a node that does not answer is left.
    async fn quiesce(&self, step: &Step, wait: Duration) {
        let here = |name: &rollup_model::NodeName| match &step.on {
            Target::Pair => true,
            Target::Node(node) => node == name,
        };
        let waits = self.hosts.iter().filter(|(name, _)| here(name)).map(|(_, host)| {
            let cmd = quiet(wait);
            async move { host.exec(&cmd).await.map(|_| ()) }
        });
        for result in futures_util::future::join_all(waits).await {
            if let Err(error) = result {
                tracing::warn!(step = %step.id, %error, "could not wait for earlier commands");
            }
        }
    }

    /// One look; a node out of reach is asked again until `reach` is over.
    async fn look(
        &self,
        action: &dyn Action,
        step: &Step,
        before: Option<&Value>,
        reach: Duration,
    ) -> Result<State, Failure> {
        let end = Instant::now() + reach;
        loop {
            let error = match action.check(&self.cx(step, before)).await {
                Ok(state) => return Ok(state),
                Err(error) => error,
            };
            let unreachable = matches!(error.downcast_ref(), Some(RemoteError::Unreachable { .. }));
            if !unreachable || Instant::now() + step.policy.poll.duration() >= end {
                return Err(error.into());
            }
            pause(step.policy.poll.duration()).await;
        }
    }

    /// Looks until the aim is seen as often in a row as the policy asks, within its limit.
    async fn wait_until_done(
        &self,
        action: &dyn Action,
        step: &Step,
        before: Option<&Value>,
    ) -> Result<Value, Failure> {
        let policy = &step.policy;
        let spread = policy.stable_for.duration() / policy.stable_checks.max(1);
        let end = Instant::now() + policy.verify_within.duration();
        let mut good = 0;
        loop {
            let remaining = end.saturating_duration_since(Instant::now());
            let because = match self.look(action, step, before, remaining).await? {
                State::Done { evidence } => {
                    good += 1;
                    if good >= policy.stable_checks {
                        return Ok(evidence);
                    }
                    self.recorder.show(Event::StepProgress {
                        step: step.id.clone(),
                        doing: format!("good {good} of {}", policy.stable_checks),
                    });
                    pause(spread).await;
                    continue;
                }
                State::Blocked { findings } => return Err(blocked(step, findings, before.is_none())),
                State::Needed { because, .. } => because,
            };
            good = 0;
            if Instant::now() + policy.poll.duration() >= end {
                let why =
                    because.iter().filter(|f| f.severity == Severity::Error).map(Finding::line).collect::<Vec<_>>();
                let why = if why.is_empty() { "its check is still not true".to_owned() } else { why.join("; ") };
                return Err(Failure {
                    error: anyhow!("not reached within {}: {why}", policy.verify_within),
                    findings: because,
                    blocked: false,
                });
            }
            if let Some(finding) = because.iter().find(|finding| finding.severity == Severity::Error) {
                self.recorder
                    .show(Event::StepProgress { step: step.id.clone(), doing: format!("waiting: {}", finding.line()) });
            }
            pause(policy.poll.duration()).await;
        }
    }

    /// Takes a failed change back at once when its policy says so. Returns whether it is taken back.
    async fn undo_if_asked(&self, step: &Step, failure: &mut Failure) -> bool {
        let state = self.recorder.state();
        let Some(before) = state.before(&step.id).filter(|_| step.policy.undo_on_failure) else { return false };
        let Undo::Action(action) = self.registry.undo(&step.action, before) else { return false };
        let undo_step = Step {
            action,
            policy: rollup_model::Policy { stable_checks: 1, undo_on_failure: false, ..step.policy.clone() },
            ..step.clone()
        };
        let result = async {
            let action = self.registry.build(&undo_step.action)?;
            if let State::Done { .. } = self.look(action.as_ref(), &undo_step, None, REACH).await? {
                return Ok(());
            }
            self.attempt(action.as_ref(), &undo_step, None).await.map(|_| ())
        };
        match result.await {
            Ok(()) => true,
            Err(Failure { error, .. }) => {
                failure.error = anyhow!("{:#}; taking it back failed too: {error:#}", failure.error);
                false
            }
        }
    }
}

fn blocked(step: &Step, findings: Vec<Finding>, nothing_changed: bool) -> Failure {
    let lines: Vec<_> = findings.iter().filter(|f| f.severity == Severity::Error).map(Finding::line).collect();
    let error = anyhow!("{}", lines.join("; ")).context(format!("`{}` may not go on", step.id));
    Failure { error, findings, blocked: nothing_changed }
}

/// The journal could not be written: the one error after which nothing may be changed.
#[derive(Debug, thiserror::Error)]
#[error("the journal cannot be written, so nothing more is changed")]
pub(crate) struct JournalLost;

impl JournalLost {
    fn wrap(error: anyhow::Error) -> anyhow::Error {
        error.context(JournalLost)
    }
}
