//! `rollup rollback`: which set is meant, whether the pair can go back to it now, what that costs, and the plan.
//!
//! A run that stopped before its set was whole has nothing to go back to: what it changed is undone step by step
//! ([`undo`]).

mod ground;
mod lanes;
mod undo;

use std::time::Duration;

use rollup_engine::lock;
use rollup_model::{
    Finding, Lane, NodeName, Plan, Playbook, RunId, RunState, Step, WayBack, fold::RunStatus, plan::Kind, playbook,
};
use rollup_remote::RemoteError;
use rollup_ui::pages;

use crate::{
    cli::RollbackArguments,
    exit::{self, Ended, Exit},
    planning::{self, compile_for, locked},
    running,
    screen::Screen,
    sets::{self, Found},
    site::Site,
    store::{Store, is_live, is_open},
};

pub(crate) use ground::Ground;

const PLAYBOOK: &str = include_str!("../../../../playbooks/rollback.toml");

/// Brings the pair back to a set.
pub(crate) async fn rollback(
    inventory: Result<Site, Exit>,
    store: &Store,
    asked: &RollbackArguments,
    screen: &Screen,
) -> Ended {
    let (site, set) = match &asked.backup {
        Some(set) => (inventory?, set.clone()),
        None => match of_run(inventory, store, asked).await? {
            Wanted::Set(site, set) => (*site, set),
            Wanted::Undo(run) => return undo::rollback(store, &run, asked, screen).await,
        },
    };
    let site = site.with_identity(asked.identity.as_deref())?;
    if let Some(unknown) = asked.node.as_ref().filter(|node| site.inventory.node(node).is_none()) {
        let known: Vec<_> = site.inventory.node_names().map(NodeName::as_str).collect();
        return Err(Exit::usage(format!("there is no node `{unknown}`")).hint(format!("one of: {}", known.join(", "))));
    }
    let waiting = screen.waiting("looking at the nodes and their backup sets");
    quiet(&site).await?;
    let found = sets::find(&site, &set).await?;
    let runs = runs_since(store, &site, &found)?;
    refuse_when_held(&site, &runs, screen).await?;
    let ground = Ground::look(&site, store, &found, runs).await?;
    drop(waiting);
    let command = typed(asked, found.manifest.set.as_str());
    let obstacles = ground.obstacles(&site, &found, asked);
    if !obstacles.is_empty() {
        return Err(blocked(&obstacles, &command, screen));
    }
    let lanes = lanes::lanes(&site, &ground, &found, asked)?;
    let back = ground.way_back(&site, &found, asked, lanes.taken);
    let plan = plan(&site, &ground, &back, &found)?;
    running::check_phase(&asked.running, &plan, &RunState::default())?;
    let page = ground.page(&site, &found, &back, &lanes);
    if asked.dry_run {
        let text = if screen.json() {
            let document = serde_json::json!({ "way_back": page, "plan": plan });
            serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?
        } else {
            let page = pages::way_back_page(&page, jiff::Timestamp::now(), screen.out());
            format!("{}\n{page}", pages::plan_table(&plan, screen.out()))
        };
        screen.data(&text)?;
        return Ok(exit::DONE);
    }
    // The price last, next to the question.
    if !asked.running.yes {
        screen.tell(&format!("{}\n", pages::plan_table(&plan, screen.err())));
    }
    screen.tell(&pages::way_back_page(&page, jiff::Timestamp::now(), screen.err()));
    if !confirmed(asked, &plan, &lanes, &command, screen)? {
        return Err(Exit::new(exit::STOPPED, "not confirmed; nothing was changed").hint(command));
    }
    for run in &ground.runs {
        if let Ok((stored, _)) = store.read(run) {
            running::refuse_when_behind(&site, run, stored.records.len()).await?;
        }
        // The lock of a run that is taken back goes to the run that takes it back.
        lock::release(&site.hosts, run).await;
    }
    running::begin(&site, store, &plan, &asked.running, screen).await
}

fn blocked(obstacles: &[Finding], command: &str, screen: &Screen) -> Exit {
    Exit::new(exit::BLOCKED, "the pair cannot be brought back now; nothing was changed")
        .page(screen.findings(obstacles))
        .hint(format!("mend what is listed, then: {command}"))
}

