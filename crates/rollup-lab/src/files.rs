//! The text of every file that the lab itself writes into a node, and how files get into an image.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    engine::Engine,
    topology::{NETWORK, Node, Part, VIP, peer},
};

pub(crate) const DATABASE_PASSWORD: &str = "orders-of-the-lab";
pub(crate) const REPLICATION_PASSWORD: &str = "replication-of-the-lab";

/// An image that files can be placed in, with owners by the names that the image knows.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    users: String,
    groups: String,
}

impl Tree {
    /// Reads the names of users and groups from an image.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let read = |file: &str| fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"));
        Ok(Self { root: root.to_owned(), users: read("etc/passwd")?, groups: read("etc/group")? })
    }

    /// Places a file at an absolute path of the image. Parent directories that are missing belong to root.
    pub(crate) fn place(&self, path: &str, owner: &str, group: &str, mode: u32, content: &[u8]) -> Result<()> {
        let target = self.root.join(path.trim_start_matches('/'));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&target, content).with_context(|| format!("cannot write {}", target.display()))?;
        let (owner, group) = (identifier(&self.users, owner)?, identifier(&self.groups, group)?);
        chown(&target, Some(owner), Some(group))?;
        fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    /// Gives a directory of the image an owner and a mode, and makes it when it is missing.
    pub(crate) fn directory(&self, path: &str, owner: &str, group: &str, mode: u32) -> Result<()> {
        let target = self.root.join(path.trim_start_matches('/'));
        fs::create_dir_all(&target)?;
        chown(&target, Some(identifier(&self.users, owner)?), Some(identifier(&self.groups, group)?))?;
        fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        Ok(())
    }
}

/// The number of a name in a file like `/etc/passwd` or `/etc/group`.
fn identifier(table: &str, name: &str) -> Result<u32> {
    let line = table.lines().find(|line| line.split(':').next() == Some(name));
    let number = line.and_then(|line| line.split(':').nth(2)?.parse().ok());
    number.with_context(|| format!("the image has no user or group `{name}`"))
}

pub(crate) fn hosts(nodes: &[Node]) -> String {
    let lines = nodes.iter().map(|node| format!("{} {}\n", node.address, node.name));
    format!("127.0.0.1 localhost\n{}", lines.collect::<String>())
}

/// Access rules that hold on every node, so that any of them can be the primary.
pub(crate) fn pg_hba() -> String {
    format!(
        "local all         postgres                  peer
local all         all                       peer
host  all         orders     127.0.0.1/32   scram-sha-256
host  all         orders     {NETWORK}   scram-sha-256
host  replication replicator {NETWORK}   scram-sha-256
host  all         replicator {NETWORK}   scram-sha-256
"
    )
}

pub(crate) fn postgresql_conf() -> &'static str {
    "listen_addresses = '*'
wal_level = replica
hot_standby = on
max_wal_senders = 10
wal_keep_size = 256MB
wal_log_hints = on
fsync = on
synchronous_commit = on
synchronous_standby_names = ''
shared_buffers = 64MB
max_connections = 100
"
}

pub(crate) fn roles_sql() -> String {
    format!(
        "create role orders login password '{DATABASE_PASSWORD}';
create role replicator login replication password '{REPLICATION_PASSWORD}';
"
    )
}

/// Rows that clients may ask for from the first second on: order 1.
pub(crate) fn rows_sql() -> &'static str {
    "insert into orders (ref, item) values ('first', 'first order of the lab');\n"
}

pub(crate) fn pgpass(nodes: &[Node]) -> String {
    nodes.iter().map(|node| format!("{}:5432:*:replicator:{REPLICATION_PASSWORD}\n", node.address)).collect()
}

/// What `ALTER SYSTEM` would have written on a standby of this primary.
pub(crate) fn standby_auto_conf(node: &Node, primary: &Node) -> String {
    format!("primary_conninfo = 'host={} port=5432 user=replicator application_name={}'\n", primary.address, node.name)
}

