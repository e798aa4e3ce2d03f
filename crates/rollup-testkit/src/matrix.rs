//! The crash matrix: every command of a run is cut in every way, and the run must reach the same end all the same.
//!
//! A point is wrong when the run does not finish, when the world it ends in is another one, when something came about
//! that a run without a cut does not do, or more often than it does it, or when at any moment something was not as it
//! must always be. A lost look must not stop the run, and one lost command must not cost much time.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rollup_model::fold::{RunStatus, StepState};
use serde_json::Value;

use crate::{
    cut::{Cut, Kind},
    process::{Ended, Run, runtime},
    scenario::Scenario,
    sim::Sent,
    world::Effect,
};

/// How many processes may work on a run that is cut.
const LIVES: usize = 4;

/// A point that came out wrong.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// What was cut.
    pub sent: Sent,
    /// Where and how.
    pub cut: Cut,
    /// Why it is wrong.
    pub reasons: Vec<String>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wrong { sent, cut, reasons } = self;
        let step = if sent.step.is_empty() { "no step" } else { sent.step.as_str() };
        write!(f, "{step}: `{}` on {} (#{}), {}: {}", sent.id, sent.node, cut.at, cut.kind, reasons.join("; "))
    }
}

/// What came of all points.
#[derive(Debug, Default)]
pub struct Matrix {
    /// How many points there were.
    pub points: usize,
    /// Those that came out wrong, in order.
    pub wrong: Vec<Wrong>,
    /// What the points cost, in simulated time.
    pub costs: Vec<Cost>,
}

/// What one point cost over a run without a cut, in simulated time.
#[derive(Debug, Clone)]
pub struct Cost {
    /// What was cut.
    pub sent: Sent,
    /// How.
    pub kind: Kind,
    /// How much longer the run took.
    pub delay: Duration,
    /// The longest time without a database that writes.
    pub silence: Duration,
}

/// How long no database may write in a process that goes on by itself.
const SILENCE: Duration = Duration::from_secs(10);

/// How much longer a run may take because of one lost command.
const DELAY: Duration = Duration::from_secs(60);

/// What a run without a cut does.
struct Clean {
    changes: Vec<Sent>,
    looks: usize,
    world: Value,
    effects: BTreeMap<Effect, usize>,
    took: Duration,
}

/// Which points to visit.
#[derive(Debug, Clone)]
pub struct Range {
    /// Every so many-th command that changes something; 1: all.
    pub changes: usize,
    /// Every so many-th look; 0: none.
    pub looks: usize,
    /// Threads.
    pub threads: usize,
}

impl Default for Range {
    fn default() -> Self {
        Self { changes: 1, looks: 1, threads: 2 }
    }
}

