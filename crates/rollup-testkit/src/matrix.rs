//! The crash matrix: every command of a run, and of the rollbacks of it in every lane, is cut in every way, and the
//! same end must be reached all the same.
//!
//! A point is wrong when the run does not finish, when the world it ends in is another one, when something came about
//! that a run without a cut does not do, or more often than it does it, or when at any moment something was not as it
//! must always be. A lost look must not stop the run, and one lost command must not cost much time.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use rollup_model::Lane;

use crate::{
    cut::{Cut, Kind},
    forward, rollback,
    scenario::Scenario,
    sim::Sent,
};

/// A point that came out wrong.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// Where and how it was cut, as people say it.
    pub place: String,
    /// Why it is wrong.
    pub reasons: Vec<String>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reasons.join("; "))
    }
}

/// Says where and how a command was cut.
pub(crate) fn place(sent: &Sent, cut: Cut) -> String {
    let step = if sent.step.is_empty() { "no step" } else { sent.step.as_str() };
    format!("{step}: `{}` on {} (#{}), {}", sent.id, sent.node, cut.at, cut.kind)
}

/// Points of one kind.
#[derive(Debug, Clone)]
pub struct Group {
    /// What is cut, and how.
    pub name: String,
    /// How many points there were.
    pub points: usize,
    /// How many of them came out wrong.
    pub wrong: usize,
    /// What they took, on the clock on the wall.
    pub took: Duration,
}

/// What came of all points.
#[derive(Debug, Default)]
pub struct Matrix {
    /// Points by kind.
    pub groups: Vec<Group>,
    /// Those that came out wrong, in order.
    pub wrong: Vec<Wrong>,
    /// What the points cost, the longest silence first.
    pub costs: Vec<Cost>,
}

impl Matrix {
    /// Takes over what came of another one.
    pub fn extend(&mut self, other: Matrix) {
        self.groups.extend(other.groups);
        self.wrong.extend(other.wrong);
        self.costs.extend(other.costs);
        self.costs.sort_by_key(|cost| std::cmp::Reverse((cost.silence, cost.delay)));
    }

    /// How many points there were.
    pub fn points(&self) -> usize {
        self.groups.iter().map(|group| group.points).sum()
    }
}

/// What one point cost over a run without a cut, in simulated time.
#[derive(Debug, Clone)]
pub struct Cost {
    /// Where and how it was cut.
    pub place: String,
    /// How much longer the run took.
    pub delay: Duration,
    /// The longest time without a database that writes.
    pub silence: Duration,
}

/// Which points to visit: every so many-th; 0: none, 1: all.
#[derive(Debug, Clone)]
pub struct Range {
    /// Commands that change something, each cut in every way that kills the process or loses the command.
    pub changes: usize,
    /// Looks, each lost.
    pub looks: usize,
    /// Commands that change something, each with the loss of the power of its node or of the other one.
    pub reboots: usize,
    /// Commands of the rollback of a finished run, each killed in every way.
    pub rollbacks: usize,
    /// The same in the lanes that touch the database.
    pub lanes: usize,
    /// Commands at which a run is killed in one way after the other and then taken back.
    pub killed: usize,
    /// Commands of such a rollback that are killed, each in one way; 0: one of them, ever another, for every third run.
    pub killed_twice: usize,
    /// Commands after the migration at which a run is killed in one way after the other and then taken back in the
    /// lanes that touch the database.
    pub killed_lanes: usize,
    /// Commands of the rollback of a rollback, each killed in every way.
    pub again: usize,
    /// Threads.
    pub threads: usize,
}

impl Default for Range {
    /// Every point of the run and of its rollbacks: minutes.
    fn default() -> Self {
        Self {
            changes: 1,
            looks: 1,
            reboots: 1,
            rollbacks: 1,
            lanes: 1,
            killed: 1,
            killed_twice: 0,
            killed_lanes: 2,
            again: 7,
            threads: 2,
        }
    }
}

impl Range {
    /// Every change of the run killed in every way, and a part of everything else.
    pub fn brief() -> Self {
        Self { reboots: 2, rollbacks: 3, lanes: 3, killed: 3, killed_lanes: 6, again: 21, ..Self::default() }
    }

    /// Rollbacks of killed runs are killed, too, each at several of its commands.
    pub fn long() -> Self {
        Self { killed_twice: 40, killed_lanes: 1, again: 1, ..Self::default() }
    }

    /// Every point there is: hours.
    pub fn all() -> Self {
        Self { killed_twice: 1, ..Self::long() }
    }

    /// Every so many-th point of each kind but reboots: where an address does not come back by itself, a reboot of its
    /// owner needs an operator.
    pub fn sample(every: usize) -> Self {
        Self {
            changes: every,
            looks: every,
            reboots: 0,
            rollbacks: every,
            lanes: every,
            killed: every,
            killed_lanes: 2 * every,
            again: 4 * every,
            ..Self::default()
        }
    }

    /// Nothing but commands that change something and looks of the run itself.
    pub fn forward(changes: usize, looks: usize) -> Self {
        Self {
            changes,
            looks,
            reboots: 0,
            rollbacks: 0,
            lanes: 0,
            killed: 0,
            killed_lanes: 0,
            again: 0,
            ..Self::default()
        }
    }
}

