//! Gives a lab another flavour of keepalived without booting it again.
//!
//! Owns where the flavour's files are placed and what the lab remembers of it. What is in the files belongs to `vip`.

use std::{fs, net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    Flavour, Lab, Node,
    files::Tree,
    shell,
    topology::{Part, peer},
    vip, wait,
};

/// The longest a VIP may take to come back: three adverts, their skew, and a slow machine.
const ELECTION: Duration = Duration::from_secs(20);

/// A tracked file that is not there counts as one with nothing in it.
const PORTRAIT: &str = "
find /etc/keepalived -type f -printf '%p %m %u:%g ' -exec sha256sum {} \\; | sort
echo \"tracked $(cat /run/rollup.prio 2> /dev/null || echo 0)\"
echo \"link $(ip -o link show track0 | grep -c 'state UP')\"
";

/// Places a flavour's files in the image or on the disk of a node, and removes those of other flavours.
pub(crate) fn place(root: &Path, flavour: Flavour, node: &Node, nodes: &[Node]) -> Result<()> {
    let Some(peer) = peer(node, nodes).filter(|_| node.part != Part::Spare) else { return Ok(()) };
    let files = flavour.files(node, peer);
    for path in vip::OTHERS.into_iter().filter(|path| !files.contains_key(path)) {
        match fs::remove_file(root.join(path.trim_start_matches('/'))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let tree = Tree::open(root)?;
    files.iter().try_for_each(|(path, text)| tree.place(path, "root", "root", 0o644, text.as_bytes()))
}

/// Remembers a flavour in the directory of a lab.
pub(crate) fn remember(directory: &Path, flavour: Flavour) -> Result<()> {
    fs::write(directory.join("flavour"), flavour.name()).context("cannot write the lab's flavour")
}

impl Lab {
    /// How keepalived of the pair is configured now.
    pub fn flavour(&self) -> Result<Flavour> {
        fs::read_to_string(self.directory().join("flavour")).context("cannot read the lab's flavour")?.parse()
    }

    /// Configures keepalived of the pair anew and waits until the initial primary has every VIP.
    ///
    /// A few seconds during which the pair has no VIP. [`Lab::reset`] brings the flavour of [`Lab::up`] back.
    pub fn set_flavour(&self, flavour: Flavour) -> Result<()> {
        let pair: Vec<&Node> = self.nodes().iter().filter(|node| node.part != Part::Spare).collect();
        self.for_each_node(|node| {
            let stop = format!("systemctl stop keepalived.service && rm -f {}", vip::TRACKED);
            if node.part != Part::Spare {
                self.root_script(&node.name, &stop)?;
            }
            place(&self.disk_path(&node.name, "/"), flavour, node, self.nodes())
        })?;
        remember(self.directory(), flavour)?;
        // The initial primary first: where nothing preempts, who comes first keeps the address.
        for node in &pair {
            let start = "systemctl reset-failed keepalived.service; systemctl start keepalived.service";
            self.root_script(&node.name, start)?;
        }
        let primary = self.nodes().iter().find(|node| node.part == Part::Primary).context("a lab has a primary")?;
        let mut addresses = flavour.addresses().into_iter();
        addresses.try_for_each(|address| self.wait_for_owner(address, &primary.name).context(flavour))
    }

    /// Everything of the pair's keepalived that a change of owner must leave as it found it: each file with its checksum,
    /// mode and owner, the value of the tracked file, the state of the tracked link.
    pub fn keepalived_portrait(&self) -> Result<String> {
        let mut portrait = String::new();
        for node in self.nodes().iter().filter(|node| node.part != Part::Spare) {
            portrait += &format!("{}\n{}", node.name, self.root_script(&node.name, PORTRAIT)?);
        }
        Ok(portrait)
    }

    /// Waits until one node, and no other, has an address.
    pub fn wait_for_owner(&self, address: Ipv4Addr, node: &str) -> Result<()> {
        let owns = || self.holders(address) == [node];
        ensure!(wait::until(ELECTION, Duration::from_millis(20), owns), "{address} does not come to {node}");
        Ok(())
    }

    /// The nodes that have an address, as their kernels say.
    pub fn holders(&self, address: Ipv4Addr) -> Vec<&str> {
        let has = |node: &&Node| {
            let mut show =
                shell::command("ip", ["-n", &self.name().machine(node.letter), "-o", "-4", "address", "show"]);
            shell::run(&mut show).is_ok_and(|text| text.contains(&format!(" {address}/")))
        };
        self.nodes().iter().filter(has).map(|node| node.name.as_str()).collect()
    }
}
