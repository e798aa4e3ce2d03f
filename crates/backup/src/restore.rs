//! `backup.restore`: code, configuration and root key of one node as they were in a set.

use anyhow::{Context, Result, bail};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, NodeName, Undo, plan::ActionRef};
use rollup_remote::{Cmd, Job, Stdin};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    Place, RootKey, SetName, look,
    manifest::{Manifest, NodeParts, Part, RootKeyPart},
    places::{Condition, Places},
};

const DIFFER: &str = concat!(include_str!("scripts/contents.sh"), include_str!("scripts/differ.sh"));
const PUT_BACK: &str =
    concat!(include_str!("scripts/calm.sh"), include_str!("scripts/contents.sh"), include_str!("scripts/put-back.sh"));
const PUT_KEY: &str = include_str!("scripts/put-key.sh");

/// Brings a node's files back from a set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// Default: the one of the plan.
    set: Option<SetName>,
}

/// What is not as in the set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differing {
    files: Vec<String>,
    key: Option<String>,
}

impl Differing {
    /// Everything is as in the set.
    pub(crate) fn is_nothing(&self) -> bool {
        self.files.is_empty() && self.key.is_none()
    }
}

fn parse(text: &str) -> Result<Differing> {
    let mut differing = Differing::default();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("file", path)) => differing.files.push(path.to_owned()),
            Some(("key", path)) => differing.key = Some(path.to_owned()),
            _ => bail!("expected `file PATH` or `key PATH`, found `{line}`"),
        }
    }
    Ok(differing)
}

/// The parts of its own that a node has not whole. The archive is only weighed: it is read, and proven, when it is
/// unpacked.
pub(crate) async fn lacking(
    places: &Places<'_>,
    manifest: &Manifest,
    node: &NodeName,
) -> Result<Vec<(String, Condition)>> {
    let here = Place::Node(node.clone());
    let all = manifest.parts_of(node, false);
    let mut lacking = Vec::new();
    for deep in [true, false] {
        let parts: Vec<&Part> = all.iter().filter(|part| part.name.ends_with(".zst") != deep).copied().collect();
        lacking.extend(places.conditions(&here, &manifest.set, &parts, deep).await?);
    }
    lacking.retain(|(_, condition)| *condition != Condition::Whole);
    Ok(lacking)
}

/// Compares a node with its part of a set, whose lists must be whole.
pub(crate) async fn differing(places: &Places<'_>, manifest: &Manifest, node: &NodeName) -> Result<Differing> {
    let key = manifest.nodes.get(node).and_then(|parts| parts.root_key.as_ref());
    let of = |get: fn(&RootKeyPart) -> &String| key.map(get).cloned().unwrap_or_default();
    let args = [
        places.set_dir(&manifest.set),
        node.to_string(),
        of(|key| &key.path),
        of(|key| &key.mode),
        of(|key| &key.owner),
        of(|key| &key.group),
        of(|key| &key.fingerprint),
    ];
    let cmd = Cmd::read("backup.differ", DIFFER, args).deadline(places.limit);
    parse(&places.node(node)?.exec(&cmd).await?.stdout)
}

/// A set and what it holds of the step's node.
struct Source<'a> {
    places: Places<'a>,
    set: SetName,
    manifest: Manifest,
}

