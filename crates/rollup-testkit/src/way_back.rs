//! What the program does before a run is taken back: it looks at the pair as it stands, and makes the plan.
//!
//! A run whose set was read back is taken back by bringing the pair back to that set; one that stopped before is undone
//! step by step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use backup::{Manifest, Sealed};
use rollup_model::{
    Facts, Lane, NodeName, Plan, Role, RunId, Step, WayBack,
    compile::{Identity, Site, compile},
    fold::RunStatus,
    inventory::Switchover,
    plan::Kind,
    playbook,
    rollback::{RollbackRefused, rollback_plan},
};
use serde_json::Value;

use crate::{
    process::Run,
    world::{Machine, World},
};

const PLAYBOOK: &str = include_str!("../../../playbooks/rollback.toml");

/// How often somebody looks whether the pair has come to rest, and how long they wait in between.
const LOOKS: u32 = 400;
const REST: Duration = Duration::from_millis(50);

impl Run {
    /// The rollback of what became of this run, on the same pair; `None`: there is nothing to take back.
    pub async fn rollback(&self) -> Result<Option<Run>> {
        self.rollback_by(Lane::Keep, None).await
    }

    /// The same, with what becomes of the database and, perhaps, for one node alone.
    ///
    /// A finished rollback is taken back to its own safety set. One that was broken off is begun anew, to the set it
    /// was to lead to.
    pub async fn rollback_by(&self, lane: Lane, only: Option<&NodeName>) -> Result<Option<Run>> {
        self.settle().await?;
        let (plan, state) = (&self.scenario.plan, self.state()?);
        let set = match (plan.kind, &plan.restores) {
            (Kind::Rollback, Some(set)) if state.status != RunStatus::Finished => set,
            _ => &plan.backup_set,
        };
        let Some(manifest) = self.sim.world().verified(set) else { return self.undo() };
        let changed = state.changed_anything().then(|| plan.run.clone());
        let anew = state.status != RunStatus::Finished;
        let runs: Vec<_> = changed.into_iter().chain(self.standing.iter().filter(|_| anew).cloned()).collect();
        let playbook = playbook::load(PLAYBOOK).map_err(|found| anyhow!("the playbook: {found:?}"))?;
        let (back, facts, idle) = self.look(&manifest, runs, lane, only).await?;
        let site = Site { inventory: &plan.inventory, release: plan.release.as_ref(), facts: &facts };
        let shaped = back.shape(&playbook, &idle);
        let registry = self.scenario.registry.as_ref();
        let way = compile(&shaped, &site, &manifest.versions, registry, &self.identity()?);
        let way = way.map_err(|found| anyhow!("the plan of the way back: {found:#?}"))?;
        self.follow_with(Plan { takes_back: back.runs, restores: Some(back.set), ..way }).map(Some)
    }

    /// What the run changed is undone step by step.
    fn undo(&self) -> Result<Option<Run>> {
        let undo = |step: &Step, before: &Value| self.scenario.registry.undo(&step.action, before);
        match rollback_plan(&self.scenario.plan, &self.state()?, &self.identity()?, &undo) {
            Err(RollbackRefused::NothingChanged) => Ok(None),
            plan => self.follow_with(plan?).map(Some),
        }
    }

    fn follow_with(&self, plan: Plan) -> Result<Run> {
        let standing = plan.takes_back.clone();
        let run = Run::new(&self.scenario.clone().replan(|old| *old = plan), Arc::clone(&self.sim))?;
        Ok(Run { standing, generation: self.generation + 1, ..run })
    }

    /// Each plan is made an hour later than the one before.
    fn identity(&self) -> Result<Identity> {
        let created = format!("2026-03-01T{}:00:00Z", 12 + self.generation);
        Ok(Identity::new(created.parse()?, &format!("ba{:02}", self.generation))?)
    }

    /// Waits until no command is under way and one machine holds the address: the program refuses before.
    async fn settle(&self) -> Result<()> {
        for _ in 0..LOOKS {
            if self.sim.world().is_at_rest() {
                return Ok(());
            }
            self.sim.wait(REST).await;
        }
        anyhow::bail!("the pair does not come to rest: {:?} hold the address", self.sim.world().holders())
    }

