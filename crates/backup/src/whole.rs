//! `backup.whole`: the look before a way back: everything it needs is whole somewhere, and its root keys open (RB-1).

use anyhow::Result;
use rollup_engine::{Action, Cx, State};
use rollup_model::{Finding, NodeName};
use serde::Deserialize;
use serde_json::json;

use crate::{
    SetName, look,
    manifest::{Manifest, Part, Sealed},
    places::Places,
};

/// Looks whether a set leads back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whole {
    /// The set.
    set: SetName,
    /// Whether the database comes back, too.
    #[serde(default)]
    database: bool,
    /// Only this node comes back.
    #[serde(default)]
    node: Option<NodeName>,
}

impl Whole {
    /// What must come back, and where to.
    fn nodes<'m>(&'m self, manifest: &'m Manifest) -> Vec<&'m NodeName> {
        match &self.node {
            Some(node) => vec![node],
            None => manifest.nodes.keys().collect(),
        }
    }

    /// What is wrong with the set as such.
    fn unfit(&self, cx: &Cx<'_>, manifest: &Manifest) -> Vec<Finding> {
        let set = &self.set;
        let mut wrong = Vec::new();
        let ours = &cx.inventory().cluster.name;
        if manifest.cluster != *ours {
            let expected = format!("{set} taken of cluster `{ours}`");
            wrong.push(Finding::check("backup.cluster", "RB-1", false, expected, format!("of `{}`", manifest.cluster)));
        }
        if manifest.state != Sealed::Verified {
            let expected = format!("{set} read back after it was written");
            let finding = Finding::check("backup.verified", "RB-1", false, expected, "never verified");
            wrong.push(finding.fix(format!("rollup backup verify {set}")));
        }
        let lacking: Vec<&NodeName> = match &self.node {
            Some(node) => [node].into_iter().filter(|node| !manifest.nodes.contains_key(*node)).collect(),
            None => cx.inventory().node_names().filter(|node| !manifest.nodes.contains_key(*node)).collect(),
        };
        for node in lacking {
            let expected = format!("{set} with the files of {node}");
            wrong.push(Finding::check("backup.part", "RB-1", false, expected, "they were not taken").on(node));
        }
        if self.database && manifest.database.is_none() {
            let expected = format!("{set} with the database");
            wrong.push(Finding::check("backup.part", "RB-1", false, expected, "it was not taken"));
        }
        wrong
    }
}

#[async_trait::async_trait]
impl Action for Whole {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let places = Places::of(cx)?;
        let manifest = match places.manifest(&self.set).await? {
            Ok(manifest) => manifest,
            Err(found) => return Ok(State::blocked(vec![look::no_manifest(&self.set, places.dir, found)])),
        };
        let mut wrong = self.unfit(cx, &manifest);

        let nodes = self.nodes(&manifest);
        let own = nodes.iter().flat_map(|node| manifest.parts_of(node, false));
        let database = manifest.database.iter().filter(|_| self.database).flat_map(|database| &database.parts);
        let parts: Vec<&Part> = own.chain(database).collect();
        let found = look::whole_somewhere(&places, &manifest, &parts).await?;
        for (name, place, condition) in &found.wrong {
            wrong.push(look::damage(&places, place, &self.set, name, &condition.words()));
        }

        let mut opened = Vec::new();
        let keys = nodes.iter().filter_map(|node| Some((*node, manifest.nodes.get(*node)?.root_key.as_ref()?)));
        let keys: Vec<_> = keys.collect();
        if !keys.is_empty() {
            let identities = look::identities(cx.inventory().backup.identity_file.as_deref()).await;
            for (node, recorded) in keys {
                // A key that is whole nowhere is among the findings already.
                let Some(from) = found.whole.get(format!("{node}/root-key.age").as_str()) else { continue };
                let result = match &identities {
                    Ok(identities) => look::open_key(&places, &self.set, node, from, recorded, identities).await,
                    Err(error) => Err(anyhow::anyhow!("{error:#}")),
                };
                match result {
                    Ok(key) => opened.push(key.fingerprint()),
                    Err(error) => wrong.push(look::locked(node, recorded, &error)),
                }
            }
        }
        if !wrong.is_empty() {
            return Ok(State::blocked(wrong));
        }
        Ok(State::seen(json!({
            "set": self.set, "created": manifest.created, "parts": parts.len(), "at": found.whole, "root_keys": opened,
        })))
    }
}
