//! The flavours of keepalived configuration that a lab can have. Data only.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr, str::FromStr};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::topology::{Node, PREFIX, Part, SECOND_VIP, VIP};

/// Where keepalived begins to read.
pub(crate) const MAIN: &str = "/etc/keepalived/keepalived.conf";
/// Every other place that a flavour may put a file; a change of flavour empties them.
pub(crate) const OTHERS: [&str; 2] = ["/etc/keepalived/conf.d/orders.conf", "/etc/keepalived/prio.conf"];
/// The tracked file of the flavours that have one. Its directory exists when keepalived starts, its value is gone
/// after a boot.
pub(crate) const TRACKED: &str = "/run/rollup.prio";

/// How the pair's keepalived is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// Multicast; the higher priority takes the VIP back.
    Preempt,
    /// Multicast; who has the VIP keeps it.
    Nopreempt,
    /// `Nopreempt` with a tracked file.
    NopreemptTrackFile,
    /// `Preempt` with a tracked file.
    TrackFile,
    /// `Nopreempt` with a tracked link.
    NopreemptLink,
    /// Adverts to the peer's address; the higher priority takes the VIP back.
    Unicast,
    /// The instance in a file of `conf.d`, its priority in a file of its own.
    Include,
    /// Two instances with a VIP each that move together.
    SyncGroup,
    /// VRRPv3 with an advert every 0.3 seconds.
    Vrrp3,
    /// The initial primary owns the VIP: priority 255.
    Owner,
    /// The higher priority takes the VIP back five seconds after it could.
    PreemptDelay,
}

