//! Another data directory in the place of a node's own: unpacked or copied beside it, exchanged, and what that leaves.

use rollup_model::NodeName;

use super::Data;
use crate::{
    call::{Answer, Failed},
    world::World,
};

impl World {
    pub(super) fn places(&self, node: &NodeName) -> String {
        let here = &self.at(node).database;
        let run = |data: &Option<Data>| data.as_ref().and_then(|data| data.marker.clone()).unwrap_or("-".to_owned());
        let new = match &here.new {
            None => "absent",
            // openGauss has no file that says so.
            Some(data) if data.signal && !self.is_gauss() => "standby",
            Some(_) => "primary",
        };
        format!(
            "data {} {}\nnew {new} {}\nold {}\nscrap no\n",
            if here.data.is_some() { "plain" } else { "absent" },
            run(&here.data),
            run(&here.new),
            if here.old.is_some() || self.knobs.slow_renames && self.at(node).desk.works() { "yes" } else { "no" },
        )
    }

    /// What was replaced is kept until the new server was seen; a copy of ours in between is not what was replaced.
    fn insist_plain(&self, node: &NodeName) -> Result<(), Failed> {
        let here = &self.at(node).database;
        let own = here.data.as_ref().is_some_and(|data| data.marker.is_none());
        match own && here.old.is_some() {
            true => Err(Failed::saying(3, ".rollup-old is left from an earlier exchange")),
            false => Ok(()),
        }
    }

    /// The node's own directory: in the middle of an exchange it lies aside for a moment.
    fn mine(&self, node: &NodeName) -> Option<&Data> {
        let here = &self.at(node).database;
        here.data.as_ref().or(here.old.as_ref())
    }

    fn made_for(data: &Option<Data>, run: &str, standby: bool) -> bool {
        data.as_ref().is_some_and(|data| data.marker.as_deref() == Some(run) && data.signal == standby)
    }

    /// `$1` backup directory, `$2` set, `$3` run, `$4` bytes.
    pub(super) fn unpack(&mut self, node: &NodeName, args: &[String]) -> Answer {
        let arg = |at: usize| args.get(at).cloned().unwrap_or_default();
        let (set, run) = (format!("{}/{}", arg(0), arg(1)), arg(2));
        let here = &self.at(node).database;
        let in_place = here.data.as_ref().is_some_and(|data| data.marker.as_ref() == Some(&run));
        if in_place || Self::made_for(&here.new, &run, false) {
            return Ok(String::new());
        }
        self.insist_plain(node)?;
        let mut data = self.archived(node, &set)?;
        let mine = self.mine(node);
        // The settings are the node's own. The new timeline is later than those of the history it leaves.
        let later = mine.map_or(1, Data::timeline).max(data.timeline()) + 1;
        data.upstream = mine.and_then(|mine| mine.upstream.clone());
        data.settings = mine.map(|mine| mine.settings.clone()).unwrap_or_default();
        data.timelines.push((later, data.position));
        data.shutdown = Some(data.position);
        (data.signal, data.ended, data.marker) = (false, "shut down".to_owned(), Some(run.clone()));
        self.machine(node).database.new = Some(data);
        self.changed("db.unpacked", node, run);
        Ok(String::new())
    }

    /// From now on the server comes up as a standby, whatever starts it.
    pub(super) fn halt(&mut self, node: &NodeName) {
        if let Some(data) = self.data(node) {
            data.signal = true;
        }
        if self.at(node).database.up {
            self.machine(node).database.stops();
            self.changed("db.stopped", node, "server");
        }
    }

    /// Puts what waits beside the stopped server's directory in its place.
    fn exchange(&mut self, node: &NodeName, run: &str) -> Result<(), Failed> {
        self.insist_plain(node)?;
        let here = &mut self.machine(node).database;
        let aside = here.data.take();
        // What was made here before is not what was replaced first.
        here.old = here.old.take().or(aside);
        here.data = here.new.take();
        self.changed("db.exchanged", node, run);
        Ok(())
    }

    pub(super) fn restore(&mut self, node: &NodeName, run: &str) -> Answer {
        if !Self::made_for(&self.at(node).database.data, run, false) {
            if !Self::made_for(&self.at(node).database.new, run, false) {
                return Err(Failed::saying(3, ".rollup-new is not there"));
            }
            self.halt(node);
            self.exchange(node, run)?;
        }
        let here = &self.at(node).database;
        if here.up && here.standby {
            return Err(Failed::saying(3, "the restored server runs as `Standby`: expected a primary"));
        }
        if !here.up {
            self.start_server(node);
        }
        Ok(String::new())
    }

    pub(super) fn rebuild(&mut self, node: &NodeName, run: &str, address: &str) -> Answer {
        if Self::made_for(&self.at(node).database.data, run, true) {
            if !self.at(node).database.up {
                self.start_server(node);
            }
            if self.follows(node) {
                return Ok(String::new());
            }
        }
        if !Self::made_for(&self.at(node).database.new, run, true) {
            self.insist_plain(node)?;
            let peer = self.peer(node);
            let there = &self.at(&peer).database;
            let Some(data) = there.data.clone().filter(|_| there.up && self.address(&peer) == address) else {
                return Err(Failed::saying(1, "pg_basebackup: error: connection to server failed"));
            };
            let data = Data {
                settings: self.mine(node).map(|mine| mine.settings.clone()).unwrap_or_default(),
                signal: true,
                upstream: Some(address.to_owned()),
                ended: "in production".to_owned(),
                marker: Some(run.to_owned()),
                ..data
            };
            self.machine(node).database.new = Some(data);
            self.changed("db.copied", node, run);
        }
        self.halt(node);
        self.exchange(node, run)?;
        self.start_server(node);
        Ok(String::new())
    }

    pub(super) fn discard(&mut self, node: &NodeName) -> Answer {
        let here = &mut self.machine(node).database;
        if here.old.is_some() && !here.up {
            return Err(Failed::saying(3, "the server does not answer, so .rollup-old is kept"));
        }
        let marker = here.data.as_mut().and_then(|data| data.marker.take());
        let tidy = marker.is_none() && here.old.is_none() && here.new.is_none();
        (here.old, here.new) = (None, None);
        if !tidy {
            self.changed("db.discarded", node, "directories");
        }
        Ok(String::new())
    }

    /// Whether both servers hold what a full backup held, and one follows the other.
    pub(crate) fn restored_problems(&self, set: &str) -> Vec<String> {
        let Some(kept) = self.database_of(set) else { return vec![format!("{set} holds no database any more")] };
        let mut problems = Vec::new();
        for (node, machine) in &self.machines {
            let Some(data) = &machine.database.data else { continue };
            if data.history != kept.history {
                problems.push(format!("the history on {node} is not that of {set}"));
            }
            if data.timelines.get(..kept.timelines.len()) != Some(kept.timelines.as_slice()) {
                problems.push(format!("the database on {node} has left the history of {set} before its end"));
            }
            let left = data.timelines.get(kept.timelines.len()).map(|(_, position)| *position);
            if left != Some(kept.position) {
                problems.push(format!("the database on {node} goes on from {left:?}, not from where {set} ends"));
            }
        }
        if !self.machines.keys().any(|node| self.streams(node)) {
            problems.push("no standby streams".to_owned());
        }
        problems
    }
}
