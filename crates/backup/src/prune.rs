//! `backup.prune` and `backup.survey`: old sets go once nothing can need them any more (BAK-3).

use std::collections::BTreeMap;

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, NodeName, Undo};
use rollup_remote::{Cmd, ReadOnly};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    SetName, look,
    manifest::{Hold, HoldState},
    places::Places,
    seal,
    subject::{self, SetFact, SetState},
    wire,
};

/// `$1` directory of all sets, then names. The manifest goes first: a set that is half removed is not verified.
const REMOVE: &str = r#"
dir=$1; shift
for set in "$@"; do
  rm -f "$dir/$set/manifest.json"
  rm -rf "${dir:?}/$set"
done
sync "$dir"
"#;

/// The sets that are to go, newest first: verified ones beyond the newest `keep`. Never one that is newer than
/// `current` (it is somebody else's), nor the newest verified one, nor one that an upgrade holds: while it goes on,
/// and until a newer verified set leads back just as well. What is not verified may belong to a run that is not over.
fn surplus(sets: &[SetFact], keep: usize, current: &SetName) -> Vec<SetName> {
    let mut verified: Vec<&SetFact> = sets.iter().filter(|set| set.state == SetState::Verified).collect();
    verified.sort_unstable_by(|a, b| b.name.cmp(&a.name));
    let held = |set: &SetFact| set.hold.as_ref().map(|hold| hold.state);
    let leads_back =
        |than: &SetFact| verified.iter().any(|newer| newer.name > than.name && held(newer) != Some(HoldState::Open));
    let may_go = |set: &&&SetFact| match held(set) {
        Some(HoldState::Open) => false,
        Some(HoldState::Done) => leads_back(set),
        None => true,
    };
    let newest = verified.first().map(|set| &set.name);
    let ours = verified.iter().filter(|set| set.name <= *current).skip(keep);
    ours.filter(may_go).filter(|set| Some(&set.name) != newest).map(|set| set.name.clone()).collect()
}

/// The sets in a node's backup directory.
pub(crate) async fn list(host: ReadOnly<'_>, dir: &str) -> Result<Vec<SetFact>> {
    let text = host.exec(&Cmd::read("backup.list", subject::LIST, [dir])).await?.stdout;
    subject::parse_sets(&text)
}

async fn surplus_here(cx: &Cx<'_>, host: ReadOnly<'_>) -> Result<Vec<SetName>> {
    let backup = &cx.inventory().backup;
    let sets = list(host, &backup.dir).await?;
    Ok(surplus(&sets, usize::try_from(backup.keep)?, &look::meant(None, cx)?))
}

/// Whether the same version was installed once more: this run's set leads back to what is installed anyway, so the
/// older ones stay.
fn is_repeated(cx: &Cx<'_>, node: &NodeName) -> bool {
    let version = cx.plan.release.as_ref().map(|release| &release.version);
    version.is_some() && cx.plan.versions.get(node) == version
}

/// Removes sets that are not needed any more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prune {}

impl Prune {
    /// This run's own hold while it is still open.
    async fn own_hold(cx: &Cx<'_>) -> Result<Option<Hold>> {
        let hold = seal::hold(&Places::of(cx)?, cx.node()?, &look::meant(None, cx)?).await?;
        Ok(hold.filter(|hold| hold.run == cx.plan.run && hold.state == HoldState::Open))
    }
}

#[async_trait::async_trait]
impl Action for Prune {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let node = cx.node()?;
        let hold = Self::own_hold(cx).await?;
        let repeated = is_repeated(cx, node);
        let surplus = if repeated { Vec::new() } else { surplus_here(cx, cx.host()?).await? };
        if surplus.is_empty() && hold.is_none() {
            let same = "the same version was installed again; older sets stay";
            return Ok(if repeated { State::seen(same) } else { State::done() });
        }
        let mut because = Vec::new();
        if hold.is_some() {
            let expected = "this run's set held by a run that is over";
            because.push(Finding::check("backup.hold", "BAK-3", false, expected, "held by one that goes on").on(node));
        }
        if !surplus.is_empty() {
            let names: Vec<_> = surplus.iter().map(SetName::as_str).collect();
            let expected = format!("at most {} verified sets", cx.inventory().backup.keep);
            let found = format!("also {}", names.join(", "));
            because.push(Finding::check("backup.keep", "BAK-3", false, expected, found).on(node));
        }
        Ok(State::Needed { before: json!({ "surplus": surplus }), because })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        if let Some(hold) = Self::own_hold(cx).await? {
            let hold = Hold { state: HoldState::Done, ..hold };
            let write = wire::write(&cx.plan.backup_dir(), "hold.json", serde_json::to_vec(&hold)?);
            cx.change()?.exec(&write).await?;
        }
        if is_repeated(cx, cx.node()?) {
            return Ok(());
        }
        // Asked again, since the hold that was just closed may have kept one.
        let surplus = surplus_here(cx, cx.host()?).await?;
        if surplus.is_empty() {
            return Ok(());
        }
        let args = [cx.inventory().backup.dir.clone()].into_iter().chain(surplus.into_iter().map(String::from));
        let cmd = Cmd::mutate("backup.remove", REMOVE, args).deadline(cx.inventory().limits.backup.duration());
        cx.change()?.exec(&cmd).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "a rollback of this run uses this run's own set".to_owned() }
    }
}

