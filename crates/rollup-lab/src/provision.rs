//! Provisioned nodes: the layer between the base image and a running lab, made once per content and cached.
//!
//! Everything that does not need a booted machine happens here, so that starting a lab is mounting and booting. Only
//! the configuration of keepalived is placed when a lab boots: all flavours share one set of provisioned nodes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{
    deploy::Package,
    engine::Engine,
    files::{self, Tree},
    gauss,
    image::{self, Image},
    overlay::{self, Mounted},
    shell,
    topology::{self, Node, Part},
};

const DATABASE: &str = include_str!("../scripts/database.sh");
const STANDBY: &str = include_str!("../scripts/standby.sh");
const GAUSS: &str = include_str!("../scripts/gauss.sh");
const GAUSS_DATABASE: &str = include_str!("../scripts/gauss-database.sh");
const GAUSS_NODE: &str = include_str!("../scripts/gauss-node.sh");
const FINISH: &str = include_str!("../scripts/finish.sh");
const PROLOGUE: &str = include_str!("../scripts/prologue.sh");
/// This file and those with the texts decide what a layer contains, so they are part of its key.
const SOURCES: [&str; 3] = [include_str!("provision.rs"), include_str!("files.rs"), include_str!("deploy.rs")];

/// What distinguishes one set of provisioned nodes from another.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) nodes: &'a [Node],
    pub(crate) engine: Engine,
    pub(crate) version: &'a str,
    pub(crate) package: &'a Path,
}

/// The provisioned nodes from the cache, made when the cache has none of this content.
pub(crate) fn ensure(cache: &Path, base: &Image, wanted: &Wanted<'_>, say: &dyn Fn(&str)) -> Result<Image> {
    let shown = wanted.package.display();
    ensure!(wanted.package.is_file(), "there is no package {shown}; build it with `cargo xtask packages`");
    let archive = fs::read(wanted.package).with_context(|| format!("cannot read {shown}"))?;
    let scripts = [DATABASE, STANDBY, FINISH, PROLOGUE].join("");
    let sources = SOURCES.join("");
    let count = wanted.nodes.len().to_string();
    let mut parts = vec![base.key.as_str(), &scripts, &sources, &count, wanted.version];
    if wanted.engine != Engine::Postgresql {
        parts.extend([wanted.engine.name(), GAUSS, GAUSS_DATABASE, GAUSS_NODE, include_str!("gauss.rs")]);
        parts.extend(gauss::SHIMS.iter().map(|(_, text)| *text));
    }
    let parts = parts.into_iter().map(str::as_bytes);
    let key = image::content_key(parts.chain([archive.as_slice()]));
    // A kind each: the cache keeps the newest images of every kind.
    let kind = if wanted.engine == Engine::Postgresql { "nodes" } else { wanted.engine.name() };
    image::build_once(cache, kind, &key, say, |building| build(building, base, wanted))
}

fn build(building: &Path, base: &Image, wanted: &Wanted<'_>) -> Result<()> {
    let package = Package::open(wanted.package, wanted.version)?;
    let keys = Keys::generate(building, wanted)?;
    let scratch = building.join("scratch");
    let mut mounted = Vec::new();
    for node in wanted.nodes {
        let upper = building.join(&node.name);
        let image = Mounted::new(&[&base.directory], &upper, &scratch.join(&node.name))?;
        place_files(&image.root, node, wanted, &keys, &package)?;
        if wanted.engine != Engine::Postgresql {
            overlay::run_inside(&image.root, GAUSS, &[("APP", &gauss::application(wanted.engine))])?;
        }
        mounted.push((node, image));
    }
    let primary = mounted.iter().find(|(node, _)| node.part == Part::Primary).context("a lab has a primary")?;
    let database = if wanted.engine == Engine::Postgresql { DATABASE } else { GAUSS_DATABASE };
    overlay::run_inside(&primary.1.root, database, &[])?;
    for (node, image) in &mounted {
        let is_standby = node.part != Part::Primary;
        if is_standby {
            copy_database(wanted.engine, &primary.1.root, &image.root)?;
        }
        if wanted.engine != Engine::Postgresql {
            let mode = if is_standby { "standby" } else { "primary" };
            overlay::run_inside(&image.root, GAUSS_NODE, &[("MODE", mode)])?;
        } else if is_standby {
            overlay::run_inside(&image.root, STANDBY, &[])?;
        }
        let (enable, mask) = units(wanted.engine, node, &package);
        overlay::run_inside(&image.root, FINISH, &[("ENABLE", &enable), ("MASK", &mask)])?;
    }
    drop(mounted);
    fs::remove_dir_all(&scratch)?;
    Ok(())
}

