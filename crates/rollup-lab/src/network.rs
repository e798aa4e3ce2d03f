//! The lab's network: one namespace per node and one for the operator, joined by a bridge in the operator's.
//!
//! Interfaces are made inside the namespaces, so that nothing of a lab is ever visible in the host's own.

use anyhow::{Context, Result};

use crate::{
    places::LabName,
    shell::{attempt, command, run},
    topology::{Node, OPERATOR, PREFIX},
};

/// Makes the namespaces of a lab. They must not exist.
pub(crate) fn create(lab: &LabName, nodes: &[Node]) -> Result<()> {
    let operator = lab.operator_namespace();
    run(&mut command("ip", ["netns", "add", &operator]))?;
    ip(&operator, "link set lo up")?;
    // An address of its own: a bridge without one takes its ports', and changes it when a port goes.
    ip(&operator, "link add br0 address 02:00:00:78:00:01 type bridge forward_delay 0 stp_state 0")?;
    ip(&operator, &format!("address add {OPERATOR}/{PREFIX} dev br0"))?;
    ip(&operator, "link set br0 up")?;
    for node in nodes {
        let machine = lab.machine(node.letter);
        run(&mut command("ip", ["netns", "add", &machine]))?;
        ip(&machine, "link set lo up")?;
        ip(&operator, &format!("link add {} type veth peer name eth0 netns {machine}", node.name))?;
        ip(&operator, &format!("link set {} master br0 up", node.name))?;
        // A link that keepalived may track; a veth pair, since not every kernel has dummies.
        ip(&machine, "link add track0 type veth peer name track1")?;
        ip(&machine, "link set track0 up")?;
        ip(&machine, "link set track1 up")?;
    }
    Ok(())
}

/// Cuts a node off, as a power cut does: its namespace would go on answering for its addresses otherwise.
pub(crate) fn unplug(lab: &LabName, node: &Node) {
    attempt(&mut command("ip", ["-n", &lab.machine(node.letter), "link", "set", "eth0", "down"]));
}

/// The TAP devices of a node's relay: the one at the node's bridge and the one at the lab's.
pub(crate) fn relay_ports(node: &Node) -> (String, String) {
    (format!("near-{}", node.letter), format!("far-{}", node.letter))
}

/// Moves a node's cable to a bridge of its own, whose only other port is the near end of its relay. Must run in the
/// operator's namespace.
pub(crate) fn part(lab: &LabName, node: &Node) -> Result<()> {
    let operator = lab.operator_namespace();
    let bridge = own_bridge(node);
    let (near, far) = relay_ports(node);
    ip(&operator, &format!("link add {bridge} type bridge forward_delay 0 stp_state 0"))?;
    // The kernel would answer here for the operator's addresses too, past the relay.
    let switch = format!("/proc/sys/net/ipv4/conf/{bridge}/arp_ignore");
    std::fs::write(&switch, "1").with_context(|| format!("cannot write {switch}"))?;
    ip(&operator, &format!("link set {near} master {bridge} up"))?;
    ip(&operator, &format!("link set {bridge} up"))?;
    ip(&operator, &format!("link set {far} master br0 up"))?;
    ip(&operator, &format!("link set {} master {bridge}", node.name))
}

/// Undoes [`part`], whatever is left of it.
pub(crate) fn join(lab: &LabName, node: &Node) {
    let operator = lab.operator_namespace();
    attempt(&mut command("ip", ["-n", &operator, "link", "set", &node.name, "master", "br0"]));
    attempt(&mut command("ip", ["-n", &operator, "link", "delete", &own_bridge(node)]));
}

fn own_bridge(node: &Node) -> String {
    format!("own-{}", node.letter)
}

/// Removes one namespace, and with it the interfaces inside.
pub(crate) fn delete(namespace: &str) {
    attempt(&mut command("ip", ["netns", "delete", namespace]));
}

/// Whether a namespace exists.
pub(crate) fn exists(namespace: &str) -> bool {
    std::path::Path::new("/run/netns").join(namespace).exists()
}

/// The processes that live in a namespace.
pub(crate) fn processes(namespace: &str) -> Vec<i32> {
    let listed = run(&mut command("ip", ["netns", "pids", namespace])).unwrap_or_default();
    listed.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

fn ip(namespace: &str, words: &str) -> Result<()> {
    run(command("ip", ["-n", namespace]).args(words.split(' '))).map(drop)
}
