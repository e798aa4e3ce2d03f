//! The address that clients use, and what moves it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Span;

/// The address that clients use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vip {
    /// The address alone, without prefix length.
    pub address: IpAddr,
    /// Asked from outside through the VIP; the answer's `node` field, where there is one, must name the owner.
    pub health_url: Option<String>,
}

/// What moves the address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keepalived {
    /// The main configuration file on the nodes.
    pub config: String,
    /// The systemd unit.
    pub unit: String,
    /// The `vrrp_instance` that holds the VIP. Default: the one instance that names the VIP.
    pub instance: Option<String>,
    /// Ways to move the VIP, in the order in which they are considered; the first that is proved to work is taken.
    pub strategies: Vec<VipStrategy>,
    /// Name of the `track_file` that is there for `rollup` alone to write.
    pub track_file: String,
    /// An interface that the instance tracks and that is there for nothing else: taking it down makes the node give the
    /// VIP up.
    pub track_link: Option<String>,
    /// How long the old owner may go on answering requests that it had received when the VIP left. `0s`: not at all.
    pub drain: Span,
}

/// A way to move the VIP (VIP-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VipStrategy {
    /// Write the tracked file of the new owner: its priority rises without a reload.
    TrackFile,
    /// Append an override to the configuration and reload it.
    Priority,
    /// Raise the new owner, then make the old one fail by its tracked file, until the VIP has left it.
    Fault,
    /// Raise the new owner, then take the tracked link of the old one down, until the VIP has left it.
    Link,
    /// Raise the new owner, then stop keepalived on the old one, until the VIP has left it. Only where it is asked for.
    Stop,
}

impl VipStrategy {
    /// The word in the inventory.
    pub fn name(self) -> &'static str {
        match self {
            VipStrategy::TrackFile => "track-file",
            VipStrategy::Priority => "priority",
            VipStrategy::Fault => "fault",
            VipStrategy::Link => "link",
            VipStrategy::Stop => "stop",
        }
    }
}

impl std::fmt::Display for VipStrategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl Default for Keepalived {
    fn default() -> Self {
        Self {
            config: "/etc/keepalived/keepalived.conf".to_owned(),
            unit: "keepalived.service".to_owned(),
            instance: None,
            strategies: vec![VipStrategy::TrackFile, VipStrategy::Priority, VipStrategy::Fault, VipStrategy::Link],
            track_file: "rollup".to_owned(),
            track_link: None,
            drain: Span::secs(0),
        }
    }
}
