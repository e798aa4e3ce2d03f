//! A package on its way to the nodes: copied, unpacked beside the running version, proved, and its hooks run.
//!
//! Nothing here touches a file that is in use: all of it happens in the run's staging directory, before anything stops.

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, Registry, State};
use rollup_model::{
    Finding, Undo,
    plan::Impact,
    release::{Hook, HookPoint},
};
use rollup_remote::{Cmd, Job, Stdin};
use serde::Deserialize;
use serde_json::{Value, json};

/// Adds this crate's actions.
pub fn register(registry: &mut Registry) {
    registry.checks(&crate::CHECKS);
    registry.action::<Distribute>("package.distribute", Impact::Change);
    registry.action::<StageTree>("package.stage", Impact::Change);
    registry.action::<RunHooks>("package.hook", Impact::Change);
    registry.action::<Clean>("package.clean", Impact::Change);
}

/// Prints the checksum of the copied archive, or `absent`. `$1` staging directory, `$2` file name.
const LOOK_ARCHIVE: &str = r#"
if [ -f "$1/$2" ]; then sha256sum < "$1/$2" | cut -c1-64; else echo absent; fi
"#;

/// Takes the archive on stdin. `$1` staging directory, `$2` file name, `$3` checksum. The name is given only to a whole one.
const RECEIVE: &str = r#"
umask 077
mkdir -p "$1"
cat > "$1/.$2.part"
found=$(sha256sum < "$1/.$2.part" | cut -c1-64)
[ "$found" = "$3" ] || { rm -f "$1/.$2.part"; echo "expected checksum $3, found $found" >&2; exit 1; }
sync "$1/.$2.part"
mv -f "$1/.$2.part" "$1/$2"
"#;

/// Prints `whole N` when the tree holds exactly the files of its list, all with the right checksum. `$1` staging directory.
const LOOK_TREE: &str = r#"
cd "$1/tree" 2>/dev/null || { echo absent; exit 0; }
sha256sum --check --quiet --strict SHA256SUMS >/dev/null 2>&1 || { echo damaged; exit 0; }
listed=$(wc -l < SHA256SUMS); found=$(find . -type f ! -path ./SHA256SUMS | wc -l)
if [ "$listed" = "$found" ]; then echo "whole $found"; else echo damaged; fi
"#;

/// Unpacks the archive, which was checked entry by entry before it was sent. `$1` staging directory, `$2` file name.
const UNPACK: &str = r#"
umask 077
cd "$1"
rm -rf tree.partial tree; mkdir tree.partial
case $2 in *.zst) how=--zstd ;; *) how=--gzip ;; esac
tar --extract $how --file "$2" --directory tree.partial --no-same-owner --no-same-permissions
sync
mv -T tree.partial tree
"#;

/// Prints the marks of hooks that have run, one a line. `$1` staging directory.
const LOOK_HOOKS: &str = r#"
cd "$1" 2>/dev/null || exit 0
ls -1 | grep '^hook-.*\.done$' || true
"#;

/// Runs one hook in the package's own directory, with nothing of ours in its environment but four names. The mark that it
/// has run is its last act, so that a hook which ended well is never run again.
/// `$1` staging directory, `$2` hook, `$3` node, `$4` version, `$5` run, `$6` mark.
const HOOK: &str = r#"
cd "$1/tree"
chmod u+x "$2"
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
  ROLLUP_NODE="$3" ROLLUP_VERSION="$4" ROLLUP_RUN="$5" ROLLUP_HOOK="$2" "./$2"
: > "$1/$6"
sync "$1/$6" "$1"
"#;

/// `$1` staging directory.
const LOOK_CLEAN: &str = r#"if [ -e "$1" ]; then echo present; else echo absent; fi"#;

const CLEAN: &str = r#"
rm -rf "$1"
rmdir /var/lib/rollup/staging 2>/dev/null || true
"#;

/// The archive's name on the node keeps its ending, which says how it is packed.
fn archive_name(archive: &str) -> &'static str {
    if archive.ends_with(".zst") { "package.tar.zst" } else { "package.tar.gz" }
}

