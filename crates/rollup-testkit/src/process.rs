//! One life of the program on a simulated pair: journal, locks, engine; and what a cut leaves of it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use rollup_engine::{
    End, Engine, Options, Recorder, Stage, Stop, fetch_mirror,
    journal::{self, Journal},
    lock::{self, Holder, Taken},
};
use rollup_model::{
    NodeName, Record, RunId, RunState, Sink,
    event::{Operator, StopReason},
    fold::RunStatus,
};
use rollup_remote::ReadOnly;
use tempfile::TempDir;

use crate::{scenario::Scenario, sim::Sim};

/// How one life ended.
#[derive(Debug)]
pub enum Ended {
    /// The run is over.
    Finished,
    /// The run can go on.
    Stopped(StopReason),
    /// A cut killed the process.
    Killed,
    /// Somebody else holds a node.
    Held {
        /// The node.
        node: NodeName,
        /// By whom.
        holder: Holder,
    },
    /// The process ended with an error.
    Failed(anyhow::Error),
}

/// A run on a simulated pair, over as many lives as it takes.
pub struct Run {
    /// What runs.
    pub scenario: Scenario,
    /// On what.
    pub sim: Arc<Sim>,
    pub(crate) home: TempDir,
    /// Runs that were taken back or broken off before this one and still stand while it is not finished, newest first.
    pub(crate) standing: Vec<RunId>,
    /// How many rollbacks came before it.
    pub(crate) generation: u8,
}

/// A directory of its own, below `ROLLUP_TESTKIT_DIR`, else in memory where there is such a place.
pub(crate) fn directory() -> Result<TempDir> {
    let made = match std::env::var_os("ROLLUP_TESTKIT_DIR") {
        Some(dir) => TempDir::new_in(dir),
        None => TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()),
    };
    made.context("cannot make a directory")
}

/// A clock that stands still until everything waits, on one thread.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    let builder = &mut tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().context("cannot start a runtime")
}

/// Tells the world which steps are in progress.
struct Ear(Arc<Sim>);

impl Sink for Ear {
    fn event(&mut self, record: &Record) -> std::io::Result<()> {
        self.0.world().hear(&record.event);
        Ok(())
    }
}

impl Run {
    /// A run that has not begun. Journals are kept below `ROLLUP_TESTKIT_DIR`, else in memory where there is such a place.
    pub fn new(scenario: &Scenario, sim: Arc<Sim>) -> Result<Self> {
        Ok(Self { scenario: scenario.clone(), sim, home: directory()?, standing: Vec::new(), generation: 0 })
    }

