//! `rollup finalize`: the operator's word that there is no way back (FIN-4).

use rollup_engine::Stage;
use rollup_model::{Plan, Role, RunId, RunState, fold::RunStatus, plan::Kind, playbook};

use crate::{
    cli::Running,
    exit::{self, Ended, Exit},
    planning::{compile_for, identity, refuse_when_locked},
    running,
    screen::Screen,
    site::{Site, versions},
    store::{Store, is_open},
};

const PLAYBOOK: &str = include_str!("../../../playbooks/finalize.toml");

/// Makes a finished upgrade final.
pub(crate) async fn finalize(
    store: &Store,
    named: Option<&RunId>,
    dry_run: bool,
    running: &Running,
    screen: &Screen,
) -> Ended {
    let run = &store.find(named, |plan, _| plan.kind == Kind::Upgrade, "upgrade that could be made final")?;
    let (stored, state) = store.read(run)?;
    refuse(store, run, &stored.plan, &state)?;
    let site = Site::of(stored.plan.inventory.clone(), Some(store))?;
    let waiting = screen.waiting("looking at the nodes");
    refuse_when_locked(&site, screen).await?;
    let examined = site.examine(None, Stage::Fresh).await;
    drop(waiting);
    let errors = examined.errors();
    if !errors.is_empty() {
        return Err(Exit::new(exit::BLOCKED, "nothing is made final while this is so; nothing was changed")
            .page(screen.findings(&errors))
            .hint(format!("mend what is listed, then: rollup finalize --run {run}")));
    }
    let mut facts = examined.facts.clone();
    let primary = gaussdb::primary_node(&facts, &site.inventory);
    let other = primary.as_ref().and_then(|node| site.inventory.peer_of(node)).map(|node| node.name.clone());
    facts.bindings.extend(primary.map(|node| (Role::Serving, node)));
    facts.bindings.extend(other.map(|node| (Role::Idle, node)));
    let mut playbook = playbook::load(PLAYBOOK).map_err(|problems| Exit::usage(format!("{problems:?}")))?;
    for step in playbook.phase.iter_mut().flat_map(|phase| &mut phase.step) {
        if let Some(set) = step.with.get_mut("set") {
            *set = serde_json::json!(stored.plan.backup_set);
        }
    }
    let release = stored.plan.release.as_ref();
    let plan = compile_for(&site, &playbook, release, &facts, &versions(&examined), &identity()?)?;
    let version = release.map_or("the upgrade", |release| release.version.as_str());
    let plan = Plan {
        title: format!("make {version} final"),
        backup_set: stored.plan.backup_set.clone(),
        takes_back: vec![run.clone()],
        ..plan
    };
    if running::show(&plan, dry_run, running, screen)? {
        return Ok(exit::DONE);
    }
    screen.tell(&format!(
        "After this there is no way back: contract migrations run, and the set {} goes with the next pruning.",
        plan.backup_set
    ));
    let command = format!("rollup finalize --run {run}");
    if !screen.confirm(&format!("Make {version} final?"), running.yes, &command)? {
        return Err(Exit::new(exit::STOPPED, "not confirmed; nothing was changed").hint(command));
    }
    running::begin(&site, store, &plan, running, screen).await
}

/// Only a finished upgrade can be made final, and nothing else may be unfinished on its pair.
fn refuse(store: &Store, run: &RunId, plan: &Plan, state: &RunState) -> Result<(), Exit> {
    match &state.status {
        RunStatus::Finished if plan.kind == Kind::Upgrade => {}
        RunStatus::Finalized { by } => {
            return Err(
                Exit::usage(format!("run {run} was already made final by {by}")).hint(format!("rollup runs show {by}"))
            );
        }
        RunStatus::TakenBack { by, .. } => {
            return Err(Exit::usage(format!("run {run} was taken back by {by}")).hint("rollup runs list"));
        }
        RunStatus::Finished => {
            return Err(Exit::usage(format!("run {run} is no upgrade")).hint("rollup runs list"));
        }
        RunStatus::Running | RunStatus::Stopped { .. } => {
            return Err(Exit::new(exit::BLOCKED, format!("run {run} is not finished; nothing is made final"))
                .hint(format!("rollup resume {run}")));
        }
    }
    for other in store.list().into_iter().filter(|other| other != run) {
        let Ok((stored, state)) = store.read(&other) else { continue };
        if stored.plan.inventory.cluster.name == plan.inventory.cluster.name && is_open(&state) {
            return Err(Exit::new(exit::BLOCKED, format!("run {other} is not finished; nothing is made final"))
                .hint(format!("rollup resume {other}")));
        }
    }
    Ok(())
}