/// Looks which sets there are, and which of them a pruning would remove.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survey {}

#[async_trait::async_trait]
impl Action for Survey {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let backup = &cx.inventory().backup;
        let mut seen = BTreeMap::new();
        for node in cx.inventory().node_names() {
            let sets = list(cx.host_of(node)?, &backup.dir).await?;
            let surplus = surplus(&sets, usize::try_from(backup.keep)?, &look::meant(None, cx)?);
            seen.insert(node, json!({ "sets": sets, "surplus": surplus }));
        }
        Ok(State::seen(seen))
    }
}

#[cfg(test)]
mod tests {
    use rollup_model::RunId;

    use super::*;

    /// `DAY STATE HOLD` for each set; returns the days that go, newest first.
    fn goes(sets: &[&str], keep: usize, current: u8) -> Vec<u8> {
        let name = |day: u8| SetName::new(format!("backup_202603{day:02}_000000")).unwrap();
        let fact = |text: &&str| {
            let words: Vec<_> = text.split(' ').collect();
            let hold = |state| Some(Hold { run: RunId::new("r").unwrap(), state });
            SetFact {
                name: name(words[0].parse().unwrap()),
                state: match words[1] {
                    "v" => SetState::Verified,
                    "c" => SetState::Complete,
                    _ => SetState::Incomplete,
                },
                hold: match words[2] {
                    "open" => hold(HoldState::Open),
                    "done" => hold(HoldState::Done),
                    _ => None,
                },
            }
        };
        let sets: Vec<_> = sets.iter().map(fact).collect();
        let day = |name: SetName| name.as_str()[13..15].parse().unwrap();
        surplus(&sets, keep, &name(current)).into_iter().map(day).collect()
    }

    /// Why, sets, `keep`, the run's own day, days that go.
    type Row = (&'static str, &'static [&'static str], usize, u8, &'static [u8]);

    #[test]
    fn sets_go_by_one_rule_bak_3() {
        let table: [Row; 12] = [
            ("the newest `keep` stay", &["1 v -", "2 v -", "3 v -"], 1, 3, &[2, 1]),
            ("two are kept", &["1 v -", "2 v -", "3 v -"], 2, 3, &[1]),
            ("all are kept", &["1 v -", "2 v -", "3 v -"], 3, 3, &[]),
            ("what came after is somebody else's", &["1 v -", "2 v -", "3 v -"], 1, 2, &[1]),
            ("an upgrade that goes on", &["1 v open", "2 v -", "3 v -"], 1, 3, &[2]),
            ("an upgrade that is over, and a newer set", &["1 v done", "2 v done"], 1, 2, &[1]),
            ("an upgrade that is over, and only one that goes on", &["1 v done", "2 v open"], 1, 2, &[]),
            ("complete is not verified", &["1 c -", "2 v -"], 1, 2, &[]),
            ("incomplete is never touched", &["1 i -", "2 v -"], 1, 2, &[]),
            ("incomplete does not count", &["1 v -", "2 i -"], 1, 2, &[]),
            ("the newest verified one stays", &["1 v -"], 0, 9, &[]),
            ("a plan without a set of its own", &["1 v -", "2 v done", "3 v -"], 1, 31, &[2, 1]),
        ];
        for (why, sets, keep, current, expected) in table {
            assert_eq!(goes(sets, keep, current), expected, "{why}");
        }
    }
}
