//! The operator's wish to stop after the step that runs.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Set once by a signal, looked at between steps.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks the run to stop after the step that runs.
    pub fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was asked.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
