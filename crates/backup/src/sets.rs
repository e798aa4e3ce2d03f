//! Sets outside of any run: which there are where, what is in one, whether its root key opens, a copy for the operator.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use rollup_engine::Hosts;
use rollup_model::{Inventory, NodeName};

use crate::{
    Identities, Manifest, Place, SetName, look,
    manifest::Sealed,
    operator,
    places::{Condition, Places},
    prune, restore,
    subject::{SetFact, SetState},
    wire,
};

/// One set at one place.
#[derive(Debug, Clone, PartialEq)]
pub struct SetAt {
    /// Name, state and hold.
    pub fact: SetFact,
    /// Its manifest, where it can be read.
    pub manifest: Option<Manifest>,
    /// Why it cannot.
    pub damaged: Option<String>,
}

/// The sets at one place.
#[derive(Debug)]
pub struct PlaceSets {
    /// The place.
    pub place: Place,
    /// The sets, oldest first; an error: the place could not be asked.
    pub sets: Result<Vec<SetAt>>,
}

/// Lists the sets at every place at once.
pub async fn sets(hosts: &Hosts, inventory: &Inventory) -> Vec<PlaceSets> {
    let places = Places::over(hosts, inventory);
    let lists = places.all().into_iter().map(|place| {
        let places = &places;
        async move { PlaceSets { sets: sets_at(places, &place).await, place } }
    });
    futures_util::future::join_all(lists).await
}

