//! Each change of a node: the override, the tracked file, the push, and letting go.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rollup_engine::ApplyCx;
use rollup_model::{NodeName, plan::hex};
use rollup_remote::{Cmd, Stdin};
use sha2::{Digest, Sha256};

use crate::{By, Edit, Edited, EditedFile, How, KeepalivedFacts, Move, conf, facts, script};

/// How long a node may take for one change of its configuration.
const EDIT: Duration = Duration::from_secs(30);

/// Makes one lasting change, and proves that the daemon took it.
pub(super) async fn edit(cx: &ApplyCx<'_>, facts: &KeepalivedFacts, edit: &Edit) -> Result<()> {
    match &edit.how {
        How::Override(priorities) => configure(cx, &edit.node, facts, priorities).await,
        How::Track(value) => track(cx, &edit.node, facts, *value).await,
        How::TakeOut => take_out(cx, &edit.node, facts).await,
    }
}

/// Everything of ours goes: what a push left, a value in the tracked file, overrides and their marks.
pub(super) async fn take_out(cx: &ApplyCx<'_>, node: &NodeName, facts: &KeepalivedFacts) -> Result<()> {
    if let Some(pushed) = &facts.pushed {
        let cmd = Cmd::mutate("vip.let-go", script::LET_GO, [pushed.by.as_str(), &pushed.what]);
        cx.change_of(node)?.exec(&cmd.deadline(Duration::from_secs(90))).await?;
    }
    if facts.tracker.as_ref().is_some_and(|tracker| tracker.value != 0) {
        track(cx, node, facts, 0).await?;
    }
    let mut members = facts.members();
    let loaded = |(_, configured, running): &(_, Option<&crate::Configured>, Option<&crate::Running>)| {
        let plain = configured.and_then(|configured| configured.priority);
        plain.zip(*running).is_none_or(|(plain, running)| plain == running.base_priority)
    };
    if facts.overridden().next().is_some() || facts.edited.is_some() || !members.all(|member| loaded(&member)) {
        configure(cx, node, facts, &BTreeMap::new()).await?;
    }
    Ok(())
}

/// Writes or removes overrides on one node and has the daemon take them: all files at once, in one reload.
async fn configure(
    cx: &ApplyCx<'_>,
    node: &NodeName,
    facts: &KeepalivedFacts,
    priorities: &BTreeMap<String, u8>,
) -> Result<()> {
    let at = &cx.inventory().keepalived;
    let read = Cmd::read("vip.config", script::CONFIG, [at.config.as_str()]);
    let answer = cx.host_of(node)?.exec(&read).await?.stdout;
    ensure!(answer.lines().any(|line| line == "end"), "expected the whole configuration of {node}, found a part");
    let files = facts::files(&answer, facts.config_id.as_deref(), cx.inventory()).map_err(anyhow::Error::msg)?;
    let changed = match priorities.is_empty() {
        true => conf::clear(&files)?,
        false => conf::raise(&files, priorities)?,
    };
    let edited = mark(cx, facts, &files, &changed, priorities)?;
    let (mut args, mut texts) = (Vec::new(), Vec::new());
    for (path, text) in changed {
        let before = files.texts.get(&path).context("a file that was changed was read")?;
        args.extend([path, digest(before), digest(&text), text.len().to_string()]);
        texts.extend(text.into_bytes());
    }
    let mut instances = 0;
    for (name, configured, running) in facts.members() {
        let running = running.with_context(|| format!("expected a daemon that tells the priority of {name}"))?;
        let (want, nopreempt) = match priorities.get(name) {
            Some(priority) => (priority.to_string(), false),
            None => {
                let other_than = || format!("!{}", running.base_priority);
                let want = configured.and_then(|configured| configured.priority).map(|priority| priority.to_string());
                (want.unwrap_or_else(other_than), configured.is_some_and(|configured| configured.nopreempt))
            }
        };
        args.extend([name.to_owned(), want, nopreempt.to_string()]);
        instances += 1;
    }
    let count = (args.len() - 3 * instances) / 4;
    let head = [at.unit.clone(), at.config.clone(), edited, count.to_string(), instances.to_string()];
    let cmd = Cmd::mutate("vip.override", script::OVERRIDE, head.into_iter().chain(args));
    cx.change_of(node)?.exec(&cmd.deadline(EDIT).stdin(Stdin::Bytes(texts))).await?;
    Ok(())
}

