//! What is read from one node about keepalived and the address.

mod marks;
mod read;

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context, Result, bail};
use rollup_engine::{FindingCx, Probe, Subject};
use rollup_model::{Facts, Finding, Inventory, NodeName, Span, inventory::Node};
use serde::{Deserialize, Serialize};

use crate::{State, dump::Running, findings, script};

pub use marks::{Drained, Edited, EditedFile, Pushed};
pub(crate) use read::files;

/// The subject `keepalived`.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepalivedSubject;

/// What is known of keepalived on one node. Holds no password and not the configuration itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeepalivedFacts {
    /// Whether the unit is active.
    pub active: bool,
    /// Version of the program that runs; of the one on disk where none does.
    pub version: Option<String>,
    /// Whether the address is on an interface of this node other than `lo`.
    pub vip_here: bool,
    /// That interface.
    pub vip_interface: Option<String>,
    /// Status of `keepalived -t`; 5 and 6 stand for warnings.
    pub test_status: Option<i32>,
    /// The daemon's `config-id`, which conditions in its configuration ask for.
    pub config_id: Option<String>,
    /// SHA-256 of every file of the configuration, the included ones too.
    pub files: BTreeMap<String, String>,
    /// Name of the instance that holds the address.
    pub instance: Option<String>,
    /// What the configuration says of it, apart from an override.
    pub configured: Option<Configured>,
    /// The priority in an override block of ours.
    #[serde(rename = "override")]
    pub override_priority: Option<u8>,
    /// Why no program may change the configuration.
    pub refusal: Option<String>,
    /// What the running daemon says of the instance.
    pub running: Option<Running>,
    /// The sync group of the instance.
    pub group: Option<String>,
    /// The other instances of that group: they move together with the address.
    pub others: Vec<Member>,
    /// The tracked file that is there for us, as the daemon has it.
    pub tracker: Option<Tracker>,
    /// The tracked link that is there for us, as the daemon has it.
    pub link: Option<Link>,
    /// Files of the configuration that hold an override of ours, by our own record.
    pub edited: Option<Edited>,
    /// Files whose original, kept beside our record, is gone.
    pub lost: Vec<String>,
    /// A push of ours that has not let go.
    pub pushed: Option<Pushed>,
    /// A drain of ours that is not over.
    pub drained: Option<Drained>,
}

/// An instance that moves together with the address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What the configuration says of it, apart from an override.
    pub configured: Option<Configured>,
    /// The priority in an override block of ours.
    #[serde(rename = "override")]
    pub override_priority: Option<u8>,
    /// What the running daemon says of it.
    pub running: Option<Running>,
}

/// What the configuration says of an instance, apart from an override.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configured {
    /// `priority`, where the text settles it.
    pub priority: Option<u8>,
    /// `nopreempt`.
    pub nopreempt: bool,
    /// `preempt_delay`.
    pub preempt_delay: Span,
    /// After how many missing adverts the owner counts as gone.
    pub down_adverts: u64,
    /// `virtual_router_id`.
    pub virtual_router_id: Option<u8>,
    /// Whether the text names the address.
    pub names_vip: bool,
}

/// A tracked file as the daemon has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tracker {
    /// The file.
    pub file: String,
    /// What the daemon has read in it.
    pub value: i32,
    /// By instance that tracks it: what a value is multiplied with; 0: any value but 0 is a failure.
    pub weights: BTreeMap<String, i32>,
    /// Whether the file is gone after a reboot.
    pub volatile: bool,
}

impl Tracker {
    /// What the present value adds to the priority of an instance.
    pub(crate) fn adds(&self, instance: &str) -> i32 {
        self.would_add(instance, self.value)
    }

    /// What a value adds to the priority of an instance. A failure adds nothing: it is no matter of priorities.
    pub(crate) fn would_add(&self, instance: &str, value: i32) -> i32 {
        let weight = self.weights.get(instance).copied().unwrap_or(0);
        let product = weight.saturating_mul(value);
        if self.fails(instance, value) { 0 } else { product.min(253) }
    }

