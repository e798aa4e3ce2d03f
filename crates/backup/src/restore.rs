//! The way back of one node: code, configuration and root key as they were in the set.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Undo};
use rollup_remote::{Cmd, Job};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{files, seal};

/// Prints what differs from the set, at most ten lines. `$1` set directory, `$2` root key or empty.
const DIFFER: &str = r#"
cd "$1/files"
{
  sha256sum --check --quiet present 2>/dev/null | sed 's/: FAILED.*//' || true
  while IFS= read -r path; do [ -e "$path" ] && echo "$path" || true; done < absent
  if [ -f root-key ] && ! cmp -s root-key "$2"; then echo "$2"; fi
} | head -n 10
"#;

/// Puts everything back. `$1` set directory, `$2` root key or empty.
///
/// Each file is made beside its place and renamed into it, so that a crash leaves the one or the other; then what the
/// set says did not exist is removed.
const RESTORE: &str = r#"
set=$1 key=$2
cd "$set/files"
sha256sum --check --quiet --strict SHA256SUMS
umask 077
rm -rf "$set/restore"; mkdir "$set/restore"
tar --extract --zstd --file files.tar.zst --directory "$set/restore" --preserve-permissions --same-owner
( cd "$set/restore" && find . -type d -print0 ) | while IFS= read -r -d '' dir; do
  [ -d "/$dir" ] || cp --archive --no-clobber -T --no-target-directory "$set/restore/$dir" "/$dir"
done
( cd "$set/restore" && find . ! -type d -print0 ) | while IFS= read -r -d '' file; do
  place="/${file#./}"
  new="$(dirname "$place")/.rollup-new.$(basename "$place")"
  rm -f "$new"
  cp --archive "$set/restore/$file" "$new"
  sync "$new" 2>/dev/null || true
  mv -fT "$new" "$place"
done
while IFS= read -r path; do rm -f "$path"; done < absent
if [ -f root-key ]; then
  read -r mode owner group < root-key.mode
  new="$(dirname "$key")/.rollup-new.$(basename "$key")"
  cp root-key "$new"; chown "$owner:$group" "$new"; chmod "$mode" "$new"
  sync "$new"
  mv -fT "$new" "$key"
fi
rm -rf "$set/restore"
sync
systemctl daemon-reload
"#;

/// Brings a node's files back from a set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// Name of the set. Default: the one of the plan.
    set: Option<String>,
}

impl Restore {
    fn dir(&self, cx: &Cx<'_>) -> String {
        let set = self.set.as_deref().unwrap_or(&cx.plan.backup_set);
        format!("{}/{set}", cx.inventory().backup.dir)
    }

    fn args(&self, cx: &Cx<'_>) -> [String; 2] {
        [self.dir(cx), cx.inventory().service.root_key.clone().unwrap_or_default()]
    }
}

#[async_trait::async_trait]
impl Action for Restore {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        if files::look(cx, &self.dir(cx)).await?.is_none() {
            return Ok(State::blocked(vec![seal::no_set(cx, &self.dir(cx))?]));
        }
        let cmd = Cmd::read("backup.differ", DIFFER, self.args(cx)).deadline(cx.inventory().limits.backup.duration());
        let differing = cx.host()?.exec(&cmd).await?.stdout;
        let node = cx.node()?;
        let because: Vec<_> = differing
            .lines()
            .map(|path| {
                Finding::check("backup.restored", "RB-1", false, format!("{path} as in the set"), "another").on(node)
            })
            .collect();
        if because.is_empty() {
            return Ok(State::done());
        }
        Ok(State::Needed { before: json!({ "differing": because.len() }), because })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let cmd =
            Cmd::mutate("backup.put-back", RESTORE, self.args(cx)).deadline(cx.inventory().limits.backup.duration());
        let job = Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), cmd);
        job.run(cx.change()?, &|line| cx.progress(line)).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::Impossible { why: "the replaced files are in the package; run the upgrade again".to_owned() }
    }
}
