//! When addresses came to the nodes and left them, as their kernels told it.
//!
//! Owns one `ip monitor` per node, outside the machines: whoever changes a node cannot end it.

use std::{
    net::Ipv4Addr,
    process::{Child, Stdio},
};

use anyhow::{Context, Result};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::{Lab, shell};

/// An address that came or left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressChange {
    /// When, to the microsecond.
    pub at: Timestamp,
    /// Where.
    pub node: String,
    /// Which address.
    pub address: Ipv4Addr,
    /// Whether it came.
    pub came: bool,
}

/// A watch on the addresses of all nodes.
#[derive(Debug)]
pub struct AddressWatch {
    monitors: Vec<(String, Child)>,
}

impl Lab {
    /// Watches the addresses of all nodes from now on.
    pub fn watch_addresses(&self) -> Result<AddressWatch> {
        let mut watch = AddressWatch { monitors: Vec::new() };
        for node in self.nodes() {
            let namespace = self.name().machine(node.letter);
            let mut monitor = shell::command("ip", ["-n", &namespace, "-o", "-ts", "-4", "monitor", "address"]);
            monitor.env("TZ", "UTC").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            watch.monitors.push((node.name.clone(), monitor.spawn().context("cannot start `ip monitor`")?));
        }
        Ok(watch)
    }
}

impl AddressWatch {
    /// Ends the watch; every change in its order.
    pub fn stop(mut self) -> Result<Vec<AddressChange>> {
        let mut changes = Vec::new();
        for (node, mut monitor) in self.monitors.drain(..) {
            monitor.kill()?;
            let output = monitor.wait_with_output()?;
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let change = read(line).with_context(|| format!("expected a line of `ip monitor`, found `{line}`"))?;
                changes.extend(change.map(|(at, address, came)| AddressChange {
                    at,
                    node: node.clone(),
                    address,
                    came,
                }));
            }
        }
        changes.sort_by_key(|change| change.at);
        Ok(changes)
    }
}

impl Drop for AddressWatch {
    fn drop(&mut self) {
        for (_, monitor) in &mut self.monitors {
            let _ended_already = monitor.kill();
            let _reaped_already = monitor.wait();
        }
    }
}

/// One line; nothing for addresses of the loopback, which answer nobody outside.
fn read(line: &str) -> Result<Option<(Timestamp, Ipv4Addr, bool)>> {
    let (at, rest) = line.strip_prefix('[').and_then(|rest| rest.split_once("] ")).context("expected a time")?;
    let at: DateTime = at.parse()?;
    let (came, rest) = rest.strip_prefix("Deleted ").map_or((true, rest), |rest| (false, rest));
    let words: Vec<&str> = rest.split_whitespace().collect();
    let [_, interface, "inet", address, ..] = words[..] else { anyhow::bail!("expected an address") };
    if interface == "lo" {
        return Ok(None);
    }
    let address = address.split('/').next().unwrap_or(address).parse()?;
    Ok(Some((at.to_zoned(TimeZone::UTC)?.timestamp(), address, came)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_monitor_are_read_and_the_loopback_does_not_count() {
        let line = "[2026-11-20T16:08:50.132886] 2: eth0    inet 10.78.0.100/24 scope global secondary eth0\\       valid_lft forever preferred_lft forever";
        let (at, address, came) = read(line).unwrap().unwrap();
        assert_eq!((at.to_string().as_str(), came), ("2026-11-20T16:08:50.132886Z", true));
        assert_eq!(address, crate::VIP);
        let gone = read("[2026-11-20T16:08:50.135732] Deleted 2: eth0    inet 10.78.0.100/24 scope global eth0");
        assert!(!gone.unwrap().unwrap().2);
        assert_eq!(
            read("[2026-11-20T16:08:50.135732] Deleted 1: lo    inet 10.78.0.100/32 scope global lo").unwrap(),
            None
        );
        assert!(read("Terminated").is_err());
    }
}
