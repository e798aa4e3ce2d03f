//! What a way back starts from: the pair as it stands now, the set, and the package that is taken back.

use std::collections::{BTreeMap, BTreeSet};

use rollup_engine::{Examined, Moment, Stage, fetch_mirror};
use rollup_model::{
    Facts, Finding, Lane, NodeName, Plan, Release, Role, RunId, RunState, Step, WayBack, inventory::Switchover,
};
use rollup_remote::ReadOnly;
use rollup_ui::pages::WayBackPage;

use super::lanes::{self, Lanes};
use crate::{
    cli::RollbackArguments,
    exit::Exit,
    sets::{self, Found},
    site::{Site, versions},
    store::Store,
};

/// What a way back starts from.
pub(crate) struct Ground {
    /// What was read, and what is wrong at any moment.
    pub(crate) examined: Examined,
    /// Runs that are taken back, newest first.
    pub(crate) runs: Vec<RunId>,
    /// The package of the newest of them.
    pub(crate) release: Option<Release>,
    /// What way back has changed the database since the set was taken, and how.
    pub(crate) turned: Option<String>,
    /// The node that holds the VIP.
    pub(crate) serving: Option<NodeName>,
    /// The node whose database writes.
    pub(crate) writer: Option<NodeName>,
    /// Nodes on which something is not as in the set, or stopped.
    pub(crate) differing: BTreeSet<NodeName>,
    /// Version found on each node.
    pub(crate) versions: BTreeMap<NodeName, String>,
}

impl Ground {
    /// Looks at everything at once.
    pub(crate) async fn look(site: &Site, store: &Store, found: &Found, runs: Vec<RunId>) -> Result<Self, Exit> {
        let moment = Moment::now(Stage::Resumed);
        let (examined, differing) = tokio::join!(site.examine_settled(None, moment), sets::differing(site, found));
        let facts = &examined.facts;
        let mut differing = differing?;
        differing.extend(site.inventory.node_names().filter(|node| stopped(site, facts, node)).cloned());
        let release = release(site, store, &runs, &found.manifest.run).await;
        let turned = turned(site, store, &runs, &found.manifest.run).await;
        Ok(Self {
            turned,
            serving: keepalived::vip_owner(facts, &site.inventory),
            writer: gaussdb::primary_node(facts, &site.inventory),
            versions: versions(&examined),
            differing,
            release,
            runs,
            examined,
        })
    }

    /// The node that does not serve.
    pub(crate) fn idle(&self, site: &Site) -> NodeName {
        let serving = self.serving.as_ref();
        let other = site.inventory.node_names().find(|node| serving != Some(node));
        other.or(serving).cloned().unwrap_or_else(|| site.inventory.nodes[0].name.clone())
    }

    /// What must be so before the first change (RB-1).
    pub(crate) fn obstacles(&self, site: &Site, found: &Found, asked: &RollbackArguments) -> Vec<Finding> {
        let mut obstacles = self.examined.errors();
        let manifest = &found.manifest;
        let check =
            |id: &str, ok: bool, expected: String, found: String| Finding::check(id, "RB-1", ok, expected, found);
        if self.serving.is_none() && !obstacles.iter().any(|finding| finding.id.starts_with("vip.")) {
            let finding = check("vip.owner", false, "the VIP on one node".to_owned(), "on none, or on both".to_owned());
            obstacles.push(finding.fix("rollup vip status"));
        }
        let ours = &site.inventory.cluster.name;
        if manifest.cluster != *ours {
            let finding =
                check("backup.cluster", false, format!("a set of {ours}"), format!("one of {}", manifest.cluster));
            obstacles.push(finding.fix("rollup backup list"));
        }
        if !found.is_verified() {
            let finding = check("backup.state", false, "a set that was read back".to_owned(), found.state().to_owned());
            obstacles.push(finding.fix(format!("rollup backup verify {}", manifest.set)));
        }
        let age = jiff::Timestamp::now().duration_since(manifest.created);
        let limit = site.inventory.backup.refuse_after;
        let within = age.as_secs() <= i64::try_from(limit.duration().as_secs()).unwrap_or(i64::MAX);
        if !within && !asked.force {
            let days = age.as_hours() / 24;
            let finding = Finding::check(
                "backup.age",
                "RB-3",
                false,
                format!("a set not older than {limit}"),
                format!("{days} days"),
            );
            obstacles.push(finding.fix(format!("rollup rollback --backup {} --force", manifest.set)));
        }
        if let Some(node) = asked.node.as_ref().filter(|node| Some(*node) == self.serving.as_ref()) {
            // Its clients would wait while it is stopped; the whole pair goes back without that.
            let finding =
                check("rollback.node", false, "a node that does not serve".to_owned(), "the VIP is on it".to_owned());
            obstacles.push(finding.on(node).fix(format!("rollup rollback --backup {}", manifest.set)));
        }
        obstacles
    }

