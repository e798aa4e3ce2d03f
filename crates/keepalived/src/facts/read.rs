//! What the probe's answer says of the daemon and of its configuration.

use std::{collections::BTreeMap, net::IpAddr};

use rollup_model::{Inventory, Span};

use super::{Configured, Link, Tracker, is};
use crate::{
    conf::{self, Files, Include, Instance},
    dump::{self, Running, text::Account},
};

/// The daemon's own account of itself.
#[derive(Default)]
pub(super) struct Daemon {
    json: Option<Vec<Running>>,
    words: Option<Account>,
}

impl Daemon {
    pub(super) fn read(text: &str, json: Option<&str>) -> Self {
        let words: String = text.lines().filter_map(|line| line.strip_prefix('|')).flat_map(|l| [l, "\n"]).collect();
        Self { json: json.and_then(dump::parse), words: dump::text::parse(&words) }
    }

    /// The JSON dump says more and is the same in all versions; the other one is all there is without it.
    fn instances(&self) -> &[Running] {
        let words = self.words.as_ref().map(|words| words.instances.as_slice());
        self.json.as_deref().or(words).unwrap_or_default()
    }

    pub(super) fn instance(&self, name: &str) -> Option<Running> {
        self.instances().iter().find(|running| running.instance == name).cloned()
    }

    /// The instance with this address.
    pub(super) fn holding(&self, address: IpAddr) -> Option<String> {
        let holds = |running: &&Running| running.addresses.iter().any(|text| is(text, address));
        Some(self.instances().iter().find(holds)?.instance.clone())
    }

    /// The instances of the same sync group.
    pub(super) fn members(&self, name: &str) -> Vec<String> {
        let Some(words) = &self.words else { return Vec::new() };
        let Some(group) = words.groups.get(name) else { return Vec::new() };
        words.groups.iter().filter(|(_, other)| *other == group).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn tracker(&self, name: &str, volatile: bool) -> Option<Tracker> {
        let found = self.words.as_ref()?.files.get(name)?;
        Some(Tracker { file: found.file.clone(), value: found.value, weights: found.weights.clone(), volatile })
    }

    /// `state`: `up` or `down`, and `free` or `used`, as the node says it.
    pub(super) fn link(&self, name: &str, state: Option<&str>) -> Option<Link> {
        let (up, used) = state?.split_once(' ')?;
        let weights = self.words.as_ref()?.links.get(name)?.clone();
        Some(Link { up: up == "up", in_use: used != "free", weights })
    }
}

/// What follows from the text of the configuration.
#[derive(Default)]
pub(super) struct Config {
    pub(super) name: Option<String>,
    pub(super) group: Option<String>,
    /// Every instance that moves together with the address.
    pub(super) members: Vec<String>,
    pub(super) overrides: BTreeMap<String, u8>,
    pub(super) files: BTreeMap<String, String>,
    pub(super) refusal: Option<String>,
    instances: Vec<Instance>,
}

impl Config {
    pub(super) fn read(text: &str, reads: Option<&str>, id: Option<&str>, inventory: &Inventory) -> Self {
        let sums = text.lines().filter_map(|line| line.strip_prefix("file=")?.split_once('\t'));
        let sums: Vec<_> = sums.collect();
        let mut found = Self { name: inventory.keepalived.instance.clone(), ..Self::default() };
        for (sum, rest) in &sums {
            if let Some((_, path)) = rest.split_once('\t') {
                found.files.insert(path.to_owned(), (*sum).to_owned());
            }
        }
        found.refusal = files(text, id, inventory).and_then(|files| found.settle(&files, reads, inventory)).err();
        found
    }

