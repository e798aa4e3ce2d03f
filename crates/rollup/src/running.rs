//! Running a plan: journal, locks, engine, meter, signals, and the page at the end.

use std::{path::Path, sync::Arc, time::Duration};

use rollup_engine::{
    End, Engine, Moment, Options, Recorder, Stage, Stop, fetch_mirror,
    journal::Journal,
    lock::{self, Holder, Taken},
};
use rollup_model::{
    Event, NodeName, PhaseId, Plan, Record, Role, RunId, RunState, Severity, Sink, StepState, event::StopReason,
    plan::Kind,
};
use rollup_remote::ReadOnly;
use rollup_ui::pages::{self, Ending, Names, Next, Serving};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};

use crate::{
    cli::Running,
    exit::{self, Ended, Exit},
    planning::locked,
    screen::{Following, Screen},
    site::Site,
    store::{Store, is_open},
    typed::quoted_option,
};

/// Refuses to pause where no pause is possible: a wrong word here would let a run go on through its cutover.
pub(crate) fn check_phase(running: &Running, plan: &Plan, state: &RunState) -> Result<(), Exit> {
    let Some(phase) = &running.pause_before else { return Ok(()) };
    let begun = |id: &PhaseId| {
        let mut steps = plan.steps.iter().filter(|step| step.phase == *id);
        steps.any(|step| state.get(&step.id) != StepState::Pending)
    };
    let ahead: Vec<_> = plan.phases.iter().map(|phase| &phase.id).filter(|id| !begun(id)).collect();
    if ahead.contains(&phase) {
        return Ok(());
    }
    let error = match plan.phase(phase) {
        Some(_) => format!("phase `{phase}` has already begun"),
        None => format!("there is no phase `{phase}`"),
    };
    let names: Vec<_> = ahead.into_iter().map(PhaseId::as_str).collect();
    Err(Exit::usage(error).hint(match names.is_empty() {
        true => "there is no phase left to pause before".to_owned(),
        false => format!("--pause-before one of: {}", names.join(", ")),
    }))
}

/// Shows a plan before it is asked for. With `dry_run` it is data, and all there is: `true`.
pub(crate) fn show(plan: &Plan, dry_run: bool, running: &Running, screen: &Screen) -> Result<bool, Exit> {
    check_phase(running, plan, &RunState::default())?;
    if dry_run {
        screen.data(&match screen.json() {
            true => serde_json::to_string_pretty(plan).map_err(anyhow::Error::from)?,
            false => pages::plan_table(plan, screen.out()),
        })?;
    } else if !running.yes {
        screen.tell(&pages::plan_table(plan, screen.err()));
    }
    Ok(dry_run)
}

