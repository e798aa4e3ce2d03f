//! The inventory as machines: hosts to talk to, actions to run on them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rollup_engine::{Examined, Hosts, Moment, Registry, Stage, examine, examine_settled};
use rollup_model::{
    Diagnostic, Inventory, NodeName, Release, Role,
    inventory::{self, Ssh},
};
use rollup_remote::{SshHost, SshSettings};

use crate::{
    exit::{Exit, USAGE},
    store::Store,
};

/// Everything a command needs to talk to the nodes.
pub(crate) struct Site {
    /// The inventory.
    pub(crate) inventory: Inventory,
    /// Its machines.
    pub(crate) hosts: Hosts,
    /// What can be done on them.
    pub(crate) registry: Arc<Registry>,
}

/// All actions and subjects of this build, for what needs no look at this machine.
pub(crate) fn registry() -> Registry {
    registry_writing_to(Vec::new())
}

/// All actions and subjects of this build. `operator`: the directories of this machine that runs write to.
fn registry_writing_to(operator: Vec<PathBuf>) -> Registry {
    let mut registry = Registry::default();
    precheck::register(&mut registry, operator);
    package::register(&mut registry);
    backup::register(&mut registry);
    rsync_ctl::register(&mut registry);
    gaussdb::register(&mut registry);
    service::register(&mut registry);
    keepalived::register(&mut registry);
    health::register(&mut registry);
    crate::audit::register(&mut registry);
    registry
}

/// Shows every mistake in a file at its line.
pub(crate) fn diagnosed(file: &Path, text: &str, problems: &[Diagnostic], color: bool) -> Exit {
    let name = file.display().to_string();
    let pages: Vec<_> = problems.iter().map(|problem| problem.render(&name, text, color)).collect();
    let count = problems.len();
    let error = format!("{name} has {count} mistake{}", if count == 1 { "" } else { "s" });
    Exit::new(USAGE, error).page(pages.join("\n\n")).hint(format!("mend {name}, then type the same command again"))
}

/// Reads the inventory, and nothing that it names.
pub(crate) fn read(file: &Path, color: bool) -> Result<Inventory, Exit> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Exit::usage(format!("cannot read the inventory {}: {error}", file.display()))
            .hint("write one: rollup init USER@HOST USER@HOST, or name it: rollup --inventory FILE …")
    })?;
    let checks = registry().known_checks();
    inventory::load_against(&text, &checks).map_err(|problems| diagnosed(file, &text, &problems, color))
}

/// Prepares one host; nothing is connected yet.
pub(crate) fn connect(ssh: &Ssh, name: &str, address: &str) -> std::io::Result<SshHost> {
    let file = |name: &Option<String>| {
        name.as_ref().map(|name| match std::env::var_os("HOME").filter(|_| name.starts_with("~/")) {
            Some(home) => Path::new(&home).join(&name[2..]),
            None => name.into(),
        })
    };
    SshHost::new(SshSettings {
        name: name.to_owned(),
        host: address.to_owned(),
        user: ssh.user.clone(),
        port: ssh.port,
        identity_file: file(&ssh.identity_file),
        known_hosts: file(&ssh.known_hosts),
        config_file: file(&ssh.config_file),
        connect_timeout: ssh.connect_timeout.duration(),
    })
}