    /// Reads everything, and proves by trying that the instances may be raised.
    fn settle(&mut self, files: &Files, reads: Option<&str>, inventory: &Inventory) -> Result<(), String> {
        let cleared = conf::clear(files).map_err(|why| why.to_string())?;
        let mut plain = files.clone();
        plain.texts.extend(cleared);
        let config = conf::parse(&plain).map_err(|why| why.to_string())?;
        let (file, address) = (&inventory.keepalived.config, inventory.vip.address);
        let name = match (&inventory.keepalived.instance, config.holding(address)[..].as_ref()) {
            (Some(name), _) => name.clone(),
            (None, [one]) => one.name.clone(),
            (None, []) => return Err(format!("no `vrrp_instance` of {file} names {address}")),
            (None, several) => {
                let names: Vec<_> = several.iter().map(|instance| instance.name.as_str()).collect();
                return Err(format!("several instances name {address}: {}", names.join(", ")));
            }
        };
        self.overrides = conf::overrides(files);
        self.members = config.members(&name).iter().map(|member| member.name.clone()).collect();
        self.group = config.instances.iter().find(|found| found.name == name).and_then(|found| found.group.clone());
        self.name = Some(name);
        self.instances = config.instances;
        if let Some(reads) = reads.filter(|reads| reads != file) {
            return Err(format!("the daemon reads {reads}, not {file}"));
        }
        let wanted = self.members.iter().map(|member| (member.clone(), 254)).collect();
        conf::raise(files, &wanted).map_err(|why| why.to_string()).map(drop)
    }

    /// Why the next reload, whoever asks for it, would end the daemon and leave the address behind: what is on disk is not
    /// what it runs with.
    pub(super) fn deadly(&self, test_status: Option<i32>, interfaces: Option<&str>) -> Option<String> {
        // 5 and 6 stand for warnings.
        if let Some(status) = test_status.filter(|status| ![0, 5, 6].contains(status)) {
            return Some(format!("`keepalived -t` ends with {status}, and a reload would end the daemon"));
        }
        let there: Vec<_> = interfaces?.split_whitespace().collect();
        let wanted = self.instances.iter().filter_map(|instance| Some((instance, instance.interface.as_deref()?)));
        let missing = wanted.into_iter().find(|(_, interface)| !there.contains(interface))?;
        let (instance, interface) = (&missing.0.name, missing.1);
        Some(format!("`vrrp_instance {instance}` is on {interface}, which is not there: a reload would end the daemon"))
    }

    pub(super) fn configured(&self, name: &str, inventory: &Inventory) -> Option<Configured> {
        let found = self.instances.iter().find(|instance| instance.name == name)?;
        Some(Configured {
            priority: found.priority,
            nopreempt: found.nopreempt,
            preempt_delay: Span::millis(found.preempt_delay_millis),
            down_adverts: found.down_adverts,
            virtual_router_id: found.virtual_router_id,
            names_vip: found.holds(inventory.vip.address),
        })
    }
}

/// The files that a node has sent: `file=SUM⇥HEX⇥PATH`, `include=LINE⇥KEYWORD⇥FROM⇥PATTERN⇥MATCHED…`.
pub(crate) fn files(text: &str, id: Option<&str>, inventory: &Inventory) -> Result<Files, String> {
    let main = inventory.keepalived.config.clone();
    let mut texts = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("file=")) {
        let mut parts = line.splitn(3, '\t').skip(1);
        let (Some(hex), Some(path)) = (parts.next(), parts.next()) else { continue };
        let bytes = unhex(hex).ok_or_else(|| format!("{path} cannot be read"))?;
        let content = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8 text"))?;
        texts.insert(path.to_owned(), content);
    }
    if !texts.contains_key(&main) {
        return Err(format!("{main} cannot be read"));
    }
    if let Some(path) = text.lines().find_map(|line| line.strip_prefix("deep=")) {
        return Err(format!("files are included more than ten deep from {path}"));
    }
    let include = |line: &str| {
        let mut parts = line.split('\t').map(str::to_owned);
        let (line, keyword, from, pattern) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Include { from, line: line.parse().ok()?, keyword, pattern, matched: parts.collect() })
    };
    let includes = text.lines().filter_map(|line| line.strip_prefix("include=")).filter_map(include).collect();
    Ok(Files { main, texts, includes, id: id.map(str::to_owned) })
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