/// What a run leads back to.
enum Wanted {
    /// Its set.
    Set(Box<Site>, String),
    /// Nothing: it stopped before its set was whole.
    Undo(RunId),
}

/// What the run that is meant leads back to.
async fn of_run(inventory: Result<Site, Exit>, store: &Store, asked: &RollbackArguments) -> Result<Wanted, Exit> {
    let stands = |plan: &Plan, state: &RunState| {
        plan.kind == Kind::Upgrade && !matches!(state.status, RunStatus::TakenBack { only: None, .. })
    };
    let run = store.find(asked.run.as_ref(), stands, "run that could be taken back")?;
    let (stored, state) = store.read(&run)?;
    refuse_run(store, &run, &stored.plan, &state)?;
    let site = match inventory {
        Ok(site) if site.inventory.cluster.name == stored.plan.inventory.cluster.name => site,
        _ => Site::of(stored.plan.inventory.clone(), Some(store))?,
    };
    let set = stored.plan.backup_set;
    let sets::Answers { sets, silent } = sets::list(&site).await;
    let is_whole = sets.iter().any(|found| found.name == set && found.verified_everywhere);
    if !is_whole && !silent.is_empty() {
        let error = format!("whether {set} is whole is not known: {}", silent.join("; "));
        return Err(Exit::new(exit::BLOCKED, error).hint("rollup precheck"));
    }
    Ok(if is_whole { Wanted::Set(Box::new(site), set) } else { Wanted::Undo(run) })
}

/// What cannot be taken back, and what to type instead.
fn refuse_run(store: &Store, run: &RunId, plan: &Plan, state: &RunState) -> Result<(), Exit> {
    match (&state.status, plan.kind) {
        (RunStatus::TakenBack { by, only: None }, _) => {
            let error = format!("run {run} was already taken back by {by}");
            return Err(Exit::usage(error).hint(format!("rollup runs show {by}")));
        }
        (RunStatus::Finalized { by }, _) => {
            let error = format!("run {run} was made final by {by}: there is no way back");
            return Err(Exit::usage(error).hint("rollup backup list"));
        }
        (_, Kind::Upgrade) => {}
        (status, Kind::Rollback) if *status != RunStatus::Finished => {
            let error = format!("run {run} is itself a way back");
            return Err(Exit::usage(error).hint(format!("rollup resume {run}")));
        }
        (_, Kind::Rollback) => {
            let error = format!("run {run} is itself a way back; its safety set leads forward again");
            return Err(Exit::usage(error).hint(format!("rollup rollback --backup {}", plan.backup_set)));
        }
        (..) => return Err(Exit::usage(format!("run {run} changed nothing that serves")).hint("rollup runs list")),
    }
    if is_live(state, &store.dir(run)) {
        return Err(Exit::new(exit::LOCKED, format!("a process of this machine works on run {run}"))
            .hint(format!("rollup status {run}")));
    }
    Ok(())
}

/// Runs of this machine that changed the pair since the set was taken and still stand, newest first.
fn runs_since(store: &Store, site: &Site, found: &Found) -> Result<Vec<RunId>, Exit> {
    let mut runs = Vec::new();
    for run in store.list() {
        let Ok((stored, state)) = store.read(&run) else { continue };
        let plan = &stored.plan;
        let since = plan.run == found.manifest.run || plan.created > found.manifest.created;
        let ours = plan.inventory.cluster.name == site.inventory.cluster.name;
        let stands = !matches!(state.status, RunStatus::TakenBack { only: None, .. } | RunStatus::Finalized { .. });
        let changes = match plan.kind {
            Kind::Upgrade | Kind::Rollback => state.changed_anything(),
            Kind::Backup | Kind::Finalize | Kind::Switch => is_open(&state),
        };
        if !(since && ours && stands && changes) {
            continue;
        }
        if is_live(&state, &store.dir(&run)) {
            return Err(Exit::new(exit::LOCKED, format!("a process of this machine works on run {run}"))
                .hint(format!("rollup status {run}")));
        }
        runs.push(run);
    }
    Ok(runs)
}

