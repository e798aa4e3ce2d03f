//! `backup.seal`: one manifest for everything that this plan took, and the hold of an upgrade (BAK-1).

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{NodeName, Undo};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Place, SetName, files,
    keys::KeyRecord,
    lists, look,
    manifest::{
        DATABASE, DatabaseParts, FORMAT, Hold, HoldState, Manifest, NodeParts, Part, Purpose, ReleaseName, RootKeyPart,
        Sealed,
    },
    places::{Places, Seen, answered},
    wire::{self, Small},
};

/// Writes the manifest of the plan's set to every node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// What the set is for.
    purpose: Purpose,
}

/// The hold on a set at one node.
pub(crate) async fn hold(places: &Places<'_>, node: &NodeName, set: &SetName) -> Result<Option<Hold>> {
    let found = places.small(&Place::Node(node.clone()), set, "hold.json").await?;
    let read = |bytes: Vec<u8>| serde_json::from_slice(&bytes).context("hold.json cannot be read");
    found.map(read).transpose().with_context(|| format!("{set} on {node}"))
}

#[async_trait::async_trait]
impl Action for Seal {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let (places, set) = (Places::of(cx)?, look::meant(None, cx)?);
        let needed = State::needed(json!({ "set": set }));
        let mut sealed = None;
        for (place, seen) in answered(places.manifests(&set).await?)? {
            match (place, seen) {
                (Place::Operator, _) => {}
                (_, Seen::Whole(manifest)) if manifest.run == cx.plan.run => sealed = Some(manifest),
                _ => return Ok(needed),
            }
        }
        if self.purpose == Purpose::Upgrade {
            for node in cx.inventory().node_names() {
                if hold(&places, node, &set).await?.is_none_or(|hold| hold.run != cx.plan.run) {
                    return Ok(needed);
                }
            }
        }
        Ok(sealed.map_or(needed, |manifest| {
            let nodes: Vec<_> = manifest.nodes.keys().collect();
            let database = manifest.database.as_ref().map(|database| &database.node);
            State::seen(json!({ "set": set, "bytes": manifest.size(), "nodes": nodes, "database": database }))
        }))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let (places, set) = (Places::of(cx)?, look::meant(None, cx)?);
        let manifest = gather(cx, &places, &set, self.purpose).await?.bytes()?;
        let dir = places.set_dir(&set);
        let hold = Hold { run: cx.plan.run.clone(), state: HoldState::Open };
        // The hold comes first: a set that is held too early is only kept too long.
        let mut documents = vec![("manifest.json", manifest)];
        if self.purpose == Purpose::Upgrade {
            documents.insert(0, ("hold.json", serde_json::to_vec(&hold)?));
        }
        for (name, bytes) in documents {
            let writes = cx.inventory().node_names().map(|node| {
                let cmd = wire::write(&dir, name, bytes.clone());
                async move { anyhow::Ok(cx.change_of(node)?.exec(&cmd).await.map(drop)?) }
            });
            futures_util::future::try_join_all(writes).await?;
        }
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        files::harmless()
    }
}

/// What this plan took, as it lies on the nodes.
async fn gather(cx: &Cx<'_>, places: &Places<'_>, set: &SetName, purpose: Purpose) -> Result<Manifest> {
    let plan = cx.plan;
    let mut nodes = BTreeMap::new();
    for node in look::nodes_taken(plan) {
        nodes.insert(node.clone(), node_parts(cx, places, set, node).await?);
    }
    let database = match look::database_node(plan) {
        Some(node) => Some(database_parts(places, set, node).await?),
        None => None,
    };
    anyhow::ensure!(
        !nodes.is_empty() || database.is_some(),
        "this plan takes nothing: expected a step that uses `backup.files` or `db.backup`"
    );
    let release = plan.release.as_ref();
    let mut manifest = Manifest {
        format: FORMAT,
        set: set.clone(),
        cluster: plan.inventory.cluster.name.clone(),
        run: plan.run.clone(),
        purpose,
        created: plan.created,
        state: Sealed::Complete,
        verified_at: None,
        bindings: plan.bindings.clone(),
        release: release.map(|release| ReleaseName { name: release.name.clone(), version: release.version.clone() }),
        versions: plan.versions.clone(),
        nodes,
        database,
        copies: Vec::new(),
        digest: String::new(),
    };
    // Before any copying a place has everything only when everything was taken there.
    let all = manifest.parts().count();
    let has_all = |node: &&NodeName| manifest.home_of(node).len() == all;
    manifest.copies = plan.inventory.node_names().filter(has_all).cloned().map(Place::Node).collect();
    Ok(manifest)
}

