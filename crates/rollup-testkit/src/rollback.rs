//! Points of the way back: a run that is finished, or was killed somewhere, is taken back, and the rollback is killed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rollup_model::{Lane, NodeName};
use serde_json::Value;

use crate::{
    compare::{Counts, compare, count, differences, twice},
    cut::{Cut, Kind},
    forward::{journal_problems, lives, why},
    matrix::{Visited, every, place},
    process::{Ended, Run, runtime},
    scenario::Scenario,
    sim::Sent,
};

/// From the end of a rollback to its last consequence: what the primary wrote is replayed.
const RIPPLES: Duration = Duration::from_secs(10);

/// What a run and the rollbacks after it do when none is cut.
pub(crate) struct Clean {
    /// Every command of the last rollback that changes something.
    pub(crate) changes: Vec<Sent>,
    world: Value,
    effects: Counts,
}

/// What holds the address and what writes, by name.
fn roles(run: &Run) -> (Vec<NodeName>, Vec<NodeName>) {
    let world = run.sim.world();
    (world.holders(), world.writers())
}

async fn finish(run: &Run) -> Result<()> {
    let ended = run.live().await;
    ensure!(matches!(ended, Ended::Finished), "a run without a cut must finish: {}", why(run, &ended));
    Ok(())
}

/// A finished run, and the last of the rollbacks after it, which has not begun. Each but the first goes back to the
/// safety set of the one before it.
struct Walked {
    last: Run,
    /// What the last rollback must end in.
    goal: Value,
    /// Effects and commands so far.
    effects: usize,
    sent: usize,
}

async fn walk(scenario: &Scenario, lanes: &[Lane]) -> Result<Walked> {
    let mut run = Run::new(scenario, scenario.pair())?;
    let mut before = Vec::new();
    let first = roles(&run);
    for (index, lane) in lanes.iter().enumerate() {
        before.push(run.sim.world().as_before());
        finish(&run).await?;
        ensure!(index > 0 || first != roles(&run), "a run must move address and writer");
        let back = run.rollback_by(*lane, None).await?;
        run = back.context("a finished run must be one that can be taken back")?;
    }
    // Where the set was taken that the last one goes back to.
    let goal = before.pop().context("expected a lane")?;
    let (effects, sent) = (run.sim.world().effects.len(), run.sim.sent().len());
    Ok(Walked { last: run, goal, effects, sent })
}

/// What is wrong at the end of a way back: the world, what a set says of it, the journal.
fn end_problems(back: &Run, goal: &Value) -> Result<Vec<String>> {
    let mut problems = journal_problems(back)?;
    let plan = &back.scenario.plan;
    let world = back.sim.world();
    problems.extend(world.breaches.iter().cloned());
    compare("", goal, &world.as_before(), &mut problems);
    if let Some(set) = &plan.restores {
        problems.extend(world.set_problems());
        problems.extend(world.lane_problems(set, lane_of(back)));
        let safety = world.manifest(&plan.backup_set);
        if safety.is_none_or(|manifest| manifest.verified_at.is_none()) {
            problems.push(format!("the safety set {} is not verified", plan.backup_set));
        }
    }
    Ok(problems)
}

/// The lane a plan was made for, by its steps.
fn lane_of(back: &Run) -> Lane {
    let uses = |name: &str| back.scenario.plan.steps.iter().any(|step| step.action.uses == name);
    match (uses("db.restore"), uses("db.revert")) {
        (true, _) => Lane::Restore,
        (false, true) => Lane::Down,
        (false, false) => Lane::Keep,
    }
}

/// A finished run and the rollbacks after it, without a cut.
pub(crate) fn clean(scenario: &Scenario, lanes: &[Lane]) -> Result<Clean> {
    runtime()?.block_on(async {
        let Walked { last, goal, effects, sent } = walk(scenario, lanes).await?;
        finish(&last).await.with_context(|| format!("rollback {lanes:?}"))?;
        last.sim.wait(RIPPLES).await;
        let mut problems = end_problems(&last, &goal)?;
        let world = last.sim.world();
        problems.extend(twice(&world.effects[effects..]));
        ensure!(problems.is_empty(), "a rollback ({lanes:?}) must bring everything back: {problems:#?}");
        Ok(Clean {
            changes: last.sim.sent().into_iter().skip(sent).filter(|sent| sent.mutating).collect(),
            world: world.settled(),
            effects: count(&world.effects),
        })
    })
}

