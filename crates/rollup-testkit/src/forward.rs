//! Points of the run itself: one cut, and as many lives as it takes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rollup_model::{StepState, fold::RunStatus};
use serde_json::Value;

use crate::{
    compare::{Counts, compare, count, differences, twice},
    cut::{Cut, Kind},
    matrix::{Visited, place},
    process::{Ended, Run, runtime},
    scenario::Scenario,
    sim::Sent,
    world::Effect,
};

/// How many processes may work on a run that is cut.
const LIVES: usize = 4;

/// How much longer than without a cut no database may write in a process that goes on by itself.
const SILENCE: Duration = Duration::from_secs(10);

/// How much longer a run may take because of one lost command.
const DELAY: Duration = Duration::from_secs(60);

/// How long somebody waits for a node that boots before they go on.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a boot does or undoes by itself, so that it may be missing or come about again.
const BOOTS_DO: [&str; 9] = [
    "unit.started",
    "unit.stopped",
    "db.started",
    "db.stopped",
    "vip.taken",
    "vip.drains",
    "vip.drained",
    "sync.frozen",
    "sync.copied",
];

/// What a run without a cut does.
pub(crate) struct Clean {
    /// Every command that changes something.
    pub(crate) changes: Vec<Sent>,
    /// How many looks there are.
    pub(crate) looks: usize,
    world: Value,
    effects: Counts,
    took: Duration,
    silence: Duration,
}

/// A run without a cut.
pub(crate) fn clean(scenario: &Scenario) -> Result<Clean> {
    runtime()?.block_on(async {
        let run = Run::new(scenario, scenario.pair())?;
        let ended = run.live().await;
        ensure!(matches!(ended, Ended::Finished), "a run without a cut must finish: {}", why(&run, &ended));
        let (sent, took) = (run.sim.sent(), run.sim.elapsed());
        let world = run.sim.world();
        ensure!(world.breaches.is_empty(), "a run without a cut must be good at every moment: {:#?}", world.breaches);
        let repeated = twice(&world.effects);
        ensure!(repeated.is_empty(), "a run without a cut must do everything once: {repeated:?}");
        Ok(Clean {
            looks: sent.iter().filter(|sent| !sent.mutating).count(),
            changes: sent.into_iter().filter(|sent| sent.mutating).collect(),
            world: world.settled(),
            effects: count(&world.effects),
            took,
            silence: world.longest_silence,
        })
    })
}

/// Lives until the run is finished, or until too many lives are over. Returns how the last one ended, and their number.
pub(crate) async fn lives(run: &Run, first: Ended, patience: Duration) -> (Ended, usize) {
    let (mut ended, mut lives) = (first, 1);
    while lives < LIVES && !matches!(ended, Ended::Finished) {
        run.sim.wait(patience).await;
        ended = run.live().await;
        lives += 1;
    }
    (ended, lives)
}

/// One point.
pub(crate) fn point(scenario: &Scenario, clean: &Clean, cut: Cut) -> Result<Visited> {
    runtime()?.block_on(async {
        let run = Run::new(scenario, scenario.pair())?;
        run.sim.cut(cut);
        let ended = run.live().await;
        let first = format!("{ended:?}");
        if cut.kind == Kind::KillTwice {
            // Past the locks and the first record of the next life, then ever another place.
            run.sim.kill_again(6 + cut.at % 5);
        }
        let patience = if cut.kind.reboots() { PATIENCE } else { Duration::ZERO };
        let (ended, lives) = lives(&run, ended, patience).await;
        let sent = run.sim.fired().context("the command to cut was never sent")?;
        let mut reasons = Vec::new();
        if let Some(expected) = clean.changes.get(cut.at).filter(|_| cut.kind != Kind::Unreachable)
            && (expected.id != sent.id || expected.node != sent.node)
        {
            reasons
                .push(format!("the run is not the same up to here: expected `{}` on {}", expected.id, expected.node));
        }
        if cut.kind == Kind::Unreachable && lives > 1 {
            reasons.push(format!("a lost look stopped the run: {first}"));
        }
        if !matches!(ended, Ended::Finished) {
            reasons.push(format!("not finished after {lives} lives: {}", why(&run, &ended)));
        }
        if cut.kind.reboots() {
            // What comes back by itself has had its time.
            run.sim.wait(PATIENCE).await;
        }
        reasons.extend(journal_problems(&run)?);
        let world = run.sim.world();
        reasons.extend(world.breaches.iter().cloned());
        let spared = |effect: &Effect| cut.kind.reboots() && BOOTS_DO.contains(&effect.name);
        reasons.extend(differences(&clean.effects, &count(&world.effects), spared));
        compare("", &clean.world, &world.settled(), &mut reasons);
        let silence = world.longest_silence;
        drop(world);
        let delay = run.sim.elapsed().saturating_sub(clean.took);
        if cut.kind.spares() && silence > clean.silence + SILENCE {
            reasons.push(format!("no database wrote for {} s", silence.as_secs()));
        }
        if cut.kind.spares() && delay > DELAY {
            reasons.push(format!("one lost command cost {} s", delay.as_secs()));
        }
        Ok(Visited { place: place(&sent, cut), reasons, delay, silence })
    })
}

/// Why a run did not finish.
pub(crate) fn why(run: &Run, ended: &Ended) -> String {
    let failed = run.state().ok().and_then(|state| {
        state.failed().map(|(step, record)| format!("{step}: {}", record.error.clone().unwrap_or_default())).next()
    });
    let failed = failed.map(|failed| format!(" ({failed})")).unwrap_or_default();
    match ended {
        Ended::Failed(error) => format!("{error:#}{failed}"),
        Ended::Stopped(reason) => format!("stopped, {reason:?}{failed}"),
        other => format!("{other:?}{failed}"),
    }
}

/// The journal says that everything is done; the copies on the nodes say the same.
pub(crate) fn journal_problems(run: &Run) -> Result<Vec<String>> {
    let state = run.state()?;
    let mut problems = Vec::new();
    if state.status != RunStatus::Finished {
        problems.push(format!("the journal says {:?}", state.status));
    }
    let open = run.scenario.plan.steps.iter().filter(|step| state.get(&step.id) != StepState::Done);
    problems.extend(open.map(|step| format!("the journal says {:?} of {}", state.get(&step.id), step.id)));
    let journal = run.journal()?;
    let world = run.sim.world();
    for node in run.scenario.plan.inventory.node_names() {
        if world.copy_of(node, &run.scenario.plan.run, "journal.jsonl").as_deref() != Some(&journal) {
            problems.push(format!("the journal's copy on {node} is not the journal"));
        }
    }
    Ok(problems)
}
