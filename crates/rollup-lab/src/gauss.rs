//! What a node needs to play openGauss or GaussDB: the shims, and the files that whoever installs the product writes.
//!
//! Data only. What the shims do, and what they are not, is said in `shims/README.md`.

use anyhow::Result;
use serde_json::json;

use crate::{
    Engine,
    files::Tree,
    topology::{Node, Part, peer},
};

/// The shims: path below `/opt/huawei/install/shim`, and text.
pub(crate) const SHIMS: &[(&str, &str)] = &[
    ("tool", include_str!("../shims/tool")),
    ("compat.sql", include_str!("../shims/compat.sql")),
    ("gaussshim/__init__.py", include_str!("../shims/gaussshim/__init__.py")),
    ("gaussshim/agent.py", include_str!("../shims/gaussshim/agent.py")),
    ("gaussshim/basebackup.py", include_str!("../shims/gaussshim/basebackup.py")),
    ("gaussshim/boot.py", include_str!("../shims/gaussshim/boot.py")),
    ("gaussshim/build.py", include_str!("../shims/gaussshim/build.py")),
    ("gaussshim/cm.py", include_str!("../shims/gaussshim/cm.py")),
    ("gaussshim/conf.py", include_str!("../shims/gaussshim/conf.py")),
    ("gaussshim/ctl.py", include_str!("../shims/gaussshim/ctl.py")),
    ("gaussshim/dump.py", include_str!("../shims/gaussshim/dump.py")),
    ("gaussshim/gsql.py", include_str!("../shims/gaussshim/gsql.py")),
    ("gaussshim/guc.py", include_str!("../shims/gaussshim/guc.py")),
    ("gaussshim/keeper.py", include_str!("../shims/gaussshim/keeper.py")),
    ("gaussshim/main.py", include_str!("../shims/gaussshim/main.py")),
    ("gaussshim/om.py", include_str!("../shims/gaussshim/om.py")),
    ("gaussshim/passed_on.py", include_str!("../shims/gaussshim/passed_on.py")),
    ("gaussshim/place.py", include_str!("../shims/gaussshim/place.py")),
    ("gaussshim/probackup.py", include_str!("../shims/gaussshim/probackup.py")),
    ("gaussshim/query.py", include_str!("../shims/gaussshim/query.py")),
    ("gaussshim/selftest.py", include_str!("../shims/gaussshim/selftest.py")),
    ("gaussshim/server.py", include_str!("../shims/gaussshim/server.py")),
    ("gaussshim/sqltext.py", include_str!("../shims/gaussshim/sqltext.py")),
];

/// Names under which every node has the shim.
const TOOLS: &[&str] = &[
    "gs_ctl",
    "gsql",
    "gs_guc",
    "gs_dump",
    "gs_dumpall",
    "gs_restore",
    "gs_basebackup",
    "gs_probackup",
    "gs_om",
    "pg_controldata",
    "gs_boot",
];
/// And those that come with the cluster manager.
const CM_TOOLS: &[&str] = &["cm_ctl", "cm_agent", "om_monitor"];

/// The number of the instance on a node: 6001, 6002.
fn instance(node: &Node, nodes: &[Node]) -> usize {
    6001 + nodes.iter().position(|other| other.name == node.name).unwrap_or_default()
}

/// The commit that a release was built from: part of the program's directory.
fn build(engine: Engine) -> &'static str {
    if engine == Engine::Gaussdb { "01df718e" } else { "ed7f8e37" }
}

/// The program's own directory below `/opt/huawei/install`, which the link `app` points at.
pub(crate) fn application(engine: Engine) -> String {
    format!("app_{}", build(engine))
}

/// Places everything that the provisioning scripts then install.
pub(crate) fn place(tree: &Tree, engine: Engine, node: &Node, nodes: &[Node]) -> Result<()> {
    let plain = |path: &str, text: &str| tree.place(path, "root", "root", 0o644, text.as_bytes());
    for (path, text) in SHIMS {
        plain(&format!("/var/tmp/provision/shims/{path}"), text)?;
    }
    let cm_tools = if engine == Engine::Gaussdb { CM_TOOLS } else { &[] };
    let tools: Vec<&str> = TOOLS.iter().chain(cm_tools).copied().collect();
    for (file, text) in [
        ("tools", tools.join("\n")),
        ("cluster.json", cluster(engine, nodes)),
        ("product.json", product(engine)),
        ("gauss_env", gauss_env(engine)),
        ("postgresql.conf", postgresql_conf(node, nodes)),
        ("pg_hba.conf", pg_hba(nodes)),
    ] {
        plain(&format!("/var/tmp/provision/{file}"), &text)?;
    }
    plain(&format!("/etc/systemd/system/{}", engine.unit()), unit(engine))
}

/// What `$GAUSSHOME/bin/cluster_static_config` says. The real one is binary.
fn cluster(engine: Engine, nodes: &[Node]) -> String {
    let row = |(id, node): (usize, &Node)| {
        json!({
            "id": id, "name": node.name, "ip": node.address, "port": engine.port(),
            "instance": instance(node, nodes), "datadir": engine.data_directory(),
            "part": if node.part == Part::Primary { "P" } else { "S" },
        })
    };
    json!({ "name": "lab", "nodes": (1..).zip(nodes).map(row).collect::<Vec<_>>() }).to_string()
}

fn product(engine: Engine) -> String {
    let version = if engine == Engine::Gaussdb { "505.2.1.SPC0800" } else { "6.0.0" };
    json!({ "engine": engine.name(), "version": version, "build": build(engine) }).to_string()
}

