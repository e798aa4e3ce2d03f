//! What the nodes say about themselves, and whether that is a lab in its initial state.

use serde::{Deserialize, Serialize};

use crate::{
    engine::Engine,
    topology::{HEALTH_URLS, Part},
    vip::Flavour,
};

/// What a lab looks like now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabStatus {
    /// The lab.
    pub name: String,
    /// How its keepalived is configured.
    pub flavour: Flavour,
    /// What its database is, or plays.
    pub engine: Engine,
    /// The namespace from which the nodes can be reached.
    pub operator_namespace: String,
    /// Its machines.
    pub nodes: Vec<NodeStatus>,
    /// What is wrong; empty for a lab that works, whoever is the primary now.
    pub problems: Vec<String>,
}

/// What one machine looks like now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Whether the machine has power.
    pub power: bool,
    /// Whether it answered over ssh.
    pub answers: bool,
    /// Whether it holds the VIP.
    pub vip: bool,
    /// Whether its database is a standby; unknown when the database does not answer.
    pub recovery: Option<bool>,
    /// How many standbys stream from it.
    pub streaming: u32,
    /// What the health URLs answered, in their order; 0 for no answer.
    pub health: Vec<u16>,
    /// Units that failed.
    pub failed_units: Vec<String>,
    /// The installed version of the service.
    pub version: String,
}

impl NodeStatus {
    /// Reads what the probe script printed.
    pub(crate) fn read(&mut self, text: &str) {
        self.answers = true;
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "recovery" => {
                    self.recovery = [("t", true), ("f", false)].iter().find(|(v, _)| *v == value).map(|p| p.1)
                }
                "streaming" => self.streaming = value.parse().unwrap_or(0),
                "vip" => self.vip = value == "1",
                "health" => self.health.push(value.parse().unwrap_or(0)),
                "failed" => self.failed_units = value.split_whitespace().map(str::to_owned).collect(),
                "version" => value.clone_into(&mut self.version),
                _ => {}
            }
        }
    }
}

/// What keeps a set of nodes from being a working lab.
pub(crate) fn problems(nodes: &[(Part, &NodeStatus)]) -> Vec<String> {
    let mut found = Vec::new();
    for (part, node) in nodes {
        let name = &node.name;
        if !node.power {
            found.push(format!("{name} has no power"));
        } else if !node.answers {
            found.push(format!("{name} does not answer over ssh"));
        } else {
            if node.recovery.is_none() {
                found.push(format!("the database of {name} does not answer"));
            }
            if *part != Part::Spare {
                let sick = HEALTH_URLS.iter().zip(&node.health).filter(|(_, status)| **status != 200);
                found.extend(sick.map(|(url, status)| format!("{url} on {name} answers {status}")));
            }
        }
    }
    let answering = || nodes.iter().map(|(_, node)| node).filter(|node| node.answers);
    let holders: Vec<_> = answering().filter(|node| node.vip).map(|node| node.name.as_str()).collect();
    match holders[..] {
        [_] => {}
        [] => found.push("nobody holds the VIP".to_owned()),
        _ => found.push(format!("the VIP is on {}", holders.join(" and "))),
    }
    let primaries: Vec<_> = answering().filter(|node| node.recovery == Some(false)).collect();
    match primaries[..] {
        [primary] if primary.streaming as usize == nodes.len() - 1 => {}
        [primary] => {
            found.push(format!("{} of {} standbys stream from {}", primary.streaming, nodes.len() - 1, primary.name));
        }
        [] => found.push("no database is the primary".to_owned()),
        _ => found.push("more than one database is the primary".to_owned()),
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, text: &str) -> NodeStatus {
        let mut node = NodeStatus { name: name.to_owned(), power: true, ..NodeStatus::default() };
        node.read(text);
        node
    }

    #[test]
    fn a_good_pair_has_no_problems() {
        let a = node("node-a", "recovery=f\nstreaming=1\nvip=1\nhealth=200\nhealth=200\nfailed=\nversion=1.0.0\n");
        let b =
            node("node-b", "recovery=t\nstreaming=0\nvip=0\nhealth=200\nhealth=200\nfailed=x.service \nversion=1\n");
        assert_eq!(b.failed_units, ["x.service"]);
        assert_eq!(problems(&[(Part::Primary, &a), (Part::Standby, &b)]), Vec::<String>::new());
    }

    #[test]
    fn every_lack_is_named() {
        let a = node("node-a", "recovery=f\nstreaming=0\nvip=1\nhealth=503\nhealth=200\n");
        let b = node("node-b", "recovery=\nstreaming=\nvip=1\nhealth=000\nhealth=200\n");
        let found = problems(&[(Part::Primary, &a), (Part::Standby, &b)]);
        assert_eq!(
            found,
            [
                "http://127.0.0.1:8080/health on node-a answers 503",
                "the database of node-b does not answer",
                "http://127.0.0.1:8080/health on node-b answers 0",
                "the VIP is on node-a and node-b",
                "0 of 1 standbys stream from node-a",
            ]
        );
    }
}