/// Copies the package to the node (PKG-3).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribute {}

#[async_trait::async_trait]
impl Action for Distribute {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let release = cx.release()?;
        let cmd = Cmd::read("package.look-archive", LOOK_ARCHIVE, [&cx.plan.staging(), archive_name(&release.archive)]);
        let found = cx.host()?.exec(&cmd.deadline(cx.inventory().limits.distribute.duration())).await?.stdout;
        let here = found.trim() == release.archive_sha256;
        Ok(if here { State::done() } else { State::needed(json!({ "staging": cx.plan.staging() })) })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let release = cx.release()?;
        cx.progress(format!("sending {} KiB", release.archive_size.div_ceil(1024)));
        let args = [cx.plan.staging(), archive_name(&release.archive).to_owned(), release.archive_sha256.clone()];
        let cmd = Cmd::mutate("package.receive", RECEIVE, args)
            .stdin(Stdin::File(release.archive.clone().into()))
            .deadline(cx.inventory().limits.distribute.duration());
        let sent = cx.change()?.exec(&cmd).await;
        sent.with_context(|| format!("cannot send {}", release.archive))?;
        Ok(())
    }

    fn undo(&self, before: &Value) -> Undo {
        let with = before.as_object().cloned().unwrap_or_default();
        Undo::Action(rollup_model::ActionRef { uses: "package.clean".to_owned(), with })
    }
}

/// Unpacks the package beside the running version and proves every file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageTree {}

#[async_trait::async_trait]
impl Action for StageTree {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let cmd = Cmd::read("package.look-tree", LOOK_TREE, [cx.plan.staging()]);
        let found = cx.host()?.exec(&cmd.deadline(cx.inventory().limits.distribute.duration())).await?.stdout;
        Ok(match found.trim() {
            "absent" | "damaged" => State::needed(Value::Null),
            whole if whole.starts_with("whole ") => State::seen(whole),
            other => anyhow::bail!("expected absent, damaged or whole, found `{other}`"),
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let args = [cx.plan.staging(), archive_name(&cx.release()?.archive).to_owned()];
        let cmd = Cmd::mutate("package.unpack", UNPACK, args).deadline(cx.inventory().limits.distribute.duration());
        cx.change()?.exec(&cmd).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "nobody is served from the staging directory".to_owned() }
    }
}

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
            let args = [staging.as_str(), &hook.run, cx.node()?.as_str(), &release.version, run, &mark];
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

/// Removes the run's staging directory (FIN-3).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clean {
    /// The directory of another run, when that one is taken back.
    staging: Option<String>,
}

impl Clean {
    fn staging(&self, cx: &Cx<'_>) -> String {
        self.staging.clone().unwrap_or_else(|| cx.plan.staging())
    }
}

#[async_trait::async_trait]
impl Action for Clean {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let found = cx.host()?.exec(&Cmd::read("package.look-clean", LOOK_CLEAN, [self.staging(cx)])).await?.stdout;
        Ok(match found.trim() {
            "absent" => State::done(),
            "present" => State::not_yet(vec![
                Finding::check("package.clean", "FIN-3", false, format!("{} gone", self.staging(cx)), "still there")
                    .on(cx.node()?),
            ]),
            other => anyhow::bail!("expected present or absent, found `{other}`"),
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        cx.change()?.exec(&Cmd::mutate("package.clean", CLEAN, [self.staging(cx)])).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "the staged copy can be sent again".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_keeps_the_ending_that_says_how_it_is_packed() {
        assert_eq!(archive_name("/a/x.tar.zst"), "package.tar.zst");
        assert_eq!(archive_name("x.tar.gz"), "package.tar.gz");
    }

    #[test]
    fn what_a_hook_did_comes_back_with_the_set() {
        let hooks: RunHooks = serde_json::from_value(json!({ "on": "post-install" })).unwrap();
        let Undo::Action(action) = hooks.undo(&json!({ "set": "backup_1" })) else { panic!("expected an action") };
        assert_eq!(action.uses, "backup.restore");
    }
}
