//! The job that copies configuration between the machines.

use rollup_model::NodeName;
use serde::Serialize;

use crate::{
    call::{Answer, Call},
    world::World,
};

/// The copying job on a machine.
#[derive(Debug, Serialize)]
pub(crate) struct ConfigSync {
    enabled: bool,
}

impl ConfigSync {
    /// Enabled on the source only.
    pub(crate) fn new(source: bool) -> Self {
        Self { enabled: source }
    }
}

impl World {
    pub(crate) fn sync(&mut self, _node: &NodeName, _call: &Call) -> Option<Answer> {
        None
    }

    pub(crate) fn sync_facts(&self, _node: &NodeName, _args: &[&str]) -> String {
        String::new()
    }
}
