//! What several steps ask alike: which set is meant, what of it is where, what its root key says.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rollup_engine::Cx;
use rollup_model::{Finding, NodeName, Plan, plan::Target};

use crate::{
    Identities, Place, RootKey, SetName,
    manifest::{Manifest, Part, RootKeyPart},
    places::{Condition, Places},
};

/// The set that a step means: the one it names, else the plan's own.
pub(crate) fn meant(set: Option<&SetName>, cx: &Cx<'_>) -> Result<SetName> {
    match set {
        Some(set) => Ok(set.clone()),
        None => SetName::new(cx.plan.backup_set.as_str()),
    }
}

/// The nodes on which this plan takes files.
pub(crate) fn nodes_taken(plan: &Plan) -> Vec<&NodeName> {
    on_nodes(plan, "backup.files").collect()
}

/// The node on which this plan takes the database.
pub(crate) fn database_node(plan: &Plan) -> Option<&NodeName> {
    on_nodes(plan, "db.backup").next()
}

fn on_nodes<'p>(plan: &'p Plan, uses: &'static str) -> impl Iterator<Item = &'p NodeName> {
    plan.steps.iter().filter(move |step| step.action.uses == uses).filter_map(|step| match &step.on {
        Target::Node(node) => Some(node),
        Target::Pair => None,
    })
}

/// The finding that nothing leads on from: no manifest that could be trusted.
pub(crate) fn no_manifest(set: &SetName, dir: &str, found: String) -> Finding {
    Finding::check("backup.set", "RB-1", false, format!("a whole manifest of {set} in {dir}"), found)
        .fix("rollup backup list")
}

/// What is wrong with one part at one place.
pub(crate) fn damage(places: &Places<'_>, place: &Place, set: &SetName, name: &str, found: &str) -> Finding {
    let finding = Finding::check(
        "backup.part",
        "BAK-4",
        false,
        format!("{} as the manifest says", places.where_is(place, set, name)),
        found,
    );
    match place {
        Place::Node(node) => finding.on(node),
        Place::Operator => finding,
    }
}

/// Where each part is whole, and what was found of those that are whole nowhere.
pub(crate) struct Whereabouts<'p> {
    pub(crate) whole: BTreeMap<&'p str, Place>,
    pub(crate) wrong: Vec<(&'p str, Place, Condition)>,
}

/// Looks for a place where each part is whole, its home first, every byte read.
pub(crate) async fn whole_somewhere<'p>(
    places: &Places<'_>,
    manifest: &Manifest,
    parts: &[&'p Part],
) -> Result<Whereabouts<'p>> {
    let mut found = Whereabouts { whole: BTreeMap::new(), wrong: Vec::new() };
    let mut away = None;
    for homes in [true, false] {
        let looks = places.all().into_iter().map(|place| {
            let here = |part: &&&'p Part| {
                let home = manifest.home(part).cloned().map(Place::Node);
                !found.whole.contains_key(part.name.as_str()) && (home.as_ref() == Some(&place)) == homes
            };
            let asked: Vec<&'p Part> = parts.iter().filter(here).copied().collect();
            async move { (places.conditions(&place, &manifest.set, &asked, true).await, asked, place) }
        });
        for (conditions, asked, place) in futures_util::future::join_all(looks).await {
            let mut conditions = match conditions {
                Err(error) if is_away(&error) => {
                    away.get_or_insert(error);
                    continue;
                }
                conditions => conditions?,
            };
            for part in asked {
                match conditions.remove(&part.name).unwrap_or(Condition::Missing) {
                    Condition::Whole => drop(found.whole.entry(&part.name).or_insert_with(|| place.clone())),
                    other => found.wrong.push((&part.name, place.clone(), other)),
                }
            }
        }
    }
    found.wrong.retain(|(name, _, _)| !found.whole.contains_key(name));
    let lacking = parts.iter().find(|part| !found.whole.contains_key(part.name.as_str()));
    match (lacking, away) {
        // It may be whole there: whoever asks is told to ask again.
        (Some(part), Some(error)) => Err(error.context(format!("{} is whole at no place that answers", part.name))),
        _ => Ok(found),
    }
}

fn is_away(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(rollup_remote::RemoteError::Unreachable { .. }))
}

/// The operator's identities, as the inventory names them.
pub(crate) async fn identities(file: Option<&str>) -> Result<Identities> {
    let file = file.context("backup.identity_file is not set, so no root key can be opened")?.to_owned();
    tokio::task::spawn_blocking(move || Identities::read(file.as_ref())).await.context("the work was given up")?
}

/// Opens a node's root key, from a place that has it, and holds it against what the manifest says.
pub(crate) async fn open_key(
    places: &Places<'_>,
    set: &SetName,
    node: &NodeName,
    from: &Place,
    recorded: &RootKeyPart,
    identities: &Identities,
) -> Result<RootKey> {
    let name = format!("{node}/root-key.age");
    let place = places.where_is(from, set, &name);
    let sealed = places.small(from, set, &name).await?.with_context(|| format!("{place} is missing"))?;
    let key = identities.open(&sealed).with_context(|| format!("{place} cannot be opened"))?;
    anyhow::ensure!(
        key.fingerprint() == recorded.fingerprint,
        "{place} holds another key: expected fingerprint {}, found {}",
        recorded.fingerprint,
        key.fingerprint()
    );
    Ok(key)
}

/// The finding that a root key cannot be opened.
pub(crate) fn locked(node: &NodeName, recorded: &RootKeyPart, error: &anyhow::Error) -> Finding {
    let expected = format!("the root key {} opened with backup.identity_file", recorded.fingerprint);
    Finding::check("backup.identity", "BAK-2", false, expected, format!("{error:#}")).on(node).fix(format!(
        "name in rollup.toml, [backup] identity_file, the age identity of one of: {}",
        recorded.recipients.join(", ")
    ))
}

/// A number of bytes as people say it.
pub(crate) fn size(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    if bytes < GIB {
        format!("{} MiB", bytes.div_ceil(1 << 20))
    } else {
        format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB)
    }
}

/// Tells a progress line whenever a transfer has come another few MiB further.
pub(crate) fn teller<'s>(
    what: String,
    total: u64,
    say: &'s (dyn Fn(String) + Send + Sync),
) -> impl Fn(u64) + Send + Sync + 's {
    let next = std::sync::atomic::AtomicU64::new(STRIDE);
    move |bytes| {
        use std::sync::atomic::Ordering::Relaxed;
        if bytes >= next.load(Relaxed) {
            next.store(bytes + STRIDE, Relaxed);
            say(format!("{what}: {} of {}", size(bytes), size(total)));
        }
    }
}

/// How far a transfer comes between two progress lines, in bytes.
const STRIDE: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_as_people_say_them() {
        assert_eq!(
            [size(0), size(1), size(312 << 20), size((1 << 30) + (1 << 29))],
            ["0 MiB", "1 MiB", "312 MiB", "1.5 GiB"]
        );
    }

    #[test]
    fn progress_is_told_now_and_then() {
        let said = std::sync::Mutex::new(Vec::new());
        let say = |line| said.lock().unwrap().push(line);
        let tell = teller("node-a/files.tar.zst to node-b".to_owned(), 100 << 20, &say);
        (0..100).for_each(|mib| tell(mib << 20));
        drop(tell);
        let said = said.into_inner().unwrap();
        assert_eq!(said.len(), 6, "{said:?}");
        assert_eq!(said[0], "node-a/files.tar.zst to node-b: 16 MiB of 100 MiB");
    }
}
