//! Where events go: the journal first, then the copies on the nodes, then whoever watches.

use std::sync::{Mutex as StdMutex, PoisonError};

use anyhow::{Context, Result};
use rollup_model::{Event, Record, RunState, Sink, StepId};
use tokio::sync::{Mutex, MutexGuard};

use crate::{Hosts, journal::Journal, mirror::Mirror};

/// Where events go. Shared by steps that run at once and by observers.
pub struct Recorder {
    writing: Mutex<Writing>,
    state: StdMutex<RunState>,
    sinks: StdMutex<Vec<Box<dyn Sink>>>,
    hosts: Hosts,
    alone: Mutex<()>,
}

struct Writing {
    journal: Journal,
    mirrors: Vec<Mirror>,
    /// Lines that are in the journal but not yet on the nodes.
    pending: String,
    total: u64,
}

impl Recorder {
    /// Takes over an open journal and what it already says.
    pub fn new(
        journal: Journal,
        state: RunState,
        run: &rollup_model::RunId,
        hosts: Hosts,
        sinks: Vec<Box<dyn Sink>>,
    ) -> Result<Self> {
        let path = journal.dir().join("journal.jsonl");
        let total = std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
        let mirrors = hosts.keys().map(|node| Mirror::new(node, run)).collect();
        Ok(Self {
            writing: Mutex::new(Writing { journal, mirrors, pending: String::new(), total }),
            state: StdMutex::new(state),
            sinks: StdMutex::new(sinks),
            hosts,
            alone: Mutex::new(()),
        })
    }

    /// Waits until no other step of this run holds this.
    pub(crate) async fn alone(&self) -> MutexGuard<'_, ()> {
        self.alone.lock().await
    }

    /// Keeps an event. When this returns `Ok`, a synced one is on disk.
    pub async fn record(&self, event: Event) -> Result<()> {
        let mut writing = self.writing.lock().await;
        let mut queue = vec![event];
        while let Some(event) = queue.pop() {
            let synced = event.is_synced();
            let (record, line) = writing.journal.append(jiff::Timestamp::now(), event)?;
            writing.total += line.len() as u64;
            writing.pending.push_str(&line);
            self.tell(&record);
            if synced {
                queue.extend(self.mirror(&mut writing).await);
            }
        }
        Ok(())
    }

    /// Brings the copies on the nodes up to the last record; to be called when a run stops.
    pub async fn flush(&self) {
        let mut writing = self.writing.lock().await;
        writing.mirrors.iter_mut().for_each(Mirror::hurry);
        // What could not be copied now was noted when it began to fail.
        let _noted = self.mirror(&mut writing).await;
    }

    /// Copies what is pending to all nodes at once. Returns notes about nodes that do not take it any more.
    async fn mirror(&self, writing: &mut Writing) -> Vec<Event> {
        let Writing { journal, mirrors, pending, total } = writing;
        let dir = journal.dir();
        let follow = mirrors.iter_mut().filter_map(|mirror| {
            let host = self.hosts.get(mirror.node())?;
            let (pending, total) = (pending.as_str(), *total);
            Some(async move { (mirror.node().clone(), mirror.follow(host.as_ref(), dir, pending, total).await) })
        });
        let notes = futures_util::future::join_all(follow).await;
        pending.clear();
        notes.into_iter().filter_map(|(node, note)| note.map(|text| Event::Note { node: Some(node), text })).collect()
    }

    /// Shows an event without keeping it.
    pub fn show(&self, event: Event) {
        self.tell(&Record { seq: 0, at: jiff::Timestamp::now(), event });
    }

    /// What the events add up to now.
    pub fn state(&self) -> RunState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The step whose record came last.
    pub fn current_step(&self) -> Option<StepId> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).step.clone()
    }

    fn tell(&self, record: &Record) {
        if record.seq > 0 {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).add(record);
        }
        // A display that fails (a closed pipe) is told nothing more; the run goes on.
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner).retain_mut(|sink| sink.event(record).is_ok());
    }
}
