//! keepalived on a machine, and how the address moves between machines.
//!
//! The last `priority` of the file counts once the daemon has reloaded it. A backup whose priority is above the owner's
//! takes the address over after three adverts and a skew, unless it runs with `nopreempt`; each of its reloads begins
//! that wait anew. The old owner drops the address two milliseconds later.

use std::time::Duration;

use rollup_model::{Inventory, NodeName, plan::hex};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    call::{Answer, Call, Failed},
    world::{Later, World},
};

/// keepalived on a machine.
#[derive(Debug, Serialize)]
pub(crate) struct Keepalived {
    config: String,
    running: Running,
    holds: bool,
    /// A higher advert is on its way to this owner.
    drops: bool,
    /// The daemon runs.
    #[serde(skip)]
    alive: bool,
    #[serde(skip)]
    reloads: u64,
}

/// What the daemon took from its file.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Running {
    priority: u8,
    nopreempt: bool,
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.priority, if self.nopreempt { " nopreempt" } else { "" })
    }
}

impl Running {
    /// As keepalived reads it: the last keyword of each kind counts.
    fn read(config: &str) -> Self {
        let mut running = Running { priority: 100, nopreempt: false };
        for line in config.lines() {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["priority", number] => running.priority = number.parse().unwrap_or(100),
                ["nopreempt"] => running.nopreempt = true,
                ["preempt"] => running.nopreempt = false,
                _ => {}
            }
        }
        running
    }
}

impl Keepalived {
    /// The first node owns the address.
    pub(crate) fn new(inventory: &Inventory, primary: bool) -> Self {
        let (priority, address) = (if primary { 110 } else { 100 }, inventory.vip.address);
        let config = format!(
            "vrrp_instance VI_1 {{\n  state BACKUP\n  interface eth0\n  virtual_router_id 51\n  priority {priority}\n  \
             advert_int 1\n  virtual_ipaddress {{\n    {address}/24\n  }}\n}}\n"
        );
        let running = Running::read(&config);
        Self { config, running, holds: primary, drops: false, alive: true, reloads: 0 }
    }

    /// Whether the address is here.
    pub(crate) fn holds(&self) -> bool {
        self.holds
    }

    /// Whether it is about to leave for a new owner.
    pub(crate) fn hands_over(&self) -> bool {
        self.drops
    }
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

impl World {
    pub(crate) fn vrrp(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        Some(match call.id.as_str() {
            "vip.config" | "keepalived.config" => {
                let config = &self.at(node).keepalived.config;
                Ok(format!("{}\n{}\n", sha256(config), hex(config.as_bytes())))
            }
            "vip.override" | "keepalived.override" => self.override_priority(node, call),
            "vip.announce" | "keepalived.announce" => Ok(String::new()),
            _ => return None,
        })
    }

    /// `$1` unit, `$2` file, `$3` SHA-256 it must have, `$4` SHA-256 of stdin, `$5` instance, `$6` wanted, `$7` whether
    /// with `nopreempt`, `$8` run.
    fn override_priority(&mut self, node: &NodeName, call: &Call) -> Answer {
        let original = self.at(node).keepalived.config.clone();
        let found = sha256(&original);
        let replaces = found != call.arg(3);
        if replaces {
            if found != call.arg(2) {
                return Err(Failed::saying(1, format!("changed meanwhile: expected {}, found {found}", call.arg(2))));
            }
            let text = call.text();
            if sha256(&text) != call.arg(3) {
                return Err(Failed::saying(1, "the new text did not arrive in full"));
            }
            self.changed("keepalived.edited", node, Running::read(&text).to_string());
            self.machine(node).keepalived.config = text;
        }
        let taken = |running: &Running| {
            let priority = running.priority.to_string();
            let as_wanted = match call.arg(5).strip_prefix('!') {
                Some(other) => priority != other,
                None => priority == call.arg(5),
            };
            as_wanted && running.nopreempt.to_string() == call.arg(6)
        };
        if !replaces && taken(&self.at(node).keepalived.running) {
            return Ok("in place\n".to_owned());
        }
        if !taken(&Running::read(&self.at(node).keepalived.config)) {
            self.machine(node).keepalived.config = original;
            return Err(Failed::saying(1, "keepalived did not take the new priority; the original file is back"));
        }
        self.reload(node);
        Ok("reloaded\n".to_owned())
    }

