//! The package's own programs, each run once as a job of the node, in the staged tree.

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{
    Undo,
    release::{Hook, HookPoint, RootKeyPolicy},
};
use rollup_remote::{Cmd, Job};
use serde::Deserialize;
use serde_json::{Value, json};

/// Prints the marks of hooks that have run, one a line. `$1` staging directory.
const LOOK_HOOKS: &str = r#"
cd "$1" 2>/dev/null || exit 0
ls -1 | grep '^hook-.*\.done$' || true
"#;

/// Runs one hook in the package's own directory, with nothing of ours in its environment but four names. The mark that it
/// has run is its last act, so that a hook which ended well is never run again.
/// `$1` staging directory, `$2` hook, `$3` node, `$4` version, `$5` run, `$6` mark, `$7` the root key, or empty where the hook
/// may change it. Two checksums of the key are compared here and told to nobody.
const HOOK: &str = r#"
key() { if [ -n "$1" ] && [ -f "$1" ]; then sha256sum < "$1"; else echo none; fi; }
before=$(key "$7")
cd "$1/tree"
chmod u+x "$2"
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
  ROLLUP_NODE="$3" ROLLUP_VERSION="$4" ROLLUP_RUN="$5" ROLLUP_HOOK="$2" "./$2"
[ "$(key "$7")" = "$before" ] || { echo "it changed the root key $7, which the manifest does not announce" >&2; exit 1; }
: > "$1/$6"
sync "$1/$6" "$1"
"#;

/// Runs the package's hooks of one point. A hook that was cut off in the middle runs again as a whole, so it must bear
/// that.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunHooks {
    on: HookPoint,
}

impl RunHooks {
    fn point(&self) -> &'static str {
        match self.on {
            HookPoint::PreInstall => "pre-install",
            HookPoint::PostInstall => "post-install",
            HookPoint::PreStart => "pre-start",
            HookPoint::PostStart => "post-start",
        }
    }

    /// The package's hooks of this point, each with the name of its mark.
    fn hooks<'a>(&self, cx: &Cx<'a>) -> Result<Vec<(String, &'a Hook)>> {
        let all = cx.release()?.hooks.iter().filter(|hook| hook.on == self.on);
        Ok(all.enumerate().map(|(index, hook)| (format!("hook-{}-{index}.done", self.point()), hook)).collect())
    }

    /// The marks there are.
    async fn done(&self, cx: &Cx<'_>) -> Result<Vec<String>> {
        let look = Cmd::read("package.look-hooks", LOOK_HOOKS, [cx.plan.staging()]);
        Ok(cx.host()?.exec(&look).await?.stdout.lines().map(str::to_owned).collect())
    }
}

#[async_trait::async_trait]
impl Action for RunHooks {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let hooks = self.hooks(cx)?;
        if hooks.is_empty() {
            return Ok(State::seen("the package has none"));
        }
        let done = self.done(cx).await?;
        let all = hooks.iter().all(|(mark, _)| done.contains(mark));
        Ok(if all { State::done() } else { State::needed(json!({ "set": cx.plan.backup_set })) })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let (release, run, staging) = (cx.release()?, cx.plan.run.as_str(), cx.plan.staging());
        let done = self.done(cx).await?;
        for (mark, hook) in self.hooks(cx)?.into_iter().filter(|(mark, _)| !done.contains(mark)) {
            cx.progress(format!("running {}", hook.run));
            let key = match release.root_key {
                RootKeyPolicy::Keep => cx.inventory().service.root_key.as_deref().unwrap_or_default(),
                RootKeyPolicy::MayChange => "",
            };
            let args = [staging.as_str(), &hook.run, cx.node()?.as_str(), &release.version, run, &mark, key];
            let cmd = Cmd::mutate("package.hook", HOOK, args).deadline(hook.limit.duration());
            let job = Job::new(run, &mark, cmd);
            let ran = job.run(cx.change()?, &|line| cx.progress(line)).await;
            ran.with_context(|| format!("hook `{}` of the package failed", hook.run))?;
        }
        Ok(())
    }

    fn undo(&self, before: &Value) -> Undo {
        // What a hook did to configuration and root key comes back with the files of the set.
        let mut with = serde_json::Map::new();
        if let Some(set) = before.get("set") {
            with.insert("set".to_owned(), set.clone());
        }
        Undo::Action(rollup_model::ActionRef { uses: "backup.restore".to_owned(), with })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hook_did_comes_back_with_the_set() {
        let hooks: RunHooks = serde_json::from_value(json!({ "on": "post-install" })).unwrap();
        let Undo::Action(action) = hooks.undo(&json!({ "set": "backup_1" })) else { panic!("expected an action") };
        assert_eq!(action.uses, "backup.restore");
    }
}
