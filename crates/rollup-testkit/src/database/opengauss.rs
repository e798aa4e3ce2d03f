//! How the roles change on openGauss: the standby's tool asks, and both servers change on their own, one after the other.
//! The tool only watches, and gives up after a while; then the servers go on, or do not.

use std::time::Duration;

use rollup_model::NodeName;

use super::{CATCH_UP, Checkpoint, Data, SERVER, handed_over, lsn, position_of, tools::Changing};
use crate::{
    call::{Answer, Call, Failed},
    world::{Later, Switching, World},
};

/// From the request until the old primary is a standby, and until the new one is the primary.
const STEPS_DOWN: Duration = Duration::from_millis(200);
const TAKES_OVER: Duration = Duration::from_millis(500);

/// How long a change takes that is late.
const LATE: Duration = Duration::from_secs(6);

/// What comes of a request where the server is asked.
pub(crate) const ASKED: &str = "asked switchover\n";

/// How long the script of a promotion watches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until the tool gives up.
    pub(crate) tool: Duration,
    /// Until the script does, too.
    pub(crate) script: Duration,
}

impl World {
    /// How long the command would watch the servers that it asks to change their roles.
    pub(crate) fn patience(&self, call: &Call) -> Option<Patience> {
        let seconds = |at: usize| Duration::from_secs(call.arg(SERVER + at).parse().unwrap_or(5));
        let asks =
            self.is_gauss() && call.id == "db.promote" && handed_over(call).is_some_and(|(kind, _)| kind == "switch");
        asks.then(|| Patience { tool: seconds(0), script: seconds(0) + seconds(2) })
    }

    /// Whether a tool still watches a change of roles on this machine.
    pub(crate) fn watches(&self, node: &NodeName) -> bool {
        let here = &self.at(node).database;
        self.now < here.tool_until && !here.writes()
    }

    /// What the server says of how the role can go. It changes nothing but a checkpoint.
    pub(super) fn ask_for_the_role(&mut self, node: &NodeName) -> Answer {
        let here = &self.at(node).database;
        let position = here.position();
        match (here.up, here.standby, here.changing) {
            (true, false, Some(Changing::Demoting)) => {
                Err(Failed::saying(3, "the server runs as `Primary Demoting`: expected a primary or a standby"))
            }
            (true, true, _) => Ok(format!("standby {}\n", lsn(position))),
            (true, false, _) if !self.streams(&self.peer(node)) => {
                Err(Failed::saying(3, "no standby is streaming from this server"))
            }
            (true, false, _) => {
                self.write(node);
                let now = self.now;
                let here = &mut self.machine(node).database;
                here.checkpoint = Checkpoint { redo: position, at: Some(now) };
                Ok(format!("switch {}\n", lsn(here.position())))
            }
            (false, ..) => {
                match here.data.as_ref().filter(|data| data.ended == "shut down").and_then(|data| data.shutdown) {
                    Some(position) => Ok(format!("shutdown {}\n", lsn(position))),
                    None => Err(Failed::saying(3, "the server is down without a clean shutdown: `in production`")),
                }
            }
        }
    }

    pub(super) fn promote_by_tools(&mut self, node: &NodeName, call: &Call) -> Answer {
        let Some((kind, target)) = handed_over(call) else {
            return Err(Failed::saying(3, "nobody said up to where the old primary wrote"));
        };
        let here = &self.at(node).database;
        let dir = self.inventory.database.data_dir.clone();
        if let Some(patience) = self.patience(call) {
            return Ok(match (here.up, here.writes()) {
                (false, _) => {
                    format!("{ASKED}status 1\n PID file \"{dir}/postmaster.pid\" does not exist\nIs server running?\n")
                }
                (true, true) => format!("{ASKED}status 0\nswitchover completed ({dir})\n"),
                (true, false) => self.ask_the_servers(node, patience),
            });
        }
        if !here.up {
            return Err(Failed::saying(2, "gsql: connect to the local server failed: No such file or directory"));
        }
        let (wanted, at) = (position_of(&target), here.position());
        if at < wanted || (at == wanted && kind == "shutdown") {
            return Err(Failed::saying(
                3,
                format!("replayed up to {} only, but the old primary wrote up to {target}", lsn(at)),
            ));
        }
        Ok(self.fail_over(node, &dir))
    }

    /// Asks for the change. A standby that does not stream does nothing, and says nothing.
    fn ask_the_servers(&mut self, node: &NodeName, patience: Patience) -> String {
        self.machine(node).database.tool_until = self.now + patience.script;
        let misleads = std::mem::take(&mut self.knobs.switching);
        if !self.streams(node) || misleads == Switching::Ignored {
            return ASKED.to_owned();
        }
        let peer = self.peer(node);
        self.machine(node).database.changing = Some(Changing::WaitPromoting);
        self.machine(&peer).database.changing = Some(Changing::Demoting);
        let takes = match misleads {
            Switching::Late(more) => more + LATE,
            _ => TAKES_OVER,
        };
        self.schedule(STEPS_DOWN, &peer, Later::StepsDown);
        self.schedule(takes, node, Later::TakesOver(misleads != Switching::Half));
        ASKED.to_owned()
    }

