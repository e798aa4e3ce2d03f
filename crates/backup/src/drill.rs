//! `backup.drill`: proof that the files of a set lead back, in a scratch directory that does not stay (BAK-4).

use anyhow::{Context, Result, bail};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, NodeName, RunId, Undo};
use rollup_remote::{Cmd, Job};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Place, SetName, lists, look, places::Places, wire};

const DRILL: &str =
    concat!(include_str!("scripts/calm.sh"), include_str!("scripts/contents.sh"), include_str!("scripts/drill.sh"));

/// What a drill has proven, in `drill-RUN.json` of the set on the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillRecord {
    /// The run that did it.
    pub run: RunId,
    /// On which node.
    pub node: NodeName,
    /// When.
    pub at: jiff::Timestamp,
    /// Files that were unpacked and compared.
    pub files: u64,
    /// Bytes they have.
    pub bytes: u64,
    /// Fingerprint of the root key that opened; `None`: the set has none.
    pub root_key: Option<String>,
}

/// Unpacks a node's files, compares every one, opens the root key, and removes what it unpacked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// The set.
    set: SetName,
}

#[async_trait::async_trait]
impl Action for Drill {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let (places, node) = (Places::of(cx)?, cx.node()?);
        let here = Place::Node(node.clone());
        let record = places.small(&here, &self.set, &name(&cx.plan.run)).await?;
        if let Some(record) = record {
            let record: DrillRecord = serde_json::from_slice(&record).context("the drill's record cannot be read")?;
            return Ok(State::seen(record));
        }
        let manifest = match places.manifest(&self.set).await? {
            Ok(manifest) => manifest,
            Err(found) => return Ok(State::blocked(vec![look::no_manifest(&self.set, places.dir, found).on(node)])),
        };
        if !manifest.nodes.contains_key(node) {
            let expected = format!("{} with the files of {node}", self.set);
            let finding = Finding::check("backup.set", "BAK-4", false, expected, "they were not taken").on(node);
            return Ok(State::blocked(vec![finding]));
        }
        Ok(State::needed(json!({ "set": self.set })))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let (places, node) = (Places::of(cx)?, cx.node()?);
        let here = Place::Node(node.clone());
        let manifest = match places.manifest(&self.set).await? {
            Ok(manifest) => manifest,
            Err(found) => bail!("expected a whole manifest of {}, found {found}", self.set),
        };
        let recorded = manifest.nodes.get(node).and_then(|parts| parts.root_key.as_ref());
        let mut root_key = None;
        if let Some(recorded) = recorded {
            let identities = look::identities(cx.inventory().backup.identity_file.as_deref()).await?;
            let key = look::open_key(&places, &self.set, node, &here, recorded, &identities).await?;
            root_key = Some(key.fingerprint());
        }
        let dir = places.set_dir(&self.set);
        let cmd = Cmd::mutate("backup.drill", DRILL, [dir.as_str(), node.as_str()]);
        let cmd = cmd.deadline(cx.inventory().limits.backup.duration());
        let job = Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), cmd);
        job.run(cx.change()?, &|line| cx.progress(line)).await?;

        let contents = places.small(&here, &self.set, &format!("{node}/contents")).await?.context("no `contents`")?;
        let contents = String::from_utf8_lossy(&contents).into_owned();
        let contents = lists::parse_contents(&contents)?;
        let files: Vec<_> = contents.iter().filter(|entry| entry.kind == "f").collect();
        let record = DrillRecord {
            run: cx.plan.run.clone(),
            node: node.clone(),
            at: jiff::Timestamp::now(),
            files: files.len() as u64,
            bytes: files.iter().map(|entry| entry.size).sum(),
            root_key,
        };
        cx.change()?.exec(&wire::write(&dir, &name(&cx.plan.run), serde_json::to_vec(&record)?)).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "a drill leaves nothing but its record".to_owned() }
    }
}

fn name(run: &RunId) -> String {
    format!("drill-{run}.json")
}
