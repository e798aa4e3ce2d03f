//! A run that stopped before its backup set was whole: what it changed is undone step by step, newest first.

use rollup_engine::{Moment, Stage, lock};
use rollup_model::{
    Lane, RunId, RunState,
    fold::RunStatus,
    plan::Kind,
    rollback::{RollbackRefused, rollback_plan},
};
use rollup_ui::pages;

use crate::{
    cli::RollbackArguments,
    exit::{self, Ended, Exit},
    planning::identity,
    running,
    screen::Screen,
    site::Site,
    store::Store,
};

/// Undoes a run.
pub(super) async fn rollback(store: &Store, run: &RunId, asked: &RollbackArguments, screen: &Screen) -> Ended {
    let site = Site::of(store.read(run)?.0.plan.inventory, Some(store))?;
    super::quiet(&site).await?;
    let (stored, state) = store.read(run)?;
    let lane = asked.lane.map(Lane::from).filter(|lane| *lane != Lane::Keep);
    if lane.is_some() || asked.node.is_some() {
        let error = format!("run {run} stopped before its backup set was whole, so there is only one way back");
        return Err(Exit::usage(error).hint(format!("rollup rollback --run {run}")));
    }
    if let Some(newer) = built_upon(store, run) {
        return Err(Exit::usage(format!("run {newer} came after run {run} and builds upon it; newest first"))
            .hint(format!("rollup rollback --run {newer}")));
    }
    let undo = |step: &rollup_model::Step, before: &serde_json::Value| site.registry.undo(&step.action, before);
    let plan = rollback_plan(&stored.plan, &state, &identity()?, &undo).map_err(|refused| {
        let code = if refused == RollbackRefused::NothingChanged { exit::USAGE } else { exit::ROLLBACK_FAILED };
        Exit::new(code, refused).hint(format!("rollup runs show {run}"))
    })?;
    running::check_phase(&asked.running, &plan, &RunState::default())?;
    let waiting = screen.waiting("looking at the nodes");
    let obstacles = site.examine_settled(plan.release.as_ref(), Moment::now(Stage::Resumed)).await.errors();
    drop(waiting);
    let command = format!("rollup rollback --run {run}");
    if asked.dry_run {
        let page = match screen.json() {
            true => {
                let document = serde_json::json!({ "way_back": null, "plan": plan });
                serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?
            }
            false => pages::plan_table(&plan, screen.out()),
        };
        screen.data(&page)?;
    } else if !asked.running.yes {
        screen.tell(&pages::plan_table(&plan, screen.err()));
    }
    if !obstacles.is_empty() {
        return Err(super::blocked(&obstacles, &command, screen));
    }
    if asked.dry_run {
        return Ok(exit::DONE);
    }
    if !screen.confirm(&format!("Take run {run} back with this plan?"), asked.running.yes, &command)? {
        return Err(Exit::new(exit::STOPPED, "not confirmed; nothing was changed").hint(command));
    }
    running::refuse_when_behind(&site, run, stored.records.len()).await?;
    // The lock of the run that is taken back goes to the run that takes it back.
    lock::release(&site.hosts, run).await;
    running::begin(&site, store, &plan, &asked.running, screen).await
}

/// The newest later upgrade that changed something and was not taken back: under it nothing can be pulled away.
fn built_upon(store: &Store, run: &RunId) -> Option<RunId> {
    let cluster = |run: &RunId| store.read(run).map(|(stored, _)| stored.plan.inventory.cluster.name).ok();
    store.list().into_iter().take_while(|newer| newer > run).find(|newer| {
        store.read(newer).is_ok_and(|(stored, state)| {
            let stands = !matches!(state.status, RunStatus::TakenBack { only: None, .. });
            stored.plan.kind == Kind::Upgrade && cluster(newer) == cluster(run) && stands && state.changed_anything()
        })
    })
}
