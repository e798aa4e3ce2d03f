//! The daemon's own account of itself: its JSON dump, and the one in words ([`text`]).
//!
//! Owns the two forms of the JSON text (a list up to keepalived 2.2.7, an object after). Counters and states that a version
//! does not write stay empty; a text in neither form is no dump at all.

pub(crate) mod text;

use rollup_model::Span;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// State of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not started yet.
    Init,
    /// Listens to the owner.
    Backup,
    /// Owns the address.
    Master,
    /// A tracked check or its interface failed: never an owner.
    Fault,
    /// Being taken down.
    Stopping,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            State::Init => "INIT",
            State::Backup => "BACKUP",
            State::Master => "MASTER",
            State::Fault => "FAULT",
            State::Stopping => "STOPPING",
        })
    }
}

/// What a running daemon says of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Its name.
    pub instance: String,
    /// Its state.
    pub state: State,
    /// The priority it was configured with.
    pub base_priority: u8,
    /// The priority it has after tracked checks were added and subtracted.
    pub effective_priority: u8,
    /// The priority of the owner it last heard of. Stale on the owner itself, 0 right after a reload.
    pub master_priority: Option<u8>,
    /// Whether it says that the addresses are in place.
    pub addresses_set: bool,
    /// Does not take over from a living owner, whatever the priorities.
    pub nopreempt: bool,
    /// How long it waits before it takes over.
    pub preempt_delay: Span,
    /// Time from one advert to the next.
    pub advert_interval: Span,
    /// VRRP version.
    pub version: u8,
    /// `virtual_router_id`.
    pub virtual_router_id: Option<u8>,
    /// Its interface.
    pub interface: Option<String>,
    /// Its addresses, without prefix length.
    pub addresses: Vec<String>,
    /// Adverts heard since the daemon started.
    pub adverts_received: Option<u64>,
    /// Adverts sent since the daemon started.
    pub adverts_sent: Option<u64>,
    /// Adverts heard and refused since the daemon started: another password, other addresses, another interval.
    pub errors: u64,
}

/// Counters of adverts that were heard and refused.
const ERRORS: [&str; 8] = [
    "packet_len_err",
    "advert_interval_err",
    "ip_ttl_err",
    "invalid_type_rcvd",
    "addr_list_err",
    "invalid_authtype",
    "authtype_mismatch",
    "auth_failure",
];

/// Reads a dump. `None`: the text is in no known form.
pub(crate) fn parse(text: &str) -> Option<Vec<Running>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let instances = match &value {
        Value::Array(instances) => instances,
        Value::Object(all) => all.get("vrrp")?.as_array()?,
        _ => return None,
    };
    instances.iter().map(instance).collect()
}

fn instance(value: &Value) -> Option<Running> {
    let (data, stats) = (value.get("data")?, value.get("stats"));
    let byte = |key: &str| data.get(key).and_then(Value::as_u64).and_then(|number| u8::try_from(number).ok());
    let yes = |key: &str| match data.get(key) {
        Some(Value::Bool(yes)) => *yes,
        other => other.and_then(Value::as_u64).is_some_and(|number| number != 0),
    };
    let span = |key: &str| {
        let seconds = data.get(key)?.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
        Some(Span::millis((seconds * 1000.0).round() as u64))
    };
    let count = |key: &str| stats?.get(key)?.as_u64();
    let addresses = data.get("vips").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let state = match data.get("state")?.as_u64()? {
        0 => State::Init,
        1 => State::Backup,
        2 => State::Master,
        3 => State::Fault,
        97 | 98 => State::Stopping,
        _ => return None,
    };
    Some(Running {
        instance: data.get("iname")?.as_str()?.to_owned(),
        state,
        base_priority: byte("base_priority")?,
        effective_priority: byte("effective_priority")?,
        master_priority: byte("master_priority"),
        addresses_set: yes("vipset"),
        nopreempt: yes("nopreempt"),
        preempt_delay: span("preempt_delay").unwrap_or(Span::secs(0)),
        advert_interval: span("adver_int")?,
        version: byte("version").unwrap_or(2),
        virtual_router_id: byte("vrid"),
        interface: data.get("ifp_ifname").and_then(Value::as_str).map(str::to_owned),
        addresses: addresses.filter_map(|text| Some(text.split(['/', ' ']).next()?.to_owned())).collect(),
        adverts_received: count("advert_rcvd"),
        adverts_sent: count("advert_sent"),
        errors: ERRORS.iter().filter_map(|key| count(key)).sum(),
    })
}