/// What whoever runs a tool reads first. `PGPORT` is not in it, as the product's installer leaves it out.
fn gauss_env(engine: Engine) -> String {
    let version = if engine == Engine::Gaussdb { "505.2.1.SPC0800" } else { "6.0.0" };
    format!(
        "export GPHOME=/opt/huawei/install/om
export PATH=$GPHOME/script:$PATH
export GAUSSHOME=/opt/huawei/install/app
export PATH=$GAUSSHOME/bin:$PATH
export LD_LIBRARY_PATH=$GAUSSHOME/lib:$LD_LIBRARY_PATH
export GAUSS_VERSION={version}
export PGHOST=/opt/huawei/tmp
export GAUSSLOG=/var/log/omm/omm
export PGDATA={}
export PGDATABASE=postgres
export GAUSS_ENV=2
",
        engine.data_directory()
    )
}

/// The settings of one node. Defaults of the product where they matter: commits wait for the standby, and go on waiting
/// when there is none.
fn postgresql_conf(node: &Node, nodes: &[Node]) -> String {
    let instances: Vec<String> = nodes.iter().map(|other| instance(other, nodes).to_string()).collect();
    let replication = peer(node, nodes).map(|peer| {
        let (local, remote) = (node.address, peer.address);
        format!(
            "replconninfo1 = 'localhost={local} localport=15401 localheartbeatport=15405 localservice=15404 \
             remotehost={remote} remoteport=15401 remoteheartbeatport=15405 remoteservice=15404'\n"
        )
    });
    format!(
        "listen_addresses = '*'
local_bind_address = '{}'
port = 15400
unix_socket_directory = '/opt/huawei/tmp'
max_connections = 100
shared_buffers = 64MB
wal_level = hot_standby
hot_standby = on
max_wal_senders = 4
max_replication_slots = 8
wal_keep_segments = 16
max_standby_streaming_delay = 3s
wal_receiver_timeout = 6s
synchronous_commit = on                 # commits wait …
synchronous_standby_names = '*'         # … for the standby …
most_available_sync = off               # … even when there is none
pgxc_node_name = 'dn_{}'
{}enable_stream_replication = on
password_encryption_type = 0
session_timeout = 10min
lockwait_timeout = 20min
update_lockwait_timeout = 2min
upgrade_mode = 0
enable_dcf = off
",
        node.address,
        instances.join("_"),
        replication.unwrap_or_default()
    )
}

/// The owner is trusted on the nodes themselves, as the product's installer leaves it. The service has a password.
fn pg_hba(nodes: &[Node]) -> String {
    let network = crate::topology::NETWORK;
    let trusted = nodes.iter().map(|node| {
        let address = node.address;
        format!(
            "host  all         omm        {address}/32    trust\nhost  replication omm        {address}/32    trust\n"
        )
    });
    format!(
        "local all         omm                        trust
local replication omm                        trust
host  all         omm        127.0.0.1/32    trust
host  replication omm        127.0.0.1/32    trust
{}host  all         orders     127.0.0.1/32    scram-sha-256
host  all         orders     {network}    scram-sha-256
",
        trusted.collect::<String>()
    )
}

fn unit(engine: Engine) -> &'static str {
    match engine {
        Engine::Gaussdb => {
            "[Unit]
Description=Cluster manager of the lab: keeps the datanode of this node running
After=network.target

[Service]
User=omm
ExecStart=/bin/bash -c 'source /home/omm/gauss_env && exec om_monitor'
Restart=always
RestartSec=1
KillMode=process

[Install]
WantedBy=multi-user.target
"
        }
        Engine::Opengauss | Engine::Postgresql => {
            "[Unit]
Description=Database server of the lab, in the role that it last had
After=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
User=omm
ExecStart=/bin/bash -c 'source /home/omm/gauss_env && exec gs_boot start'
ExecStop=/bin/bash -c 'source /home/omm/gauss_env && exec gs_boot stop'

[Install]
WantedBy=multi-user.target
"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::nodes;

    #[test]
    fn each_node_replicates_with_the_other_and_waits_for_it() {
        let pair = nodes(2);
        let (a, b) = (postgresql_conf(&pair[0], &pair), postgresql_conf(&pair[1], &pair));
        assert!(a.contains("localhost=10.78.0.11 localport=15401 ") && a.contains("remotehost=10.78.0.12 remoteport"));
        let swapped = a.replace("10.78.0.11", "@").replace("10.78.0.12", "10.78.0.11").replace('@', "10.78.0.12");
        assert_eq!(swapped, b);
        assert!(a.contains("synchronous_standby_names = '*'") && a.contains("most_available_sync = off"));
    }

    #[test]
    fn every_file_of_the_shims_is_placed() {
        let placed: Vec<&str> = SHIMS.iter().map(|(path, _)| *path).collect();
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shims/gaussshim");
        for entry in std::fs::read_dir(directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_placed = placed.contains(&format!("gaussshim/{name}").as_str());
            assert!(is_placed || !name.ends_with(".py"), "{name} is not in SHIMS");
        }
    }

    #[test]
    fn the_environment_leaves_the_port_to_be_found() {
        for engine in [Engine::Opengauss, Engine::Gaussdb] {
            assert!(!gauss_env(engine).contains("PGPORT"));
        }
        assert_eq!(application(Engine::Opengauss), "app_ed7f8e37");
    }
}
