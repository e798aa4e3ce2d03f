//! A machine without power: what is gone with it, and what comes back by itself.
//!
//! What was written stays. Gone are processes, transient units, commands under way and everything below `/run`.

use std::time::Duration;

use rollup_model::NodeName;

use crate::world::{Later, World};

/// From the loss of power to the first answer.
const BOOT: Duration = Duration::from_secs(20);

/// From the first answer to the last consequence: services are warm, the address is back, the standby streams.
const SETTLES: Duration = Duration::from_secs(15);

impl World {
    /// The machine loses its power, and boots.
    pub(crate) fn reboot(&mut self, node: &NodeName) {
        self.later.retain(|(_, on, _)| on != node);
        self.down.insert(node.clone());
        self.excused_until = self.now + BOOT + SETTLES;
        self.machine(node).desk.jobs.clear();
        self.units_die(node);
        self.server_dies(node);
        self.keepalived_dies(node);
        self.schedule(BOOT, node, Later::Boots);
        self.inspect(&format!("{node} lost its power"));
    }

    /// Whether the machine boots.
    pub(crate) fn is_down(&self, node: &NodeName) -> bool {
        self.down.contains(node)
    }

    pub(crate) fn boots(&mut self, node: &NodeName) {
        self.down.remove(node);
        self.units_boot(node);
        self.server_starts(node);
        self.keepalived_starts(node);
        self.machine(node).sync.boots();
    }
}
