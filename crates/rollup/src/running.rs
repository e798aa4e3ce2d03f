//! Running a plan: journal, locks, engine, meter, signals, and the page at the end.

use std::{sync::Arc, time::Duration};

use rollup_engine::{
    End, Engine, Options, Recorder, Stage, Stop,
    journal::Journal,
    lock::{self, Holder, Taken},
};
use rollup_model::{Event, Plan, RunId, RunState, event::StopReason};
use rollup_ui::pages::{self, Ending, Names, Next, Serving};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    cli::Running,
    exit::{self, Ended, Exit},
    planning::locked,
    screen::{Following, Screen},
    site::Site,
    store::{Store, is_open},
};

/// Whether a plan begins or goes on, and what its end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Forward.
    Upgrade,
    /// Taking another run back.
    Rollback,
}

/// Whether a plan takes another run back.
pub(crate) fn kind_of(plan: &Plan) -> Kind {
    if plan.takes_back.is_some() { Kind::Rollback } else { Kind::Upgrade }
}

/// Begins a run of `plan`.
pub(crate) async fn begin(site: &Site, store: &Store, plan: &Plan, running: &Running, screen: &Screen) -> Ended {
    // The run is on disk before the nodes are locked for it: a lock always names a run that can go on.
    let dir = store.dir(&plan.run);
    let journal = Journal::create(&dir, plan)?;
    if let Err(exit) = take_locks(site, plan, screen).await {
        drop(journal);
        std::fs::remove_dir_all(&dir)?;
        return Err(exit);
    }
    go(site, store, journal, plan, RunState::default(), running, screen).await
}

/// Goes on with a run that is on this machine.
pub(crate) async fn go_on(store: &Store, run: &RunId, running: &Running, screen: &Screen) -> Ended {
    let (journal, stored) = Journal::open(&store.dir(run)).map_err(|error| {
        let exit = Exit::from(error);
        if exit.code == exit::LOCKED { exit.hint(format!("rollup status {run}")) } else { exit }
    })?;
    let state = RunState::fold(&stored.records);
    let plan = stored.plan;
    let site = Site::of(plan.inventory.clone(), None)?;
    if !is_open(&state) {
        return over(&site, journal, &plan, state, screen).await;
    }
    take_locks(&site, &plan, screen).await?;
    let waiting = screen.waiting("looking at the nodes");
    let examined = site.examine(plan.release.as_ref(), Stage::Resumed).await;
    drop(waiting);
    let errors = examined.errors();
    if !errors.is_empty() {
        let page = screen.findings(&errors);
        return Err(Exit::new(exit::FAILED, format!("{page}\nthe run cannot go on while this is so"))
            .hint(format!("mend what is listed, then: rollup resume {run}")));
    }
    go(&site, store, journal, &plan, state, running, screen).await
}

/// A run that is over cannot go on; but its process may have died before it freed the nodes.
async fn over(site: &Site, journal: Journal, plan: &Plan, state: RunState, screen: &Screen) -> Ended {
    let run = &plan.run;
    let mut held = Vec::new();
    for (node, host) in &site.hosts {
        let holder = lock::holder(rollup_remote::ReadOnly::new(host.as_ref())).await?;
        held.extend(holder.filter(|holder| holder.run == *run).map(|_| node.to_string()));
    }
    if held.is_empty() {
        return Err(Exit::usage(format!("run {run} is over and cannot go on")).hint(format!("rollup runs show {run}")));
    }
    Recorder::new(journal, state, run, site.hosts.clone(), Vec::new())?.flush().await;
    lock::release(&site.hosts, run).await;
    screen.tell(&format!("run {run} is over; its lock was still on {} and is gone now", held.join(", ")));
    Ok(exit::DONE)
}

async fn take_locks(site: &Site, plan: &Plan, screen: &Screen) -> Result<(), Exit> {
    let holder = Holder { run: plan.run.clone(), by: crate::operator(), since: jiff::Timestamp::now() };
    match lock::acquire(&site.hosts, &holder).await? {
        Taken::Ours => Ok(()),
        Taken::Held { node, holder } => Err(locked(site, screen, &node, &holder).await),
    }
}

