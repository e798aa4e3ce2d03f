//! One lab: from `up` to `down`, and what can be asked of it in between.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    Engine, LabName, LabStatus, Node, NodeStatus, Places, files, host, image, inventory, machine, network, overlay,
    places::Lock,
    provision::{self, Wanted},
    reconfigure, shell, status,
    topology::Part,
    vip::Flavour,
    wait,
};

/// Set in every process of an operator's namespace to the name of the lab.
pub const INSIDE_VARIABLE: &str = "ROLLUP_LAB";

const PROBE: &str = include_str!("../scripts/probe.sh");
const READY_LIMIT: Duration = Duration::from_secs(60);

/// What kind of lab is wanted.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Its name on this host.
    pub name: LabName,
    /// 2, or 3 for a spare standby of the database.
    pub nodes: usize,
    /// How keepalived is configured.
    pub flavour: Flavour,
    /// What the database is, or plays.
    pub engine: Engine,
    /// The version of the service that the nodes run at first.
    pub version: String,
    /// The package of that version.
    pub package: PathBuf,
    /// Where labs and images live.
    pub places: Places,
}

/// A lab that is up, or was.
#[derive(Debug, Clone)]
pub struct Lab {
    directory: PathBuf,
    record: LabRecord,
}

/// What a lab remembers about itself, in `lab.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LabRecord {
    name: LabName,
    nodes: Vec<Node>,
    flavour: Flavour,
    #[serde(default)]
    engine: Engine,
    version: String,
    base: PathBuf,
    provisioned: PathBuf,
}

/// Builds the image that all nodes share, unless it is there; takes a minute and no lab.
pub fn prepare_image(places: &Places, say: &dyn Fn(&str)) -> Result<()> {
    image::ensure_base(&places.cache, say).map(drop)
}

impl Lab {
    /// Boots a new lab and waits until it works. What an older one of the same name left behind is removed first.
    pub fn up(options: &LabOptions, say: &dyn Fn(&str)) -> Result<Self> {
        ensure_outside()?;
        host::prepare_host(say)?;
        let nodes = provision::nodes(options.nodes)?;
        let base = image::ensure_base(&options.places.cache, say)?;
        let LabOptions { flavour, engine, version, package, .. } = options;
        ensure!(
            *engine == Engine::Postgresql || nodes.len() == 2,
            "a lab that plays {engine} is a pair, expected 2 nodes, found {}",
            nodes.len()
        );
        let wanted = Wanted { nodes: &nodes, engine: *engine, version, package };
        let provisioned = provision::ensure(&options.places.cache, &base, &wanted, say)?;
        let record = LabRecord {
            name: options.name.clone(),
            nodes,
            flavour: *flavour,
            engine: *engine,
            version: version.clone(),
            base: base.directory,
            provisioned: provisioned.directory,
        };
        let lab = Self { directory: options.places.lab(&options.name), record };
        let _lock = Lock::take(&options.places.state)?;
        remove_traces(&lab.record.name, &lab.directory)?;
        lab.write_files()?;
        network::create(&lab.record.name, lab.nodes())?;
        say("booting");
        lab.boot()?;
        lab.settle()?;
        Ok(lab)
    }

    /// Opens a lab that is there, whatever its state.
    pub fn open(places: &Places, name: &LabName) -> Result<Self> {
        let directory = places.lab(name);
        let text = fs::read_to_string(directory.join("lab.json"))
            .with_context(|| format!("there is no lab `{name}`; make one with `cargo xtask lab up --name {name}`"))?;
        Ok(Self { directory, record: serde_json::from_str(&text)? })
    }

    /// Cuts the power of every node and removes all traces. No lab of this name is fine, too.
    pub fn down(places: &Places, name: &LabName) -> Result<()> {
        ensure_outside()?;
        let _lock = Lock::take(&places.state)?;
        remove_traces(name, &places.lab(name))
    }

