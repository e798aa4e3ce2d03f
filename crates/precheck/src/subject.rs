//! The machine: architecture, disk, tools, clock, the way to its peers.

use anyhow::{Context, Result};
use rollup_engine::{FindingCx, Probe, Stage, Subject};
use rollup_model::{Finding, Inventory, inventory::Node};
use serde::{Deserialize, Serialize};

/// Facts about a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// `uname -m`.
    pub architecture: String,
    /// Free bytes where packages are staged.
    pub free: u64,
    /// Tools that a run needs and that are missing.
    pub missing_tools: Vec<String>,
    /// The node's clock when it answered, in seconds since 1970.
    pub clock: f64,
    /// Addresses of other nodes that do not answer on their ssh port.
    pub silent_peers: Vec<String>,
    /// The run that holds the node's lock.
    pub lock: Option<String>,
}

/// The machine.
pub struct HostSubject;

/// What the scripts of all crates call beyond a POSIX system, and the packages they come in.
const TOOLS: [&str; 11] =
    ["bash", "flock", "timeout", "runuser", "systemd-run", "sha256sum", "tar", "zstd", "curl", "ss", "rsync"];

/// `$1` number of tools, tools, then addresses of peers as `HOST PORT`.
const PROBE: &str = r#"
count=$1; shift
echo "architecture $(uname -m)"
at=/var/lib/rollup; [ -d "$at" ] || at=/var/lib
echo "free $(df -B1 --output=avail "$at" | tail -n 1 | tr -d ' ')"
for tool in "${@:1:$count}"; do command -v "$tool" >/dev/null 2>&1 || echo "missing $tool"; done
shift "$count"
for peer in "$@"; do
  timeout 3 bash -c 'exec 3<>"/dev/tcp/$1/$2"' probe ${peer% *} ${peer#* } 2>/dev/null || echo "silent ${peer% *}"
done
[ -f /var/lib/rollup/lock/run ] && echo "lock $(cat /var/lib/rollup/lock/run)"
echo "clock $(date +%s.%N)"
"#;

impl Subject for HostSubject {
    type Facts = HostFacts;

    fn name(&self) -> &'static str {
        "host"
    }

    fn probe(&self, inventory: &Inventory, node: &Node) -> Option<Probe> {
        let port = inventory.ssh.port.unwrap_or(22);
        let peers = inventory.nodes.iter().filter(|other| other.name != node.name);
        let mut args = vec![TOOLS.len().to_string()];
        args.extend(TOOLS.map(str::to_owned));
        args.extend(peers.map(|peer| format!("{} {port}", peer.peer_address())));
        Some(Probe { script: PROBE, args })
    }

    fn parse(&self, text: &str, _: &Inventory) -> Result<HostFacts> {
        let mut facts = HostFacts::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line.split_once(' ').with_context(|| format!("expected `KEY VALUE`, found `{line}`"))?;
            let value = value.trim().to_owned();
            match key {
                "architecture" => facts.architecture = value,
                "free" => facts.free = value.parse().with_context(|| format!("expected bytes, found `{value}`"))?,
                "missing" => facts.missing_tools.push(value),
                "silent" => facts.silent_peers.push(value),
                "lock" => facts.lock = Some(value),
                "clock" => facts.clock = value.parse().with_context(|| format!("expected seconds, found `{value}`"))?,
                _ => anyhow::bail!("expected a known key, found `{line}`"),
            }
        }
        anyhow::ensure!(facts.clock > 0.0, "expected a line `clock …`, found none");
        Ok(facts)
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        let hosts = cx.each(self);
        let mut findings = Vec::new();
        for (node, facts) in &hosts {
            findings.extend(always(facts).into_iter().map(|finding| finding.on(node)));
            if cx.stage == Stage::Fresh {
                findings.extend(fresh(facts, cx).into_iter().map(|finding| finding.on(node)));
            }
        }
        // All nodes were asked at once, so their clocks are compared with each other; what the way back takes is noise.
        let clocks = || hosts.iter().map(|(_, facts)| facts.clock);
        let spread = clocks().fold(f64::MIN, f64::max) - clocks().fold(f64::MAX, f64::min);
        if hosts.len() > 1 && cx.stage == Stage::Fresh {
            let found = format!("{spread:.1} s apart");
            findings.push(
                Finding::check("host.clock", "PRE-8", spread < 5.0, "clocks less than 5 s apart", found)
                    .fix("chronyc makestep"),
            );
        }
        findings
    }
}