async fn go(
    site: &Site,
    store: &Store,
    journal: Journal,
    plan: &Plan,
    state: RunState,
    running: &Running,
    screen: &Screen,
) -> Ended {
    let fresh = state.started.is_none();
    let Following { sinks, lines } = screen.follow(plan, &state);
    let recorder = Arc::new(Recorder::new(journal, state, &plan.run, site.hosts.clone(), sinks)?);
    let engine = Engine {
        registry: Arc::clone(&site.registry),
        hosts: site.hosts.clone(),
        recorder: Arc::clone(&recorder),
        stop: Stop::default(),
    };
    let (end_meter, ended) = watch::channel(false);
    let meter =
        plan.inventory.meter.clone().map(|meter| tokio::spawn(health::meter(meter, Arc::clone(&recorder), ended)));
    let options = Options { pause_before: running.pause_before.clone() };
    let work = async {
        if fresh {
            engine.start(plan, crate::operator(), &options).await
        } else {
            engine.resume(plan, crate::operator(), &options).await
        }
    };
    let mut signals = Signals::new()?;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut work = Box::pin(work);
    let end = loop {
        tokio::select! {
            end = &mut work => break end?,
            _ = tick.tick() => {
                if let Some(lines) = &lines {
                    // A log that is gone needs no more lines.
                    let _ = lines.tick(jiff::Timestamp::now());
                }
            }
            () = signals.next() => {
                if engine.stop.asked() {
                    return Err(Exit::new(exit::STOPPED, "detached at once; the step that ran is in doubt until the nodes are asked")
                        .hint(format!("rollup resume {}", plan.run)));
                }
                engine.stop.ask();
                let text = "stopping after this step; once more to detach at once".to_owned();
                recorder.show(Event::Note { node: None, text });
            }
        }
    };
    // Whoever watches sees the last totals before the page.
    let _ = end_meter.send(true);
    if let Some(meter) = meter {
        let _ = meter.await;
    }
    // The displays go with the recorder: from here on nothing writes over the page.
    drop(work);
    drop(engine);
    recorder.flush().await;
    let state = recorder.state();
    drop(recorder);
    finish(site, store, plan, &state, &end, screen).await
}

struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, _ = hangup.recv() => {} }
    }
}

/// Frees the nodes when the run is over, and prints the last page.
async fn finish(site: &Site, store: &Store, plan: &Plan, state: &RunState, end: &End, screen: &Screen) -> Ended {
    let run = &plan.run;
    let over = matches!(end, End::Finished | End::Stopped(StopReason::Blocked));
    if over {
        for (node, error) in lock::release(&site.hosts, run).await {
            screen.tell(&format!("warning: the lock on {node} could not be given back: {error}\nhint: rollup unlock {run} --reason 'run is over'"));
        }
    }
    if let (End::Finished, Some(taken_back)) = (end, &plan.takes_back)
        && store.dir(taken_back).exists()
    {
        let (mut journal, _) = Journal::open(&store.dir(taken_back))?;
        journal.append(jiff::Timestamp::now(), Event::RunTakenBack { by: run.clone() })?;
    }
    let code = match (end, kind_of(plan)) {
        (End::Finished, Kind::Upgrade) => exit::DONE,
        (End::Finished, Kind::Rollback) => exit::ROLLED_BACK,
        (End::Stopped(StopReason::Blocked), _) => exit::BLOCKED,
        (End::Stopped(StopReason::Failed), Kind::Upgrade) => exit::FAILED,
        (End::Stopped(StopReason::Failed), Kind::Rollback) => exit::ROLLBACK_FAILED,
        (End::Stopped(StopReason::Operator | StopReason::Pause), _) => exit::STOPPED,
    };
    let (serving, next) = (serving(site).await, next_commands(plan, end));
    let stopped = match end {
        End::Finished => None,
        End::Stopped(reason) => Some(*reason),
    };
    let names = Names { program: "rollup".to_owned(), run: run.clone() };
    let ending = Ending { plan, state, stopped, exit_code: code, names: &names, serving: &serving, next: &next };
    if screen.json() {
        screen.data(&pages::report_json(&ending).map_err(anyhow::Error::from)?)?;
    } else {
        screen.tell(&pages::end_page(&ending, screen.err()));
    }
    Ok(code)
}

/// What serves now, as far as the nodes answer.
async fn serving(site: &Site) -> Serving {
    let examined = site.examine(None, Stage::Resumed).await;
    Serving {
        vip: keepalived::vip_owner(&examined.facts, &site.inventory),
        db_primary: gaussdb::primary_node(&examined.facts, &site.inventory),
    }
}

/// What to type next; never empty.
fn next_commands(plan: &Plan, end: &End) -> Vec<Next> {
    let run = &plan.run;
    let status = Next::new(format!("rollup status {run}"), "see every step again");
    let back = Next::new(format!("rollup rollback --run {run}"), "take back what it changed");
    match (end, kind_of(plan)) {
        (End::Finished, Kind::Upgrade) => vec![status, back],
        (End::Finished, Kind::Rollback) => {
            vec![Next::new("rollup precheck", "see whether the pair is ready again"), status]
        }
        (End::Stopped(StopReason::Blocked), _) => vec![Next::new("rollup precheck", "look again")],
        (End::Stopped(StopReason::Operator | StopReason::Pause), Kind::Upgrade) => {
            vec![Next::new(format!("rollup resume {run}"), "go on"), back, status]
        }
        (End::Stopped(_), Kind::Upgrade) => {
            vec![Next::new(format!("rollup resume {run}"), "try again from the failed step"), back, status]
        }
        (End::Stopped(_), Kind::Rollback) => {
            vec![Next::new(format!("rollup resume {run}"), "go on taking back"), status]
        }
    }
}
