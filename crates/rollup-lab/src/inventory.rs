//! The `rollup.toml` that a lab writes for its pair: what an operator would have written about these machines.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    places::LabName,
    topology::{HEALTH_URLS, Node, VIP},
};

/// The operator's age identity, which opens what a backup has encrypted.
pub(crate) const AGE_IDENTITY: &str = "identity.txt";

/// The inventory of these nodes, with the operator's files in `directory`; backups are encrypted to `recipient`.
pub(crate) fn text(name: &LabName, nodes: &[Node], directory: &Path, recipient: &str) -> String {
    let file = |file: &str| toml::Value::String(directory.join(file).display().to_string());
    let (identity, known_hosts, age_identity) = (file("operator"), file("known_hosts"), file(AGE_IDENTITY));
    let nodes: String =
        nodes.iter().map(|n| format!("[[nodes]]\nname = \"{}\"\nhost = \"{}\"\n\n", n.name, n.address)).collect();
    let [api, worker] = HEALTH_URLS;
    format!(
        r#"# A lab of real machines. Reachable from the operator's namespace only.

[cluster]
name = "lab-{name}"

[ssh]
user = "ops"                        # may `sudo -n`
identity_file = {identity}
known_hosts = {known_hosts}         # strict: the nodes' keys are in it from the start

{nodes}[vip]
address = "{VIP}"
health_url = "http://{VIP}:8080/health"

[keepalived]
config = "/etc/keepalived/keepalived.conf"
unit = "keepalived.service"

[database]
engine = "postgresql"
os_user = "postgres"
data_dir = "/var/lib/postgresql/15/main"
bin_dir = "/usr/lib/postgresql/15/bin"
unit = "postgresql@15-main.service"
port = 5432
name = "orders"
owner = "orders"                    # what migrations create belongs to it
replication_user = "replicator"     # its password is in ~postgres/.pgpass of every node
switchover = "with-vip"             # the new owner of the VIP also becomes the primary

[service]
units = ["orders-worker.service", "orders-api.service"]     # started in this order, stopped in reverse
ports = [8080, 8081]
health_urls = ["{api}", "{worker}"]
code = ["/opt/orders"]              # start-delay and whatever else no package lists
config = ["/etc/orders"]
root_key = "/etc/orders/root.key"   # differs per node; an installation overwrites it
version_file = "/opt/orders/VERSION"

[sync]
unit = "config-sync.service"
timer = "config-sync.timer"         # enabled on the primary only
paths = ["/etc/orders/shared"]

[backup]
dir = "/var/backups/rollup"
recipients = ["{recipient}"]
identity_file = {age_identity}
copies = ["peer"]                   # either node can be lost

[package]
allow_unsigned = true               # packages built here have no release key
allowed_destinations = ["/opt/orders", "/etc/systemd/system"]

[meter]
read_url = "http://{VIP}:8080/orders/1"
write_url = "http://{VIP}:8080/probe"
interval = "50ms"

[limits]
soak = "3s"                         # long enough for three checks, short enough for a lab
"#
    )
}

/// Makes an age identity that only the operator can read, as `age-keygen` would; its recipient.
pub fn write_identity(path: &Path) -> Result<String> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};

    use age::secrecy::ExposeSecret;

    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(file, "# public key: {recipient}\n{}", identity.to_string().expose_secret())?;
    Ok(recipient)
}

#[cfg(test)]
mod tests {
    use rollup_model::Inventory;

    use super::*;
    use crate::topology::nodes;

    #[test]
    fn the_inventory_is_one_that_the_product_accepts() {
        let name = "demo".parse().unwrap();
        let text = text(&name, &nodes(2), Path::new("/var/lib/with \"quotes\""), "age1recipient");
        let inventory: Inventory = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(inventory.node_names().map(ToString::to_string).collect::<Vec<_>>(), ["node-a", "node-b"]);
        assert_eq!(inventory.ssh.identity_file.as_deref(), Some("/var/lib/with \"quotes\"/operator"));
        assert_eq!(inventory.backup.identity_file.as_deref(), Some("/var/lib/with \"quotes\"/identity.txt"));
        assert_eq!(inventory.backup.recipients, ["age1recipient"]);
        assert!(inventory.package.allow_unsigned && inventory.sync.is_some() && inventory.meter.is_some());
    }
}