/// The files that a list of sums names, as they lie in `folder`; the list itself is one of them.
fn parts(folder: &str, list: &str, found: &BTreeMap<String, Small>, of: &[lists::Sum]) -> Result<Vec<Part>> {
    let entry =
        |name: &str| found.get(&format!("{folder}/{name}")).with_context(|| format!("{folder}/{name} is missing"));
    let lists = entry(list)?;
    let itself = Part {
        name: format!("{folder}/{list}"),
        size: lists.bytes.len() as u64,
        sha256: sha256(&lists.bytes),
        owner: lists.owner.clone(),
        mode: lists.mode.clone(),
    };
    let named = of.iter().map(|sum| Part {
        name: format!("{folder}/{}", sum.name),
        size: sum.size,
        sha256: sum.sha256.clone(),
        // All files of a part are made alike, by root for root alone.
        owner: lists.owner.clone(),
        mode: lists.mode.clone(),
    });
    Ok(named.chain([itself]).collect())
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    rollup_model::plan::hex(&sha2::Sha256::digest(bytes))
}

async fn node_parts(cx: &Cx<'_>, places: &Places<'_>, set: &SetName, node: &NodeName) -> Result<NodeParts> {
    let (dir, folder) = (places.set_dir(set), node.as_str());
    let names = ["sums", "contents", "absent", "key-sums", "root-key.json"].map(|name| format!("{folder}/{name}"));
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let found = wire::read(places.node(node)?, &dir, &names).await?;
    let text = |name: &str| found.get(&format!("{folder}/{name}")).map(Small::text);
    let why = |what: &str| format!("{dir}/{folder} on {node}: {what}");

    let sums = text("sums").with_context(|| why("the files are not backed up: there is no `sums`"))?;
    let mut all = parts(folder, "sums", &found, &lists::parse_sums(&sums)?)?;
    let contents = text("contents").with_context(|| why("there is no `contents`"))?;
    let contents = lists::parse_contents(&contents).with_context(|| why("`contents` cannot be read"))?;
    let absent = text("absent").unwrap_or_default().lines().map(str::to_owned).collect();

    let mut root_key = None;
    if cx.inventory().service.root_key.is_some() {
        let sums = text("key-sums").with_context(|| why("the root key is not backed up: there is no `key-sums`"))?;
        all.extend(parts(folder, "key-sums", &found, &lists::parse_sums(&sums)?)?);
        let record = text("root-key.json").with_context(|| why("there is no `root-key.json`"))?;
        let KeyRecord { path, mode, owner, group, fingerprint } = serde_json::from_str(&record)?;
        let recipients = cx.inventory().backup.recipients.clone();
        root_key = Some(RootKeyPart { path, mode, owner, group, fingerprint, recipients });
    }
    let paths = lists::totals(files::paths(cx.plan).iter().map(String::as_str), &contents);
    Ok(NodeParts { parts: all, paths, absent, root_key })
}

async fn database_parts(places: &Places<'_>, set: &SetName, node: &NodeName) -> Result<DatabaseParts> {
    let dir = places.set_dir(set);
    let names = ["sums", "record.json"].map(|name| format!("{DATABASE}/{name}"));
    let found = wire::read(places.node(node)?, &dir, &[&names[0], &names[1]]).await?;
    let why = || format!("{dir}/{DATABASE} on {node}: the database is not backed up");
    let (sums, record) = found.get(&names[0]).zip(found.get(&names[1])).with_context(why)?;
    let record = serde_json::from_slice(&record.bytes).context("record.json cannot be read")?;
    let parts = parts(DATABASE, "sums", &found, &lists::parse_sums(&sums.text())?)?;
    Ok(DatabaseParts { node: node.clone(), record, parts })
}
