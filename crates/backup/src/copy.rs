//! `backup.copy`: the set at other places, too: streamed through the operator, never over its disk on the way (BAK-5).

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Plan, Undo, inventory::CopyTo};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Place, SetName, files, look,
    manifest::{Manifest, Part},
    operator,
    places::{Places, Seen, agreed, answered},
    wire,
};

/// Copies a set to where the inventory wants it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// Default: the one of the plan.
    set: Option<SetName>,
}

/// Places that are to have every part.
pub(crate) fn wanted(plan: &Plan) -> Vec<Place> {
    let copies = &plan.inventory.backup.copies;
    let nodes = plan.inventory.node_names().filter(|_| copies.contains(&CopyTo::Peer));
    let operator = copies.contains(&CopyTo::Operator).then_some(Place::Operator);
    nodes.cloned().map(Place::Node).chain(operator).collect()
}

/// What one place lacks.
struct Lack<'m> {
    place: Place,
    parts: Vec<&'m Part>,
    manifest: bool,
}

struct Look {
    manifest: Manifest,
    /// Sizes of the parts at every place.
    stock: BTreeMap<Place, BTreeMap<String, u64>>,
    /// Places without the manifest.
    without: Vec<Place>,
}

impl Look {
    fn has(&self, place: &Place, part: &Part) -> bool {
        self.stock.get(place).and_then(|parts| parts.get(&part.name)) == Some(&part.size)
    }

    fn lacking(&self, plan: &Plan) -> Vec<Lack<'_>> {
        let lacks = wanted(plan).into_iter().map(|place| Lack {
            parts: self.manifest.parts().filter(|part| !self.has(&place, part)).collect(),
            manifest: self.without.contains(&place),
            place,
        });
        lacks.filter(|lack| lack.manifest || !lack.parts.is_empty()).collect()
    }

    /// Places a part can come from, its home first.
    fn sources(&self, part: &Part, to: &Place) -> Vec<Place> {
        let home = self.manifest.home(part).cloned().map(Place::Node);
        let others = self.stock.keys().filter(|place| Some(*place) != home.as_ref()).cloned();
        home.clone().into_iter().chain(others).filter(|place| place != to && self.has(place, part)).collect()
    }
}

async fn look(places: &Places<'_>, set: &SetName) -> Result<std::result::Result<Look, Finding>> {
    let seen = answered(places.manifests(set).await?)?;
    let lacks = |(place, seen): &(Place, Seen)| (!matches!(seen, Seen::Whole(_))).then(|| place.clone());
    let without = seen.iter().filter_map(lacks).collect();
    let manifest = match agreed(seen) {
        Ok(manifest) => manifest,
        Err(found) => return Ok(Err(look::no_manifest(set, places.dir, found))),
    };
    let stats =
        places.all().into_iter().map(|place| async move { anyhow::Ok((places.stat(&place, set).await?, place)) });
    let stock = futures_util::future::try_join_all(stats).await?.into_iter().map(|(stock, place)| (place, stock));
    Ok(Ok(Look { manifest, stock: stock.collect(), without }))
}

#[async_trait::async_trait]
impl Action for Copy {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        if wanted(cx.plan).is_empty() {
            return Ok(State::seen("no copies are configured"));
        }
        let set = look::meant(self.set.as_ref(), cx)?;
        let look = match look(&Places::of(cx)?, &set).await? {
            Ok(look) => look,
            Err(finding) => return Ok(State::blocked(vec![finding])),
        };
        let lacking = look.lacking(cx.plan);
        if lacking.is_empty() {
            return Ok(State::seen(json!({ "set": set, "at": wanted(cx.plan), "bytes": look.manifest.size() })));
        }
        let because = lacking.iter().map(|lack| {
            let found = format!("{} parts missing", lack.parts.len());
            Finding::check("backup.copy", "BAK-5", false, format!("{set} whole at {}", lack.place), found)
        });
        Ok(State::Needed { before: json!({ "set": set }), because: because.collect() })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let (places, set) = (Places::of(cx)?, look::meant(self.set.as_ref(), cx)?);
        let look = look(&places, &set).await?.map_err(|finding| anyhow::anyhow!(finding.line()))?;
        let bytes = look.manifest.bytes()?;
        let lacks = look.lacking(cx.plan).into_iter().map(|lack| {
            let (places, look, bytes) = (&places, &look, &bytes);
            async move {
                for part in &lack.parts {
                    let sources = look.sources(part, &lack.place);
                    bring_part(cx, places, &look.manifest, part, &sources, &lack.place).await?;
                }
                // Last, so that a copy with a manifest is a whole one.
                if lack.manifest {
                    put_manifest(cx, places, &look.manifest.set, &lack.place, bytes.clone()).await?;
                }
                anyhow::Ok(())
            }
        });
        futures_util::future::try_join_all(lacks).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        files::harmless()
    }
}

/// Writes the manifest at one place.
pub(crate) async fn put_manifest(
    cx: &ApplyCx<'_>,
    places: &Places<'_>,
    set: &SetName,
    place: &Place,
    bytes: Vec<u8>,
) -> Result<()> {
    match place {
        Place::Node(node) => {
            let cmd = wire::write(&places.set_dir(set), "manifest.json", bytes);
            cx.change_of(node)?.exec(&cmd).await?;
            Ok(())
        }
        Place::Operator => operator::write(&places.operator_set(set)?.join("manifest.json"), &bytes).await,
    }
}

/// Has one part at a place, from the first of `sources` that has it whole.
pub(crate) async fn bring_part(
    cx: &ApplyCx<'_>,
    places: &Places<'_>,
    manifest: &Manifest,
    part: &Part,
    sources: &[Place],
    to: &Place,
) -> Result<()> {
    let set = &manifest.set;
    let mut tried = Vec::new();
    for from in sources {
        let say = |line| cx.progress(line);
        let seen = look::teller(format!("{} from {from} to {to}", part.name), part.size, &say);
        let whole = match (from, to) {
            (_, Place::Node(node)) => places.deliver(set, part, from, cx.change_of(node)?, &seen).await?,
            (Place::Node(node), Place::Operator) => {
                places.fetch(set, part, node, &places.operator_set(set)?, &seen).await?;
                true
            }
            (Place::Operator, Place::Operator) => false,
        };
        if whole {
            return Ok(());
        }
        tried.push(from.to_string());
    }
    ensure!(!tried.is_empty(), "{} is at no place it could be copied from", part.name);
    Err(anyhow::anyhow!("damaged at {}", tried.join(" and at ")))
        .with_context(|| format!("{} cannot be brought to {to}", part.name))
}
