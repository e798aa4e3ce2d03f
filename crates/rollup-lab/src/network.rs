//! The lab's network: one namespace per node and one for the operator, joined by a bridge in the operator's.
//!
//! Interfaces are made inside the namespaces, so that nothing of a lab is ever visible in the host's own.

use anyhow::Result;

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
    ip(&operator, "link add br0 type bridge forward_delay 0 stp_state 0")?;
    ip(&operator, &format!("address add {OPERATOR}/{PREFIX} dev br0"))?;
    ip(&operator, "link set br0 up")?;
    for node in nodes {
        let machine = lab.machine(node.letter);
        run(&mut command("ip", ["netns", "add", &machine]))?;
        ip(&machine, "link set lo up")?;
        ip(&operator, &format!("link add {} type veth peer name eth0 netns {machine}", node.name))?;
        ip(&operator, &format!("link set {} master br0 up", node.name))?;
    }
    Ok(())
}

/// Cuts a node off, as a power cut does: its namespace would go on answering for its addresses otherwise.
pub(crate) fn unplug(lab: &LabName, node: &Node) {
    attempt(&mut command("ip", ["-n", &lab.machine(node.letter), "link", "set", "eth0", "down"]));
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