/// A point that was visited.
pub(crate) struct Visited {
    pub(crate) place: String,
    pub(crate) reasons: Vec<String>,
    pub(crate) delay: Duration,
    pub(crate) silence: Duration,
}

/// Every so many-th of this many; 0: none.
pub(crate) fn every(step: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..if step == 0 { 0 } else { count }).step_by(step.max(1))
}

/// Visits the points of a scenario.
pub fn run_all(scenario: &Scenario, range: &Range) -> Result<Matrix> {
    let clean = forward::clean(scenario)?;
    let mut matrix = Matrix::default();
    let cut = |kinds: &[Kind], at: usize| kinds.iter().map(move |kind| Cut { at, kind: *kind }).collect::<Vec<_>>();
    let mut add = |name: &str, threads, cuts: Vec<Vec<Cut>>, visit: &Visit<'_>| -> Result<()> {
        let name = format!("{}{name}{}{}", scenario.name, scenario.vip.name(), scenario.engine.name());
        matrix.add(name, threads, &cuts.concat(), visit)
    };
    let forward = |cut| Ok(vec![forward::point(scenario, &clean, cut)?]);
    let changes = clean.changes.len();
    let all = every(range.changes, changes).map(|at| cut(&Kind::MUTATING, at)).collect();
    add("killed or lost changes", range.threads, all, &forward)?;
    let all = every(range.looks, clean.looks).map(|at| cut(&[Kind::Unreachable], at)).collect();
    add("lost looks", range.threads, all, &forward)?;
    let all = every(range.reboots, changes).map(|at| cut(&Kind::REBOOTS, at)).collect();
    add("reboots", range.threads, all, &forward)?;
    for (lane, nth) in [(Lane::Keep, range.rollbacks), (Lane::Down, range.lanes), (Lane::Restore, range.lanes)] {
        if nth > 0 {
            let back = rollback::clean(scenario, &[lane])?;
            let all = every(nth, back.changes.len()).map(|at| cut(&Kind::KILLS, at)).collect();
            let visit = |cut| Ok(vec![rollback::of_finished(scenario, &[lane], &back, cut)?]);
            add(&format!("killed rollbacks of the finished run, {lane}"), range.threads, all, &visit)?;
        }
    }
    let all = every(range.killed, changes).map(|at| cut(&Kind::KILLS, at)).collect();
    let visit = |cut| rollback::of_killed(scenario, Lane::Keep, cut, range.killed_twice);
    add("rollbacks of killed runs, keep", range.threads, all, &visit)?;
    // Before, there is nothing in the database that another lane would take back.
    let migrated = clean.changes.iter().position(|sent| sent.id == "db.migrate").map_or(changes, |at| at + 1);
    for lane in [Lane::Down, Lane::Restore] {
        let nth = every(range.killed_lanes, changes - migrated);
        let all = nth.map(|at| cut(&Kind::KILLS, migrated + at)).collect();
        let visit = |cut| rollback::of_killed(scenario, lane, cut, range.killed_twice);
        add(&format!("rollbacks of killed runs, {lane}"), range.threads, all, &visit)?;
    }
    // Where the schema has been taken back, the newer version needs the database of its time.
    for lanes in [[Lane::Keep, Lane::Keep], [Lane::Down, Lane::Restore], [Lane::Restore, Lane::Restore]] {
        if range.again > 0 {
            let back = rollback::clean(scenario, &lanes)?;
            let all = every(range.again, back.changes.len()).map(|at| cut(&Kind::KILLS, at)).collect();
            let visit = |cut| Ok(vec![rollback::of_finished(scenario, &lanes, &back, cut)?]);
            add(
                &format!("killed rollbacks of a rollback, {} after {}", lanes[1], lanes[0]),
                range.threads,
                all,
                &visit,
            )?;
        }
    }
    matrix.costs.sort_by_key(|cost| std::cmp::Reverse((cost.silence, cost.delay)));
    Ok(matrix)
}

type Visit<'a> = dyn Fn(Cut) -> Result<Vec<Visited>> + Sync + 'a;

fn inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Matrix {
    /// Visits points on several threads, and keeps what came of them in order.
    fn add(&mut self, name: String, threads: usize, cuts: &[Cut], visit: &Visit<'_>) -> Result<()> {
        let (next, began) = (AtomicUsize::new(0), Instant::now());
        let (visited, failed) = (Mutex::new(Vec::new()), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::SeqCst);
                        let Some(cut) = cuts.get(index) else { break };
                        match visit(*cut) {
                            Ok(all) => visited.lock().unwrap_or_else(PoisonError::into_inner).push((index, all)),
                            Err(error) => {
                                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                                next.store(cuts.len(), Ordering::SeqCst);
                            }
                        }
                    }
                });
            }
        });
        if let Some(error) = inner(failed) {
            return Err(error);
        }
        let mut visited = inner(visited);
        visited.sort_by_key(|(index, _)| *index);
        let mut group = Group { name, points: 0, wrong: 0, took: began.elapsed() };
        for Visited { place, reasons, delay, silence } in visited.into_iter().flat_map(|(_, all)| all) {
            group.points += 1;
            self.costs.push(Cost { place: place.clone(), delay, silence });
            if !reasons.is_empty() {
                group.wrong += 1;
                self.wrong.push(Wrong { place, reasons });
            }
        }
        self.groups.extend(Some(group).filter(|group| group.points > 0));
        Ok(())
    }
}
