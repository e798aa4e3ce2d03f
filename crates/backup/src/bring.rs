//! `backup.bring`: a node's part of a set back on the node, from whichever place has it whole.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Undo};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Place, SetName,
    copy::{bring_part, put_manifest},
    files, look,
    manifest::{Manifest, Part},
    places::{Condition, Places, Seen, agreed},
};

/// Has a node's part of a set on that node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bring {
    /// The set.
    set: SetName,
    /// The database's part, too.
    #[serde(default)]
    database: bool,
}

struct Look {
    manifest: Manifest,
    /// Whether the node itself has the manifest that all places agree on: a verification that was cut off leaves an older
    /// one on some of them.
    sealed: bool,
    /// What the node's way back needs and the node has not whole.
    lacking: BTreeMap<String, Condition>,
}

impl Bring {
    async fn look(&self, cx: &Cx<'_>, places: &Places<'_>) -> Result<Result<Look, Finding>> {
        let here = Place::Node(cx.node()?.clone());
        let seen = places.manifests(&self.set).await?;
        let own = seen.iter().find_map(|(place, seen)| match seen {
            Seen::Whole(manifest) if *place == here => Some(manifest.digest.clone()),
            _ => None,
        });
        let manifest = match agreed(seen) {
            Ok(manifest) => manifest,
            Err(found) => return Ok(Err(look::no_manifest(&self.set, places.dir, found))),
        };
        let sealed = own.as_ref() == Some(&manifest.digest);
        let mut lacking = places.conditions(&here, &self.set, &self.parts(cx, &manifest)?, true).await?;
        lacking.retain(|_, condition| *condition != Condition::Whole);
        Ok(Ok(Look { manifest, sealed, lacking }))
    }

    fn parts<'m>(&self, cx: &Cx<'_>, manifest: &'m Manifest) -> Result<Vec<&'m Part>> {
        Ok(manifest.parts_of(cx.node()?, self.database))
    }

    /// Other places that have the part, by its size.
    async fn sources(&self, cx: &Cx<'_>, places: &Places<'_>) -> Result<BTreeMap<Place, BTreeMap<String, u64>>> {
        let here = Place::Node(cx.node()?.clone());
        let mut stock = BTreeMap::new();
        for place in places.all().into_iter().filter(|place| *place != here) {
            match places.stat(&place, &self.set).await {
                Ok(parts) => drop(stock.insert(place, parts)),
                Err(error) => tracing::warn!(%place, error = format!("{error:#}"), "cannot look for copies there"),
            }
        }
        Ok(stock)
    }
}

#[async_trait::async_trait]
impl Action for Bring {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let places = Places::of(cx)?;
        let look = match self.look(cx, &places).await? {
            Ok(look) => look,
            Err(finding) => return Ok(State::blocked(vec![finding])),
        };
        if look.lacking.is_empty() && look.sealed {
            return Ok(State::seen(json!({ "set": self.set, "parts": self.parts(cx, &look.manifest)?.len() })));
        }
        let here = Place::Node(cx.node()?.clone());
        let because = look.lacking.iter();
        let because = because.map(|(name, found)| look::damage(&places, &here, &self.set, name, &found.words()));
        Ok(State::Needed { before: json!({ "set": self.set }), because: because.collect() })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let (places, here) = (Places::of(cx)?, Place::Node(cx.node()?.clone()));
        let look = match self.look(cx, &places).await? {
            Ok(look) => look,
            Err(finding) => bail!(finding.line()),
        };
        let stock = self.sources(cx, &places).await?;
        for part in self.parts(cx, &look.manifest)? {
            if !look.lacking.contains_key(&part.name) {
                continue;
            }
            let has = |(place, parts): (&Place, &BTreeMap<String, u64>)| {
                (parts.get(&part.name) == Some(&part.size)).then(|| place.clone())
            };
            let sources: Vec<_> = stock.iter().filter_map(has).collect();
            bring_part(cx, &places, &look.manifest, part, &sources, &here).await.context("the set is not whole")?;
        }
        if !look.sealed {
            put_manifest(cx, &places, &self.set, &here, look.manifest.bytes()?).await?;
        }
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        files::harmless()
    }
}