/// What starts at boot, and what must not.
fn units(engine: Engine, node: &Node, package: &Package) -> (String, String) {
    let mut enable = vec!["ssh.service", engine.unit()];
    if node.part == Part::Spare {
        return (enable.join(" "), "keepalived.service".to_owned());
    }
    enable.push("keepalived.service");
    enable.extend(package.units().iter().map(String::as_str));
    if node.part == Part::Primary {
        enable.push("config-sync.timer");
    }
    (enable.join(" "), String::new())
}

/// A standby begins as a cold copy of the primary, configuration included: both must be able to play both parts.
fn copy_database(engine: Engine, from: &Path, to: &Path) -> Result<()> {
    let configuration = (engine == Engine::Postgresql).then_some("etc/postgresql");
    for part in configuration.into_iter().chain([engine.data_directory().trim_start_matches('/')]) {
        let target = to.join(part);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut copy = shell::command("rsync", ["--archive", "--delete", "--whole-file"]);
        shell::run(copy.arg(format!("{}/", from.join(part).display())).arg(format!("{}/", target.display())))?;
    }
    Ok(())
}

fn place_files(root: &Path, node: &Node, wanted: &Wanted<'_>, keys: &Keys, package: &Package) -> Result<()> {
    let nodes = wanted.nodes;
    let tree = Tree::open(root)?;
    let plain = |path: &str, mode: u32, text: &str| tree.place(path, "root", "root", mode, text.as_bytes());

    plain("/etc/hostname", 0o644, &format!("{}\n", node.name))?;
    plain("/etc/hosts", 0o644, &files::hosts(nodes))?;

    keys.place(&tree, node, nodes)?;

    for (path, mode, text) in files::sync_files(node, nodes) {
        plain(path, mode, &text)?;
    }

    tree.place(
        "/etc/orders/orders.conf",
        "root",
        "orders",
        0o640,
        files::orders_conf(wanted.engine, node, nodes).as_bytes(),
    )?;
    tree.place("/etc/orders/root.key", "root", "orders", 0o640, random_hex()?.as_bytes())?;
    tree.directory("/etc/orders/shared", "root", "orders", 0o755)?;
    for (name, text) in files::SHARED_FILES {
        tree.place(&format!("/etc/orders/shared/{name}"), "root", "orders", 0o640, text.as_bytes())?;
    }
    for directory in ["/opt/orders/lib", "/opt/orders/worker"] {
        tree.directory(directory, "orders", "orders", 0o755)?;
    }
    package.place(&tree)?;

    if wanted.engine != Engine::Postgresql {
        gauss::place(&tree, wanted.engine, node, nodes)?;
        keys.place_omm(&tree, node)?;
        return if node.part == Part::Primary { place_database_scripts(&tree, package) } else { Ok(()) };
    }
    let pgpass = files::pgpass(nodes);
    tree.place("/var/lib/postgresql/.pgpass", "postgres", "postgres", 0o600, pgpass.as_bytes())?;
    plain("/var/tmp/provision/postgresql.conf", 0o644, files::postgresql_conf())?;
    plain("/var/tmp/provision/pg_hba.conf", 0o644, &files::pg_hba())?;
    if let Some(primary) = nodes.iter().find(|other| other.part == Part::Primary && node.part != Part::Primary) {
        let text = files::standby_auto_conf(node, primary);
        plain("/var/tmp/provision/postgresql.auto.conf", 0o644, &text)?;
    } else {
        place_database_scripts(&tree, package)?;
    }
    Ok(())
}

