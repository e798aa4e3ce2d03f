//! The set's manifest, written only after everything in it was read back (BAK-1).

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Role, Undo};
use rollup_remote::{Cmd, Stdin};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::files;

/// Reads every member of the archive and prints how many there are. `$1` set directory.
const READ_BACK: &str = r#"
cd "$1/files"
tar --list --absolute-names --zstd --file files.tar.zst | wc -l
"#;

/// `$1` set directory: the database's part as its own crate left it, and the manifest.
const LOOK: &str = r#"
cat "$1/database.json" 2>/dev/null || echo null
echo --
cat "$1/manifest.json" 2>/dev/null || echo null
"#;

const WRITE: &str = r#"
umask 077
cat > "$1/.manifest.json.new"
sync "$1/.manifest.json.new"
mv -f "$1/.manifest.json.new" "$1/manifest.json"
sync "$1"
"#;

async fn look(cx: &Cx<'_>) -> Result<(Value, Value)> {
    let text = cx.host()?.exec(&Cmd::read("backup.look", LOOK, [cx.plan.backup_dir()])).await?.stdout;
    let (database, manifest) = text.split_once("--\n").context("expected two documents, found one")?;
    Ok((serde_json::from_str(database)?, serde_json::from_str(manifest)?))
}

/// Reads the set back and writes its manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {}

#[async_trait::async_trait]
impl Action for Seal {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let (_, manifest) = look(cx).await?;
        if manifest.get("state") == Some(&json!("verified")) {
            return Ok(State::seen(manifest));
        }
        Ok(State::needed(json!({ "set": cx.plan.backup_set })))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let dir = cx.plan.backup_dir();
        let node = cx.node()?;
        let kept = files::look(cx, &dir).await?;
        let kept = kept.with_context(|| format!("{dir}/files is not whole: it does not match its checksums"))?;
        let limit = cx.inventory().limits.backup.duration();
        let members =
            cx.host()?.exec(&Cmd::read("backup.read-back", READ_BACK, [dir.as_str()]).deadline(limit)).await?;
        let members: u64 = members.stdout.trim().parse().context("expected the number of members")?;
        let (database, _) = look(cx).await?;
        // The database's part is taken on one node only; there it must be whole before the set is called verified.
        let has_database = cx.plan.bound(Role::OriginalStandby) == Some(node);
        anyhow::ensure!(
            !has_database || !database.is_null(),
            "{dir}/database.json is missing: the database is not backed up"
        );
        let manifest = json!({
            "format": 1,
            "set": cx.plan.backup_set,
            "run": cx.plan.run,
            "node": node,
            "version": cx.plan.versions.get(node),
            "state": "verified",
            "verified_at": jiff::Timestamp::now(),
            "files": kept,
            "members": members,
            "database": database,
        });
        let cmd = Cmd::mutate("backup.write-manifest", WRITE, [dir])
            .stdin(Stdin::Bytes(serde_json::to_vec_pretty(&manifest)?));
        cx.change()?.exec(&cmd).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "a backup set harms nobody".to_owned() }
    }
}

/// The finding that a restore without a whole set ends with.
pub(crate) fn no_set(cx: &Cx<'_>, dir: &str) -> Result<Finding> {
    Ok(Finding::check("backup.set", "BAK-1", false, format!("a whole set in {dir}"), "none, or a damaged one")
        .on(cx.node()?))
}
