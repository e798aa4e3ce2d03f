//! `backup.ready`: whether a set can be taken at all, from sizes measured before the first byte (PRE-7, BAK-2).

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use rollup_engine::{Action, Cx, State};
use rollup_model::{Finding, NodeName, Plan, inventory::CopyTo};
use rollup_remote::Cmd;
use serde::Deserialize;
use serde_json::json;

use crate::{files, keys, look, operator, places::Places, subject};

const MEASURE: &str = include_str!("scripts/measure.sh");

/// Looks whether a set can be taken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {}

/// What one node says. Sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Measured {
    free: u64,
    writable: bool,
    files: u64,
    /// `None`: the data directory is not there.
    database: Option<u64>,
    key: String,
    lacks: Vec<String>,
}

fn parse(text: &str) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut seen = 0;
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').with_context(|| format!("expected two words, found `{line}`"))?;
        let number = || rest.parse().with_context(|| format!("{word}: expected a number, found `{rest}`"));
        match word {
            "free" => measured.free = number()?,
            "files" => measured.files = number()?,
            "database" if rest == "missing" => measured.database = None,
            "database" => measured.database = Some(number()?),
            "writable" => measured.writable = rest == "yes",
            "key" => measured.key = rest.to_owned(),
            "lacks" => measured.lacks.push(rest.to_owned()),
            _ => bail!("expected a measure, found `{line}`"),
        }
        seen += usize::from(word != "lacks");
    }
    anyhow::ensure!(seen == 5, "expected five measures, found {seen}");
    Ok(measured)
}

/// What is added to a measured size: lists, directories, what grows meanwhile.
fn with_margin(bytes: u64) -> u64 {
    bytes + bytes / 20 + (8 << 20)
}

async fn measure(cx: &Cx<'_>, node: &NodeName) -> Result<Measured> {
    let inventory = cx.inventory();
    let database = look::database_node(cx.plan) == Some(node);
    let takes = look::nodes_taken(cx.plan).contains(&node);
    let data = if database { inventory.database.data_dir.as_str() } else { "" };
    let key = inventory.service.root_key.as_deref().filter(|_| takes).unwrap_or_default();
    let paths = files::paths(cx.plan).into_iter().filter(|_| takes);
    let args = [inventory.backup.dir.as_str(), data, key].map(str::to_owned).into_iter().chain(paths);
    let cmd = Cmd::read("backup.measure", MEASURE, args).deadline(inventory.limits.backup.duration());
    parse(&cx.host_of(node)?.exec(&cmd).await?.stdout).with_context(|| format!("{node} cannot be measured"))
}

/// What a set takes at each node, copies of the others included, and at the operator.
fn needs(plan: &Plan, measured: &BTreeMap<&NodeName, Measured>) -> (BTreeMap<NodeName, u64>, u64) {
    let own = |measured: &Measured| measured.files + measured.database.unwrap_or_default();
    let all: u64 = measured.values().map(own).sum();
    let peer = plan.inventory.backup.copies.contains(&CopyTo::Peer);
    let needs =
        measured.iter().map(|(node, measured)| ((*node).clone(), with_margin(if peer { all } else { own(measured) })));
    (needs.collect(), with_margin(all))
}

fn findings(cx: &Cx<'_>, node: &NodeName, measured: &Measured, need: u64) -> Vec<Finding> {
    let dir = &cx.inventory().backup.dir;
    let mut findings = vec![
        subject::directory(dir, true, measured.writable).on(node),
        Finding::check(
            "backup.space",
            "PRE-7",
            measured.free >= need,
            format!("{} free for a backup set in {dir}", look::size(need)),
            look::size(measured.free),
        )
        .on(node)
        .fix("rollup backup prune"),
    ];
    if look::database_node(cx.plan) == Some(node) {
        let data = &cx.inventory().database.data_dir;
        let there = measured.database.is_some();
        let found = if there { "it is there" } else { "nothing there" };
        let finding = Finding::check("backup.database", "PRE-7", there, format!("the database in {data}"), found);
        findings.push(finding.on(node).fix("correct database.data_dir in rollup.toml"));
    }
    if !measured.lacks.is_empty() {
        let tools = measured.lacks.join(", ");
        let finding =
            Finding::check("backup.tools", "PRE-8", false, "the tools that make a set", format!("no {tools}"));
        findings.push(finding.on(node).fix(format!("install {tools} on {node}")));
    }
    if let Some(path) = cx.inventory().service.root_key.as_ref().filter(|_| measured.key != "none") {
        findings.extend(keys::misplaced(node, path, &measured.key));
    }
    findings
}

#[async_trait::async_trait]
impl Action for Ready {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let inventory = cx.inventory();
        let measures = inventory.node_names().map(|node| async move { anyhow::Ok((node, measure(cx, node).await?)) });
        let measured: BTreeMap<_, _> = futures_util::future::try_join_all(measures).await?.into_iter().collect();
        let (needs, all) = needs(cx.plan, &measured);
        let mut found: Vec<Finding> = measured
            .iter()
            .flat_map(|(node, measured)| findings(cx, node, measured, needs.get(*node).copied().unwrap_or_default()))
            .collect();
        if inventory.service.root_key.is_some() && !look::nodes_taken(cx.plan).is_empty() {
            found.extend(keys::unreadable_recipients(&inventory.backup.recipients));
        }
        if inventory.backup.copies.contains(&CopyTo::Operator) {
            let dir = Places::of(cx)?.operator.context("backup.operator_dir is not known")?;
            let shown = dir.display().to_string();
            let room = operator::room(dir).await?;
            let place = room.writable && room.free >= all;
            let expected = format!("{shown} on this machine writable, with {} free", look::size(all));
            let state = if room.writable { "writable" } else { "not writable" };
            let state = format!("{state}, {} free", look::size(room.free));
            let finding = Finding::check("backup.operator", "BAK-5", place, expected, state);
            found.push(finding.fix("set backup.operator_dir in rollup.toml to a directory with room"));
        }
        found.retain(|finding| finding.severity == rollup_model::Severity::Error);
        if !found.is_empty() {
            return Ok(State::blocked(found));
        }
        let seen: BTreeMap<_, _> = measured
            .iter()
            .map(|(node, m)| {
                let need = needs.get(*node).copied().unwrap_or_default();
                (*node, json!({ "files": m.files, "database": m.database, "needed": need, "free": m.free }))
            })
            .collect();
        Ok(State::seen(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_read_and_unknown_text_is_an_error_pre_7() {
        let text = "free 1000\nwritable yes\nfiles 10\ndatabase 20\nkey file\nlacks zstd\n";
        let measured = parse(text).unwrap();
        assert_eq!((measured.free, measured.files, measured.database, measured.writable), (1000, 10, Some(20), true));
        assert_eq!((measured.key.as_str(), measured.lacks.as_slice()), ("file", ["zstd".to_owned()].as_slice()));
        assert_eq!(parse(&text.replace("database 20", "database missing")).unwrap().database, None);
        for bad in ["free x\n", "", "free 1\n", "df: no such file\n"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