impl Site {
    /// Reads the inventory and prepares its hosts; nothing is connected yet.
    pub(crate) fn load(file: &Path, state_dir: Option<&Path>, color: bool) -> Result<Self, Exit> {
        let mut inventory = read(file, color)?;
        // Relative file names are meant from the inventory. A plan keeps them, and is gone on with from anywhere.
        let base = std::path::absolute(file.parent().unwrap_or(Path::new("")).join("."))?;
        let ssh = &mut inventory.ssh;
        for (key, name) in [
            ("identity_file", &mut ssh.identity_file),
            ("known_hosts", &mut ssh.known_hosts),
            ("config_file", &mut ssh.config_file),
        ] {
            let Some(name) = name.as_mut().filter(|name| !name.starts_with("~/")) else { continue };
            let path = base.join(&*name);
            if !path.exists() {
                // ssh itself would say no more than "permission denied".
                return Err(Exit::usage(format!("ssh.{key}: there is no file {}", path.display()))
                    .hint(format!("correct ssh.{key} in {}", file.display())));
            }
            *name = path.display().to_string();
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let at = |name: &str| match (name.strip_prefix("~/"), &home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => base.join(name),
        };
        let kept = &mut inventory.backup;
        kept.identity_file = kept.identity_file.as_deref().map(|name| at(name).display().to_string());
        let store = Store::open(state_dir);
        let dir = match (kept.operator_dir.as_deref(), &store) {
            (Some(name), _) => at(name),
            (None, Ok(store)) => store.backups(),
            (None, Err(_)) => {
                return Err(store.err().unwrap_or_else(|| Exit::usage("cannot tell where runs are kept")));
            }
        };
        kept.operator_dir = Some(dir.display().to_string());
        Self::of(inventory, store.ok().as_ref())
    }

    /// The same, with another identity to open root keys with.
    pub(crate) fn with_identity(mut self, identity: Option<&Path>) -> Result<Self, Exit> {
        if let Some(file) = identity {
            if !file.is_file() {
                return Err(Exit::usage(format!("there is no identity {}", file.display()))
                    .hint("name the file that holds AGE-SECRET-KEY-…: --identity FILE"));
            }
            self.inventory.backup.identity_file = Some(std::path::absolute(file)?.display().to_string());
        }
        Ok(self)
    }

    /// Where this machine keeps sets.
    pub(crate) fn operator_dir(&self) -> PathBuf {
        self.inventory.backup.operator_dir.clone().unwrap_or_default().into()
    }

    /// Prepares the hosts of an inventory. `store`: where its runs are kept, if that is known.
    pub(crate) fn of(inventory: Inventory, store: Option<&Store>) -> Result<Self, Exit> {
        let mut hosts = Hosts::new();
        for node in &inventory.nodes {
            let host = connect(&inventory.ssh, node.name.as_str(), &node.host)?;
            hosts.insert(node.name.clone(), Arc::new(host));
        }
        let copies = inventory.backup.operator_dir.iter().map(PathBuf::from);
        let written = store.into_iter().flat_map(|store| [store.runs().to_owned()].into_iter().chain(copies.clone()));
        let registry = Arc::new(registry_writing_to(written.collect()));
        Ok(Self { inventory, hosts, registry })
    }

    /// Reads all facts of all nodes at once and binds the roles, where the facts tell them.
    pub(crate) async fn examine(&self, release: Option<&Release>, stage: Stage) -> Examined {
        let subjects = self.registry.subjects();
        self.bind(examine(subjects, &self.hosts, &self.inventory, release, Moment::now(stage)).await)
    }

    /// The same in the middle of a run, where a process that died may have left the pair in motion.
    pub(crate) async fn examine_settled(&self, release: Option<&Release>, moment: Moment) -> Examined {
        let subjects = self.registry.subjects();
        self.bind(examine_settled(subjects, &self.hosts, &self.inventory, release, moment).await)
    }

    fn bind(&self, mut examined: Examined) -> Examined {
        let owner = keepalived::vip_owner(&examined.facts, &self.inventory);
        if let Some(primary) = owner
            && let Some(standby) = self.inventory.peer_of(&primary)
        {
            let source = gaussdb::backup_source(&examined.facts, &self.inventory);
            examined.facts.bindings = [
                (Role::BackupSource, source.unwrap_or_else(|| standby.name.clone())),
                (Role::OriginalPrimary, primary),
                (Role::OriginalStandby, standby.name.clone()),
            ]
            .into();
        }
        examined
    }
}

/// The version found on each node.
pub(crate) fn versions(examined: &Examined) -> std::collections::BTreeMap<NodeName, String> {
    let nodes = examined.facts.nodes.keys();
    let facts = nodes.filter_map(|node| {
        let facts: service::ServiceFacts = examined.facts.get(node, "service")?;
        Some((node.clone(), facts.version))
    });
    facts.collect()
}
