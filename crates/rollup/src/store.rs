//! Where runs are kept on the operator's machine.

use std::path::{Path, PathBuf};

use rollup_engine::journal::{self, Stored};
use rollup_model::{Plan, RunId, RunState, event::StopReason, fold::RunStatus};

use crate::exit::Exit;

/// The directory of all runs.
pub(crate) struct Store {
    runs: PathBuf,
}

impl Store {
    /// Opens the state directory: as given, else by the XDG rules.
    pub(crate) fn open(given: Option<&Path>) -> Result<Self, Exit> {
        let base = match (given, std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME")) {
            (Some(given), ..) => given.to_owned(),
            (None, Some(xdg), _) if !xdg.is_empty() => Path::new(&xdg).join("rollup"),
            (None, _, Some(home)) if !home.is_empty() => Path::new(&home).join(".local/state/rollup"),
            _ => {
                return Err(Exit::usage("cannot tell where runs are kept: neither HOME nor XDG_STATE_HOME is set")
                    .hint("rollup --state-dir DIR …"));
            }
        };
        Ok(Self { runs: base.join("runs") })
    }

    /// The directory of all runs.
    pub(crate) fn runs(&self) -> &Path {
        &self.runs
    }

    /// The directory of copies of backup sets, beside the runs.
    pub(crate) fn backups(&self) -> PathBuf {
        self.runs.with_file_name("backups")
    }

    /// The directory of one run.
    pub(crate) fn dir(&self, run: &RunId) -> PathBuf {
        self.runs.join(run.as_str())
    }

    /// All runs, newest first.
    pub(crate) fn list(&self) -> Vec<RunId> {
        let Ok(entries) = std::fs::read_dir(&self.runs) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut runs: Vec<_> = names.filter_map(|name| RunId::new(name).ok()).collect();
        runs.sort_by(|a, b| b.cmp(a));
        runs
    }

    /// Reads one run.
    pub(crate) fn read(&self, run: &RunId) -> Result<(Stored, RunState), Exit> {
        let dir = self.dir(run);
        if !dir.exists() {
            return Err(
                Exit::usage(format!("there is no run `{run}` in {}", self.runs.display())).hint("rollup runs list")
            );
        }
        let stored = journal::read(&dir)?;
        let state = RunState::fold(&stored.records);
        Ok((stored, state))
    }

    /// The run that is named, or the newest that `wanted` accepts.
    pub(crate) fn find(
        &self,
        named: Option<&RunId>,
        wanted: impl Fn(&Plan, &RunState) -> bool,
        what: &str,
    ) -> Result<RunId, Exit> {
        if let Some(run) = named {
            self.read(run)?;
            return Ok(run.clone());
        }
        for run in self.list() {
            // A run that cannot be read may be the one that is meant: nothing older is taken in its place.
            let (stored, state) = self.read(&run)?;
            if wanted(&stored.plan, &state) {
                return Ok(run);
            }
        }
        Err(Exit::usage(format!("there is no {what} in {}", self.runs.display())).hint("rollup runs list"))
    }
}

/// Whether a run can go on.
pub(crate) fn is_open(state: &RunState) -> bool {
    match state.status {
        RunStatus::Running => true,
        RunStatus::Stopped { reason } => reason != StopReason::Blocked,
        RunStatus::Finished | RunStatus::TakenBack { .. } | RunStatus::Finalized { .. } => false,
    }
}

/// Whether the process that worked on a run last is still alive on this machine.
pub(crate) fn is_live(state: &RunState, dir: &Path) -> bool {
    let lock = std::fs::File::open(dir.join("lock"));
    state.status == RunStatus::Running && lock.is_ok_and(|file| file.try_lock_shared().is_err())
}