    /// Whether a value makes an instance fail.
    pub(crate) fn fails(&self, instance: &str, value: i32) -> bool {
        match self.weights.get(instance) {
            None => false,
            Some(0) => value != 0,
            Some(weight) => weight.saturating_mul(value) <= -254,
        }
    }

    /// Whether the present value makes any instance fail.
    pub(crate) fn fails_any(&self) -> bool {
        self.weights.keys().any(|instance| self.fails(instance, self.value))
    }

    /// The smallest value that adds at least so much. `None`: none does.
    pub(crate) fn value_for(&self, instance: &str, adds: i32) -> Option<i32> {
        let weight = self.weights.get(instance).copied().filter(|weight| *weight != 0)?;
        let (size, sign) = (weight.abs(), weight.signum());
        // Away from zero for a rise, towards it for a fall: at least as much as asked for.
        Some(sign * (adds.div_euclid(size) + i32::from(adds.rem_euclid(size) != 0)))
    }
}

/// A tracked interface as the daemon has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Whether it is up.
    pub up: bool,
    /// Whether anything else depends on it: addresses, the VIP, a route.
    pub in_use: bool,
    /// By instance that tracks it: its weight; 0: that it is down is a failure.
    pub weights: BTreeMap<String, i32>,
}

impl KeepalivedFacts {
    /// State of the instance, where the daemon says it.
    pub fn state(&self) -> Option<State> {
        self.running.as_ref().map(|running| running.state)
    }

    /// Every instance that moves together with the address: its name, what is configured, what runs.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, Option<&Configured>, Option<&Running>)> {
        let first = self.instance.as_deref().map(|name| (name, self.configured.as_ref(), self.running.as_ref()));
        let others = self.others.iter();
        first.into_iter().chain(others.map(|at| (at.name.as_str(), at.configured.as_ref(), at.running.as_ref())))
    }

    /// Whether anything of ours is on the node.
    pub fn traces(&self) -> bool {
        let tracked = self.tracker.as_ref().is_some_and(|tracker| tracker.value != 0);
        let overridden = self.overridden().next().is_some();
        tracked || overridden || self.edited.is_some() || self.pushed.is_some() || self.drained.is_some()
    }

    /// Instances with an override of ours, and its priority.
    pub fn overridden(&self) -> impl Iterator<Item = (&str, u8)> {
        let first = self.instance.as_deref().zip(self.override_priority);
        let others = self.others.iter().filter_map(|member| Some((member.name.as_str(), member.override_priority?)));
        first.into_iter().chain(others)
    }

    /// One line for people: `MASTER, VIP on eth0, priority 110`.
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        parts.push(match (&self.running, self.active) {
            (_, false) => "keepalived is not active".to_owned(),
            (None, true) => "state unknown".to_owned(),
            (Some(running), true) => running.state.to_string(),
        });
        parts.push(match &self.vip_interface {
            Some(interface) => format!("VIP on {interface}"),
            None => "no VIP".to_owned(),
        });
        if let Some(running) = &self.running {
            parts.push(format!("priority {}", running.base_priority));
            if running.effective_priority != running.base_priority {
                parts.push(format!("effective {}", running.effective_priority));
            }
            if running.nopreempt {
                parts.push("nopreempt".to_owned());
            }
        }
        parts.extend(self.ours());
        parts.join(", ")
    }

    /// What of ours is on the node, for people.
    pub fn ours(&self) -> Vec<String> {
        let run = self.edited.as_ref().map(|edited| format!(", run {}", edited.run)).unwrap_or_default();
        let mut parts: Vec<_> = match self.overridden().collect::<Vec<_>>()[..] {
            [(_, priority)] if self.others.is_empty() => vec![format!("override {priority} by rollup{run}")],
            ref all => all.iter().map(|(name, to)| format!("override {to} of {name} by rollup{run}")).collect(),
        };
        if let Some(tracker) = self.tracker.as_ref().filter(|tracker| tracker.value != 0) {
            parts.push(format!("{} in {} by rollup", tracker.value, tracker.file));
        }
        parts.extend(self.pushed.as_ref().map(|pushed| format!("not let go: {pushed}")));
        parts.extend(self.drained.as_ref().map(|drained| format!("drain by run {}", drained.run)));
        parts
    }
}