async fn sets_at(places: &Places<'_>, place: &Place) -> Result<Vec<SetAt>> {
    let node = match place {
        Place::Node(node) => node,
        Place::Operator => return sets_of_operator(places).await,
    };
    let host = places.node(node)?;
    let facts = prune::list(host, places.dir).await?;
    let names: Vec<_> = facts.iter().map(|fact| format!("{}/manifest.json", fact.name)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut found = wire::read(host, places.dir, &names).await?;
    let with_manifest = facts.into_iter().zip(names).map(|(fact, name)| {
        let bytes = found.remove(name).map(|small| small.bytes);
        at(fact, bytes.as_deref())
    });
    Ok(with_manifest.collect())
}

fn at(fact: SetFact, bytes: Option<&[u8]>) -> SetAt {
    match bytes.map(Manifest::read) {
        None => SetAt { fact, manifest: None, damaged: None },
        Some(Ok(manifest)) => SetAt { fact, manifest: Some(manifest), damaged: None },
        Some(Err(error)) => SetAt { fact, manifest: None, damaged: Some(format!("{error:#}")) },
    }
}

async fn sets_of_operator(places: &Places<'_>) -> Result<Vec<SetAt>> {
    let dir = places.operator.as_deref().context("backup.operator_dir is not known")?;
    let names = operator::entries(dir)?.into_iter().filter(|path| path.is_dir());
    let names: BTreeSet<_> = names.filter_map(|path| SetName::new(path.file_name()?.to_str()?).ok()).collect();
    let mut sets = Vec::new();
    for name in names {
        let bytes = operator::read(&dir.join(name.as_str()).join("manifest.json")).await?;
        let mut set = at(SetFact { name, state: SetState::Incomplete, hold: None }, bytes.as_deref());
        set.fact.state = match set.manifest.as_ref().map(|manifest| manifest.state) {
            None => SetState::Incomplete,
            Some(Sealed::Complete) => SetState::Complete,
            Some(Sealed::Verified) => SetState::Verified,
        };
        sets.push(set);
    }
    Ok(sets)
}

/// Reads the manifest of a set from whichever place has it whole.
pub async fn manifest(hosts: &Hosts, inventory: &Inventory, set: &SetName) -> Result<Manifest> {
    whole_manifest(&Places::over(hosts, inventory), set).await
}

async fn whole_manifest(places: &Places<'_>, set: &SetName) -> Result<Manifest> {
    match places.manifest(set).await? {
        Ok(manifest) => Ok(manifest),
        Err(found) => bail!("expected a whole manifest of {set}, found {found}"),
    }
}

/// Nodes on which something is not as in the set: content, mode or owner of a path, the root key. A node that lacks
/// its own part of the set cannot be compared and counts as one of them.
pub async fn differing(hosts: &Hosts, inventory: &Inventory, manifest: &Manifest) -> Result<BTreeSet<NodeName>> {
    let places = Places::over(hosts, inventory);
    let looks = manifest.nodes.keys().map(|node| {
        let places = &places;
        async move {
            let same = restore::lacking(places, manifest, node).await?.is_empty()
                && restore::differing(places, manifest, node).await?.is_nothing();
            anyhow::Ok((!same).then(|| node.clone()))
        }
    });
    Ok(futures_util::future::try_join_all(looks).await?.into_iter().flatten().collect())
}

/// A root key that was opened in memory, and is the one that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChecked {
    /// The node it belongs to.
    pub node: NodeName,
    /// Where the ciphertext was read.
    pub place: Place,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// Opens every root key of a set, at every place that has it, with the operator's identity: `identity`, else
/// `backup.identity_file`. Nothing of a key is kept or shown. The first that does not open is the error.
pub async fn check_key(
    hosts: &Hosts,
    inventory: &Inventory,
    set: &SetName,
    identity: Option<&Path>,
) -> Result<Vec<KeyChecked>> {
    let places = Places::over(hosts, inventory);
    let manifest = whole_manifest(&places, set).await?;
    let identities = match identity {
        Some(file) => Identities::read(file)?,
        None => look::identities(inventory.backup.identity_file.as_deref()).await?,
    };
    let mut checked = Vec::new();
    for (node, parts) in &manifest.nodes {
        let Some(recorded) = &parts.root_key else { continue };
        let name = format!("{node}/root-key.age");
        let before = checked.len();
        for place in places.all() {
            if !places.stat(&place, set).await?.contains_key(&name) {
                continue;
            }
            let key = look::open_key(&places, set, node, &place, recorded, &identities).await?;
            checked.push(KeyChecked { node: node.clone(), place, fingerprint: key.fingerprint() });
        }
        anyhow::ensure!(checked.len() > before, "{name} of {set} is at no place");
    }
    Ok(checked)
}

/// Copies a whole set into `to/SET` on the operator's machine; what is there already is read and kept. `say` is told
/// what is being done. Returns the manifest.
pub async fn fetch(
    hosts: &Hosts,
    inventory: &Inventory,
    set: &SetName,
    to: &Path,
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<Manifest> {
    let mut places = Places::over(hosts, inventory);
    places.operator = None;
    let manifest = whole_manifest(&places, set).await?;
    let into: PathBuf = to.join(set.as_str());
    let parts: Vec<_> = manifest.parts().collect();
    let here = operator::conditions(into.clone(), manifest.parts().cloned().collect(), true).await?;
    for part in parts.into_iter().filter(|part| here.get(&part.name) != Some(&Condition::Whole)) {
        let home = manifest.home(part);
        let others = places.all().into_iter().filter_map(|place| match place {
            Place::Node(node) => Some(node),
            Place::Operator => None,
        });
        let mut last = anyhow::anyhow!("{} is at no node", part.name);
        let mut done = false;
        for node in home.cloned().into_iter().chain(others.filter(|node| Some(node) != home)) {
            say(format!("{} from {node}", part.name));
            let seen = look::teller(format!("{} from {node}", part.name), part.size, say);
            match places.fetch(set, part, &node, &into, &seen).await {
                Ok(()) => {
                    done = true;
                    break;
                }
                Err(error) => last = error,
            }
        }
        if !done {
            return Err(last.context(format!("{} cannot be copied here", part.name)));
        }
    }
    operator::write(&into.join("manifest.json"), &manifest.bytes()?).await?;
    Ok(manifest)
}