/// Begins a run of `plan`.
pub(crate) async fn begin(site: &Site, store: &Store, plan: &Plan, running: &Running, screen: &Screen) -> Ended {
    // The run is on disk before the nodes are locked for it: a lock always names a run that can go on.
    let dir = store.dir(&plan.run);
    let journal = Journal::create(&dir, plan)?;
    if let Err(exit) = take_locks(site, plan, screen).await {
        drop(journal);
        // A node whose answer was lost may be locked all the same; the run is forgotten only when no node can name it.
        if lock::release(&site.hosts, &plan.run).await.is_empty() || exit.code == exit::LOCKED {
            std::fs::remove_dir_all(&dir)?;
        }
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
    check_phase(running, &plan, &state)?;
    let site = Site::of(plan.inventory.clone(), Some(store))?;
    if !is_open(&state) {
        return over(&site, journal, &plan, state, screen).await;
    }
    take_locks(&site, &plan, screen).await.map_err(|exit| match exit.code {
        exit::UNEXPECTED => Exit { code: exit::FAILED, ..exit }.hint(format!("rollup resume {run}")),
        _ => exit,
    })?;
    let waiting = screen.waiting("looking at the nodes");
    let examined = site.examine_settled(plan.release.as_ref(), Moment::of(&plan, Stage::Resumed)).await;
    drop(waiting);
    refuse_when_behind(&site, run, stored.records.len()).await?;
    let errors = examined.errors();
    if !errors.is_empty() {
        return Err(Exit::new(exit::FAILED, "the run cannot go on while this is so")
            .page(screen.findings(&errors))
            .hint(format!("mend what is listed, then: rollup resume {run}")));
    }
    go(&site, store, journal, &plan, state, running, screen).await
}

/// Refuses to act on a journal that is older than the copy on a node: a state directory that was put back from a backup,
/// or a run that somebody else went on with.
pub(crate) async fn refuse_when_behind(site: &Site, run: &RunId, records: usize) -> Result<(), Exit> {
    for (node, host) in &site.hosts {
        // A node without a readable copy says nothing against the local one.
        let Ok(copy) = fetch_mirror(ReadOnly::new(host.as_ref()), run).await else { continue };
        if copy.records.len() > records {
            let error = format!(
                "the journal of run {run} here is older than the copy on {node}: {records} records here, {} there",
                copy.records.len()
            );
            let hint =
                format!("find the machine that worked on it last: {node}:/var/lib/rollup/runs/{run}/journal.jsonl");
            return Err(Exit::new(exit::USAGE, error).hint(hint));
        }
    }
    Ok(())
}

/// A run that is over cannot go on; but its process may have died before it freed the nodes.
async fn over(site: &Site, journal: Journal, plan: &Plan, state: RunState, screen: &Screen) -> Ended {
    let run = &plan.run;
    let mut held = Vec::new();
    for (node, host) in &site.hosts {
        let holder = lock::holder(ReadOnly::new(host.as_ref())).await?;
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
    let Following { mut sinks, lines } = screen.follow(plan, &state);
    let (begun, has_begun) = oneshot::channel();
    sinks.push(Box::new(Begun(Some(begun))));
    let recorder = Arc::new(Recorder::new(journal, state, &plan.run, site.hosts.clone(), sinks)?);
    let engine = Engine {
        registry: Arc::clone(&site.registry),
        hosts: site.hosts.clone(),
        recorder: Arc::clone(&recorder),
        stop: Stop::default(),
    };
    let (end_meter, ended) = watch::channel(false);
    // What only takes copies is no reason to ask clients' questions.
    let meter = plan.inventory.meter.clone().filter(|_| plan.kind != Kind::Backup).map(|meter| {
        let recorder = Arc::clone(&recorder);
        tokio::spawn(async move {
            if has_begun.await.is_ok() {
                health::meter(meter, recorder, ended).await;
            }
        })
    });
    let options = Options { pause_before: running.pause_before.clone(), accept_downtime: running.accept_downtime };
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
            end = &mut work => break Some(end.map_err(|error| broken_off(plan, error))?),
            _ = tick.tick() => {
                if let Some(lines) = &lines {
                    // A log that is gone needs no more lines.
                    let _ = lines.tick(jiff::Timestamp::now());
                }
            }
            () = signals.next() => {
                if engine.stop.asked() {
                    break None;
                }
                engine.stop.ask();
                let text = "stopping after this step; once more to detach at once".to_owned();
                recorder.show(Event::Note { node: None, text });
            }
        }
    };
    let Some(end) = end else {
        // The displays go first: nothing may write over the last words.
        drop(work);
        drop(engine);
        drop(recorder);
        let error = "detached at once; the step that ran is in doubt until the nodes are asked";
        return Err(Exit::new(exit::STOPPED, error).hint(format!("rollup resume {}", plan.run)));
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

/// A run that could not be carried to a regular end, for example since its journal cannot be written.
fn broken_off(plan: &Plan, error: anyhow::Error) -> Exit {
    let code = if plan.kind == Kind::Rollback { exit::ROLLBACK_FAILED } else { exit::FAILED };
    Exit { code, ..error.into() }.hint(format!("mend it, then: rollup resume {}", plan.run))
}

/// Lets the meter begin after the run: the first record names the plan that all later ones are held against.
struct Begun(Option<oneshot::Sender<()>>);

impl Sink for Begun {
    fn event(&mut self, record: &Record) -> std::io::Result<()> {
        if matches!(record.event, Event::RunStarted { .. } | Event::RunResumed { .. })
            && let Some(begun) = self.0.take()
        {
            // Without a meter nobody waits.
            let _ = begun.send(());
        }
        Ok(())
    }
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
    let end = &found_damaged(store, plan, state, end)?;
    let over = matches!(end, End::Finished | End::Stopped(StopReason::Blocked));
    if over {
        for (node, error) in lock::release(&site.hosts, run).await {
            let hint = screen.typed(&format!("rollup unlock {run} --reason 'run is over'"));
            screen.tell(&format!("warning: the lock on {node} could not be given back: {error}\nhint: {hint}"));
        }
    }
    if matches!(end, End::Finished) {
        for other in plan.takes_back.iter().filter(|other| store.dir(other).exists()) {
            let event = match plan.kind {
                Kind::Finalize => Event::RunFinalized { by: run.clone() },
                _ => Event::RunTakenBack { by: run.clone(), only: plan.bound(Role::Target).cloned() },
            };
            // The copies on the nodes must know it, too: a run that nobody has ended blocks the next upgrade.
            let (journal, stored) = Journal::open(&store.dir(other))?;
            let before = RunState::fold(&stored.records);
            let recorder = Recorder::new(journal, before, other, site.hosts.clone(), Vec::new())?;
            recorder.record(event).await?;
            recorder.flush().await;
        }
    }
    let code = match (end, plan.kind) {
        (End::Finished, Kind::Rollback) => exit::ROLLED_BACK,
        (End::Finished, _) => exit::DONE,
        (End::Stopped(StopReason::Blocked), _) => exit::BLOCKED,
        (End::Stopped(StopReason::Failed), Kind::Rollback) => exit::ROLLBACK_FAILED,
        (End::Stopped(StopReason::Failed), _) => exit::FAILED,
        (End::Stopped(StopReason::Operator | StopReason::Pause), _) => exit::STOPPED,
    };
    // A backup has moved nothing: what serves is what served.
    let serving = if plan.kind == Kind::Backup { Serving::default() } else { serving(site).await };
    let next = next_commands(plan, end, screen);
    let stopped = match end {
        End::Finished => None,
        End::Stopped(reason) => Some(*reason),
    };
    let names = Names { program: "rollup".to_owned(), run: run.clone() };
    let ending = Ending { plan, state, stopped, exit_code: code, names: &names, serving: &serving, next: &next };
    if screen.json() {
        screen.data(&pages::report_json(&ending).map_err(anyhow::Error::from)?)?;
    } else {
        screen.tell(&screen.typed(&pages::end_page(&ending, screen.err())));
    }
    Ok(code)
}

/// A look at a set that found damage is an answer and no failure: there is nothing to go on with.
fn found_damaged(store: &Store, plan: &Plan, state: &RunState, end: &End) -> Result<End, Exit> {
    let damaged = plan.playbook == "backup-verify" && state.failed().any(|(_, record)| !record.findings.is_empty());
    Ok(match end {
        End::Stopped(StopReason::Failed) if damaged => {
            let reason = StopReason::Blocked;
            Journal::open(&store.dir(&plan.run))?.0.append(jiff::Timestamp::now(), Event::RunStopped { reason })?;
            End::Stopped(reason)
        }
        End::Stopped(reason) => End::Stopped(*reason),
        End::Finished => End::Finished,
    })
}

/// What serves now, as far as the nodes answer.
async fn serving(site: &Site) -> Serving {
    let examined = site.examine(None, Stage::Resumed).await;
    let facts = &examined.facts;
    // A node that does not answer must not hide that the other one serves; two owners are no answer at all.
    let has_vip = |node: &&NodeName| {
        facts.get::<keepalived::KeepalivedFacts>(node, "keepalived").is_some_and(|facts| facts.vip_here)
    };
    let mut owners = site.inventory.node_names().filter(has_vip);
    let vip = owners.next().filter(|_| owners.next().is_none()).cloned();
    let service = vip.as_ref().and_then(|node| {
        let facts = facts.get::<health::HealthFacts>(node, "health")?;
        let findings = health::problems(&site.inventory, node, &facts, "HLT-1");
        let mut wrong = findings.iter().filter(|finding| finding.severity == Severity::Error);
        Some(match wrong.next() {
            None => format!("healthy on {node}"),
            Some(first) => {
                format!(
                    "NOT healthy on {node}: expected {}, found {}",
                    first.expected,
                    rollup_ui::one_line(&first.found)
                )
            }
        })
    });
    Serving { vip, service, db_primary: gaussdb::primary_node(facts, &site.inventory) }
}

/// What to type next; never empty.
fn next_commands(plan: &Plan, end: &End, screen: &Screen) -> Vec<Next> {
    let run = &plan.run;
    let resume = |why| screen.next(&format!("rollup resume {run}"), why);
    let status = screen.next(&format!("rollup status {run}"), "see every phase again");
    let back = screen.next(&format!("rollup rollback --run {run}"), "take back what it changed");
    match (end, plan.kind) {
        (End::Finished, Kind::Upgrade) => {
            let last = screen.next(&format!("rollup finalize --run {run}"), "or make it final, once you are sure");
            vec![status, back, last]
        }
        (End::Finished, Kind::Rollback | Kind::Finalize) => {
            let mut next = vec![screen.next("rollup precheck", "see whether the pair is ready again"), status];
            if plan.restores.is_some() {
                let command = format!("rollup rollback --backup {}", plan.backup_set);
                next.push(screen.next(&command, "take this way back itself back"));
            }
            next
        }
        (End::Finished, Kind::Backup) => vec![screen.next("rollup backup list", "see every set")],
        (End::Finished, Kind::Switch) => {
            vec![screen.next("rollup vip status", "see who has the VIP, and what holds it there"), status]
        }
        (End::Stopped(StopReason::Blocked), Kind::Rollback | Kind::Backup) => {
            vec![screen.next("rollup backup list", "see every set"), screen.next("rollup precheck", "look at the pair")]
        }
        (End::Stopped(StopReason::Blocked), _) => vec![screen.next("rollup precheck", "look again")],
        (End::Stopped(StopReason::Operator | StopReason::Pause), Kind::Upgrade) => {
            vec![resume("go on"), back, status]
        }
        (End::Stopped(_), Kind::Upgrade) => {
            vec![resume("try again from the failed step"), back, status]
        }
        (End::Stopped(StopReason::Failed), Kind::Rollback) => emergency(plan, screen),
        (End::Stopped(_), Kind::Rollback) => vec![resume("go on taking back"), status],
        (End::Stopped(_), Kind::Switch) => vec![
            resume("try again from the failed step"),
            screen.next("rollup vip status", "see who has the VIP, and what holds it there"),
            status,
        ],
        (End::Stopped(_), Kind::Backup | Kind::Finalize) => vec![resume("try again from the failed step"), status],
    }
}

/// What is left when a way back fails (RB-4): once more, from where it stopped; another set; forward again.
fn emergency(plan: &Plan, screen: &Screen) -> Vec<Next> {
    let run = &plan.run;
    let mut next = vec![
        screen.next(&format!("rollup resume {run}"), "mend what is said above, then go on from the failed step"),
        screen.next(&format!("rollup status {run}"), "see where each node stands"),
        screen.next("rollup backup list", "see whether another set can be gone back to"),
        screen.next("rollup rollback --backup SET", "go back to that one instead"),
    ];
    if let Some(release) = &plan.release {
        let pkg = quoted_option("--pkg", Some(Path::new(&release.origin())));
        let forward = format!("rollup upgrade{pkg}");
        next.push(
            screen.next(&forward, &format!("or forward to {} again, once the pair passes a precheck", release.version)),
        );
    }
    next
}
