//! The daemon's account of itself in words: what it writes where JSON was not compiled in, and the only place where it
//! says what it tracks.
//!
//! Sections begin with `------< … >------`; what they are about is indented by one blank, its attributes by three, lists
//! by five. Attributes that a version does not write stay empty.

use std::collections::BTreeMap;

use rollup_model::Span;

use super::{Running, State};

/// What the daemon says of itself.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Account {
    /// Every instance.
    pub(crate) instances: Vec<Running>,
    /// By instance: its sync group.
    pub(crate) groups: BTreeMap<String, String>,
    /// By name.
    pub(crate) files: BTreeMap<String, TrackedFile>,
    /// By name: whether it is up, and the weight it has for each instance that tracks it.
    pub(crate) links: BTreeMap<String, BTreeMap<String, i32>>,
}

/// A tracked file.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct TrackedFile {
    pub(crate) file: String,
    pub(crate) value: i32,
    /// By instance that tracks it.
    pub(crate) weights: BTreeMap<String, i32>,
}

/// One thing of a section: its name, its attributes, and its lists by their headline.
#[derive(Default)]
struct Item<'t> {
    name: &'t str,
    attributes: BTreeMap<&'t str, &'t str>,
    lists: BTreeMap<&'t str, Vec<&'t str>>,
}

impl Item<'_> {
    /// Instances and the weight that each gives to this.
    fn weights(&self, headline: &str) -> BTreeMap<String, i32> {
        let list = self.lists.iter().filter(|(name, _)| name.starts_with(headline)).flat_map(|(_, list)| list);
        let weight = |line: &&&str| {
            let (name, weight) = line.split_once(", weight ")?;
            Some((name.to_owned(), weight.split(' ').next()?.parse().ok()?))
        };
        list.collect::<Vec<_>>().iter().filter_map(weight).collect()
    }
}

/// Reads what the daemon wrote. `None`: there is no instance in it, or one that cannot be read.
pub(crate) fn parse(text: &str) -> Option<Account> {
    let mut account = Account::default();
    for (section, items) in sections(text) {
        for item in &items {
            match section {
                "VRRP Topology" => {
                    account.instances.push(instance(item)?);
                    let group = item.attributes.get("Sync group");
                    account.groups.extend(group.map(|group| (item.name.to_owned(), (*group).to_owned())));
                }
                "VRRP Track files" => {
                    let get = |key| item.attributes.get(key).copied().unwrap_or_default();
                    let value = get("Status").parse().ok()?;
                    let weights = item.weights("Tracking");
                    account
                        .files
                        .insert(item.name.to_owned(), TrackedFile { file: get("File").to_owned(), value, weights });
                }
                "Interfaces" => {
                    account.links.insert(item.name.to_owned(), item.weights("Tracking"));
                }
                _ => {}
            }
        }
    }
    Some(account).filter(|account| !account.instances.is_empty())
}

fn sections(text: &str) -> Vec<(&str, Vec<Item<'_>>)> {
    let mut sections: Vec<(&str, Vec<Item<'_>>)> = Vec::new();
    let mut list = "";
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("------< ").and_then(|rest| rest.split(" >").next()) {
            sections.push((title, Vec::new()));
            continue;
        }
        let Some((_, items)) = sections.last_mut() else { continue };
        let content = line.trim();
        match line.len() - line.trim_start().len() {
            1 => {
                let name = content.split_once(" = ").map_or("", |(_, name)| name);
                items.push(Item { name, ..Item::default() });
                list = "";
            }
            3 => {
                let Some(item) = items.last_mut() else { continue };
                match content.split_once(" = ") {
                    Some((key, value)) => {
                        item.attributes.insert(key, value);
                        // In older versions a list's headline is an attribute with its length.
                        list = key;
                    }
                    None => match content.strip_prefix("Using VRRPv") {
                        Some(version) => {
                            item.attributes.insert("VRRP Version", version);
                        }
                        None => list = content.trim_end_matches(':').trim_end(),
                    },
                }
            }
            5 => {
                if let Some(item) = items.last_mut() {
                    item.lists.entry(list).or_default().push(content);
                }
            }
            _ => {}
        }
    }
    sections
}

fn instance(item: &Item<'_>) -> Option<Running> {
    let get = |key: &str| item.attributes.get(key).copied();
    let number = |key: &str| get(key)?.split(' ').next()?.parse::<u8>().ok();
    let state = match get("State")? {
        "INIT" => State::Init,
        "BACKUP" => State::Backup,
        "MASTER" => State::Master,
        "FAULT" => State::Fault,
        _ => return None,
    };
    let base_priority = number("Priority")?;
    let addresses = item.lists.iter().filter(|(name, _)| name.starts_with("Virtual IP")).flat_map(|(_, list)| list);
    let addresses: Vec<_> = addresses.collect();
    Some(Running {
        instance: item.name.to_owned(),
        state,
        base_priority,
        effective_priority: number("Effective priority").unwrap_or(base_priority),
        master_priority: number("Master priority"),
        addresses_set: addresses.iter().any(|line| line.ends_with(" set")) || state == State::Master,
        nopreempt: get("Preempt") == Some("disabled"),
        preempt_delay: get("Preempt delay").and_then(length).unwrap_or(Span::secs(0)),
        advert_interval: length(get("Advert interval")?)?,
        version: number("VRRP Version").unwrap_or(2),
        virtual_router_id: number("Virtual Router ID"),
        interface: get("Interface").or(get("Listening device")).map(str::to_owned),
        addresses: addresses.iter().filter_map(|text| Some(text.split(['/', ' ']).next()?.to_owned())).collect(),
        adverts_received: None,
        adverts_sent: None,
        errors: 0,
    })
}

/// `1 sec`, `300 milli-sec`, `5 secs`, `0.5 secs`.
fn length(text: &str) -> Option<Span> {
    let (number, unit) = text.split_once(' ')?;
    let number: f64 = number.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
    let factor = if unit.starts_with("milli") { 1.0 } else { 1000.0 };
    Some(Span::millis((number * factor).round() as u64))
}
