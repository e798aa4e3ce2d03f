//! `backup.files`: code and configuration of one node, streamed into the set (BAK-1).

use std::collections::BTreeSet;

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Plan, Release, Undo, release::INSTALLED};
use rollup_remote::{Cmd, Job};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{lists, look, places::Places, wire};

pub(crate) const TAKE: &str = concat!(include_str!("scripts/calm.sh"), include_str!("scripts/take.sh"));

/// What must be kept of a node: what a package would replace, the rest of the program, and the configuration.
pub(crate) fn paths(plan: &Plan) -> BTreeSet<String> {
    let service = &plan.inventory.service;
    let touched = plan.release.iter().flat_map(Release::touches);
    let listed = service.code.iter().chain(&service.config).cloned();
    // What is noted of the files comes back with them.
    let all = touched.chain(listed).chain([INSTALLED.to_owned()]);
    all.map(|path| path.trim_end_matches('/').to_owned()).filter(|path| !path.is_empty()).collect()
}

/// Archives code and configuration of the step's node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {}

#[async_trait::async_trait]
impl Action for Files {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let (places, set) = (Places::of(cx)?, look::meant(None, cx)?);
        let name = format!("{}/sums", cx.node()?);
        let found = wire::read(cx.host()?, &places.set_dir(&set), &[&name]).await?;
        let Some(sums) = found.get(&name) else { return Ok(State::needed(json!({ "set": set }))) };
        let sums = lists::parse_sums(&sums.text())?;
        let bytes: u64 = sums.iter().map(|sum| sum.size).sum();
        Ok(State::seen(json!({ "set": set, "bytes": bytes })))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let key = cx.inventory().service.root_key.clone().unwrap_or_default();
        let args = [cx.plan.backup_dir(), cx.node()?.to_string(), key];
        let args = args.into_iter().chain(paths(cx.plan));
        let take = Cmd::mutate("backup.take", TAKE, args).deadline(cx.inventory().limits.backup.duration());
        let job = Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), take);
        job.run(cx.change()?, &|line| cx.progress(line)).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        harmless()
    }
}

/// Why most of this crate's steps need no undo.
pub(crate) fn harmless() -> Undo {
    Undo::NotNeeded { why: "a backup set harms nobody".to_owned() }
}
