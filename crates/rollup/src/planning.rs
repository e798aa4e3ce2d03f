//! From what was typed to a plan: package, lock, facts, roles, compile.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::{BuildHasher, Hasher},
    path::{Path, PathBuf},
};

use rollup_engine::{Examined, Stage, fetch_mirror, lock};
use rollup_model::{
    Facts, Finding, Inventory, NodeName, Plan, Playbook, Release, RunState, StepId,
    compile::{Identity, Site as Grounds},
    inventory::PackagePolicy,
    plan::hex,
    playbook,
};
use rollup_remote::ReadOnly;
use rollup_ui::pages::{self, Locked};

use crate::{
    cli::UpgradeArguments,
    exit::{BLOCKED, Exit, LOCKED, USAGE},
    screen::Screen,
    site::{Site, diagnosed, versions},
    typed::quoted_option,
};

const BUILT_IN: &str = include_str!("../../../playbooks/ha-upgrade.toml");

/// Where a package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file of this machine, absolute.
    Here(PathBuf),
    /// A file of a node.
    There(NodeName, PathBuf),
}

impl Origin {
    /// Whether what was typed can only mean a file of a node: `NODE:/absolute/path`.
    pub(crate) fn is_elsewhere(typed: &Path) -> bool {
        !typed.exists() && elsewhere(typed).is_some()
    }

    /// Reads what was typed; a file of this machine must be there.
    pub(crate) fn read(typed: &Path, inventory: Option<&Inventory>) -> Result<Self, Exit> {
        if typed.is_file() {
            return Ok(Self::Here(std::path::absolute(typed)?));
        }
        let absent = || Exit::usage(format!("there is no package {}", typed.display()));
        let (Some(inventory), Some((node, path))) = (inventory, elsewhere(typed)) else {
            return Err(
                absent().hint("name the file, for example DIR/NAME-VERSION.tar.gz, or NODE:/DIR/NAME-VERSION.tar.gz")
            );
        };
        match inventory.node_names().find(|name| name.as_str() == node) {
            Some(name) => Ok(Self::There(name.clone(), path.to_owned())),
            None => {
                let nodes: Vec<_> = inventory.node_names().map(NodeName::as_str).collect();
                Err(Exit::usage(format!("there is no node `{node}` to take {} from", path.display()))
                    .hint(format!("one of: {}", nodes.join(", "))))
            }
        }
    }
}

/// `NODE:/absolute/path`, taken apart.
fn elsewhere(typed: &Path) -> Option<(&str, &Path)> {
    let (node, path) = typed.to_str()?.split_once(':')?;
    let plain = !node.is_empty() && !node.contains('/');
    (plain && path.starts_with('/')).then_some((node, Path::new(path)))
}

/// What reading a package gives when somebody could read it.
pub(crate) type Accepted = Result<(Release, package::Listing), package::PackageError>;

/// Reads a file of this machine by a policy; the inner error says why it is not accepted.
async fn read_here(file: PathBuf, manifest: Option<&Path>, policy: PackagePolicy) -> Result<Accepted, Exit> {
    let manifest = manifest.map(Path::to_owned);
    let read = tokio::task::spawn_blocking(move || match manifest {
        Some(manifest) => package::read_beside(&file, &manifest, &policy),
        None => package::read(&file, &policy),
    });
    read.await.map_err(|error| anyhow::Error::from(error).into())
}

/// Reads a package, wherever it is, by a policy; the inner error says why it is not accepted.
pub(crate) async fn read_accepted(
    origin: &Origin,
    manifest: Option<&Path>,
    site: &Site,
    policy: &PackagePolicy,
) -> Result<Accepted, Exit> {
    match origin {
        Origin::Here(file) => read_here(file.clone(), manifest, policy.clone()).await,
        Origin::There(node, path) => {
            let host = site.hosts.get(node).ok_or_else(|| Exit::usage(format!("there is no node `{node}`")))?;
            let limit = site.inventory.limits.distribute.duration();
            let archive = package::OnNode { node, path, manifest, limit };
            let read = package::read_on_node(ReadOnly::new(host.as_ref()), &archive, policy).await;
            read.map_err(|error| Exit { code: BLOCKED, ..error.into() }.hint("rollup precheck --only host"))
        }
    }
}

/// Reads a file of this machine by a policy; also returns its entries.
pub(crate) async fn read_archive(
    file: &Path,
    manifest: Option<&Path>,
    policy: PackagePolicy,
) -> Result<(Release, package::Listing), Exit> {
    match Origin::read(file, None)? {
        Origin::Here(file) => read_here(file, manifest, policy).await?.map_err(refused),
        Origin::There(..) => Err(Exit::usage(format!("there is no package {}", file.display()))),
    }
}

/// Reads the package with every check that asks no more of a node than to show it (PKG-1, PKG-4).
pub(crate) async fn read_package(file: &Path, manifest: Option<&Path>, site: &Site) -> Result<Release, Exit> {
    let origin = Origin::read(file, Some(&site.inventory))?;
    let (release, _) = read_accepted(&origin, manifest, site, &site.inventory.package).await?.map_err(refused)?;
    Ok(release)
}

/// A package that is not accepted, as an end of the program.
pub(crate) fn refused(error: package::PackageError) -> Exit {
    let hint = error.hint();
    let exit = Exit { error: error.into(), ..Exit::new(BLOCKED, "") };
    match hint {
        Some(hint) => exit.hint(hint),
        None => exit,
    }
}