fn always(facts: &HostFacts) -> Vec<Finding> {
    let missing = facts.missing_tools.join(", ");
    let found = if missing.is_empty() { "all".to_owned() } else { format!("without {missing}") };
    let tools = Finding::check("host.tools", "PRE-8", missing.is_empty(), format!("tools {}", TOOLS.join(", ")), found);
    let silent = facts.silent_peers.join(", ");
    let found = if silent.is_empty() { "they answer".to_owned() } else { format!("no answer from {silent}") };
    let peers = Finding::check("host.peers", "PRE-2", silent.is_empty(), "other nodes answer on their ssh port", found);
    vec![
        tools.fix(format!("apt-get install {}", facts.missing_tools.join(" "))),
        peers.fix(format!("ping {}", facts.silent_peers.first().map_or("PEER", String::as_str))),
    ]
}

fn fresh(facts: &HostFacts, cx: &FindingCx<'_>) -> Vec<Finding> {
    let lock = facts.lock.as_deref().map_or_else(|| "none".to_owned(), |run| format!("run {run} holds it"));
    let mut findings = vec![
        Finding::check("host.lock", "PRE-8", facts.lock.is_none(), "no other run on the node", lock)
            .only_warn()
            .fix(format!("rollup status {}", facts.lock.as_deref().unwrap_or_default())),
    ];
    if let Some(release) = cx.release {
        let mib = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
        // The archive, its unpacked tree, and each file once more beside the one it replaces.
        let needed = release.archive_size + 2 * release.unpacked_size + (64 << 20);
        let expected = format!("{} free for the package in /var/lib/rollup", mib(needed));
        findings.push(
            Finding::check("host.space", "PRE-1", facts.free >= needed, expected, mib(facts.free))
                .fix("df -h /var/lib"),
        );
        let fits = release.architecture == "any" || release.architecture == facts.architecture;
        findings.push(
            Finding::check("package.architecture", "PRE-9", fits, &release.architecture, &facts.architecture)
                .fix("take the package for this architecture"),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory() -> Inventory {
        rollup_model::inventory::load(
            "cluster={name='o'}\nnodes=[{name='a',host='1'},{name='b',host='2'}]\nvip={address='10.0.0.9'}\n\
             database={engine='postgresql',data_dir='/d',unit='p.service',name='o'}\nservice={units=['o.service']}\n",
        )
        .unwrap()
    }

    #[test]
    fn every_missing_thing_is_one_finding_with_its_remedy_pre_8() {
        let text = "architecture x86_64\nfree 1000\nmissing zstd\nmissing curl\nsilent 10.0.0.2\nclock 1700000000.5\n";
        let facts = HostSubject.parse(text, &inventory()).unwrap();
        let errors: Vec<_> = always(&facts).into_iter().map(|finding| (finding.found, finding.fix.unwrap())).collect();
        assert_eq!(errors[0], ("without zstd, curl".to_owned(), "apt-get install zstd curl".to_owned()));
        assert_eq!(errors[1].0, "no answer from 10.0.0.2");
    }

    #[test]
    fn clocks_far_apart_are_an_error_pre_8() {
        let mut facts = rollup_model::Facts::default();
        for (node, clock) in [("a", 1000.0), ("b", 1010.0)] {
            let host = HostFacts { clock, ..HostFacts::default() };
            let value = serde_json::to_value(host).unwrap();
            facts.nodes.insert(node.parse().unwrap(), [("host".to_owned(), value)].into());
        }
        let inventory = inventory();
        let cx = FindingCx { inventory: &inventory, release: None, facts: &facts, stage: Stage::Fresh };
        let clock = HostSubject.findings(&cx).into_iter().find(|finding| finding.id == "host.clock").unwrap();
        assert_eq!(clock.found, "10.0 s apart");
        assert_eq!(clock.severity, rollup_model::Severity::Error);
    }

    #[test]
    fn a_probe_that_broke_off_is_an_error() {
        assert!(HostSubject.parse("architecture x86_64\n", &inventory()).is_err());
    }
}