    fn reload(&mut self, node: &NodeName) {
        let keepalived = &mut self.machine(node).keepalived;
        keepalived.running = Running::read(&keepalived.config);
        keepalived.reloads += 1;
        let running = keepalived.running.to_string();
        self.changed("keepalived.reloaded", node, running);
        let peer = self.peer(node);
        for listener in [node.clone(), peer] {
            self.listen(&listener);
        }
    }

    /// The operator has configured both daemons so that no living owner loses the address.
    pub(crate) fn set_nopreempt(&mut self) {
        for machine in self.machines.values_mut() {
            let keepalived = &mut machine.keepalived;
            keepalived.config = keepalived.config.replace("  advert_int", "  nopreempt\n  advert_int");
            keepalived.running = Running::read(&keepalived.config);
        }
    }

    /// Whether this machine would take the address from the other.
    fn wants_address(&self, node: &NodeName) -> bool {
        let (here, other) = (&self.at(node).keepalived, &self.at(&self.peer(node)).keepalived);
        let higher = here.running.priority > other.running.priority;
        let wins = match (other.alive, other.holds) {
            (false, _) => true,
            (true, true) => !here.running.nopreempt && higher,
            (true, false) => higher,
        };
        here.alive && !here.holds && wins
    }

    /// The daemon is gone without a word; the other one notices by its silence.
    pub(crate) fn keepalived_dies(&mut self, node: &NodeName) {
        let keepalived = &mut self.machine(node).keepalived;
        (keepalived.alive, keepalived.holds, keepalived.drops) = (false, false, false);
        keepalived.reloads += 1;
        let peer = self.peer(node);
        self.listen(&peer);
    }

    /// The daemon starts as a backup, with what its file says.
    pub(crate) fn keepalived_starts(&mut self, node: &NodeName) {
        let keepalived = &mut self.machine(node).keepalived;
        keepalived.alive = true;
        keepalived.running = Running::read(&keepalived.config);
        let peer = self.peer(node);
        for listener in [node.clone(), peer] {
            self.listen(&listener);
        }
    }

    fn listen(&mut self, node: &NodeName) {
        if self.knobs.vip_never_moves || !self.wants_address(node) {
            return;
        }
        let here = &self.at(node).keepalived;
        let skew = Duration::from_millis((256 - u64::from(here.running.priority)) * 1000 / 256);
        let reload = here.reloads;
        self.schedule(Duration::from_secs(3) + skew, node, Later::TakesAddress(reload));
    }

    pub(crate) fn takes_address(&mut self, node: &NodeName, reload: u64) {
        if self.at(node).keepalived.reloads != reload || !self.wants_address(node) {
            return;
        }
        let old = self.peer(node);
        self.machine(node).keepalived.holds = true;
        self.changed("vip.taken", node, "address");
        if self.at(&old).keepalived.holds {
            self.machine(&old).keepalived.drops = true;
            self.schedule(Duration::from_millis(2), &old, Later::DropsAddress);
        }
    }

    pub(crate) fn drops_address(&mut self, node: &NodeName) {
        let keepalived = &mut self.machine(node).keepalived;
        keepalived.holds = false;
        keepalived.drops = false;
    }

    /// The text of keepalived's probe.
    pub(crate) fn keepalived_facts(&self, node: &NodeName) -> String {
        let (here, owner) = (&self.at(node).keepalived, &self.at(&self.peer(node)).keepalived);
        let seconds = self.now.as_secs() + 1000;
        let (received, sent) = if here.holds { (7, seconds) } else { (seconds, 7) };
        let address = self.inventory.vip.address;
        let dump = json!([{
            "data": {
                "iname": "VI_1", "vrid": 51, "ifp_ifname": "eth0", "state": if here.holds { 2 } else { 1 },
                "wantstate": 1, "base_priority": here.running.priority, "effective_priority": here.running.priority,
                "master_priority": if here.holds { 0 } else { owner.running.priority }, "vipset": here.holds,
                "nopreempt": here.running.nopreempt, "preempt_delay": 0, "adver_int": 1.0, "version": 2,
                "vips": [format!("{address}/24 dev eth0 scope global{}", if here.holds { " set" } else { "" })],
            },
            "stats": { "advert_rcvd": received, "advert_sent": sent },
        }]);
        let interface = if here.holds { "interface=eth0\n" } else { "" };
        format!(
            "ActiveState=active\nMainPID=77\nversion=2.2.7\n{interface}reads={}\ndump={dump}\ntest=0\nsha256={}\nconfig={}\nend\n",
            self.inventory.keepalived.config,
            sha256(&here.config),
            hex(here.config.as_bytes()),
        )
    }
}
