//! `backup.verify`: every part at every place read back to its end, and only then the word `verified` (BAK-4).

use anyhow::{Context, Result, bail};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, NodeName, Undo};
use rollup_remote::{Cmd, Job};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Place, SetName,
    copy::{put_manifest, wanted},
    files, look,
    manifest::{Manifest, Part, Sealed},
    operator,
    places::{Condition, Places, Seen, agreed, answered},
};

const VERIFY: &str = concat!(include_str!("scripts/calm.sh"), include_str!("scripts/verify.sh"));
const DAMAGED: &str = include_str!("scripts/damaged.sh");

/// Reads a set back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Default: the one of the plan.
    set: Option<SetName>,
}

/// What a place must have: what was taken there, and everything where a copy is wanted or was.
async fn expected<'m>(
    cx: &Cx<'_>,
    places: &Places<'_>,
    manifest: &'m Manifest,
    place: &Place,
) -> Result<Vec<&'m Part>> {
    let copied = cx.plan.steps.iter().any(|step| step.action.uses == "backup.copy");
    if manifest.copies.contains(place) || (copied && wanted(cx.plan).contains(place)) {
        return Ok(manifest.parts().collect());
    }
    let stock = places.stat(place, &manifest.set).await?;
    let home = |part: &Part| manifest.home(part).is_some_and(|node| Place::Node(node.clone()) == *place);
    Ok(manifest.parts().filter(|part| home(part) || stock.contains_key(&part.name)).collect())
}

/// What is known to be wrong: manifests, and what the last reading back found that nobody has mended since.
async fn wrong(cx: &Cx<'_>, places: &Places<'_>, set: &SetName, seen: &[(Place, Seen)]) -> Result<Vec<Finding>> {
    let mut wrong = Vec::new();
    for (place, seen) in seen {
        match (place, seen) {
            (_, Seen::Damaged(why)) => wrong.push(look::damage(places, place, set, "manifest.json", why)),
            (Place::Node(_), Seen::Absent) => {
                wrong.push(look::damage(places, place, set, "manifest.json", "missing"));
            }
            _ => {}
        }
        for (name, why) in report(cx, places, set, place).await? {
            wrong.push(look::damage(places, place, set, &name, &why));
        }
    }
    Ok(wrong)
}

/// What this run found damaged at a place and nobody has mended since: part, and what is wrong with it.
async fn report(cx: &Cx<'_>, places: &Places<'_>, set: &SetName, place: &Place) -> Result<Vec<(String, String)>> {
    let run = cx.plan.run.as_str();
    let node = match place {
        Place::Node(node) => node,
        Place::Operator => return operator::blamed(places.operator_set(set)?, run.to_owned()).await,
    };
    let cmd = Cmd::read("backup.damaged", DAMAGED, [places.set_dir(set).as_str(), run]);
    let text = places.node(node)?.exec(&cmd).await?.stdout;
    let lines = text.lines().map(|line| {
        let (name, why) = line.split_once(' ').with_context(|| format!("expected `NAME WHY`, found `{line}`"))?;
        Ok((name.to_owned(), why.to_owned()))
    });
    lines.collect()
}

#[async_trait::async_trait]
impl Action for Verify {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let (places, set) = (Places::of(cx)?, look::meant(self.set.as_ref(), cx)?);
        let seen = answered(places.manifests(&set).await?)?;
        let wrong = wrong(cx, &places, &set, &seen).await?;
        // Since this plan was made: a set that was read back last month is read back again.
        let fresh = |seen: &Seen| match seen {
            Seen::Whole(manifest) => {
                manifest.state == Sealed::Verified && manifest.verified_at.is_some_and(|at| at >= cx.plan.created)
            }
            _ => true,
        };
        let fresh = seen.iter().all(|(_, seen)| fresh(seen));
        let manifest = match agreed(seen) {
            Ok(manifest) => manifest,
            Err(found) => return Ok(State::blocked(vec![look::no_manifest(&set, places.dir, found)])),
        };
        if !wrong.is_empty() {
            return Ok(State::blocked(wrong));
        }
        if fresh {
            let parts = manifest.parts().count();
            return Ok(State::seen(json!({
                "set": set, "verified_at": manifest.verified_at, "parts": parts, "bytes": manifest.size(),
                "copies": manifest.copies,
            })));
        }
        Ok(State::needed(json!({ "set": set })))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let (places, set) = (Places::of(cx)?, look::meant(self.set.as_ref(), cx)?);
        let manifest = match places.manifest(&set).await? {
            Ok(manifest) => manifest,
            Err(found) => bail!("expected a whole manifest of {set}, found {found}"),
        };
        let mut held = Vec::new();
        for place in places.all() {
            held.push((expected(cx, &places, &manifest, &place).await?, place));
        }
        let reads = held.iter().map(|(parts, place)| read_back(cx, &places, &manifest, place, parts));
        futures_util::future::try_join_all(reads).await?;
        for (_, place) in &held {
            if !report(cx, &places, &set, place).await?.is_empty() {
                // The check that follows says what is damaged where.
                return Ok(());
            }
        }
        let all = manifest.parts().count();
        let copies = held.iter().filter(|(parts, _)| parts.len() == all).map(|(_, place)| place.clone()).collect();
        let at = jiff::Timestamp::now().max(cx.plan.created);
        let verified = Manifest { state: Sealed::Verified, verified_at: Some(at), copies, ..manifest.clone() };
        let bytes = verified.bytes()?;
        for (parts, place) in &held {
            if *place == Place::Operator && parts.is_empty() {
                continue;
            }
            put_manifest(cx, &places, &set, place, bytes.clone()).await?;
        }
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        files::harmless()
    }
}

/// Reads parts back at one place, and leaves a report of what is wrong there.
async fn read_back(
    cx: &ApplyCx<'_>,
    places: &Places<'_>,
    manifest: &Manifest,
    place: &Place,
    parts: &[&Part],
) -> Result<()> {
    match place {
        Place::Node(node) => on_node(cx, places, manifest, node, parts).await,
        Place::Operator if parts.is_empty() => Ok(()),
        Place::Operator => {
            cx.progress(format!("reading {} at the operator", look::size(parts.iter().map(|part| part.size).sum())));
            let conditions = places.conditions(place, &manifest.set, parts, true).await?;
            let wrong = conditions.into_iter().filter(|(_, condition)| *condition != Condition::Whole);
            let wrong = wrong.map(|(name, condition)| (name, condition.words())).collect();
            operator::blame(&places.operator_set(&manifest.set)?, cx.plan.run.as_str(), wrong).await
        }
    }
}

async fn on_node(
    cx: &ApplyCx<'_>,
    places: &Places<'_>,
    manifest: &Manifest,
    node: &NodeName,
    parts: &[&Part],
) -> Result<()> {
    let each = parts.iter().flat_map(|part| [part.name.clone(), part.size.to_string(), part.sha256.clone()]);
    let args = [places.set_dir(&manifest.set), cx.plan.run.to_string()].into_iter().chain(each);
    let limit = cx.inventory().limits.backup.duration();
    let cmd = Cmd::mutate("backup.verify", VERIFY, args).deadline(limit);
    let job = Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), cmd);
    job.run(cx.change_of(node)?, &|line| cx.progress(format!("{node}: {line}"))).await?;
    Ok(())
}
