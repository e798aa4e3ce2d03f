//! The `rollup.toml` that a lab writes for its pair: what an operator would have written about these machines.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    engine::Engine,
    places::LabName,
    topology::{HEALTH_URLS, Node, VIP},
};

/// The operator's age identity, which opens what a backup has encrypted.
pub(crate) const AGE_IDENTITY: &str = "identity.txt";

/// The inventory of these nodes, with the operator's files in `directory`; backups are encrypted to `recipient`.
pub(crate) fn text(name: &LabName, engine: Engine, nodes: &[Node], directory: &Path, recipient: &str) -> String {
    let file = |file: &str| toml::Value::String(directory.join(file).display().to_string());
    let (identity, known_hosts, age_identity) = (file("operator"), file("known_hosts"), file(AGE_IDENTITY));
    let nodes: String =
        nodes.iter().map(|n| format!("[[nodes]]\nname = \"{}\"\nhost = \"{}\"\n\n", n.name, n.address)).collect();
    let [api, worker] = HEALTH_URLS;
    let database = database(engine);
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
{database}name = "orders"
owner = "orders"                    # what migrations create belongs to it
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

/// What differs from engine to engine.
fn database(engine: Engine) -> String {
    let (unit, port, data_dir) = (engine.unit(), engine.port(), engine.data_directory());
    let own = match engine {
        Engine::Postgresql => {
            r#"os_user = "postgres"
bin_dir = "/usr/lib/postgresql/15/bin"
replication_user = "replicator"     # its password is in ~postgres/.pgpass of every node
"#
        }
        Engine::Opengauss | Engine::Gaussdb => {
            r#"os_user = "omm"
env_file = "/home/omm/gauss_env"    # read before every tool: GAUSSHOME, PATH, PGHOST …
replication_user = "omm"            # trusted between the nodes
"#
        }
    };
    format!("engine = \"{engine}\"\n{own}data_dir = \"{data_dir}\"\nunit = \"{unit}\"\nport = {port}\n")
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
        let text = text(&name, Engine::Postgresql, &nodes(2), Path::new("/var/lib/with \"quotes\""), "age1recipient");
        let inventory: Inventory = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(inventory.node_names().map(ToString::to_string).collect::<Vec<_>>(), ["node-a", "node-b"]);
        assert_eq!(inventory.ssh.identity_file.as_deref(), Some("/var/lib/with \"quotes\"/operator"));
        assert_eq!(inventory.backup.identity_file.as_deref(), Some("/var/lib/with \"quotes\"/identity.txt"));
        assert_eq!(inventory.backup.recipients, ["age1recipient"]);
        assert!(inventory.package.allow_unsigned && inventory.sync.is_some() && inventory.meter.is_some());
    }

    #[test]
    fn the_inventory_of_every_engine_is_one_that_the_product_can_read() {
        for engine in Engine::ALL {
            let text = text(&"demo".parse().unwrap(), engine, &nodes(2), Path::new("/lab"), "age1recipient");
            let inventory =
                rollup_model::inventory::load(&text).unwrap_or_else(|problems| panic!("{engine}: {problems:?}"));
            let database = inventory.database;
            assert_eq!(database.port, engine.port());
            assert_eq!(database.data_dir, engine.data_directory());
            assert_eq!(database.env_file.is_some(), engine != Engine::Postgresql);
        }
    }
}