/// One point of the last rollback of a finished run.
pub(crate) fn of_finished(scenario: &Scenario, lanes: &[Lane], clean: &Clean, cut: Cut) -> Result<Visited> {
    runtime()?.block_on(async {
        let Walked { last: back, goal, .. } = walk(scenario, lanes).await?;
        back.sim.cut_from_now(cut);
        let ended = back.live().await;
        let (ended, lives) = lives(&back, ended, Duration::ZERO).await;
        let sent = back.sim.fired().context("the command to cut was never sent")?;
        let mut reasons = Vec::new();
        if !matches!(ended, Ended::Finished) {
            reasons.push(format!("not finished after {lives} lives: {}", why(&back, &ended)));
        }
        back.sim.wait(RIPPLES).await;
        reasons.extend(end_problems(&back, &goal)?);
        let world = back.sim.world();
        reasons.extend(differences(&clean.effects, &count(&world.effects), |_| false));
        compare("", &clean.world, &world.settled(), &mut reasons);
        let place = format!("rollback {}, {}", named(lanes), place(&sent, cut));
        Ok(Visited { place, reasons, delay: Duration::ZERO, silence: world.longest_silence })
    })
}

fn named(lanes: &[Lane]) -> String {
    lanes.iter().map(Lane::to_string).collect::<Vec<_>>().join(" of ")
}

/// Points of the rollback of a run that was killed: one without a cut; then, cut at every so many-th of its commands,
/// each time in another way, or, with 0, at one of them for one of the ways in which the run was killed.
pub(crate) fn of_killed(scenario: &Scenario, lane: Lane, killed: Cut, every_nth: usize) -> Result<Vec<Visited>> {
    let (visited, commands) = take_back(scenario, lane, killed, None)?;
    let mut all = vec![visited];
    let places: Vec<_> = match every_nth {
        // A prime far from the length of any step, so that neighbours are cut in different steps.
        0 => (commands > 0 && Kind::KILLS[killed.at % Kind::KILLS.len()] == killed.kind)
            .then(|| killed.at * 37 % commands)
            .into_iter()
            .collect(),
        nth => every(nth, commands).collect(),
    };
    for at in places {
        let kind = Kind::KILLS[(at + killed.at / Kind::KILLS.len()) % Kind::KILLS.len()];
        all.push(take_back(scenario, lane, killed, Some(Cut { at, kind }))?.0);
    }
    Ok(all)
}

/// Kills a run, takes it back, and kills that, too. Also returns how many commands the rollback sent that change something.
fn take_back(scenario: &Scenario, lane: Lane, killed: Cut, cut: Option<Cut>) -> Result<(Visited, usize)> {
    runtime()?.block_on(async {
        let run = Run::new(scenario, scenario.pair())?;
        let original = run.sim.world().as_before();
        run.sim.cut(killed);
        let ended = run.live().await;
        ensure!(matches!(ended, Ended::Killed), "the run was to be killed: {}", why(&run, &ended));
        let sent = run.sim.fired().context("the command to cut was never sent")?;
        let mut place = format!("run {}; rollback {lane}", place(&sent, killed));
        let back = run.rollback_by(lane, None).await?;
        let (so_far, before) = (run.sim.sent().len(), run.sim.world().effects.len());
        let mut reasons = Vec::new();
        let back = match back {
            None => {
                run.unlock().await?;
                None
            }
            Some(back) => {
                if let Some(cut) = cut {
                    back.sim.cut_from_now(cut);
                }
                let ended = back.live().await;
                if let (Some(cut), Some(sent)) = (cut, back.sim.fired()) {
                    place = format!("{place} {}", crate::matrix::place(&sent, cut));
                }
                let (ended, lives) = lives(&back, ended, Duration::ZERO).await;
                if !matches!(ended, Ended::Finished) {
                    reasons.push(format!("not finished after {lives} lives: {}", why(&back, &ended)));
                }
                Some(back)
            }
        };
        run.sim.wait(RIPPLES).await;
        match &back {
            Some(back) => reasons.extend(end_problems(back, &original)?),
            None => {
                let world = run.sim.world();
                reasons.extend(world.breaches.iter().cloned());
                compare("", &original, &world.as_before(), &mut reasons);
            }
        }
        let world = run.sim.world();
        let mut own = before;
        let late = world.late.as_ref().filter(|late| killed.kind == Kind::KillLate && !late.is_empty());
        if let Some(late) = late {
            if late.start > before {
                reasons.push("a command of the killed run took effect in the middle of the rollback".to_owned());
            }
            own = own.max(late.end);
        }
        reasons.extend(twice(&world.effects[own..]));
        let commands = run.sim.sent().iter().skip(so_far).filter(|sent| sent.mutating).count();
        Ok((Visited { place, reasons, delay: Duration::ZERO, silence: world.longest_silence }, commands))
    })
}