/// How long a command of a process that died is waited for before anything is looked at.
const QUIET: Duration = Duration::from_secs(120);

/// Waits until no command of an earlier process is at work: what it still does would make the plan wrong.
async fn quiet(site: &Site) -> Result<(), Exit> {
    let cmd = rollup_remote::quiet(QUIET);
    for host in site.hosts.values() {
        match host.exec(&cmd).await {
            // A node that does not answer is told of with everything else that is in the way.
            Ok(_) | Err(RemoteError::Unreachable { .. }) => {}
            Err(error) => {
                let error = format!("a command of an earlier run is still at work: {error}");
                return Err(
                    Exit::new(exit::BLOCKED, error).hint("wait until it has ended, then type the same command again")
                );
            }
        }
    }
    Ok(())
}

/// A node may be locked only by a run that is taken back.
async fn refuse_when_held(site: &Site, runs: &[RunId], screen: &Screen) -> Result<(), Exit> {
    for (node, host) in &site.hosts {
        let Ok(Some(holder)) = lock::holder(rollup_remote::ReadOnly::new(host.as_ref())).await else { continue };
        if !runs.contains(&holder.run) {
            return Err(locked(site, screen, node, &holder).await);
        }
    }
    Ok(())
}

/// The plan: the stages that this pair needs.
fn plan(site: &Site, ground: &Ground, back: &WayBack, found: &Found) -> Result<Plan, Exit> {
    let playbook: Playbook = playbook::load(PLAYBOOK).map_err(|problems| Exit::usage(format!("{problems:?}")))?;
    let facts = ground.facts_for(site, back);
    let idle = ground.idle(site);
    let shaped = back.shape(&playbook, &idle);
    let identity = planning::identity()?;
    let plan = compile_for(site, &shaped, ground.release.as_ref(), &facts, &ground.versions, &identity)?;
    let what = back.only.as_ref().map_or("the pair".to_owned(), ToString::to_string);
    // A way back is not taken back step by step: its safety set leads forward again.
    let steps = plan.steps.into_iter().map(|step| Step { undo: String::new(), ..step });
    Ok(Plan {
        steps: steps.collect(),
        title: format!("bring {what} back to {}", back.set),
        takes_back: back.runs.clone(),
        restores: Some(back.set.clone()),
        brings_back: found.manifest.versions.clone(),
        ..plan
    })
}

/// The command with everything that was asked for, so that it can be typed again.
fn typed(asked: &RollbackArguments, set: &str) -> String {
    let lane = asked.lane.map(|lane| format!(" --lane {}", Lane::from(lane))).unwrap_or_default();
    let node = asked.node.as_ref().map(|node| format!(" --node {node}")).unwrap_or_default();
    let force = if asked.force { " --force" } else { "" };
    let identity = crate::typed::quoted_option("--identity", asked.identity.as_deref());
    format!("rollup rollback --backup {set}{lane}{node}{force}{identity}")
}

/// A yes; where data is lost, the number of minutes that are lost.
fn confirmed(
    asked: &RollbackArguments,
    plan: &Plan,
    lanes: &lanes::Lanes,
    command: &str,
    screen: &Screen,
) -> Result<bool, Exit> {
    let Some(price) = lanes.price.as_ref().filter(|_| lanes.taken == Lane::Restore) else {
        return screen.confirm(&format!("{} with this plan?", sentence(&plan.title)), asked.running.yes, command);
    };
    if asked.accept_data_loss {
        return screen.confirm(&format!("{} with this plan?", sentence(&plan.title)), asked.running.yes, command);
    }
    let question =
        format!("Everything written in the last {} minutes will be lost. Type that number to go on", price.minutes);
    let typed = screen.ask(&question).map_err(|exit| exit.hint(format!("{command} --accept-data-loss --yes")))?;
    if typed.trim() == price.minutes.to_string() {
        return Ok(true);
    }
    screen.tell(&format!("expected {}, found `{}`", price.minutes, typed.trim()));
    Ok(false)
}

fn sentence(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}
