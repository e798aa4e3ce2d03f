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
    /// What the daemon has read in its tracked file; `None`: it tracks none.
    tracked: Option<i32>,
    holds: bool,
    /// A higher advert is on its way to this owner.
    drops: bool,
    /// Records of an override, of a push and of a drain. Each names its run, which is another one in another world.
    #[serde(serialize_with = "is_there")]
    edited: Option<String>,
    #[serde(serialize_with = "is_there")]
    pushed: Option<String>,
    #[serde(serialize_with = "is_there")]
    drained: Option<String>,
    /// The daemon runs.
    #[serde(skip)]
    alive: bool,
    #[serde(skip)]
    reloads: u64,
}

fn is_there<S: serde::Serializer>(mark: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(mark.is_some())
}

/// What the daemon took from its file, for each instance: those of a sync group are in one state.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Running(Vec<Instance>);

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Instance {
    name: String,
    priority: u8,
    nopreempt: bool,
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one = |at: &Instance| format!("{}{}", at.priority, if at.nopreempt { " nopreempt" } else { "" });
        f.write_str(&self.0.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

impl Running {
    /// As keepalived reads it: the last keyword of each kind counts.
    fn read(config: &str) -> Self {
        let mut running = Vec::new();
        for line in config.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            if let ["vrrp_instance", name, ..] = words[..] {
                running.push(Instance { name: name.to_owned(), priority: 100, nopreempt: false });
            }
            let Some(instance) = running.last_mut() else { continue };
            match words[..] {
                ["priority", number] => instance.priority = number.parse().unwrap_or(100),
                ["nopreempt"] => instance.nopreempt = true,
                ["preempt"] => instance.nopreempt = false,
                _ => {}
            }
        }
        Running(running)
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
        Self {
            config,
            running,
            tracked: None,
            holds: primary,
            drops: false,
            edited: None,
            pushed: None,
            drained: None,
            alive: true,
            reloads: 0,
        }
    }

    /// Whether the address is here.
    pub(crate) fn holds(&self) -> bool {
        self.holds
    }

    /// Whether it is about to leave for a new owner.
    pub(crate) fn hands_over(&self) -> bool {
        self.drops
    }

    /// Whether the daemon can own the address.
    pub(crate) fn is_fit(&self) -> bool {
        self.alive && self.pushed.is_none() && self.tracked.is_none_or(|value| value > -FAILS)
    }

    fn effective(&self, instance: &Instance) -> i32 {
        (i32::from(instance.priority) + self.tracked.unwrap_or(0)).clamp(1, FAILS)
    }

    /// Whether every instance is above its like on another machine.
    fn is_above(&self, other: &Self) -> bool {
        let pairs = self.running.0.iter().zip(&other.running.0);
        pairs.into_iter().all(|(here, there)| self.effective(here) > other.effective(there))
    }
}

/// A tracked value as low as this is a failure.
const FAILS: i32 = 254;

const CONFIG: &str = "/etc/keepalived/keepalived.conf";

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

impl World {
    pub(crate) fn vrrp(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        Some(match call.id.as_str() {
            "vip.config" => Ok(format!("{}end\n", self.at(node).keepalived.file())),
            "vip.override" => self.override_priority(node, call),
            "vip.track" => self.track(node, call),
            "vip.push" => self.push(node, call),
            "vip.let-go" => self.let_go(node),
            "vip.drain" => self.drain(node, call.arg(2)),
            "vip.drained" => self.end_drain(node),
            "vip.announce" => Ok(String::new()),
            _ => return None,
        })
    }

    /// `$1` unit, `$2` file, `$3` mark, `$4` number of files, `$5` number of instances, then for each file its path, the
    /// SHA-256 it must have, that of its new text and its length, then for each instance its name, what is wanted, and
    /// whether with `nopreempt`.
    fn override_priority(&mut self, node: &NodeName, call: &Call) -> Answer {
        let original = self.at(node).keepalived.config.clone();
        let files = call.arg(3).parse().unwrap_or(0);
        let wanted: Vec<[&str; 3]> = call.groups(5 + 4 * files).collect();
        let taken = |running: &Running| {
            wanted.iter().all(|[name, want, held]| {
                let Some(instance) = running.0.iter().find(|at| at.name == *name) else { return false };
                let priority = instance.priority.to_string();
                let as_wanted = match want.strip_prefix('!') {
                    Some(other) => priority != other,
                    None => priority == *want,
                };
                as_wanted && instance.nopreempt.to_string() == *held
            })
        };
        let mut replaces = false;
        if let Some([_, old, new, _]) = call.groups(5).next().filter(|_| files > 0) {
            let found = sha256(&original);
            replaces = found != new;
            if replaces && found != old {
                return Err(Failed::saying(1, format!("changed meanwhile: expected {old}, found {found}")));
            }
            let text = call.text();
            if sha256(&text) != new {
                return Err(Failed::saying(1, "the new text did not arrive in full"));
            }
            if !taken(&Running::read(&text)) {
                return Err(Failed::saying(1, "keepalived did not take the new priority; the original files are back"));
            }
            if replaces {
                self.changed("keepalived.edited", node, Running::read(&text).to_string());
                self.machine(node).keepalived.config = text;
            }
        }
        let mark = Some(call.arg(2).to_owned()).filter(|mark| !mark.is_empty());
        if replaces || mark.is_none() {
            self.machine(node).keepalived.edited = mark;
        }
        if !replaces && taken(&self.at(node).keepalived.running) {
            return Ok("in place\n".to_owned());
        }
        self.reload(node);
        Ok("reloaded\n".to_owned())
    }

    /// `$1` unit, `$2` file, `$3` value.
    fn track(&mut self, node: &NodeName, call: &Call) -> Answer {
        let value: i32 = call.arg(2).parse().unwrap_or(0);
        let keepalived = &mut self.machine(node).keepalived;
        if keepalived.tracked != Some(value) {
            keepalived.tracked = Some(value);
            self.changed("keepalived.tracked", node, value.to_string());
            self.both_listen(node);
        }
        Ok("taken\n".to_owned())
    }

    /// `$1` how, `$2` what, `$7` run. The old owner lets go in the same command, so that what is left of it is a moment in
    /// which nobody has the address.
    fn push(&mut self, node: &NodeName, call: &Call) -> Answer {
        let peer = self.peer(node);
        if !self.at(node).keepalived.holds {
            return Ok("it has left already\n".to_owned());
        }
        let there = &self.at(&peer).keepalived;
        let priority = there.running.0.iter().map(|at| there.effective(at)).min().unwrap_or(1);
        let skew = Duration::from_millis(u64::try_from(256 - priority).unwrap_or(0) * 1000 / 256);
        if !there.is_fit() || self.knobs.vip_never_moves {
            return Err(Failed::saying(1, "the VIP did not leave; what held this node down is let go"));
        }
        self.changed("vip.pushed", node, call.arg(0));
        self.machine(node).keepalived.holds = false;
        self.gap_until = self.now + skew;
        let reload = self.at(&peer).keepalived.reloads;
        self.schedule(skew, &peer, Later::TakesAddress(reload));
        Ok("let go\n".to_owned())
    }

    fn let_go(&mut self, node: &NodeName) -> Answer {
        if self.machine(node).keepalived.pushed.take().is_some() {
            self.changed("vip.let-go", node, "");
        }
        self.both_listen(node);
        Ok(String::new())
    }

    /// Below `/run`, and so gone with the machine.
    fn drain(&mut self, node: &NodeName, run: &str) -> Answer {
        let keepalived = &mut self.machine(node).keepalived;
        if keepalived.holds && keepalived.drained.is_none() {
            let mark = json!({ "run": run, "interface": "eth0", "arp_ignore": 0, "arp_announce": 0 });
            keepalived.drained = Some(mark.to_string());
            self.changed("vip.drains", node, "");
        }
        Ok(String::new())
    }

    fn end_drain(&mut self, node: &NodeName) -> Answer {
        if self.machine(node).keepalived.drained.take().is_some() {
            self.changed("vip.drained", node, "");
        }
        Ok(String::new())
    }

    fn reload(&mut self, node: &NodeName) {
        let keepalived = &mut self.machine(node).keepalived;
        keepalived.running = Running::read(&keepalived.config);
        keepalived.reloads += 1;
        let running = keepalived.running.to_string();
        self.changed("keepalived.reloaded", node, running);
        self.both_listen(node);
    }

    fn both_listen(&mut self, node: &NodeName) {
        let peer = self.peer(node);
        for listener in [node.clone(), peer] {
            self.listen(&listener);
        }
    }

    /// The operator has set a tracked file aside on both machines.
    pub(crate) fn set_tracked(&mut self) {
        self.machines.values_mut().for_each(|machine| machine.keepalived.tracked = Some(0));
    }

    /// The operator has a second instance on both machines, in one sync group with the first.
    pub(crate) fn set_group(&mut self) {
        for machine in self.machines.values_mut() {
            let keepalived = &mut machine.keepalived;
            let second = keepalived.config.replace("VI_1", "VI_2").replace("router_id 51", "router_id 52");
            let second = second.replace(".100/24", ".101/24");
            let group = "vrrp_sync_group G {\n  group {\n    VI_1\n    VI_2\n  }\n}\n";
            keepalived.config = format!("{group}{}{second}", keepalived.config);
            keepalived.running = Running::read(&keepalived.config);
        }
    }

    /// A push was cut off by the loss of power, and what it took down stayed down.
    pub fn leave_pushed(&mut self, node: &NodeName) {
        let mark = json!({ "run": "20260228-100000-ab12", "by": "link", "what": "rollup0" });
        self.machine(node).keepalived.pushed = Some(mark.to_string());
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
        let higher = here.is_above(other);
        let nopreempt = here.running.0.iter().any(|instance| instance.nopreempt);
        let wins = match (other.is_fit(), other.holds) {
            (false, _) => true,
            (true, true) => !nopreempt && higher,
            // Nobody has it for a moment, since its owner was pushed.
            (true, false) => higher || self.gap_until >= self.now,
        };
        here.is_fit() && !here.holds && wins
    }

    /// The daemon is gone without a word; the other one notices by its silence.
    pub(crate) fn keepalived_dies(&mut self, node: &NodeName) {
        let keepalived = &mut self.machine(node).keepalived;
        (keepalived.alive, keepalived.holds, keepalived.drops) = (false, false, false);
        // What lies below `/run` is gone.
        keepalived.tracked = keepalived.tracked.map(|_| 0);
        keepalived.drained = None;
        keepalived.reloads += 1;
        let peer = self.peer(node);
        self.listen(&peer);
    }

    /// The daemon starts as a backup, with what its file says.
    pub(crate) fn keepalived_starts(&mut self, node: &NodeName) {
        let keepalived = &mut self.machine(node).keepalived;
        keepalived.alive = true;
        keepalived.running = Running::read(&keepalived.config);
        self.both_listen(node);
    }

    fn listen(&mut self, node: &NodeName) {
        if self.knobs.vip_never_moves || !self.wants_address(node) {
            return;
        }
        let here = &self.at(node).keepalived;
        let priority = here.running.0.iter().map(|at| here.effective(at)).min().unwrap_or(1);
        let skew = Duration::from_millis(u64::try_from(256 - priority).unwrap_or(0) * 1000 / 256);
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

    /// The daemon's account of every instance on a machine.
    fn dump(&self, node: &NodeName) -> serde_json::Value {
        let (here, owner) = (&self.at(node).keepalived, &self.at(&self.peer(node)).keepalived);
        let seconds = self.now.as_secs() + 1000;
        let (received, sent) = if here.holds { (7, seconds) } else { (seconds, 7) };
        let state = match (here.is_fit(), here.holds) {
            (false, _) => 3,
            (true, true) => 2,
            (true, false) => 1,
        };
        let prefix = self.inventory.vip.address.to_string();
        let instances = here.running.0.iter().zip(&owner.running.0).enumerate().map(|(index, (at, there))| {
            let address = if index == 0 { prefix.clone() } else { prefix.replace(".100", ".101") };
            json!({
                "data": {
                    "iname": at.name, "vrid": 51 + index, "ifp_ifname": "eth0", "state": state,
                    "wantstate": 1, "base_priority": at.priority, "effective_priority": here.effective(at),
                    "master_priority": if here.holds { 0 } else { owner.effective(there) }, "vipset": here.holds,
                    "nopreempt": at.nopreempt, "preempt_delay": 0, "adver_int": 1.0, "version": 2,
                    "vips": [format!("{address}/24 dev eth0 scope global{}", if here.holds { " set" } else { "" })],
                },
                "stats": { "advert_rcvd": received, "advert_sent": sent },
            })
        });
        instances.collect()
    }

    /// The text of keepalived's probe.
    pub(crate) fn keepalived_facts(&self, node: &NodeName) -> String {
        let here = &self.at(node).keepalived;
        let dump = self.dump(node);
        let mut text = format!(
            "ActiveState=active\nMainPID=77\nversion=2.2.7\nreads={CONFIG}\ndump={dump}\ntest=0\nconfig_id={node}\nunshare=yes\n{}",
            here.file(),
        );
        if here.holds {
            text.push_str("interface=eth0\n");
        }
        if let Some(value) = here.tracked {
            text.push_str("volatile=yes\n|------< VRRP Topology >------\n");
            let state = if here.holds { "MASTER" } else { "BACKUP" };
            for at in &here.running.0 {
                text.push_str(&format!("| VRRP Instance = {}\n|   State = {state}\n", at.name));
                text.push_str(&format!("|   Priority = {}\n|   Advert interval = 1 sec\n", at.priority));
            }
            text.push_str("|------< VRRP Track files >------\n| Track file = rollup\n|   File = /run/rollup.prio\n");
            text.push_str(&format!("|   Status = {value}\n|   Tracking instances :\n"));
            here.running.0.iter().for_each(|at| text.push_str(&format!("|     {}, weight 1\n", at.name)));
        }
        for (name, mark) in [("edited", &here.edited), ("pushed", &here.pushed), ("drained", &here.drained)] {
            text.extend(mark.as_ref().map(|mark| format!("{name}={mark}\n")));
        }
        text + "end\n"
    }

    /// The text of the probe that listens for adverts.
    pub(crate) fn adverts_facts(&self, node: &NodeName) -> String {
        let first = self.dump(node);
        let mut second = first.clone();
        for instance in second.as_array_mut().into_iter().flatten() {
            let count = &mut instance["stats"]["advert_rcvd"];
            *count = json!(count.as_u64().unwrap_or(0) + 2);
        }
        format!("first={first}\nwaited=2.2\nsecond={second}\nend\n")
    }
}

impl Keepalived {
    fn file(&self) -> String {
        format!("file={}\t{}\t{CONFIG}\n", sha256(&self.config), hex(self.config.as_bytes()))
    }
}