impl Flavour {
    /// All flavours.
    pub const ALL: [Self; 11] = [
        Self::Preempt,
        Self::Nopreempt,
        Self::NopreemptTrackFile,
        Self::TrackFile,
        Self::NopreemptLink,
        Self::Unicast,
        Self::Include,
        Self::SyncGroup,
        Self::Vrrp3,
        Self::Owner,
        Self::PreemptDelay,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preempt => "preempt",
            Self::Nopreempt => "nopreempt",
            Self::NopreemptTrackFile => "nopreempt-track-file",
            Self::TrackFile => "track-file",
            Self::NopreemptLink => "nopreempt-link",
            Self::Unicast => "unicast",
            Self::Include => "include",
            Self::SyncGroup => "sync-group",
            Self::Vrrp3 => "vrrp3",
            Self::Owner => "owner",
            Self::PreemptDelay => "preempt-delay",
        }
    }

    /// Every VIP of this flavour.
    pub fn addresses(self) -> Vec<Ipv4Addr> {
        if self == Self::SyncGroup { vec![VIP, SECOND_VIP] } else { vec![VIP] }
    }

    /// What keepalived of one node reads: absolute path and text.
    pub(crate) fn files(self, node: &Node, peer: &Node) -> BTreeMap<&'static str, String> {
        let head = self.head(node);
        let first = self.instance(node, peer, "VI_1", 51, VIP);
        let [instance, priority] = OTHERS;
        match self {
            Self::Include => BTreeMap::from([
                (MAIN, format!("{head}\ninclude conf.d/*.conf\n")),
                (instance, first),
                (priority, format!("priority {}\n", self.priority(node))),
            ]),
            Self::SyncGroup => {
                let second = self.instance(node, peer, "VI_2", 52, SECOND_VIP);
                let group = "vrrp_sync_group G_1 {\n    group {\n        VI_1\n        VI_2\n    }\n}\n";
                BTreeMap::from([(MAIN, format!("{head}\n{first}\n{second}\n{group}"))])
            }
            _ => BTreeMap::from([(MAIN, format!("{head}\n{first}"))]),
        }
    }

    fn tracks_file(self) -> bool {
        matches!(self, Self::NopreemptTrackFile | Self::TrackFile)
    }

    fn priority(self, node: &Node) -> u8 {
        match node.part {
            Part::Primary if self == Self::Owner => 255,
            Part::Primary => 110,
            Part::Standby | Part::Spare => 100,
        }
    }

    fn head(self, node: &Node) -> String {
        let version = if self == Self::Vrrp3 { "    vrrp_version 3\n" } else { "" };
        let tracker = if self.tracks_file() {
            format!("\ntrack_file rollup {{\n    file {TRACKED}\n    weight 1\n    init_file 0\n}}\n")
        } else {
            String::new()
        };
        format!("global_defs {{\n    router_id {}\n{version}}}\n{tracker}", node.name)
    }

    fn instance(self, node: &Node, peer: &Node, name: &str, vrid: u8, vip: Ipv4Addr) -> String {
        let state = if self == Self::Owner && node.part == Part::Primary { "MASTER" } else { "BACKUP" };
        let advert = if self == Self::Vrrp3 { "0.3" } else { "1" };
        let [_, priority_file] = OTHERS;
        let priority = match self {
            Self::Include => format!("include {priority_file}"),
            _ => format!("priority {}", self.priority(node)),
        };
        let mut special = String::new();
        if matches!(self, Self::Nopreempt | Self::NopreemptTrackFile | Self::NopreemptLink) {
            special += "    nopreempt\n";
        }
        match self {
            Self::PreemptDelay => special += "    preempt_delay 5\n",
            Self::Unicast => {
                let (own, peer) = (node.address, peer.address);
                special += &format!("    unicast_src_ip {own}\n    unicast_peer {{\n        {peer}\n    }}\n");
            }
            Self::NopreemptLink => special += "    track_interface {\n        track0\n    }\n",
            _ if self.tracks_file() => special += "    track_file {\n        rollup\n    }\n",
            _ => {}
        }
        // VRRPv3 knows no passwords.
        if self != Self::Vrrp3 {
            special += "    authentication {\n        auth_type PASS\n        auth_pass orders51\n    }\n";
        }
        format!(
            "vrrp_instance {name} {{
    state {state}
    interface eth0
    virtual_router_id {vrid}
    {priority}
    advert_int {advert}
{special}    virtual_ipaddress {{
        {vip}/{PREFIX} dev eth0
    }}
}}
"
        )
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Flavour {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        let Some(flavour) = Self::ALL.into_iter().find(|flavour| flavour.name() == text) else {
            bail!("unknown flavour `{text}`; there are: {}", Self::ALL.map(Self::name).join(", "));
        };
        Ok(flavour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::nodes;

    fn texts(flavour: Flavour) -> [BTreeMap<&'static str, String>; 2] {
        let pair = nodes(2);
        [flavour.files(&pair[0], &pair[1]), flavour.files(&pair[1], &pair[0])]
    }

    #[test]
    fn preempt_gives_the_initial_primary_the_higher_priority_and_nothing_else_different() {
        let [a, b] = texts(Flavour::Preempt).map(|files| files[MAIN].clone());
        assert!(a.contains("    priority 110\n") && b.contains("    priority 100\n"));
        assert_eq!(a.replace("node-a", "node-b").replace("110", "100"), b);
        assert!(a.contains("        10.78.0.100/24 dev eth0\n"));
    }

    #[test]
    fn nopreempt_is_said_on_both_nodes_with_state_backup() {
        for flavour in [Flavour::Nopreempt, Flavour::NopreemptTrackFile, Flavour::NopreemptLink] {
            for files in texts(flavour) {
                assert!(files[MAIN].contains("    nopreempt\n") && files[MAIN].contains("    state BACKUP\n"));
            }
        }
    }

    #[test]
    fn unicast_names_the_own_address_and_the_peer() {
        let [_, b] = texts(Flavour::Unicast);
        let wanted = "unicast_src_ip 10.78.0.12\n    unicast_peer {\n        10.78.0.11\n    }\n";
        assert!(b[MAIN].contains(wanted), "{b:?}");
    }

    #[test]
    fn a_tracked_file_is_defined_once_and_used_by_the_instance() {
        let [a, _] = texts(Flavour::TrackFile);
        assert!(a[MAIN].contains("track_file rollup {\n    file /run/rollup.prio\n    weight 1\n    init_file 0\n}\n"));
        assert!(a[MAIN].contains("    track_file {\n        rollup\n    }\n"), "{a:?}");
    }

    #[test]
    fn include_keeps_the_instance_and_its_priority_in_files_of_their_own() {
        let [a, b] = texts(Flavour::Include);
        assert_eq!(a.len(), 3);
        assert!(!a[MAIN].contains("vrrp_instance") && a[MAIN].ends_with("include conf.d/*.conf\n"));
        assert!(a[OTHERS[0]].contains("    include /etc/keepalived/prio.conf\n"));
        assert_eq!((a[OTHERS[1]].as_str(), b[OTHERS[1]].as_str()), ("priority 110\n", "priority 100\n"));
    }

    #[test]
    fn a_sync_group_has_two_instances_with_a_vip_each() {
        let [a, _] = texts(Flavour::SyncGroup);
        for part in ["virtual_router_id 51", "virtual_router_id 52", "10.78.0.101/24", "        VI_1\n        VI_2\n"] {
            assert!(a[MAIN].contains(part), "{part}: {a:?}");
        }
        assert_eq!(Flavour::SyncGroup.addresses().len(), 2);
    }

    #[test]
    fn only_the_initial_primary_owns_the_address() {
        let [a, b] = texts(Flavour::Owner).map(|files| files[MAIN].clone());
        assert!(a.contains("    state MASTER\n") && a.contains("    priority 255\n"));
        assert!(b.contains("    state BACKUP\n") && b.contains("    priority 100\n"));
    }

    #[test]
    fn version_3_has_no_password() {
        let [a, _] = texts(Flavour::Vrrp3);
        assert!(a[MAIN].contains("    vrrp_version 3\n") && a[MAIN].contains("    advert_int 0.3\n"));
        assert!(!a[MAIN].contains("authentication"));
    }

    #[test]
    fn an_unknown_flavour_is_answered_with_the_known_ones() {
        let error = "premption".parse::<Flavour>().unwrap_err().to_string();
        assert!(error.starts_with("unknown flavour `premption`; there are: preempt, nopreempt, "), "{error}");
        assert!(Flavour::ALL.iter().all(|flavour| flavour.name().parse::<Flavour>().unwrap() == *flavour));
    }
}