    /// The old primary has sent everything, and is a standby.
    pub(crate) fn steps_down(&mut self, node: &NodeName) {
        if self.at(node).database.changing != Some(Changing::Demoting) {
            return;
        }
        let peer = self.peer(node);
        let here = &mut self.machine(node).database;
        (here.changing, here.standby, here.connected) = (None, true, false);
        if let Some(data) = &mut here.data {
            data.signal = true;
            data.position += 0x100;
        }
        let sent = here.data.clone();
        let there = &mut self.machine(&peer).database;
        if let (Some(sent), Some(data)) = (sent, there.data.as_mut().filter(|_| there.up)) {
            (data.position, data.history) = (sent.position, sent.history);
        }
        self.changed("db.demoted", node, "server");
    }

    /// The standby that has asked becomes the primary, unless the other one has not stepped down.
    pub(crate) fn takes_over(&mut self, node: &NodeName, comes_to_its_end: bool) {
        let there = &self.at(&self.peer(node)).database;
        let stepped_down = there.is_marked() && !there.writes();
        let here = &mut self.machine(node).database;
        let waits = here.changing.take() == Some(Changing::WaitPromoting);
        if waits && stepped_down && comes_to_its_end {
            self.becomes_primary(node);
        }
    }

    fn becomes_primary(&mut self, node: &NodeName) {
        let peer = self.peer(node);
        let here = &mut self.machine(node).database;
        (here.standby, here.changing) = (false, None);
        let Some(data) = here.data.as_mut() else { return };
        data.signal = false;
        let position = data.position;
        data.timelines.push((data.timeline() + 1, position));
        here.checkpoint.redo = position;
        self.changed("db.promoted", node, "server");
        self.write(node);
        self.schedule(CATCH_UP, &peer, Later::Replays(position));
    }

    /// `gs_ctl failover`, asked of a server that runs.
    fn fail_over(&mut self, node: &NodeName, dir: &str) -> String {
        if self.at(node).database.writes() {
            return format!("asked failover\nstatus 0\nfailover completed ({dir})\n");
        }
        self.becomes_primary(node);
        format!("asked failover\nstatus 0\n waiting for server to failover...\n.\n done\n failover completed ({dir})\n")
    }

    pub(super) fn rejoin_by_tools(&mut self, node: &NodeName) -> Answer {
        let here = &self.at(node).database;
        if here.up && !here.standby {
            return Err(Failed::saying(3, "this server is a primary; it is not made a standby by force"));
        }
        if !here.up {
            self.start_as(node, true);
        }
        Ok(String::new())
    }

    pub(super) fn reinstate_by_tools(&mut self, node: &NodeName) -> Answer {
        let here = &self.at(node).database;
        match (here.up, here.standby) {
            (true, true) => {
                let dir = self.inventory.database.data_dir.clone();
                self.fail_over(node, &dir);
            }
            (true, false) => {}
            (false, _) => self.start_as(node, false),
        }
        Ok(String::new())
    }

    /// A start names the role, whatever it was last.
    pub(super) fn start_as(&mut self, node: &NodeName, standby: bool) {
        if let Some(data) = self.data(node) {
            data.signal = standby;
        }
        self.start_server(node);
    }

    /// `gs_ctl build`: stops the server, empties its directory, copies the primary's, starts it. The run's mark comes last.
    pub(super) fn build(&mut self, node: &NodeName, run: &str) -> Answer {
        let here = &self.at(node).database;
        if here.data.as_ref().is_some_and(|data| data.marker.as_deref() == Some(run)) {
            if !here.up {
                self.start_as(node, true);
            }
            if self.follows(node) {
                return Ok(String::new());
            }
        }
        let here = &self.at(node).database;
        if here.up && !here.standby {
            return Err(Failed::saying(3, "this server writes; it is not made a standby by force"));
        }
        let (upstream, settings) = (here.data.as_ref().and_then(|data| data.upstream.clone()), here.settings());
        let there = &self.at(&self.peer(node)).database;
        let Some(data) = there.data.clone().filter(|_| there.writes()) else {
            return Err(Failed::saying(5, "could not connect to server.\nfull build build failed"));
        };
        if self.at(node).database.up {
            self.machine(node).database.stops();
            self.changed("db.stopped", node, "server");
        }
        let ended = "in production".to_owned();
        let data = Data {
            signal: true,
            upstream: upstream.or(Some(String::new())),
            settings,
            ended,
            marker: Some(run.to_owned()),
            ..data
        };
        self.machine(node).database.data = Some(data);
        self.changed("db.built", node, run);
        self.start_server(node);
        Ok(String::new())
    }
}