fn read_playbook(file: Option<&PathBuf>, color: bool) -> Result<Playbook, Exit> {
    let (name, text) = match file {
        None => (PathBuf::from("ha-upgrade.toml"), BUILT_IN.to_owned()),
        Some(file) => {
            let text = std::fs::read_to_string(file);
            let text =
                text.map_err(|error| Exit::usage(format!("cannot read the playbook {}: {error}", file.display())))?;
            (file.clone(), text)
        }
    };
    playbook::load(&text).map_err(|problems| diagnosed(&name, &text, &problems, color))
}

/// Refuses when another run holds a node, and says who, at which step, since when (FAIL-4). One round trip to each node;
/// nodes that do not answer are left for the checks to report.
pub(crate) async fn refuse_when_locked(site: &Site, screen: &Screen) -> Result<(), Exit> {
    let asked = site.hosts.iter().map(|(node, host)| async move {
        let holder = lock::holder(ReadOnly::new(host.as_ref())).await;
        (node, holder)
    });
    for asked in asked.collect::<Vec<_>>() {
        if let (node, Ok(Some(holder))) = asked.await {
            return Err(locked(site, screen, node, &holder).await);
        }
    }
    Ok(())
}

/// The page for whoever comes second.
pub(crate) async fn locked(site: &Site, screen: &Screen, node: &NodeName, holder: &lock::Holder) -> Exit {
    let mirror = match site.hosts.get(node) {
        Some(host) => fetch_mirror(ReadOnly::new(host.as_ref()), &holder.run).await.ok(),
        None => None,
    };
    let step: Option<StepId> = mirror.and_then(|mirror| RunState::fold(&mirror.records).step);
    let run = &holder.run;
    let next = [
        screen.next(&format!("rollup status {run}"), &format!("see where it stands, on {}", holder.by.host)),
        screen.next(&format!("rollup resume {run}"), "go on with it there when no process works on it"),
        screen.next(&format!("rollup rollback --run {run}"), "or take it back there"),
        screen.next(&format!("rollup unlock {run} --reason '…'"), "free the nodes when it will never go on"),
    ];
    let page = Locked { node, run, by: &holder.by, step: step.as_ref(), since: holder.since };
    Exit::new(LOCKED, pages::locked_page(&page, jiff::Timestamp::now(), &next, screen.err()))
}

/// A plan, and what it was made from.
pub(crate) struct Planned {
    /// The plan.
    pub(crate) plan: Plan,
    /// Findings that do not stop it.
    pub(crate) findings: Vec<Finding>,
}

/// Makes the plan of an upgrade. Changes nothing.
pub(crate) async fn plan_upgrade(site: &Site, typed: &UpgradeArguments, screen: &Screen) -> Result<Planned, Exit> {
    let playbook = read_playbook(typed.playbook.as_ref(), screen.color())?;
    let waiting = screen.waiting("reading the package and the facts of all nodes");
    refuse_when_locked(site, screen).await?;
    let mut release = read_package(&typed.pkg, typed.manifest.as_deref(), site).await?;
    let examined = site.examine(Some(&release), Stage::Fresh).await;
    release.obsolete = service::obsolete(&release, &examined.facts);
    drop(waiting);
    let errors = examined.errors();
    if !errors.is_empty() {
        let count = errors.len();
        let page = screen.findings(&examined.findings);
        let error = format!("{count} check{} said no; nothing was changed", if count == 1 { "" } else { "s" });
        let pkg = typed.package();
        return Err(Exit::new(BLOCKED, error)
            .page(page)
            .hint(format!("mend what is listed, then: rollup precheck{pkg}")));
    }
    let plan = compile(site, &playbook, &release, &examined).map_err(|exit| {
        let again = format!("{}{}", quoted_option("--playbook", typed.playbook.as_deref()), typed.package());
        exit.hint(format!("mend the playbook, then: rollup plan{again}"))
    })?;
    Ok(Planned { plan, findings: examined.findings })
}

fn compile(site: &Site, playbook: &Playbook, release: &Release, examined: &Examined) -> Result<Plan, Exit> {
    compile_for(site, playbook, Some(release), &examined.facts, &versions(examined), &identity()?)
}

/// Compiles a playbook for these machines.
pub(crate) fn compile_for(
    site: &Site,
    playbook: &Playbook,
    release: Option<&Release>,
    facts: &Facts,
    versions: &BTreeMap<NodeName, String>,
    identity: &Identity,
) -> Result<Plan, Exit> {
    let grounds = Grounds { inventory: &site.inventory, release, facts };
    let plan = rollup_model::compile(playbook, &grounds, versions, site.registry.as_ref(), identity);
    plan.map_err(|problems| {
        let lines: Vec<_> = problems
            .iter()
            .map(|p| p.hint.as_ref().map_or_else(|| p.message.clone(), |hint| format!("{} ({hint})", p.message)))
            .collect();
        Exit::new(USAGE, format!("playbook `{}` gives no plan:\n  {}", playbook.name, lines.join("\n  ")))
    })
}

/// A fresh identity for a run: the time, and four random hex digits.
pub(crate) fn identity() -> Result<Identity, Exit> {
    let tail = hex(&RandomState::new().build_hasher().finish().to_le_bytes()[..2]);
    Identity::new(jiff::Timestamp::now(), &tail).map_err(|error| anyhow::Error::from(error).into())
}
