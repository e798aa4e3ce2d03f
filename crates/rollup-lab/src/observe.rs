//! What users and kernels saw while somebody changed a pair.
//!
//! Owns the clients and the watch on addresses around a piece of work. Who does the work, and how, is not known here.

use std::{net::Ipv4Addr, path::Path};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

use crate::{AddressChange, Lab, Traffic, TrafficOptions, TrafficReport, VIP};

/// What was seen from outside.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Clients that make a connection per request.
    pub traffic: TrafficReport,
    /// Clients that keep their connections, where there were any.
    pub kept: Option<TrafficReport>,
    /// Every address that came or left, in order.
    pub changes: Vec<AddressChange>,
}

/// Who is asking meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Audience {
    /// Clients that make a connection per request.
    pub traffic: TrafficOptions,
    /// Clients that keep their connections.
    pub kept: Option<TrafficOptions>,
}

impl Lab {
    /// Does some work under traffic; what it returned and what was seen.
    ///
    /// `program` is an executable that understands `lab client` as `xtask` does: usually the running one.
    pub fn observe<T>(
        &self,
        program: &Path,
        audience: &Audience,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Observed)> {
        let traffic = Traffic::start(self, program, &audience.traffic)?;
        let kept = audience.kept.as_ref().map(|options| Traffic::start(self, program, options)).transpose()?;
        let watch = self.watch_addresses()?;
        let done = work()?;
        let changes = watch.stop()?;
        let traffic = traffic.stop()?;
        let kept = kept.map(Traffic::stop).transpose()?;
        Ok((done, Observed { traffic, kept, changes }))
    }
}

impl Observed {
    /// When the VIP came to a node.
    pub fn came(&self, node: &str) -> Option<Timestamp> {
        self.changes.iter().find(|c| c.came && c.node == node && c.address == VIP).map(|change| change.at)
    }

    /// The longest time for which `address` was on no node, having been on one; zero when it was always somewhere.
    pub fn nowhere(&self, address: Ipv4Addr) -> SignedDuration {
        let mut longest = SignedDuration::ZERO;
        // One owner at first, whoever it is.
        let (mut owners, mut left) = (1, None);
        for change in self.changes.iter().filter(|change| change.address == address) {
            owners += if change.came { 1 } else { -1 };
            match (owners, left) {
                (0, _) => left = Some(change.at),
                (_, Some(since)) => {
                    longest = longest.max(change.at.duration_since(since));
                    left = None;
                }
                _ => {}
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gap, SideReport};

    fn observed(changes: &[(&str, &str, bool)]) -> Observed {
        let side = || SideReport { requests: 0, failed: 0, p50_ms: 0.0, p99_ms: 0.0, gaps: Vec::<Gap>::new() };
        let traffic = TrafficReport {
            started: String::new(),
            seconds: 0.0,
            requests: 0,
            failed: 0,
            read_gap_ms: 0,
            write_gap_ms: 0,
            acked_writes: 0,
            lost_writes: None,
            lost_refs: Vec::new(),
            record: None,
            reads: side(),
            writes: side(),
            errors: Vec::new(),
        };
        let change = |(at, node, came): &(&str, &str, bool)| AddressChange {
            at: format!("2026-11-20T10:00:{at}Z").parse().unwrap(),
            node: (*node).to_owned(),
            address: VIP,
            came: *came,
        };
        Observed { traffic, kept: None, changes: changes.iter().map(change).collect() }
    }

    #[test]
    fn an_address_on_both_nodes_for_a_moment_was_never_nowhere() {
        let made_before_broken = observed(&[("03.500", "node-b", true), ("03.502", "node-a", false)]);
        assert_eq!(made_before_broken.nowhere(VIP), SignedDuration::ZERO);
        assert_eq!(made_before_broken.came("node-b").unwrap().to_string(), "2026-11-20T10:00:03.5Z");
        assert_eq!(made_before_broken.came("node-a"), None);
    }

    #[test]
    fn the_longest_absence_counts() {
        let twice = [
            ("01.000", "node-a", false),
            ("01.008", "node-b", true),
            ("05.000", "node-b", false),
            ("05.610", "node-a", true),
        ];
        assert_eq!(observed(&twice).nowhere(VIP), SignedDuration::from_millis(610));
    }
}