fn place_database_scripts(tree: &Tree, package: &Package) -> Result<()> {
    let plain = |path: &str, text: &[u8]| tree.place(path, "root", "root", 0o644, text);
    let migrations = package.migrations()?;
    for (number, migration) in migrations.iter().enumerate() {
        plain(&format!("/var/tmp/provision/migrations/{number:04}.sql"), &fs::read(migration)?)?;
    }
    if !migrations.is_empty() {
        plain("/var/tmp/provision/rows.sql", files::rows_sql().as_bytes())?;
    }
    plain("/var/tmp/provision/roles.sql", files::roles_sql().as_bytes())
}

/// 32 random bytes, as the root key file has them.
fn random_hex() -> Result<String> {
    let mut bytes = [0; 32];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The keys of a set of nodes: everybody is known to everybody before the first connection.
struct Keys {
    directory: PathBuf,
    known_hosts: String,
}

impl Keys {
    fn generate(building: &Path, wanted: &Wanted<'_>) -> Result<Self> {
        let directory = building.join("keys");
        fs::create_dir_all(&directory)?;
        let mut keys = Self { directory, known_hosts: String::new() };
        keys.make("operator", "operator of the lab")?;
        for node in wanted.nodes {
            keys.make(&format!("host-{}", node.name), &node.name)?;
            keys.make(&format!("sync-{}", node.name), &format!("config sync of {}", node.name))?;
            if wanted.engine != Engine::Postgresql {
                keys.make(&format!("omm-{}", node.name), &format!("omm on {}", node.name))?;
            }
            keys.known_hosts += &files::known_host(node, &keys.read(&format!("host-{}.pub", node.name))?);
        }
        fs::write(keys.directory.join("known_hosts"), &keys.known_hosts)?;
        Ok(keys)
    }

    fn make(&self, name: &str, comment: &str) -> Result<()> {
        let mut keygen = shell::command("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]);
        shell::run(keygen.arg(self.directory.join(name))).map(drop)
    }

    fn read(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.directory.join(name)).with_context(|| format!("key {name}"))
    }

    fn place(&self, tree: &Tree, node: &Node, nodes: &[Node]) -> Result<()> {
        let root = |path: &str, mode: u32, text: &str| tree.place(path, "root", "root", mode, text.as_bytes());
        root("/etc/ssh/ssh_host_ed25519_key", 0o600, &self.read(&format!("host-{}", node.name))?)?;
        root("/etc/ssh/ssh_host_ed25519_key.pub", 0o644, &self.read(&format!("host-{}.pub", node.name))?)?;

        tree.directory("/home/ops/.ssh", "ops", "ops", 0o700)?;
        let operator = self.read("operator.pub")?;
        tree.place("/home/ops/.ssh/authorized_keys", "ops", "ops", 0o600, operator.as_bytes())?;

        tree.directory("/root/.ssh", "root", "root", 0o700)?;
        let mut others = String::new();
        for other in nodes.iter().filter(|other| other.name != node.name) {
            others += &self.read(&format!("sync-{}.pub", other.name))?;
        }
        root("/root/.ssh/authorized_keys", 0o600, &others)?;
        root("/root/.ssh/known_hosts", 0o600, &self.known_hosts)?;
        root("/root/.ssh/config-sync", 0o600, &self.read(&format!("sync-{}", node.name))?)
    }
}

impl Keys {
    /// The owner of the server comes from every node to every node, as the product's installer leaves it.
    fn place_omm(&self, tree: &Tree, node: &Node) -> Result<()> {
        let nodes = self.known_hosts.lines().filter_map(|line| line.split(',').next());
        let public: Vec<_> = nodes.map(|name| self.read(&format!("omm-{name}.pub"))).collect::<Result<_>>()?;
        for (file, text) in [
            ("id_ed25519", self.read(&format!("omm-{}", node.name))?),
            ("authorized_keys", public.concat()),
            ("known_hosts", self.known_hosts.clone()),
        ] {
            tree.place(&format!("/var/tmp/provision/ssh/{file}"), "root", "root", 0o600, text.as_bytes())?;
        }
        Ok(())
    }
}

/// The nodes of a lab of this size.
pub(crate) fn nodes(count: usize) -> Result<Vec<Node>> {
    ensure!((2..=3).contains(&count), "a lab has 2 or 3 nodes, not {count}");
    Ok(topology::nodes(count))
}