    /// The pair as it stands now.
    async fn look(
        &self,
        manifest: &Manifest,
        runs: Vec<RunId>,
        lane: Lane,
        only: Option<&NodeName>,
    ) -> Result<(WayBack, Facts, NodeName)> {
        let inventory = &self.scenario.plan.inventory;
        let facts = rollup_engine::gather(self.scenario.registry.subjects(), &self.sim.hosts(), inventory).await.facts;
        let serving = keepalived::vip_owner(&facts, inventory).context("expected the address on one node")?;
        let writer = gaussdb::primary_node(&facts, inventory);
        let idle = inventory.peer_of(&serving).context("expected a second node")?.name.clone();
        // A safety set was taken on the way back of another one: who held the address then is told by `serving`.
        let held = manifest.bindings.get(&Role::Serving).or(manifest.bindings.get(&Role::OriginalPrimary));
        let primary = held.unwrap_or(&serving).clone();
        let standby = inventory.peer_of(&primary).context("expected a second node")?.name.clone();
        // In the middle of a change of roles nobody writes, and one of them may be stopped.
        let answers = |node: &&NodeName| {
            facts.get::<gaussdb::DatabaseFacts>(node, "database").is_some_and(|facts| facts.server.is_some())
        };
        let source = gaussdb::backup_source(&facts, inventory).or_else(|| writer.clone());
        let source = source.or_else(|| inventory.node_names().find(answers).cloned()).unwrap_or(idle.clone());
        let mut differing = backup::differing(&self.sim.hosts(), inventory, manifest).await?;
        // Such a node is brought back even when its files are right.
        let active = |node: &&NodeName| {
            facts.get::<health::HealthFacts>(node, "health").is_none_or(|facts| facts.units_active(inventory))
        };
        differing.extend(inventory.node_names().filter(|node| !active(node)).cloned());
        let world = self.sim.world();
        ensure!(only != Some(&serving), "one node alone is brought back only while it does not serve");
        // A node that is the last one missing brings the pair back as a whole.
        let last = |node: &&NodeName| !differing.iter().all(|other| other == *node);
        let mut bindings = BTreeMap::from([
            (Role::OriginalPrimary, primary.clone()),
            (Role::OriginalStandby, standby),
            (Role::Serving, serving.clone()),
            (Role::Idle, idle.clone()),
            (Role::BackupSource, source),
        ]);
        let only = only.filter(last).cloned();
        bindings.extend(only.clone().map(|node| (Role::Target, node)));
        let back = WayBack {
            set: manifest.set.to_string(),
            runs,
            reverts: world.runs_since(manifest)?,
            original_primary: primary,
            serving,
            writer,
            moves_database: inventory.database.switchover == Switchover::WithVip,
            differing,
            lane,
            only,
        };
        Ok((back, Facts { bindings, ..facts }, idle))
    }
}

impl World {
    /// The manifest of a set that every machine knows to be verified. One that was written and not read back everywhere
    /// belongs to a run that has changed nothing yet but what is undone.
    fn verified(&self, set: &str) -> Option<Manifest> {
        let dir = format!("{}/{set}", self.inventory.backup.dir);
        let of = |machine: &Machine| machine.sets.manifest(&dir).filter(|manifest| manifest.state == Sealed::Verified);
        let all = self.machines.values().map(of).collect::<Option<Vec<_>>>()?;
        all.into_iter().next()
    }

    /// Nothing is under way, and the address is on one machine.
    fn is_at_rest(&self) -> bool {
        let handing_over = self.machines.values().any(|machine| machine.keepalived.hands_over());
        self.holders().len() == 1 && !handing_over && !self.machines.keys().any(|node| self.busy(node))
    }

    /// Runs of the database's history that came with or after a set, newest first.
    fn runs_since(&self, manifest: &Manifest) -> Result<Vec<RunId>> {
        let taken = manifest.created.strftime("%Y%m%d-%H%M%S").to_string();
        let since = |run: &&str| *run == manifest.run.as_str() || *run > taken.as_str();
        let told = self.machines.values().filter(|machine| machine.database.runs());
        let runs: BTreeSet<_> = told.flat_map(|machine| machine.database.runs_in_history()).filter(since).collect();
        runs.into_iter().rev().map(|run| Ok(RunId::new(run)?)).collect()
    }
}