/// The mark that lies on the node as long as an override does: what was there before the first one. Empty without one.
fn mark(
    cx: &ApplyCx<'_>,
    facts: &KeepalivedFacts,
    files: &conf::Files,
    changed: &BTreeMap<String, String>,
    priorities: &BTreeMap<String, u8>,
) -> Result<String> {
    if priorities.is_empty() {
        return Ok(String::new());
    }
    let plain = conf::clear(files)?;
    let after = |path: &String| changed.get(path).or(files.texts.get(path));
    let file = |(path, text): (&String, &String)| {
        let before = digest(plain.get(path).unwrap_or(text));
        let after = digest(after(path)?);
        (before != after).then(|| EditedFile { path: path.clone(), before, after })
    };
    let base = |(name, configured, running): (&str, Option<&crate::Configured>, Option<&crate::Running>)| {
        let plain = configured.and_then(|configured| configured.priority);
        Some((name.to_owned(), plain.or(running.map(|running| running.base_priority))?))
    };
    let edited = Edited {
        run: cx.plan.run.clone(),
        files: files.texts.iter().filter_map(file).collect(),
        priorities: facts.members().filter_map(base).collect(),
    };
    Ok(serde_json::to_string(&edited)?)
}

/// Writes a value into the tracked file and has the daemon take it.
async fn track(cx: &ApplyCx<'_>, node: &NodeName, facts: &KeepalivedFacts, value: i32) -> Result<()> {
    let tracker = facts.tracker.as_ref().context("expected a tracked file, found none")?;
    let mut args = vec![cx.inventory().keepalived.unit.clone(), tracker.file.clone(), value.to_string()];
    for (name, _, running) in facts.members() {
        // What a failure hides cannot be foretold.
        let failed = tracker.fails(name, tracker.value) || tracker.fails(name, value);
        let known = running.filter(|_| tracker.weights.contains_key(name) && !failed);
        let after = known.map(|running| i32::from(running.effective_priority) - tracker.adds(name));
        let after = after.map(|plain| (plain + tracker.would_add(name, value)).clamp(1, 254));
        args.extend([name.to_owned(), after.map_or_else(|| "-".to_owned(), |after| after.to_string())]);
    }
    cx.change_of(node)?.exec(&Cmd::mutate("vip.track", script::TRACK, args)).await?;
    Ok(())
}

/// Makes the old owner give the address up, by one command that lets go by itself.
pub(super) async fn push(cx: &ApplyCx<'_>, done: &Move) -> Result<()> {
    let Some(push) = &done.push else { return Ok(()) };
    let (what, value) = match &push.by {
        By::Fault { file, value } => (file.clone(), value.to_string()),
        By::Link(link) => (link.clone(), String::new()),
        By::Stop => (cx.inventory().keepalived.unit.clone(), String::new()),
    };
    let limit = cx.inventory().limits.vip_switch.duration();
    if limit < done.expected.duration() {
        bail!("the VIP would move after {}, but the limit is {}", done.expected, cx.inventory().limits.vip_switch);
    }
    let turns = (limit.as_millis() / 10).to_string();
    // The new owner needs the gap; a little more, since both count on clocks of their own.
    let more = format!("{:.3}", (done.gap.duration() + Duration::from_millis(100)).as_secs_f64());
    let address = cx.inventory().vip.address.to_string();
    let args = [push.by.word().to_owned(), what, value, address, turns, more, cx.plan.run.to_string()];
    let cmd = Cmd::mutate("vip.push", script::PUSH, args).deadline(limit * 2 + Duration::from_secs(90));
    cx.change_of(&push.node)?.exec(&cmd).await?;
    Ok(())
}

/// Waits for the address on its new owner, at most so long, and tells the neighbours.
pub(super) async fn announce(cx: &ApplyCx<'_>, owner: &NodeName, wait: Duration) -> Result<()> {
    let turns = (wait.as_millis() / 20).to_string();
    let args = [cx.inventory().vip.address.to_string(), turns];
    let cmd = Cmd::mutate("vip.announce", script::ANNOUNCE, args).deadline(wait * 2 + Duration::from_secs(5));
    cx.change_of(owner)?.exec(&cmd).await?;
    Ok(())
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}
