//! The machines of a lab and their addresses. Every lab has the same ones: its namespaces keep them apart.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// The address that clients use.
pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 100);
/// A second address, of the flavour that has two.
pub(crate) const SECOND_VIP: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 101);
/// The operator's own address.
pub(crate) const OPERATOR: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
/// The network of the lab.
pub(crate) const NETWORK: &str = "10.78.0.0/24";
/// Prefix length of every address.
pub(crate) const PREFIX: u8 = 24;
/// What the example service listens on: the API and the worker.
pub(crate) const HEALTH_URLS: [&str; 2] = ["http://127.0.0.1:8080/health", "http://127.0.0.1:8081/health"];

/// What a node is at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Holds the VIP and the writable database.
    Primary,
    /// Ready to take both over.
    Standby,
    /// A second standby of the database that takes no part in the pair: no keepalived, no services running.
    Spare,
}

/// One machine of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its host name.
    pub name: String,
    /// What distinguishes its namespace, machine and cgroup.
    pub letter: char,
    /// Its address.
    pub address: Ipv4Addr,
    /// What it is at first.
    pub part: Part,
}

/// The first `count` machines: a pair, or a pair with a spare.
pub(crate) fn nodes(count: usize) -> Vec<Node> {
    let node = |letter: char, last: u8, part| Node {
        name: format!("node-{letter}"),
        letter,
        address: Ipv4Addr::new(10, 78, 0, last),
        part,
    };
    let all = [node('a', 11, Part::Primary), node('b', 12, Part::Standby), node('c', 13, Part::Spare)];
    all.into_iter().take(count).collect()
}

/// The machine that copies to or is copied from this one.
pub(crate) fn peer<'a>(node: &Node, nodes: &'a [Node]) -> Option<&'a Node> {
    nodes.iter().find(|other| other.name != node.name)
}
