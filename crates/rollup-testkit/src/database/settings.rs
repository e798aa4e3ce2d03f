//! What commits wait for, by a node's own settings, and how they are let go on without a standby.

use rollup_model::NodeName;
use serde::{Deserialize, Serialize};

use super::Database;
use crate::{call::Answer, world::World};

/// What commits of a server wait for. The files lie in the data directory, and are the node's all the same: what is unpacked
/// or copied there is given the node's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// `synchronous_standby_names`.
    pub(super) names: String,
    /// `most_available_sync`, which only openGauss has: commits go on where no standby is there.
    pub(super) available: bool,
}

impl Default for Settings {
    /// Commits wait for a standby.
    fn default() -> Self {
        Self { names: "*".to_owned(), available: false }
    }
}

impl Settings {
    /// Whether a commit waits for a standby, for ever where there is none.
    pub(super) fn wait(&self) -> bool {
        !self.names.is_empty() && !self.available
    }
}

impl Database {
    /// What its commits wait for.
    pub(super) fn settings(&self) -> Settings {
        self.data.as_ref().map(|data| data.settings.clone()).unwrap_or_default()
    }

    /// What its commits wait for, and what is still to be put back.
    pub(crate) fn commits(&self) -> (Settings, Option<&str>) {
        (self.settings(), self.relaxed.as_deref())
    }
}

impl World {
    /// Whether a commit on this machine would wait for a standby that is not there.
    pub(crate) fn commits_hang(&self, node: &NodeName) -> bool {
        let here = &self.at(node).database;
        here.writes() && here.settings().wait() && !self.streams(&self.peer(node))
    }

    pub(super) fn relax(&mut self, node: &NodeName) -> Answer {
        let gauss = self.is_gauss();
        let here = &mut self.machine(node).database;
        let Some(data) = here.data.as_mut() else { return Ok(String::new()) };
        let before = match (gauss, data.settings.available) {
            (true, true) => "on".to_owned(),
            (true, false) => "off".to_owned(),
            (false, _) => format!("set {}", data.settings.names),
        };
        // A second try has found what the first one made.
        here.relaxed.get_or_insert(before);
        let waited = data.settings.wait();
        if gauss {
            data.settings.available = true;
        } else {
            data.settings.names.clear();
        }
        if waited {
            self.changed("db.relaxed", node, "settings");
        }
        Ok(String::new())
    }

    pub(super) fn tighten(&mut self, node: &NodeName) -> Answer {
        let gauss = self.is_gauss();
        let here = &mut self.machine(node).database;
        let (Some(before), Some(data)) = (here.relaxed.take(), here.data.as_mut()) else { return Ok(String::new()) };
        if gauss {
            data.settings.available = before == "on";
        } else {
            data.settings.names = before.trim_start_matches("set ").to_owned();
        }
        self.changed("db.tightened", node, "settings");
        Ok(String::new())
    }
}