/// Visits the points of a scenario.
pub fn run_all(scenario: &Scenario, range: &Range) -> Result<Matrix> {
    let clean = clean(scenario)?;
    let changes = (0..clean.changes.len()).step_by(range.changes.max(1));
    let mut cuts: Vec<Cut> = changes.flat_map(|at| Kind::MUTATING.map(|kind| Cut { at, kind })).collect();
    if range.looks > 0 {
        cuts.extend((0..clean.looks).step_by(range.looks).map(|at| Cut { at, kind: Kind::Unreachable }));
    }
    let next = AtomicUsize::new(0);
    let matrix = Mutex::new(Matrix { points: cuts.len(), ..Matrix::default() });
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..range.threads.max(1) {
            scope.spawn(|| {
                while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::SeqCst)) {
                    match point(scenario, &clean, *cut) {
                        Ok(visited) => matrix.lock().unwrap_or_else(PoisonError::into_inner).add(visited),
                        Err(error) => {
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            next.store(cuts.len(), Ordering::SeqCst);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut matrix = matrix.into_inner().unwrap_or_else(PoisonError::into_inner);
    matrix.wrong.sort_by_key(|wrong| (wrong.cut.kind == Kind::Unreachable, wrong.cut.at, wrong.cut.kind));
    matrix.costs.sort_by_key(|cost| std::cmp::Reverse((cost.silence, cost.delay)));
    Ok(matrix)
}

/// A point that was visited.
struct Visited {
    sent: Sent,
    cut: Cut,
    reasons: Vec<String>,
    delay: Duration,
    silence: Duration,
}

impl Matrix {
    fn add(&mut self, Visited { sent, cut, reasons, delay, silence }: Visited) {
        self.costs.push(Cost { sent: sent.clone(), kind: cut.kind, delay, silence });
        if !reasons.is_empty() {
            self.wrong.push(Wrong { sent, cut, reasons });
        }
    }
}

fn count(effects: &[Effect]) -> BTreeMap<Effect, usize> {
    let mut counts = BTreeMap::new();
    for effect in effects {
        *counts.entry(effect.clone()).or_default() += 1;
    }
    counts
}

fn clean(scenario: &Scenario) -> Result<Clean> {
    runtime()?.block_on(async {
        let run = Run::new(scenario, scenario.pair())?;
        let ended = run.live().await;
        ensure!(matches!(ended, Ended::Finished), "a run without a cut must finish: {}", why(&run, &ended));
        let (sent, took) = (run.sim.sent(), run.sim.elapsed());
        let world = run.sim.world();
        ensure!(world.breaches.is_empty(), "a run without a cut must be good at every moment: {:#?}", world.breaches);
        let effects = count(&world.effects);
        let twice: Vec<_> = effects.iter().filter(|(_, times)| **times > 1).collect();
        ensure!(twice.is_empty(), "a run without a cut must do everything once: {twice:?}");
        Ok(Clean {
            looks: sent.iter().filter(|sent| !sent.mutating).count(),
            changes: sent.into_iter().filter(|sent| sent.mutating).collect(),
            world: world.settled(),
            effects,
            took,
        })
    })
}

fn point(scenario: &Scenario, clean: &Clean, cut: Cut) -> Result<Visited> {
    runtime()?.block_on(async {
        let run = Run::new(scenario, scenario.pair())?;
        run.sim.cut(cut);
        let mut ended = run.live().await;
        let first = format!("{ended:?}");
        let mut lives = 1;
        if cut.kind == Kind::KillTwice {
            // Past the locks and the first record of the next life, then ever another place.
            run.sim.kill_again(6 + cut.at % 5);
        }
        while lives < LIVES && !matches!(ended, Ended::Finished) {
            ended = run.live().await;
            lives += 1;
        }
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
        reasons.extend(journal_problems(&run)?);
        let world = run.sim.world();
        reasons.extend(world.breaches.iter().cloned());
        reasons.extend(differences(&clean.effects, &count(&world.effects)));
        let mut paths = Vec::new();
        compare("", &clean.world, &world.settled(), &mut paths);
        reasons.extend(paths);
        let silence = world.longest_silence;
        drop(world);
        let delay = run.sim.elapsed().saturating_sub(clean.took);
        if cut.kind.spares() && silence > SILENCE {
            reasons.push(format!("no database wrote for {} s", silence.as_secs()));
        }
        if cut.kind.spares() && delay > DELAY {
            reasons.push(format!("one lost command cost {} s", delay.as_secs()));
        }
        Ok(Visited { sent, cut, reasons, delay, silence })
    })
}

/// Why a run did not finish.
fn why(run: &Run, ended: &Ended) -> String {
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

/// The journal says that everything is done; the copies on the nodes say the same, as far as they got.
fn journal_problems(run: &Run) -> Result<Vec<String>> {
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
        if world.copy_of(node, "journal.jsonl").as_deref() != Some(&journal) {
            problems.push(format!("the journal's copy on {node} is not the journal"));
        }
    }
    Ok(problems)
}

fn differences(clean: &BTreeMap<Effect, usize>, found: &BTreeMap<Effect, usize>) -> Vec<String> {
    let all: std::collections::BTreeSet<_> = clean.keys().chain(found.keys()).collect();
    let of = |counts: &BTreeMap<Effect, usize>, effect: &Effect| counts.get(effect).copied().unwrap_or_default();
    all.into_iter()
        .map(|effect| (effect, of(clean, effect), of(found, effect)))
        .filter(|(_, once, times)| once != times)
        .map(|(effect, once, times)| {
            format!("{} {} on {}: expected {once} times, found {times}", effect.name, effect.key, effect.node)
        })
        .collect()
}

/// The places at which two worlds differ.
fn compare(path: &str, expected: &Value, found: &Value, into: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let null = Value::Null;
                compare(&format!("{path}/{key}"), a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null), into);
            }
        }
        _ if expected == found => {}
        _ => into.push(format!("the world differs at {path}: expected {expected}, found {found}")),
    }
}
