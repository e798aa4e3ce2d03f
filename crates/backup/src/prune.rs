//! Old sets go once a newer one is verified (BAK-3).

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Undo};
use rollup_remote::Cmd;
use serde::Deserialize;
use serde_json::Value;

/// Prints the names of verified sets. `$1` directory of all sets. What is not verified may belong to a run that is not
/// over and is never touched here.
const LIST: &str = r#"
for set in "$1"/backup_*; do
  if grep -q '"state": "verified"' "$set/manifest.json" 2>/dev/null; then echo "${set##*/}"; fi
done
"#;

/// `$1` directory of all sets, then names. The manifest goes first: a set that is half removed is not verified.
const REMOVE: &str = r#"
dir=$1; shift
for set in "$@"; do
  rm -f "$dir/$set/manifest.json"
  rm -rf "${dir:?}/$set"
done
"#;

/// The names that are to go: all but the newest `keep`, and never `current`. Names sort by time.
fn surplus(sets: &str, keep: usize, current: &str) -> Vec<String> {
    let mut names: Vec<&str> =
        sets.lines().map(str::trim).filter(|name| !name.is_empty() && *name <= current).collect();
    names.sort_unstable();
    names.reverse();
    names.into_iter().filter(|name| *name != current).skip(keep.saturating_sub(1)).map(str::to_owned).collect()
}

async fn look(cx: &Cx<'_>) -> Result<Vec<String>> {
    let backup = &cx.inventory().backup;
    let sets = cx.host()?.exec(&Cmd::read("backup.list", LIST, [&backup.dir])).await?.stdout;
    Ok(surplus(&sets, usize::try_from(backup.keep)?, &cx.plan.backup_set))
}

/// Removes verified sets beyond `backup.keep`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prune {}

#[async_trait::async_trait]
impl Action for Prune {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        // The same version once more: this run's set leads back to what is installed anyway, so the older ones stay.
        if cx.plan.versions.get(cx.node()?) == Some(&cx.release()?.version) {
            return Ok(State::seen("the same version was installed again; older sets stay"));
        }
        let surplus = look(cx).await?;
        if surplus.is_empty() {
            return Ok(State::done());
        }
        let (expected, found) = (format!("at most {} verified sets", cx.inventory().backup.keep), surplus.join(", "));
        let finding = Finding::check("backup.keep", "BAK-3", false, expected, format!("also {found}")).on(cx.node()?);
        Ok(State::Needed { before: serde_json::to_value(surplus)?, because: vec![finding] })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let args = [cx.inventory().backup.dir.clone()].into_iter().chain(look(cx).await?);
        let cmd = Cmd::mutate("backup.remove", REMOVE, args).deadline(cx.inventory().limits.backup.duration());
        cx.change()?.exec(&cmd).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "a rollback of this run uses this run's own set".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sets_and_the_run_s_own_stay_bak_3() {
        let sets = "backup_20260101_000000\nbackup_20260301_000000\nbackup_20260201_000000\n";
        assert_eq!(surplus(sets, 1, "backup_20260301_000000"), ["backup_20260201_000000", "backup_20260101_000000"]);
        assert_eq!(surplus(sets, 2, "backup_20260301_000000"), ["backup_20260101_000000"]);
        assert!(surplus(sets, 3, "backup_20260301_000000").is_empty());
        assert_eq!(
            surplus(sets, 1, "backup_20260201_000000"),
            ["backup_20260101_000000"],
            "a set that came after belongs to somebody else"
        );
    }
}
