//! The subject `host`: what is asked of a machine, and of the operator's own.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rollup_engine::{FindingCx, Probe, Stage, Subject};
use rollup_model::{Check, Finding, Inventory, inventory::Node};
use serde_json::Value;

use crate::{
    clock,
    facts::{self, FileSystem, HostFacts, Place},
    findings, space,
    tools::TOOLS,
};

/// The machine.
pub struct HostSubject {
    /// Directories of the operator's machine that a run writes to.
    pub operator: Vec<PathBuf>,
}

const PROBE: &str = include_str!("probe.sh");

const CHECKS: [Check; 12] = [
    Check::new("host.readable", "PRE-8", "what a node says of itself can be read"),
    Check::new("host.peers", "PRE-2", "the nodes reach each other's ssh and database ports"),
    Check::new("host.tools", "PRE-8", "every tool that a run calls is there, and new enough"),
    Check::new("host.clock", "PRE-8", "the clocks of nodes and operator are less than 5 s apart"),
    Check::new("host.lock", "PRE-8", "no other run holds the node").never_waived(),
    Check::new("host.unfinished", "PRE-8", "no run was left half-way on the node"),
    Check::new("host.space", "PRE-1", "room for package, backup and logs on every file system in question"),
    Check::new("host.inodes", "PRE-1", "room for the files of package, backup and logs"),
    Check::new("host.disk", "PRE-1", "no file system that a run writes to is nearly full"),
    Check::new("host.writable", "PRE-1", "every file system that a run writes to is writable"),
    Check::new("host.filesystems", "PRE-1", "every file system that a run writes to can be measured"),
    Check::new("package.architecture", "PRE-9", "the package is made for the nodes' architecture"),
];

impl Subject for HostSubject {
    type Facts = HostFacts;

    fn name(&self) -> &'static str {
        "host"
    }

    fn probe(&self, inventory: &Inventory, node: &Node) -> Option<Probe> {
        let ports = [inventory.ssh.port.unwrap_or(22), inventory.database.port];
        let peers = inventory.nodes.iter().filter(|other| other.name != node.name);
        let doors: Vec<_> =
            peers.flat_map(|peer| ports.map(|port| format!("{} {port}", peer.peer_address()))).collect();
        let mut args = vec![TOOLS.len().to_string()];
        args.extend(TOOLS.map(|tool| tool.name.to_owned()));
        args.push(doors.len().to_string());
        args.extend(doors);
        args.extend(space::places(inventory));
        Some(Probe { script: PROBE, args })
    }

    fn parse(&self, text: &str, _: &Inventory) -> Result<HostFacts> {
        facts::parse(text)
    }

    fn here(&self, _: &Inventory) -> Option<Value> {
        let places: Vec<_> = self.operator.iter().map(|path| measured(path)).collect();
        serde_json::to_value(places).ok()
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        let hosts = cx.each(self);
        let mut found = Vec::new();
        for (node, facts) in &hosts {
            found.extend(findings::always(facts, cx.inventory).into_iter().map(|finding| finding.on(node)));
        }
        if cx.stage == Stage::Resumed {
            return found;
        }
        for (node, facts) in &hosts {
            found.extend(findings::fresh(facts, cx).into_iter().map(|finding| finding.on(node)));
        }
        found.extend(findings::unfinished(&hosts));
        found.extend(space::findings(cx, &hosts));
        found.extend(clock::findings(cx, &hosts));
        found
    }

    fn checks(&self) -> &'static [Check] {
        &CHECKS
    }
}

/// A place of this machine. What cannot be measured is said so.
fn measured(path: &Path) -> Place {
    let at = path.ancestors().find(|at| at.is_dir()).unwrap_or(Path::new("/"));
    let on = rustix::fs::statvfs(at).ok().map(|fs| FileSystem {
        mount: at.display().to_string(),
        size: fs.f_blocks * fs.f_frsize,
        used: fs.f_blocks.saturating_sub(fs.f_bfree) * fs.f_frsize,
        available: fs.f_bavail * fs.f_frsize,
        inodes: fs.f_files,
        inodes_free: fs.f_favail,
    });
    let writable = rustix::fs::access(at, rustix::fs::Access::WRITE_OK).is_ok();
    Place { path: path.display().to_string(), writable, on }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_s_own_machine_is_measured_where_a_directory_is_or_will_be_pre_1() {
        let dir = std::env::temp_dir();
        let place = measured(&dir.join("not/there/yet"));
        let on = place.on.unwrap();
        assert!(place.writable && on.size > 0 && on.available <= on.size, "{on:?}");
        assert_eq!(on.mount, dir.display().to_string().trim_end_matches('/'));
    }
}
