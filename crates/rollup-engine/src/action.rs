//! The contract of a step.

use anyhow::{Context, Result};
use rollup_model::{Finding, Inventory, NodeName, Plan, Release, Role, RunState, Step, Undo, plan::Target};
use rollup_remote::{Host, ReadOnly};
use serde_json::Value;

use crate::{Examined, Hosts, Moment, Registry, Stage, Subject};

/// What a check says.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// The step's aim is reached.
    Done {
        /// What was seen; kept in the journal.
        evidence: Value,
    },
    /// Not reached yet.
    Needed {
        /// What an undo of the coming change needs.
        before: Value,
        /// What is missing, for people.
        because: Vec<Finding>,
    },
    /// Not reached, and this step must not or cannot reach it.
    Blocked {
        /// Why.
        findings: Vec<Finding>,
    },
}

impl State {
    /// The aim is reached, nothing to remember.
    pub fn done() -> Self {
        State::Done { evidence: Value::Null }
    }

    /// The aim is reached, and this is what was seen.
    pub fn seen(evidence: impl serde::Serialize) -> Self {
        State::Done { evidence: serde_json::to_value(evidence).unwrap_or_default() }
    }

    /// A change is needed; `before` is what its undo needs.
    pub fn needed(before: impl serde::Serialize) -> Self {
        State::Needed { before: serde_json::to_value(before).unwrap_or_default(), because: Vec::new() }
    }

    /// Not there yet, for these reasons.
    pub fn not_yet(because: Vec<Finding>) -> Self {
        State::Needed { before: Value::Null, because }
    }

    /// Must not go on, for these reasons.
    pub fn blocked(findings: Vec<Finding>) -> Self {
        State::Blocked { findings }
    }
}

/// One kind of step. An implementor's fields are the step's arguments (`with`), read with `serde`.
#[async_trait::async_trait]
pub trait Action: Send + Sync {
    /// Looks, without changing anything, whether the aim is reached. Also the verification after [`Action::apply`].
    async fn check(&self, cx: &Cx<'_>) -> Result<State>;

    /// Makes the change. Must survive being run twice, and being run after a first run that was cut off anywhere.
    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        anyhow::bail!("step `{}` only looks and has nothing to apply", cx.step.id)
    }

    /// How long clients will get no answer when this step runs, as far as that is known before. `None`: not at all.
    ///
    /// Asked right before the first step that interrupts (VIP-5). Only reads.
    async fn forecast(&self, cx: &Cx<'_>) -> Result<Option<Forecast>> {
        let _ = cx;
        Ok(None)
    }

    /// Whether an operator may accept this finding of a failing check and go on (UPG-8). Only gates say yes, and only to
    /// findings that put no data at risk.
    fn acceptable(&self, finding: &Finding) -> bool {
        let _ = finding;
        false
    }

    /// How the change is taken back. Pure; `before` is what the first check saw, or null when a plan is only printed.
    fn undo(&self, before: &Value) -> Undo {
        let _ = before;
        Undo::NotNeeded { why: "it only looks".to_owned() }
    }
}

/// How long clients will get no answer, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// Reads and writes: the longer of the two.
    pub length: std::time::Duration,
    /// As people say it.
    pub because: String,
}

/// What a check sees.
pub struct Cx<'a> {
    /// The plan that runs.
    pub plan: &'a Plan,
    /// The step that runs.
    pub step: &'a Step,
    /// What the first check saw; `None` before the first change.
    pub before: Option<&'a Value>,
    /// What the run has been through so far.
    pub run: RunState,
    pub(crate) hosts: &'a Hosts,
    pub(crate) registry: &'a Registry,
}

impl<'a> Cx<'a> {
    /// What another step of the plan will cost clients, by its own word.
    pub async fn forecast_of(&self, step: &'a Step) -> Result<Option<Forecast>> {
        let action = self.registry.build(&step.action)?;
        let cx = Cx {
            plan: self.plan,
            step,
            before: None,
            run: self.run.clone(),
            hosts: self.hosts,
            registry: self.registry,
        };
        action.forecast(&cx).await
    }