    /// Where plan and journal are.
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("runs").join(self.scenario.plan.run.as_str())
    }

    /// What the journal adds up to now.
    pub fn state(&self) -> Result<RunState> {
        Ok(RunState::fold(&journal::read(&self.dir())?.records))
    }

    /// The journal's records.
    pub fn records(&self) -> Result<Vec<Record>> {
        Ok(journal::read(&self.dir())?.records)
    }

    /// The journal's bytes.
    pub fn journal(&self) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.dir().join("journal.jsonl"))?)
    }

    /// Begins the run, or goes on with it; until its end or until a cut kills it.
    pub async fn live(&self) -> Ended {
        self.live_with(&Options::default(), Stop::default()).await
    }

    /// The same, with wishes of the operator.
    pub async fn live_with(&self, options: &Options, stop: Stop) -> Ended {
        tokio::select! {
            biased;
            () = self.sim.killed() => Ended::Killed,
            ended = self.process(options, stop) => ended.unwrap_or_else(Ended::Failed),
        }
    }

    /// Frees the nodes from a run that will never go on.
    pub async fn unlock(&self) -> Result<()> {
        let kept = lock::release(&self.sim.hosts(), &self.scenario.plan.run).await;
        ensure!(kept.is_empty(), "the locks of some nodes are left: {kept:?}");
        Ok(())
    }

    /// Refuses to go on with a pair that is not fit for it.
    async fn look_first(&self, hosts: &rollup_engine::Hosts) -> Result<()> {
        let (plan, subjects) = (&self.scenario.plan, self.scenario.registry.subjects());
        let release = plan.release.as_ref();
        let moment = rollup_engine::Moment::of(plan, Stage::Resumed);
        let examined = rollup_engine::examine_settled(subjects, hosts, &plan.inventory, release, moment).await;
        let errors: Vec<_> = examined.errors().iter().map(rollup_model::Finding::line).collect();
        ensure!(errors.is_empty(), "the run cannot go on: {}", errors.join("; "));
        Ok(())
    }

    /// Refuses to act on a journal that is older than a copy of it.
    async fn refuse_when_behind(&self, hosts: &rollup_engine::Hosts, here: usize) -> Result<()> {
        for (node, host) in hosts {
            let Ok(copy) = fetch_mirror(ReadOnly::new(host.as_ref()), &self.scenario.plan.run).await else { continue };
            ensure!(copy.records.len() <= here, "the journal is older than the copy on {node}");
        }
        Ok(())
    }

    async fn process(&self, options: &Options, stop: Stop) -> Result<Ended> {
        let (plan, hosts, dir) = (&self.scenario.plan, self.sim.hosts(), self.dir());
        let begins = !dir.join("journal.jsonl").exists();
        if begins && !plan.takes_back.is_empty() {
            self.look_first(&hosts).await?;
            // The lock of the run that is taken back goes to the run that takes it back.
            for taken_back in &plan.takes_back {
                lock::release(&hosts, taken_back).await;
            }
        }
        let (journal, state, records) = open(&dir, plan)?;
        let holder = Holder { run: plan.run.clone(), by: operator(), since: "2026-03-01T10:00:00Z".parse()? };
        // A run that died before its first record begins; one that died while it gave its locks back only does that.
        let (fresh, over) = (state.started.is_none(), state.status == RunStatus::Finished);
        if over {
            Recorder::new(journal, state, &plan.run, hosts.clone(), Vec::new())?.flush().await;
        } else {
            let refused = match lock::acquire(&hosts, &holder).await {
                Ok(Taken::Ours) => None,
                Ok(Taken::Held { node, holder }) => Some(Ok(Ended::Held { node, holder })),
                Err(error) => Some(Err(error)),
            };
            if let Some(refused) = refused {
                drop(journal);
                // As the command line does: a run that could not begin leaves nothing, unless a node may name it.
                let held = matches!(refused, Ok(Ended::Held { .. }));
                if begins && (lock::release(&hosts, &plan.run).await.is_empty() || held) {
                    std::fs::remove_dir_all(&dir)?;
                }
                return refused;
            }
            if !begins {
                self.look_first(&hosts).await?;
                self.refuse_when_behind(&hosts, records).await?;
            }
            let sinks: Vec<Box<dyn Sink>> = vec![Box::new(Ear(Arc::clone(&self.sim)))];
            let recorder = Arc::new(Recorder::new(journal, state, &plan.run, hosts.clone(), sinks)?);
            let registry = Arc::clone(&self.scenario.registry);
            let engine = Engine { registry, hosts: hosts.clone(), recorder: Arc::clone(&recorder), stop };
            let end = match fresh {
                true => engine.start(plan, operator(), options).await?,
                false => engine.resume(plan, operator(), options).await?,
            };
            recorder.flush().await;
            match end {
                End::Finished => {}
                End::Stopped(StopReason::Blocked) => {
                    lock::release(&hosts, &plan.run).await;
                    return Ok(Ended::Stopped(StopReason::Blocked));
                }
                End::Stopped(reason) => return Ok(Ended::Stopped(reason)),
            }
        }
        match lock::release(&hosts, &plan.run).await.into_iter().next() {
            None => Ok(Ended::Finished),
            Some((node, error)) => Err(anyhow::Error::new(error).context(format!("the lock of {node} may be left"))),
        }
    }
}

fn open(dir: &Path, plan: &rollup_model::Plan) -> Result<(Journal, RunState, usize)> {
    if dir.join("journal.jsonl").exists() {
        let (journal, stored) = Journal::open(dir)?;
        return Ok((journal, RunState::fold(&stored.records), stored.records.len()));
    }
    Ok((Journal::create(dir, plan)?, RunState::default(), 0))
}

/// Who runs it.
pub fn operator() -> Operator {
    Operator { user: "ops".to_owned(), host: "desk".to_owned(), pid: 4711, version: "0.1.0".to_owned() }
}
