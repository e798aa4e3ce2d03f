//! The flavours of keepalived configuration that a lab can have. Data only.

use std::{fmt, str::FromStr};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::topology::{Node, PREFIX, Part, VIP};

/// How the pair's keepalived is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// Multicast; the higher priority takes the VIP back.
    Preempt,
    /// Multicast; who has the VIP keeps it.
    Nopreempt,
    /// Adverts to the peer's address; the higher priority takes the VIP back.
    Unicast,
}

impl Flavour {
    /// All flavours.
    pub const ALL: [Self; 3] = [Self::Preempt, Self::Nopreempt, Self::Unicast];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preempt => "preempt",
            Self::Nopreempt => "nopreempt",
            Self::Unicast => "unicast",
        }
    }

    /// The whole `keepalived.conf` of one node.
    pub(crate) fn keepalived_conf(self, node: &Node, peer: &Node) -> String {
        let (name, address, peer) = (&node.name, node.address, peer.address);
        let priority = match node.part {
            Part::Primary => 110,
            Part::Standby | Part::Spare => 100,
        };
        let special = match self {
            Self::Preempt => String::new(),
            Self::Nopreempt => "    nopreempt\n".to_owned(),
            Self::Unicast => format!("    unicast_src_ip {address}\n    unicast_peer {{\n        {peer}\n    }}\n"),
        };
        format!(
            "global_defs {{
    router_id {name}
}}

vrrp_instance VI_1 {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 1
{special}    authentication {{
        auth_type PASS
        auth_pass orders51
    }}
    virtual_ipaddress {{
        {VIP}/{PREFIX} dev eth0
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

    #[test]
    fn preempt_gives_the_initial_primary_the_higher_priority_and_nothing_else_different() {
        let pair = nodes(2);
        let a = Flavour::Preempt.keepalived_conf(&pair[0], &pair[1]);
        let b = Flavour::Preempt.keepalived_conf(&pair[1], &pair[0]);
        assert!(a.contains("    priority 110\n") && b.contains("    priority 100\n"));
        assert_eq!(a.replace("node-a", "node-b").replace("110", "100"), b);
        assert!(a.contains("        10.78.0.100/24 dev eth0\n"));
    }

    #[test]
    fn nopreempt_is_said_on_both_nodes_with_state_backup() {
        let pair = nodes(2);
        for (node, peer) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let text = Flavour::Nopreempt.keepalived_conf(node, peer);
            assert!(text.contains("    nopreempt\n") && text.contains("    state BACKUP\n"));
        }
    }

    #[test]
    fn unicast_names_the_own_address_and_the_peer() {
        let pair = nodes(2);
        let text = Flavour::Unicast.keepalived_conf(&pair[1], &pair[0]);
        assert!(text.contains("unicast_src_ip 10.78.0.12\n    unicast_peer {\n        10.78.0.11\n    }\n"), "{text}");
    }

    #[test]
    fn an_unknown_flavour_is_answered_with_the_known_ones() {
        let error = "premption".parse::<Flavour>().unwrap_err().to_string();
        assert_eq!(error, "unknown flavour `premption`; there are: preempt, nopreempt, unicast");
    }
}