pub(crate) fn orders_conf(engine: Engine, node: &Node, nodes: &[Node]) -> String {
    let port = engine.port();
    let pair = nodes.iter().filter(|node| node.part != Part::Spare);
    let hosts: Vec<_> = pair.map(|node| format!("{}:{port}", node.address)).collect();
    format!(
        "node={}
db_hosts={}
db_local=127.0.0.1:{port}
db_name=orders
db_user=orders
db_password={DATABASE_PASSWORD}
api_port=8080
worker_port=8081
key_file=/etc/orders/root.key
",
        node.name,
        hosts.join(",")
    )
}

/// The directory that the config sync keeps alike.
pub(crate) const SHARED_FILES: [(&str, &str); 3] = [
    ("features.conf", "express_checkout=on\ngift_wrap=off\n"),
    ("limits.conf", "max_items=50\nmax_orders_per_minute=600\n"),
    ("regions/eu.conf", "currency=EUR\ntax=19\n"),
];

/// The files of the config sync: path, mode, text.
pub(crate) fn sync_files(node: &Node, nodes: &[Node]) -> Vec<(&'static str, u32, String)> {
    let peer = peer(node, nodes).map(|peer| peer.address.to_string()).unwrap_or_default();
    vec![
        ("/etc/config-sync.conf", 0o644, format!("PEER={peer}\n")),
        (
            "/usr/local/sbin/config-sync",
            0o755,
            "#!/bin/sh
# Copies the shared configuration of this node to its peer, once.
set -eu
. /etc/config-sync.conf
exec rsync --archive --delete \\
    -e 'ssh -i /root/.ssh/config-sync -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=5' \\
    /etc/orders/shared/ \"root@$PEER:/etc/orders/shared/\"
"
            .to_owned(),
        ),
        (
            "/etc/systemd/system/config-sync.service",
            0o644,
            "[Unit]
Description=Copy the shared configuration to the peer
After=network.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/config-sync
"
            .to_owned(),
        ),
        (
            "/etc/systemd/system/config-sync.timer",
            0o644,
            "[Unit]
Description=Copy the shared configuration to the peer every five minutes

[Timer]
OnBootSec=1min
OnUnitActiveSec=5min

[Install]
WantedBy=timers.target
"
            .to_owned(),
        ),
    ]
}

/// A line of `known_hosts` for a node under its name and its address.
pub(crate) fn known_host(node: &Node, public_key: &str) -> String {
    format!("{},{} {}\n", node.name, node.address, public_key.trim())
}

/// The operator's `ssh_config`: strict from the first connection on.
pub(crate) fn ssh_config(nodes: &[Node], directory: &Path) -> String {
    let directory = directory.display();
    let mut text = String::new();
    for node in nodes {
        text += &format!("Host {}\n    HostName {}\n", node.name, node.address);
    }
    text += &format!(
        "Host *
    User ops
    IdentityFile \"{directory}/operator\"
    IdentitiesOnly yes
    UserKnownHostsFile \"{directory}/known_hosts\"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
    ConnectTimeout 5
"
    );
    text
}

/// What the node answers under its own name and under the VIP, for tests of the address itself.
pub(crate) fn probe_arguments() -> Vec<String> {
    std::iter::once(VIP.to_string()).chain(crate::topology::HEALTH_URLS.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::nodes;

    #[test]
    fn owners_are_found_by_whole_names() {
        let table = "root:x:0:0\npostgres:x:100:103:PostgreSQL\n";
        assert_eq!(identifier(table, "postgres").unwrap(), 100);
        assert!(identifier(table, "post").is_err());
    }

    #[test]
    fn the_pair_is_configured_alike_but_for_the_name() {
        let three = nodes(3);
        let [a, b] = [0, 1].map(|number| orders_conf(Engine::Postgresql, &three[number], &three));
        assert_eq!(a.replace("node=node-a", "node=node-b"), b);
        assert!(a.contains("db_hosts=10.78.0.11:5432,10.78.0.12:5432\n"), "{a}");
    }

    #[test]
    fn the_sync_of_each_node_points_at_the_other() {
        let pair = nodes(2);
        assert_eq!(sync_files(&pair[0], &pair)[0].2, "PEER=10.78.0.12\n");
        assert_eq!(sync_files(&pair[1], &pair)[0].2, "PEER=10.78.0.11\n");
    }
}