    /// Everything that decides the stages.
    pub(crate) fn way_back(&self, site: &Site, found: &Found, asked: &RollbackArguments, lane: Lane) -> WayBack {
        let manifest = &found.manifest;
        let serving = self.serving.clone().unwrap_or_else(|| self.idle(site));
        // A safety set was taken on the way back of another one: who held the VIP then is told by `serving`.
        let held = manifest.bindings.get(&Role::Serving).or(manifest.bindings.get(&Role::OriginalPrimary));
        // A node that is the last one missing brings the pair back as a whole: VIP, roles and sync included.
        let last = |node: &&NodeName| !self.differing.iter().all(|other| other == *node);
        WayBack {
            set: manifest.set.to_string(),
            runs: self.runs.clone(),
            reverts: lanes::reverts(self, found),
            original_primary: held.unwrap_or(&serving).clone(),
            writer: self.writer.clone(),
            moves_database: site.inventory.database.switchover == Switchover::WithVip,
            differing: self.differing.clone(),
            lane,
            only: asked.node.as_ref().filter(last).cloned(),
            serving,
        }
    }

    /// The facts with the parts that nodes play on the way back.
    pub(crate) fn facts_for(&self, site: &Site, back: &WayBack) -> Facts {
        let idle = self.idle(site);
        let primary = back.original_primary.clone();
        let standby = site.inventory.peer_of(&primary).map(|node| node.name.clone());
        let facts = &self.examined.facts;
        let answers = |node: &&NodeName| {
            facts.get::<gaussdb::DatabaseFacts>(node, "database").is_some_and(|facts| facts.server.is_some())
        };
        // Neither may write at the moment; then any server that answers can be backed up.
        let source = gaussdb::backup_source(facts, &site.inventory)
            .or_else(|| self.writer.clone())
            .or_else(|| site.inventory.node_names().find(answers).cloned());
        let mut bindings = BTreeMap::from([
            (Role::OriginalPrimary, primary),
            (Role::Serving, back.serving.clone()),
            (Role::BackupSource, source.unwrap_or_else(|| idle.clone())),
            (Role::Idle, idle),
        ]);
        bindings.extend(standby.map(|node| (Role::OriginalStandby, node)));
        bindings.extend(back.only.clone().map(|node| (Role::Target, node)));
        Facts { bindings, ..self.examined.facts.clone() }
    }

    /// What is shown before somebody says yes.
    pub(crate) fn page(&self, site: &Site, found: &Found, back: &WayBack, lanes: &Lanes) -> WayBackPage {
        let manifest = &found.manifest;
        let unknown = || "unknown".to_owned();
        let version = |node: &NodeName| {
            let now = self.versions.get(node).cloned().unwrap_or_else(unknown);
            let then = manifest.versions.get(node).cloned().unwrap_or_else(unknown);
            (node.clone(), now, then)
        };
        let mut notes = Vec::new();
        let age = jiff::Timestamp::now().duration_since(manifest.created).as_secs();
        if u64::try_from(age).unwrap_or_default() > site.inventory.backup.warn_after.duration().as_secs() {
            let days = age / 86_400;
            notes.push(format!("the set is {days} days old; what was changed by hand since goes with it (RB-3)"));
        }
        if back.only.is_some() {
            notes.push("one node alone goes back: the pair runs two versions until the other one follows".to_owned());
        }
        let nodes = site.inventory.node_names().filter(|node| back.only.as_ref().is_none_or(|only| only == *node));
        WayBackPage {
            set: manifest.set.to_string(),
            created: manifest.created,
            purpose: found.purpose(),
            runs: self.runs.clone(),
            versions: nodes.map(version).collect(),
            notes,
            lanes: if back.only.is_some() { Vec::new() } else { lanes.rows.clone() },
            price: lanes.price.clone(),
        }
    }
}

/// Whether a unit of the service is not active. Such a node is brought back even when its files are right.
fn stopped(site: &Site, facts: &Facts, node: &NodeName) -> bool {
    let Some(health) = facts.get::<health::HealthFacts>(node, "health") else { return false };
    !health.units_active(&site.inventory)
}

/// The package of the newest run that is taken back.
async fn release(site: &Site, store: &Store, runs: &[RunId], made_by: &RunId) -> Option<Release> {
    for run in runs.iter().chain([made_by]) {
        if let Some((Plan { release: Some(release), .. }, _)) = known(site, store, run).await {
            return Some(release);
        }
    }
    None
}

/// A way back since the set was taken that has run down migrations, or restored the database, or may have.
async fn turned(site: &Site, store: &Store, runs: &[RunId], made_by: &RunId) -> Option<String> {
    for run in runs.iter().chain([made_by]) {
        let Some((plan, state)) = known(site, store, run).await else { continue };
        let began = |step: &&Step| state.before(&step.id).is_some();
        for step in plan.steps.iter().filter(began) {
            match step.action.uses.as_str() {
                "db.revert" => return Some(format!("run {run} has taken schema changes back since")),
                "db.restore" => return Some(format!("run {run} has restored an older database since")),
                _ => {}
            }
        }
    }
    None
}

/// A run as this machine knows it, else as its copies on the nodes do.
async fn known(site: &Site, store: &Store, run: &RunId) -> Option<(Plan, RunState)> {
    if let Ok((stored, state)) = store.read(run) {
        return Some((stored.plan, state));
    }
    for host in site.hosts.values() {
        if let Ok(copy) = fetch_mirror(ReadOnly::new(host.as_ref()), run).await {
            return Some((copy.plan, RunState::fold(&copy.records)));
        }
    }
    None
}
