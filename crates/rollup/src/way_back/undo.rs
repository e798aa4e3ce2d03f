//! `rollup rollback`: which run is meant, whether it can be taken back now, and the plan that does it.

use rollup_engine::{Stage, lock};
use rollup_model::{
    Finding, Plan, RunId, RunState,
    fold::RunStatus,
    rollback::{RollbackRefused, rollback_plan},
};
use rollup_ui::pages;

use crate::{
    cli::Running,
    exit::{self, Ended, Exit},
    planning::identity,
    running::{self, Kind, kind_of},
    screen::Screen,
    site::Site,
    store::{Store, is_live},
};

/// What was typed.
pub(crate) struct Asked<'a> {
    /// The run.
    pub(crate) run: Option<&'a RunId>,
    /// The run that made this set.
    pub(crate) backup: Option<&'a str>,
    /// Only show the steps.
    pub(crate) dry_run: bool,
    /// How to run it.
    pub(crate) running: &'a Running,
}

/// Takes a run back.
pub(crate) async fn rollback(store: &Store, asked: &Asked<'_>, screen: &Screen) -> Ended {
    let run = &which(store, asked)?;
    let (stored, state) = store.read(run)?;
    if let RunStatus::TakenBack { by } = &state.status {
        return Err(
            Exit::usage(format!("run {run} was already taken back by {by}")).hint(format!("rollup runs show {by}"))
        );
    }
    if is_live(&state, &store.dir(run)) {
        return Err(Exit::new(exit::LOCKED, format!("a process of this machine works on run {run}"))
            .hint(format!("rollup status {run}")));
    }
    if let Some(of) = &stored.plan.takes_back {
        let exit = Exit::usage(format!("run {run} is itself a rollback, of run {of}"));
        let over = state.status == RunStatus::Finished;
        return Err(exit.hint(if over { "rollup runs list".to_owned() } else { format!("rollup resume {run}") }));
    }
    if let Some(newer) = built_upon(store, run) {
        return Err(Exit::usage(format!("run {newer} came after run {run} and builds upon it; newest first"))
            .hint(format!("rollup rollback --run {newer}")));
    }
    let site = Site::of(stored.plan.inventory.clone())?;
    let undo = |step: &rollup_model::Step, before: &serde_json::Value| site.registry.undo(&step.action, before);
    let plan = rollback_plan(&stored.plan, &state, &identity()?, &undo).map_err(|refused| {
        let code = if refused == RollbackRefused::NothingChanged { exit::USAGE } else { exit::ROLLBACK_FAILED };
        Exit::new(code, refused).hint(format!("rollup runs show {run}"))
    })?;
    running::check_phase(asked.running, &plan, &RunState::default())?;
    let obstacles = obstacles(&site, &plan, screen).await;
    if asked.dry_run {
        let page = match screen.json() {
            true => serde_json::to_string_pretty(&plan).map_err(anyhow::Error::from)?,
            false => pages::plan_table(&plan, screen.out()),
        };
        screen.data(&page)?;
    } else if !asked.running.yes {
        screen.tell(&pages::plan_table(&plan, screen.err()));
    }
    if !obstacles.is_empty() {
        return Err(Exit::new(exit::BLOCKED, format!("run {run} cannot be taken back now; nothing was changed"))
            .page(screen.findings(&obstacles))
            .hint(format!("mend what is listed, then: rollup rollback --run {run}")));
    }
    if asked.dry_run {
        return Ok(exit::DONE);
    }
    let command = format!("rollup rollback --run {run}");
    let question = format!("Take run {run} back with this plan?");
    if !screen.confirm(&question, asked.running.yes, &command)? {
        return Err(Exit::new(exit::STOPPED, "not confirmed; nothing was changed").hint(command));
    }
    running::refuse_when_behind(&site, run, stored.records.len()).await?;
    // The lock of the run that is taken back goes to the run that takes it back.
    lock::release(&site.hosts, run).await;
    running::begin(&site, store, &plan, asked.running, screen).await
}

fn which(store: &Store, asked: &Asked<'_>) -> Result<RunId, Exit> {
    let Some(set) = asked.backup else {
        let open = |state: &RunState| !matches!(state.status, RunStatus::TakenBack { .. });
        return store.find(asked.run, open, "run that could be taken back");
    };
    let of_set = |run: &RunId| store.read(run).is_ok_and(|(stored, _)| stored.plan.backup_set == set);
    // The upgrade came before any run that takes it back with the same set.
    let made_it = store.list().into_iter().filter(|run| of_set(run)).min();
    made_it.ok_or_else(|| Exit::usage(format!("no run of this machine made the set `{set}`")).hint("rollup runs list"))
}

/// The newest later upgrade that changed something and was not taken back: under it nothing can be pulled away. Its
/// release is what serves, and its backup may have replaced the older set.
fn built_upon(store: &Store, run: &RunId) -> Option<RunId> {
    store.list().into_iter().take_while(|newer| newer > run).find(|newer| {
        store.read(newer).is_ok_and(|(stored, state)| {
            let stands = !matches!(state.status, RunStatus::TakenBack { .. });
            kind_of(&stored.plan) == Kind::Upgrade
                && stored.plan.inventory.cluster.name == cluster_of(store, run)
                && stands
                && state.changed_anything()
        })
    })
}

fn cluster_of(store: &Store, run: &RunId) -> String {
    store.read(run).map(|(stored, _)| stored.plan.inventory.cluster.name).unwrap_or_default()
}

/// What must be so before the first change (RB-1): the nodes answer, nothing is split, and the set that files are to come
/// back from is still there. A rollback that finds its set missing half-way has stopped the service by then.
async fn obstacles(site: &Site, plan: &Plan, screen: &Screen) -> Vec<Finding> {
    let waiting = screen.waiting("looking at the nodes and their backup sets");
    let examined = site.examine(plan.release.as_ref(), Stage::Resumed).await;
    drop(waiting);
    let mut obstacles = examined.errors();
    for node in plan.inventory.node_names() {
        let here = rollup_model::plan::Target::Node(node.clone());
        let restores = plan.steps.iter().any(|step| step.on == here && step.action.uses == "backup.restore");
        let Some(facts) = examined.facts.get::<backup::BackupFacts>(node, "backup").filter(|_| restores) else {
            continue;
        };
        if !facts.sets.contains(&plan.backup_set) {
            let sets = if facts.sets.is_empty() { "none".to_owned() } else { facts.sets.join(", ") };
            let finding = Finding::check("backup.set", "RB-1", false, &plan.backup_set, sets);
            let dir = &plan.inventory.backup.dir;
            obstacles
                .push(finding.on(node).fix(format!("bring the set back to {dir}, or upgrade to the version you need")));
        }
    }
    obstacles
}