impl<'a> Source<'a> {
    /// `Err`: what is missing for a way back.
    async fn find(cx: &Cx<'a>, set: SetName) -> Result<Result<Source<'a>, Finding>> {
        let places = Places::of(cx)?;
        let node = cx.node()?;
        Ok(match places.manifest(&set).await? {
            Err(found) => Err(look::no_manifest(&set, places.dir, found).on(node)),
            Ok(manifest) if !manifest.nodes.contains_key(node) => {
                let expected = format!("{set} with the files of {node}");
                Err(Finding::check("backup.set", "RB-1", false, expected, "they were not taken").on(node))
            }
            Ok(manifest) => Ok(Source { places, set, manifest }),
        })
    }

    fn parts(&self, node: &NodeName) -> Result<&NodeParts> {
        self.manifest.nodes.get(node).with_context(|| format!("{} has no files of {node}", self.set))
    }

    async fn wrong(&self, node: &NodeName) -> Result<Vec<Finding>> {
        let here = Place::Node(node.clone());
        let wrong = lacking(&self.places, &self.manifest, node).await?.into_iter();
        let wrong = wrong.map(|(name, found)| look::damage(&self.places, &here, &self.set, &name, &found.words()));
        Ok(wrong.collect())
    }

    async fn differing(&self, cx: &Cx<'_>) -> Result<Differing> {
        differing(&self.places, &self.manifest, cx.node()?).await
    }

    /// The node's root key, opened.
    async fn key(&self, cx: &Cx<'_>, recorded: &RootKeyPart) -> Result<RootKey> {
        let identities = look::identities(cx.inventory().backup.identity_file.as_deref()).await?;
        let here = Place::Node(cx.node()?.clone());
        look::open_key(&self.places, &self.set, cx.node()?, &here, recorded, &identities).await
    }
}

#[async_trait::async_trait]
impl Action for Restore {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let node = cx.node()?;
        let source = match Source::find(cx, look::meant(self.set.as_ref(), cx)?).await? {
            Ok(source) => source,
            Err(finding) => return Ok(State::blocked(vec![finding])),
        };
        let wrong = source.wrong(node).await?;
        if !wrong.is_empty() {
            return Ok(State::blocked(wrong));
        }
        let differing = source.differing(cx).await?;
        if differing.is_nothing() {
            return Ok(State::seen(json!({ "set": source.set })));
        }
        let Differing { files, key } = differing;
        if let (Some(_), Some(recorded)) = (&key, &source.parts(node)?.root_key) {
            // Before the first file is touched: a node with an old program and a new key serves nobody.
            if let Err(error) = source.key(cx, recorded).await {
                return Ok(State::blocked(vec![look::locked(node, recorded, &error)]));
            }
        }
        let because: Vec<_> = files
            .iter()
            .chain(&key)
            .map(|path| {
                Finding::check("backup.restored", "RB-1", false, format!("{path} as in {}", source.set), "another")
                    .on(node)
            })
            .collect();
        // What this plan itself has kept before leads back from here.
        let own = SetName::new(cx.plan.backup_set.as_str()).ok();
        let safety = own.filter(|own| *own != source.set && look::nodes_taken(cx.plan).contains(&node));
        Ok(State::Needed { before: json!({ "differing": because.len(), "safety": safety }), because })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let node = cx.node()?;
        let source = match Source::find(cx, look::meant(self.set.as_ref(), cx)?).await? {
            Ok(source) => source,
            Err(finding) => bail!(finding.line()),
        };
        let args = [source.places.set_dir(&source.set), node.to_string()];
        let cmd = Cmd::mutate("backup.put-back", PUT_BACK, args).deadline(cx.inventory().limits.backup.duration());
        let job = Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), cmd);
        job.run(cx.change()?, &|line| cx.progress(line)).await?;

        let Some(recorded) = &source.parts(node)?.root_key else { return Ok(()) };
        if source.differing(cx).await?.key.is_some() {
            let key = source.key(cx, recorded).await?;
            let RootKeyPart { path, mode, owner, group, fingerprint, .. } = recorded;
            let put =
                Cmd::mutate("backup.put-key", PUT_KEY, [path, mode, owner, group, fingerprint].map(String::as_str));
            cx.change()?.exec(&put.stdin(Stdin::Stream(key.into_stream()))).await?;
        }
        Ok(())
    }

    fn undo(&self, before: &Value) -> Undo {
        match before.get("safety").filter(|set| set.is_string()) {
            Some(set) => {
                let with = Map::from_iter([("set".to_owned(), set.clone())]);
                Undo::Action(ActionRef { uses: "backup.restore".to_owned(), with })
            }
            None => Undo::Impossible { why: "the replaced files are in the package; run the upgrade again".to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_key_are_told_apart_rb_1() {
        let differing = parse("key /etc/o/root.key\nfile /etc/o/a b\nfile /opt/o/x\n").unwrap();
        assert_eq!((differing.files.len(), differing.key.as_deref()), (2, Some("/etc/o/root.key")));
        assert!(parse("").unwrap().is_nothing());
        assert!(parse("sh: oops\n").is_err());
    }

    #[test]
    fn a_way_back_leads_forward_again_only_from_its_own_safety_set() {
        let restore = Restore { set: None };
        let Undo::Action(action) = restore.undo(&json!({ "safety": "backup_20260301_100000" })) else {
            panic!("expected an action")
        };
        assert_eq!((action.uses.as_str(), &action.with["set"]), ("backup.restore", &json!("backup_20260301_100000")));
        for none in [Value::Null, json!({ "safety": null }), json!({ "differing": 1 })] {
            assert!(matches!(restore.undo(&none), Undo::Impossible { .. }));
        }
    }
}
