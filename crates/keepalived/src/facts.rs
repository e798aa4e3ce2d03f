//! What is read from one node about keepalived and the address.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use rollup_engine::{FindingCx, Probe, Subject};
use rollup_model::{Facts, Finding, Inventory, NodeName, Span, inventory::Node};
use serde::{Deserialize, Serialize};

use crate::{
    State, conf,
    dump::{self, Running},
    findings, script,
};

/// The subject `keepalived`.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepalivedSubject;

/// What is known of keepalived on one node. Holds no password and not the configuration itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeepalivedFacts {
    /// Whether the unit is active.
    pub active: bool,
    /// Version of the program on disk.
    pub version: Option<String>,
    /// Whether the address is on an interface of this node other than `lo`.
    pub vip_here: bool,
    /// That interface.
    pub vip_interface: Option<String>,
    /// Status of `keepalived -t`; 5 and 6 stand for warnings.
    pub test_status: Option<i32>,
    /// SHA-256 of the configuration file.
    pub config_sha256: Option<String>,
    /// Name of the instance that holds the address.
    pub instance: Option<String>,
    /// What the configuration file says of it, apart from an override.
    pub configured: Option<Configured>,
    /// The priority in an override block of ours.
    #[serde(rename = "override")]
    pub override_priority: Option<u8>,
    /// Why no program may change the configuration.
    pub refusal: Option<String>,
    /// What the running daemon says of the instance.
    pub running: Option<Running>,
}

/// What the configuration file says of the instance, apart from an override.
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
    /// Kinds of tracking in use.
    pub tracks: Vec<String>,
    /// Whether the text names the address.
    pub names_vip: bool,
}

impl KeepalivedFacts {
    /// State of the instance, where the daemon says it.
    pub fn state(&self) -> Option<State> {
        self.running.as_ref().map(|running| running.state)
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
        if let Some(priority) = self.override_priority {
            parts.push(format!("override {priority} by rollup"));
        }
        parts.join(", ")
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
        let args = vec![at.unit.clone(), at.config.clone(), inventory.vip.address.to_string()];
        Some(Probe { script: script::PROBE, args })
    }

    fn parse(&self, text: &str, inventory: &Inventory) -> Result<KeepalivedFacts> {
        let get = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let some = |key: &str| get(key).filter(|value| !value.is_empty());
        if !text.lines().any(|line| line == "end") {
            bail!("expected an answer that ends with `end`");
        }
        let active = get("ActiveState").context("expected the unit's ActiveState")? == "active";
        let instances = some("dump").and_then(dump::parse);
        let config = Text::read(some("config"), some("reads"), inventory);
        let instance = config.name.clone().or_else(|| named_by_daemon(instances.as_deref()?, inventory.vip.address));
        let running = instances
            .zip(instance.as_ref())
            .and_then(|(all, name)| all.into_iter().find(|running| &running.instance == name));
        Ok(KeepalivedFacts {
            active,
            version: some("version").map(str::to_owned),
            vip_here: some("interface").is_some(),
            vip_interface: some("interface").map(str::to_owned),
            test_status: some("test").and_then(|status| status.parse().ok()),
            config_sha256: some("sha256").map(str::to_owned),
            instance,
            configured: config.configured,
            override_priority: config.override_priority,
            refusal: config.refusal,
            running,
        })
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        findings::findings(cx)
    }
}

fn named_by_daemon(instances: &[Running], address: IpAddr) -> Option<String> {
    let holds = |running: &&Running| running.addresses.iter().any(|text| text.parse() == Ok(address));
    Some(instances.iter().find(holds)?.instance.clone())
}

/// What follows from the text of the configuration file.
#[derive(Default)]
struct Text {
    name: Option<String>,
    configured: Option<Configured>,
    override_priority: Option<u8>,
    refusal: Option<String>,
}

impl Text {
    fn read(hex: Option<&str>, reads: Option<&str>, inventory: &Inventory) -> Self {
        let wanted = inventory.keepalived.instance.clone();
        let refused = |why: String| Self { name: wanted.clone(), refusal: Some(why), ..Self::default() };
        let file = &inventory.keepalived.config;
        let Some(bytes) = hex.and_then(unhex) else { return refused(format!("{file} cannot be read")) };
        let Ok(text) = String::from_utf8(bytes) else { return refused(format!("{file} is not UTF-8 text")) };
        let config = match conf::clear(&text).and_then(|plain| conf::parse(&plain)) {
            Ok(config) => config,
            Err(why) => return refused(why.to_string()),
        };
        let address = inventory.vip.address;
        let name = match (&wanted, config.holding(address)[..].as_ref()) {
            (Some(name), _) => name.clone(),
            (None, [one]) => one.name.clone(),
            (None, []) => return refused(format!("no `vrrp_instance` of {file} names {address}")),
            (None, several) => {
                let names: Vec<_> = several.iter().map(|instance| instance.name.as_str()).collect();
                return refused(format!("several instances name {address}: {}", names.join(", ")));
            }
        };
        let other = reads.filter(|reads| reads != file).map(|reads| format!("the daemon reads {reads}, not {file}"));
        let refusal = other.or_else(|| conf::raise(&text, &name, 254).err().map(|why| why.to_string()));
        let configured = config.instances.iter().find(|instance| instance.name == name).map(|instance| Configured {
            priority: instance.priority,
            nopreempt: instance.nopreempt,
            preempt_delay: Span::millis(instance.preempt_delay_millis),
            down_adverts: instance.down_adverts,
            virtual_router_id: instance.virtual_router_id,
            tracks: instance.tracks.clone(),
            names_vip: instance.holds(address),
        });
        Self { override_priority: conf::override_of(&text, &name), name: Some(name), configured, refusal }
    }
}

/// Bytes from hex digits.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().as_bytes();
    let byte = |pair: &[u8]| match pair {
        [high, low] => {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            Some(digit(*high)? << 4 | digit(*low)?)
        }
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}
