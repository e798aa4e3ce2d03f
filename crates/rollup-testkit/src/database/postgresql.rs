//! How the roles change on PostgreSQL: the old primary stops as a standby, the other one is promoted with the proof, the old
//! one starts again.

use rollup_model::NodeName;

use super::{lsn, position_of};
use crate::{
    call::{Answer, Failed},
    world::World,
};

impl World {
    fn follow(&mut self, node: &NodeName, address: String) {
        if let Some(data) = self.data(node) {
            (data.signal, data.upstream) = (true, Some(address));
        }
    }

    pub(super) fn demote(&mut self, node: &NodeName, next: String) -> Answer {
        let here = &self.at(node).database;
        let position = here.position();
        if here.up && here.standby {
            return Ok(format!("standby {}\n", lsn(position)));
        }
        if here.up {
            let peer = self.peer(node);
            if !self.streams(&peer) {
                return Err(Failed::saying(3, "no standby is streaming from this server"));
            }
            self.follow(node, next);
            self.write(node);
            self.machine(node).database.stops();
            if let Some(data) = self.data(node) {
                data.shutdown = Some(position);
            }
            self.changed("db.stopped", node, "server");
            return Ok(format!("shutdown {}\n", lsn(position)));
        }
        let data = here.data.as_ref();
        match data.filter(|data| data.ended == "shut down").and_then(|data| data.shutdown) {
            Some(position) => {
                self.follow(node, next);
                Ok(format!("shutdown {}\n", lsn(position)))
            }
            None => Err(Failed::saying(3, "the server is down without a clean shutdown: `in production`")),
        }
    }

    pub(super) fn promote(&mut self, node: &NodeName, kind: &str, target: &str) -> Answer {
        let here = &mut self.machine(node).database;
        let Some(data) = here.data.as_mut().filter(|_| here.up) else {
            return Err(Failed::saying(3, "psql: error: connection to server failed"));
        };
        if !here.standby {
            return Ok(String::new());
        }
        let target = position_of(target);
        if data.position < target || (data.position == target && kind == "shutdown") {
            return Err(Failed::saying(3, format!("ERROR:  replayed up to {} only", lsn(data.position))));
        }
        here.standby = false;
        data.signal = false;
        data.timelines.push((data.timeline() + 1, data.position));
        here.checkpoint.redo = data.position;
        self.changed("db.promoted", node, "server");
        self.write(node);
        Ok(String::new())
    }

    pub(super) fn rejoin(&mut self, node: &NodeName, primary: String) -> Answer {
        let here = &self.at(node).database;
        if here.writes() {
            return Err(Failed::saying(3, "this server is a primary; it is not made a standby by force"));
        }
        let was_up = here.up;
        self.follow(node, primary);
        if !was_up {
            self.start_server(node);
        }
        Ok(String::new())
    }

    pub(super) fn reinstate(&mut self, node: &NodeName) -> Answer {
        let here = &mut self.machine(node).database;
        let writes = here.writes();
        if !writes && here.up {
            here.stops();
        }
        if let Some(data) = &mut here.data {
            data.signal = false;
        }
        if !writes {
            self.start_server(node);
        }
        Ok(String::new())
    }
}