    /// Returns a lab to the state that `up` left, without the costs of `up`.
    pub fn reset(&self) -> Result<()> {
        ensure_outside()?;
        self.for_each_node(|node| {
            machine::power_off(&self.record.name, node)?;
            let directory = self.directory.join(&node.name);
            overlay::unmount_below(&directory);
            fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))
        })?;
        self.boot()?;
        self.settle()
    }

    /// Cuts the power of a node. Its disk stays as it is.
    pub fn kill(&self, node: &str) -> Result<()> {
        machine::power_off(&self.record.name, self.node(node)?)
    }

    /// Gives a node power again after [`Lab::kill`], without waiting for anything.
    pub fn power_on(&self, node: &str) -> Result<()> {
        ensure_outside()?;
        let node = self.node(node)?;
        ensure!(!machine::is_on(&self.record.name, node), "{} has power", node.name);
        self.boot_node(node)
    }

    /// Cuts the power of a node, gives it back, and waits until the node answers over ssh.
    pub fn reboot(&self, node: &str) -> Result<()> {
        self.kill(node)?;
        self.power_on(node)?;
        let answers = || self.ssh(node, ["true"]).is_ok_and(|output| output.status.success());
        if !wait::until(READY_LIMIT, Duration::from_millis(100), answers) {
            bail!("{node} does not answer over ssh after a reboot\n{}", self.last_words(node));
        }
        Ok(())
    }

    /// The machines, in their order.
    pub fn nodes(&self) -> &[Node] {
        &self.record.nodes
    }

    /// The name.
    pub fn name(&self) -> &LabName {
        &self.record.name
    }

    /// What the database is, or plays.
    pub fn engine(&self) -> Engine {
        self.record.engine
    }

    /// The directory of the lab: keys, `ssh_config`, inventory, disks.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The `rollup.toml` of the pair.
    pub fn inventory_path(&self) -> PathBuf {
        self.directory.join("rollup.toml")
    }

    /// The operator's age identity, which opens what a backup has encrypted.
    pub fn identity_path(&self) -> PathBuf {
        self.directory.join(inventory::AGE_IDENTITY)
    }

    /// The operator's `ssh_config`, which knows the nodes by name.
    pub fn ssh_config_path(&self) -> PathBuf {
        self.directory.join("ssh_config")
    }

    /// A file of a node's disk as the host sees it.
    pub fn disk_path(&self, node: &str, path: &str) -> PathBuf {
        self.directory.join(node).join("root").join(path.trim_start_matches('/'))
    }

    /// A command that will run at the operator's place: in the namespace from which the nodes can be reached.
    pub fn operator_command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let name = self.record.name.to_string();
        let mut command = if std::env::var_os(INSIDE_VARIABLE).is_some_and(|inside| *inside == *name) {
            Command::new(program)
        } else {
            let mut wrapped = shell::command("ip", ["netns", "exec", &self.record.name.operator_namespace()]);
            wrapped.arg(program);
            wrapped
        };
        command.env(INSIDE_VARIABLE, name);
        command.env("ROLLUP_INVENTORY", self.inventory_path());
        command
    }

    /// An ssh command to a node as the login user. The words are joined by ssh and read by the remote shell.
    pub fn ssh_command<S: AsRef<std::ffi::OsStr>>(
        &self,
        node: &str,
        words: impl IntoIterator<Item = S>,
    ) -> Result<Command> {
        let node = self.node(node)?;
        let mut command = self.operator_command("ssh");
        command.arg("-F").arg(self.ssh_config_path()).arg(&node.name).arg("--").args(words);
        Ok(command)
    }

    /// Runs words on a node as the login user, to their end.
    pub fn ssh<S: AsRef<std::ffi::OsStr>>(&self, node: &str, words: impl IntoIterator<Item = S>) -> Result<Output> {
        shell::output(&mut self.ssh_command(node, words)?, None)
    }

    /// Runs a script on a node as root, to its end; what it printed when it succeeded.
    pub fn root_script(&self, node: &str, script: &str) -> Result<String> {
        shell::feed(&mut self.ssh_command(node, ["sudo", "-n", "sh", "-s"])?, script)
    }

    /// Asks every node what it is and how it feels.
    pub fn status(&self) -> LabStatus {
        let nodes: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = self.nodes().iter().map(|node| scope.spawn(|| self.node_status(node))).collect();
            asked.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
        });
        let parts: Vec<_> = self.nodes().iter().map(|node| node.part).zip(&nodes).collect();
        let problems = status::problems(&parts);
        LabStatus {
            name: self.record.name.to_string(),
            flavour: self.flavour().unwrap_or(self.record.flavour),
            engine: self.record.engine,
            operator_namespace: self.record.name.operator_namespace(),
            nodes,
            problems,
        }
    }

    /// Waits until nothing is wrong, whoever is the primary.
    pub fn wait_ready(&self) -> Result<LabStatus> {
        let mut last = self.status();
        let ready = wait::until(READY_LIMIT, Duration::from_millis(150), || {
            last = self.status();
            last.problems.is_empty()
        });
        if ready {
            return Ok(last);
        }
        let mut message = format!("the lab is not ready after {} s:", READY_LIMIT.as_secs());
        for problem in &last.problems {
            message += &format!("\n  {problem}");
        }
        for node in self.nodes() {
            message += &format!("\n{}", self.last_words(&node.name));
        }
        bail!(message)
    }

    /// Waits until the lab works and the initial primary has the VIP, as every test may assume.
    fn settle(&self) -> Result<()> {
        let status = self.wait_ready()?;
        let primary = self.nodes().iter().find(|node| node.part == Part::Primary).context("a lab has a primary")?;
        if status.nodes.iter().any(|node| node.vip && node.name == primary.name) {
            return Ok(());
        }
        // The other node was faster. Where nothing preempts, its VRRP must let go once.
        for holder in status.nodes.iter().filter(|node| node.vip && node.name != primary.name) {
            self.root_script(&holder.name, "systemctl restart keepalived.service")?;
        }
        let moved = || {
            let status = self.status();
            status.problems.is_empty() && status.nodes.iter().any(|node| node.vip && node.name == primary.name)
        };
        ensure!(
            wait::until(READY_LIMIT, Duration::from_millis(150), moved),
            "the VIP does not come to {}",
            primary.name
        );
        Ok(())
    }

    pub(crate) fn node(&self, name: &str) -> Result<&Node> {
        let names = || self.nodes().iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = self.nodes().iter().find(|node| node.name == name);
        found.with_context(|| format!("lab `{}` has no node `{name}`; it has {}", self.record.name, names()))
    }

    fn node_status(&self, node: &Node) -> NodeStatus {
        let mut status = NodeStatus {
            name: node.name.clone(),
            address: node.address.to_string(),
            power: machine::is_on(&self.record.name, node),
            ..NodeStatus::default()
        };
        if status.power {
            let words = ["sudo", "-n", "sh", "-s", "--"].map(str::to_owned).into_iter().chain(files::probe_arguments());
            let asked = self.ssh_command(&node.name, words).and_then(|mut command| shell::feed(&mut command, PROBE));
            if let Ok(text) = asked {
                status.read(&text);
            }
        }
        status
    }

    /// The end of a node's journal and of what its machine printed, read from the disk: ssh may be what is broken.
    fn last_words(&self, node: &str) -> String {
        let journal = self.disk_path(node, "/var/log/journal");
        let mut read = shell::command("journalctl", ["--no-pager", "--quiet", "--lines=30", "--directory"]);
        let journal = shell::run(read.arg(journal)).unwrap_or_else(|error| error.to_string());
        let console = fs::read_to_string(self.directory.join(format!("{node}.console"))).unwrap_or_default();
        format!("--- journal of {node}\n{}\n--- console of {node}\n{}", journal, shell::last_lines(&console, 10))
    }

    fn boot(&self) -> Result<()> {
        reconfigure::remember(&self.directory, self.record.flavour)?;
        self.for_each_node(|node| self.boot_node(node))
    }

    fn boot_node(&self, node: &Node) -> Result<()> {
        let directory = self.directory.join(&node.name);
        let root = directory.join("root");
        let upper = directory.join("upper");
        let is_new = !upper.exists();
        if !overlay::is_layer_in_use(&upper) {
            let layers = [&self.record.provisioned.join(&node.name), self.record.base.as_path()];
            overlay::mount(&layers, &upper, &directory.join("work"), &root)?;
        }
        if is_new {
            reconfigure::place(&root, self.record.flavour, node, self.nodes())?;
        }
        machine::power_on(&self.record.name, node, &root, &self.directory.join(format!("{}.console", node.name)))
    }

    /// Does something for every node at once.
    pub(crate) fn for_each_node(&self, work: impl Fn(&Node) -> Result<()> + Sync) -> Result<()> {
        let results: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = self.nodes().iter().map(|node| scope.spawn(|| work(node))).collect();
            running.into_iter().map(|thread| thread.join()).collect()
        });
        for result in results {
            result.map_err(|_| anyhow::anyhow!("a thread of the lab panicked"))??;
        }
        Ok(())
    }

    fn write_files(&self) -> Result<()> {
        fs::create_dir_all(&self.directory)?;
        let keys = self.record.provisioned.join("keys");
        for file in ["operator", "operator.pub", "known_hosts"] {
            fs::copy(keys.join(file), self.directory.join(file))?;
        }
        let recipient = inventory::write_identity(&self.directory.join(inventory::AGE_IDENTITY))?;
        let write = |file: &str, text: String| {
            fs::write(self.directory.join(file), text).with_context(|| format!("cannot write {file}"))
        };
        let pair: Vec<Node> = self.nodes().iter().filter(|node| node.part != Part::Spare).cloned().collect();
        write("ssh_config", files::ssh_config(self.nodes(), &self.directory))?;
        write(
            "rollup.toml",
            inventory::text(&self.record.name, self.record.engine, &pair, &self.directory, &recipient),
        )?;
        if pair.len() < self.nodes().len() {
            write(
                "rollup-all.toml",
                inventory::text(&self.record.name, self.record.engine, self.nodes(), &self.directory, &recipient),
            )?;
        }
        write("lab.json", serde_json::to_string_pretty(&self.record)?)
    }
}

/// The operator's place has no way to boot machines: `ip netns exec` hides the cgroups that nspawn looks for.
fn ensure_outside() -> Result<()> {
    let inside = std::env::var_os(INSIDE_VARIABLE).is_some();
    ensure!(!inside, "this is a process inside a lab; power labs on and off from outside");
    Ok(())
}

/// Removes what any lab of this name has left, alive or killed half-way, by its own names only.
fn remove_traces(name: &LabName, directory: &Path) -> Result<()> {
    for node in crate::topology::nodes(3) {
        machine::power_off(name, &node)?;
        network::delete(&name.machine(node.letter));
    }
    let operator = name.operator_namespace();
    if network::exists(&operator) {
        // Clients and shells of the operator have nobody to talk to any more, and would keep the namespace alive.
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        machine::kill_all(|| network::processes(&operator).into_iter().filter(|pid| *pid != own).collect());
        network::delete(&operator);
    }
    overlay::unmount_below(directory);
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}
