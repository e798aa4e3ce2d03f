//! Points of the way back: a run that is finished, or was killed somewhere, is taken back, and the rollback is killed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rollup_model::NodeName;
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

/// What a run and its rollback do when neither is cut.
pub(crate) struct Clean {
    /// Every command of the rollback that changes something.
    pub(crate) changes: Vec<Sent>,
    world: Value,
    effects: Counts,
}

/// What holds the address and what writes, by name.
fn roles(run: &Run) -> (Vec<NodeName>, Vec<NodeName>) {
    let world = run.sim.world();
    (world.holders(), world.writers())
}

/// A finished run and its rollback, without a cut.
pub(crate) fn clean(scenario: &Scenario) -> Result<Clean> {
    runtime()?.block_on(async {
        let run = Run::new(scenario, scenario.pair())?;
        let original = run.sim.world().as_before();
        let first = roles(&run);
        let ended = run.live().await;
        ensure!(matches!(ended, Ended::Finished), "a run without a cut must finish: {}", why(&run, &ended));
        ensure!(first != roles(&run), "a run must move address and writer");
        let (so_far, before) = (run.sim.sent().len(), run.sim.world().effects.len());
        let back = run.rollback()?.context("a finished run must be one that can be taken back")?;
        let ended = back.live().await;
        ensure!(matches!(ended, Ended::Finished), "its rollback must finish: {}", why(&back, &ended));
        let mut problems = journal_problems(&back)?;
        let world = run.sim.world();
        problems.extend(world.breaches.iter().cloned());
        problems.extend(twice(&world.effects[before..]));
        compare("", &original, &world.as_before(), &mut problems);
        ensure!(problems.is_empty(), "its rollback must bring everything back: {problems:#?}");
        Ok(Clean {
            changes: run.sim.sent().into_iter().skip(so_far).filter(|sent| sent.mutating).collect(),
            world: world.settled(),
            effects: count(&world.effects),
        })
    })
}

/// One point of the rollback of a finished run.
pub(crate) fn of_finished(scenario: &Scenario, clean: &Clean, cut: Cut) -> Result<Visited> {
    runtime()?.block_on(async {
        let run = Run::new(scenario, scenario.pair())?;
        let ended = run.live().await;
        ensure!(matches!(ended, Ended::Finished), "a run without a cut must finish: {}", why(&run, &ended));
        let back = run.rollback()?.context("a finished run must be one that can be taken back")?;
        back.sim.cut_from_now(cut);
        let ended = back.live().await;
        let (ended, lives) = lives(&back, ended, Duration::ZERO).await;
        let sent = back.sim.fired().context("the command to cut was never sent")?;
        let mut reasons = Vec::new();
        if !matches!(ended, Ended::Finished) {
            reasons.push(format!("not finished after {lives} lives: {}", why(&back, &ended)));
        }
        reasons.extend(journal_problems(&back)?);
        let world = back.sim.world();
        reasons.extend(world.breaches.iter().cloned());
        reasons.extend(differences(&clean.effects, &count(&world.effects), |_| false));
        compare("", &clean.world, &world.settled(), &mut reasons);
        let place = format!("rollback, {}", place(&sent, cut));
        Ok(Visited { place, reasons, delay: Duration::ZERO, silence: world.longest_silence })
    })
}

/// Points of the rollback of a run that was killed: one without a cut; then, cut at every so many-th of its commands,
/// each time in another way, or, with 0, at one of them for one of the ways in which the run was killed.
pub(crate) fn of_killed(scenario: &Scenario, killed: Cut, every_nth: usize) -> Result<Vec<Visited>> {
    let (visited, commands) = take_back(scenario, killed, None)?;
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
        all.push(take_back(scenario, killed, Some(Cut { at, kind }))?.0);
    }
    Ok(all)
}

/// Kills a run, takes it back, and kills that, too. Also returns how many commands the rollback sent that change something.
fn take_back(scenario: &Scenario, killed: Cut, cut: Option<Cut>) -> Result<(Visited, usize)> {
    runtime()?.block_on(async {
        let run = Run::new(scenario, scenario.pair())?;
        let original = run.sim.world().as_before();
        run.sim.cut(killed);
        let ended = run.live().await;
        ensure!(matches!(ended, Ended::Killed), "the run was to be killed: {}", why(&run, &ended));
        let sent = run.sim.fired().context("the command to cut was never sent")?;
        let mut place = format!("run {}; rollback", place(&sent, killed));
        let (so_far, before) = (run.sim.sent().len(), run.sim.world().effects.len());
        let mut reasons = Vec::new();
        match run.rollback()? {
            None => run.unlock().await?,
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
                reasons.extend(journal_problems(&back)?);
            }
        }
        run.sim.wait(Duration::from_secs(10)).await;
        let world = run.sim.world();
        reasons.extend(world.breaches.iter().cloned());
        let mut own = before;
        let late = world.late.as_ref().filter(|late| killed.kind == Kind::KillLate && !late.is_empty());
        if let Some(late) = late {
            if late.start > before {
                reasons.push("a command of the killed run took effect in the middle of the rollback".to_owned());
            }
            own = late.end;
        }
        reasons.extend(twice(&world.effects[own..]));
        compare("", &original, &world.as_before(), &mut reasons);
        let commands = run.sim.sent().iter().skip(so_far).filter(|sent| sent.mutating).count();
        Ok((Visited { place, reasons, delay: Duration::ZERO, silence: world.longest_silence }, commands))
    })
}