/// The one node that has the address; `None` when none or several have it, or when a node was not read.
pub fn vip_owner(facts: &Facts, inventory: &Inventory) -> Option<NodeName> {
    let mut owner = None;
    for node in inventory.node_names() {
        let here = facts.get::<KeepalivedFacts>(node, KeepalivedSubject.name())?.vip_here;
        if here && owner.replace(node.clone()).is_some() {
            return None;
        }
    }
    owner
}

impl Subject for KeepalivedSubject {
    type Facts = KeepalivedFacts;

    fn name(&self) -> &'static str {
        "keepalived"
    }

    fn probe(&self, inventory: &Inventory, _node: &Node) -> Option<Probe> {
        let at = &inventory.keepalived;
        let (unit, config, address) = (at.unit.clone(), at.config.clone(), inventory.vip.address.to_string());
        let link = at.track_link.clone().unwrap_or_default();
        Some(Probe { script: script::PROBE, args: vec![unit, config, address, at.track_file.clone(), link] })
    }

    fn parse(&self, text: &str, inventory: &Inventory) -> Result<KeepalivedFacts> {
        if !text.lines().any(|line| line == "end") {
            bail!("expected an answer that ends with `end`");
        }
        let get = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let some = |key: &str| get(key).filter(|value| !value.is_empty());
        let active = get("ActiveState").context("expected the unit's ActiveState")? == "active";
        let daemon = read::Daemon::read(text, some("dump"));
        let mut config = read::Config::read(text, some("reads"), some("config_id"), inventory);
        if some("unshare") == Some("no") && config.refusal.is_none() {
            config.refusal =
                Some("`unshare --mount` does not work there, so nothing could be tested in place".to_owned());
        }
        let test_status = some("test").and_then(|status| status.parse().ok());
        if config.refusal.is_none() {
            config.refusal = config.deadly(test_status, some("interfaces"));
        }
        let name = config.name.clone().or_else(|| daemon.holding(inventory.vip.address));
        let names = match config.refusal {
            None => config.members.clone(),
            Some(_) => name.as_deref().map(|name| daemon.members(name)).unwrap_or_default(),
        };
        let others = names.iter().filter(|other| Some(*other) != name.as_ref());
        let others = others.map(|other| Member {
            name: other.clone(),
            configured: config.configured(other, inventory),
            override_priority: config.overrides.get(other).copied(),
            running: daemon.instance(other),
        });
        let mark = |key: &str| some(key).map(str::to_owned);
        let edited: Option<Edited> = marks::read(mark("edited"))?;
        let kept: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("kept=")).collect();
        let lost = edited.iter().flat_map(|edited| &edited.files).filter(|file| !kept.contains(&file.before.as_str()));
        Ok(KeepalivedFacts {
            active,
            version: some("version").map(str::to_owned),
            vip_here: some("interface").is_some(),
            vip_interface: some("interface").map(str::to_owned),
            test_status,
            others: others.collect(),
            running: name.as_deref().and_then(|name| daemon.instance(name)),
            configured: name.as_deref().and_then(|name| config.configured(name, inventory)),
            override_priority: name.as_ref().and_then(|name| config.overrides.get(name)).copied(),
            tracker: daemon.tracker(&inventory.keepalived.track_file, some("volatile") == Some("yes")),
            link: inventory.keepalived.track_link.as_deref().and_then(|link| daemon.link(link, some("link"))),
            lost: lost.map(|file| file.path.clone()).collect(),
            edited,
            pushed: marks::read(mark("pushed"))?.filter(|_| some("busy") != Some("yes")),
            drained: marks::read(mark("drained"))?,
            group: config.group,
            instance: name,
            config_id: mark("config_id"),
            files: config.files,
            refusal: config.refusal,
        })
    }

    fn checks(&self) -> &'static [rollup_model::Check] {
        &crate::checks::CHECKS
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        findings::findings(cx)
    }
}

/// Whether a text is this address.
fn is(text: &str, address: IpAddr) -> bool {
    text.parse() == Ok(address)
}