    /// Reads all facts of all nodes and draws every finding that follows.
    pub async fn examine(&self, stage: Stage) -> Examined {
        let release = self.plan.release.as_ref();
        let moment = Moment::of(self.plan, stage);
        crate::gather::examine(self.registry.subjects(), self.hosts, self.inventory(), release, moment).await
    }

    /// The inventory as stored in the plan.
    pub fn inventory(&self) -> &'a Inventory {
        &self.plan.inventory
    }

    /// The package of the plan.
    pub fn release(&self) -> Result<&'a Release> {
        self.plan.release.as_ref().context("the plan has no package, but this step needs one")
    }

    /// The node this step works on.
    pub fn node(&self) -> Result<&'a NodeName> {
        match &self.step.on {
            Target::Node(node) => Ok(node),
            Target::Pair => anyhow::bail!("step `{}` works on one node, but the playbook says `pair`", self.step.id),
        }
    }

    /// The node that a playbook names by role (`original-primary`) or by its own name.
    pub fn named(&self, name: &str) -> Result<&'a NodeName> {
        let bound = Role::ALL.iter().find(|(word, _)| *word == name).and_then(|(_, role)| self.plan.bound(*role));
        let found = bound.or_else(|| self.inventory().node_names().find(|node| node.as_str() == name));
        found.with_context(|| format!("`{name}` is neither a role of this plan nor a node"))
    }

    /// The other node of the pair.
    pub fn peer(&self) -> Result<&'a NodeName> {
        let peer = self.inventory().peer_of(self.node()?);
        Ok(&peer.context("this step needs a second node in the inventory")?.name)
    }

    /// The reading side of this step's node.
    pub fn host(&self) -> Result<ReadOnly<'a>> {
        self.host_of(self.node()?)
    }

    /// The reading side of any node.
    pub fn host_of(&self, node: &NodeName) -> Result<ReadOnly<'a>> {
        let host = self.hosts.get(node).with_context(|| format!("node `{node}` is not part of this run"))?;
        Ok(ReadOnly::new(host.as_ref()))
    }

    /// Reads the facts of one subject on one node.
    pub async fn facts<S: Subject>(&self, subject: &S, node: &NodeName) -> Result<S::Facts> {
        let at = self.inventory().node(node).with_context(|| format!("node `{node}` is not in the inventory"))?;
        crate::gather::gather_one(subject, self.host_of(node)?, self.inventory(), at).await
    }
}

/// Why a change was not made: somebody else was in its way, and it has left nothing behind. It is tried again, at growing
/// distances, for as long as one try may take (`Policy.attempt_timeout`); that counts as one try.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Busy(pub String);

/// What a change may use.
pub struct ApplyCx<'a> {
    pub(crate) cx: Cx<'a>,
    pub(crate) recorder: &'a crate::Recorder,
}

impl<'a> std::ops::Deref for ApplyCx<'a> {
    type Target = Cx<'a>;
    fn deref(&self) -> &Cx<'a> {
        &self.cx
    }
}

impl<'a> ApplyCx<'a> {
    /// This step's node, with the right to change it.
    pub fn change(&self) -> Result<&'a dyn Host> {
        self.change_of(self.node()?)
    }

    /// Any node, with the right to change it.
    pub fn change_of(&self, node: &NodeName) -> Result<&'a dyn Host> {
        let host = self.cx.hosts.get(node).with_context(|| format!("node `{node}` is not part of this run"))?;
        Ok(host.as_ref())
    }

    /// For what steps that run at once may only do one after the other, since it is on one node: waits for its turn, and has
    /// it until the guard is dropped.
    pub async fn alone(&self) -> tokio::sync::MutexGuard<'a, ()> {
        self.recorder.alone().await
    }

    /// Tells people what is being done now.
    pub fn progress(&self, doing: impl Into<String>) {
        self.recorder.show(rollup_model::Event::StepProgress { step: self.step.id.clone(), doing: doing.into() });
    }
}
