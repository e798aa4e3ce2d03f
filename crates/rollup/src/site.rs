//! The inventory as machines: hosts to talk to, actions to run on them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rollup_engine::{Examined, Hosts, Registry, Stage, examine};
use rollup_model::{Diagnostic, Inventory, NodeName, Release, Role, inventory};
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

/// All actions and subjects of this build.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    precheck::register(&mut registry);
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

impl Site {
    /// Reads the inventory and prepares its hosts; nothing is connected yet.
    pub(crate) fn load(file: &Path, state_dir: Option<&Path>, color: bool) -> Result<Self, Exit> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Exit::usage(format!("cannot read the inventory {}: {error}", file.display()))
                .hint("write one (README.md has an example), or name it: rollup --inventory FILE …")
        })?;
        let mut inventory = inventory::load(&text).map_err(|problems| diagnosed(file, &text, &problems, color))?;
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
        let beside_runs = || Store::open(state_dir).map(|store| store.backups());
        let dir = kept.operator_dir.as_deref().map_or_else(beside_runs, |name| Ok(at(name)))?;
        kept.operator_dir = Some(dir.display().to_string());
        Self::of(inventory)
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

    /// Prepares the hosts of an inventory.
    pub(crate) fn of(inventory: Inventory) -> Result<Self, Exit> {
        let file = |name: &Option<String>| {
            name.as_ref().map(|name| match std::env::var_os("HOME").filter(|_| name.starts_with("~/")) {
                Some(home) => Path::new(&home).join(&name[2..]),
                None => name.into(),
            })
        };
        let mut hosts = Hosts::new();
        for node in &inventory.nodes {
            let ssh = &inventory.ssh;
            let host = SshHost::new(SshSettings {
                name: node.name.to_string(),
                host: node.host.clone(),
                user: ssh.user.clone(),
                port: ssh.port,
                identity_file: file(&ssh.identity_file),
                known_hosts: file(&ssh.known_hosts),
                config_file: file(&ssh.config_file),
                connect_timeout: ssh.connect_timeout.duration(),
            })?;
            hosts.insert(node.name.clone(), Arc::new(host));
        }
        Ok(Self { inventory, hosts, registry: Arc::new(registry()) })
    }

    /// Reads all facts of all nodes at once and binds the roles, where the facts tell them.
    pub(crate) async fn examine(&self, release: Option<&Release>, stage: Stage) -> Examined {
        let mut examined = examine(self.registry.subjects(), &self.hosts, &self.inventory, release, stage).await;
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
