//! Files in place: replaced one by one through a rename, proved by checksum, owner and mode (UPG-4).

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Release, Undo, plan::ActionRef, release::Component};
use rollup_remote::{Cmd, Stdin};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Reads one path for each line of stdin; prints `SHA256 MODE OWNER GROUP PATH`, or `absent - - - PATH`.
/// A link in the place of a file is `link`: it is never followed.
const LOOK: &str = r#"
while IFS= read -r path; do
  if [ -L "$path" ]; then echo "link - - - $path"
  elif [ -f "$path" ]; then echo "$(sha256sum < "$path" | cut -c1-64) $(stat -c '%a %U %G' "$path") $path"
  else echo "absent - - - $path"; fi
done
"#;

/// Places files. `$1` directory of the staged package, then units; stdin: `SOURCE<TAB>DESTINATION<TAB>OWNER<TAB>GROUP<TAB>MODE<TAB>SHA256`.
/// The new file is whole, verified and on disk beside the old one before the rename: a power cut leaves one or the other.
/// Units that were stopped for this, and came up again because the node booted, are stopped once more.
const INSTALL: &str = r#"
staged=$1 reload=no; shift
[ ! -e /var/lib/rollup/units-stopped ] || systemctl stop "$@"
tab=$(printf '\t')
while IFS=$tab read -r source destination owner group mode sha; do
  dir=$(dirname "$destination")
  mkdir -p "$dir"
  new=$dir/.rollup-new.$(basename "$destination")
  cp --remove-destination "$staged/$source" "$new"
  chown "$owner:$group" "$new"
  chmod "$mode" "$new"
  [ "$(sha256sum < "$new" | cut -c1-64)" = "$sha" ] || { echo "$destination: the staged copy has another checksum" >&2; exit 1; }
  sync "$new"
  mv -fT "$new" "$destination"
  if command -v restorecon >/dev/null 2>&1; then restorecon "$destination" || true; fi
  case $destination in *.service|*.timer|*.socket|*.path|*.target) reload=yes ;; esac
done
sync
if [ $reload = yes ]; then systemctl daemon-reload; fi
"#;

/// A file as it lies on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    sha256: String,
    mode: String,
    owner: String,
    group: String,
}

fn parse(text: &str) -> Result<BTreeMap<String, Placed>> {
    text.lines()
        .map(|line| {
            let words: Vec<_> = line.splitn(5, ' ').collect();
            let [sha256, mode, owner, group, path] = words[..] else { bail!("expected five words, found `{line}`") };
            let owned = str::to_owned;
            Ok((
                path.to_owned(),
                Placed { sha256: owned(sha256), mode: owned(mode), owner: owned(owner), group: owned(group) },
            ))
        })
        .collect()
}

/// What differs between a component and the file in its place; `None`: nothing.
fn difference(component: &Component, placed: Option<&Placed>) -> Option<(String, String)> {
    let mode = component.mode.trim_start_matches('0');
    let expected = format!(
        "{} {} {}:{}",
        &component.sha256[..12.min(component.sha256.len())],
        mode,
        component.owner,
        component.group
    );
    let Some(placed) = placed else { return Some((expected, "nothing".to_owned())) };
    let same = placed.sha256 == component.sha256
        && placed.mode == mode
        && placed.owner == component.owner
        && placed.group == component.group;
    if same {
        return None;
    }
    let short = placed.sha256.get(..12).unwrap_or(&placed.sha256);
    Some((expected, format!("{short} {} {}:{}", placed.mode, placed.owner, placed.group)))
}

async fn differences(cx: &Cx<'_>, release: &Release) -> Result<Vec<Finding>> {
    let list: String = release.components.iter().map(|c| format!("{}\n", c.destination)).collect();
    let cmd = Cmd::read("files.look", LOOK, [""; 0]).stdin(Stdin::Bytes(list.into_bytes()));
    let cmd = cmd.deadline(cx.inventory().limits.distribute.duration());
    let placed = parse(&cx.host()?.exec(&cmd).await?.stdout)?;
    let node = cx.node()?;
    let found = release.components.iter().filter_map(|component| {
        let (expected, found) = difference(component, placed.get(&component.destination))?;
        let expected = format!("{} as {expected}", component.destination);
        Some(Finding::check("service.file", "UPG-4", false, expected, found).on(node))
    });
    Ok(found.collect())
}

/// Replaces the package's files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Install {}

#[async_trait::async_trait]
impl Action for Install {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let missing = differences(cx, cx.release()?).await?;
        if missing.is_empty() {
            return Ok(State::done());
        }
        Ok(State::Needed { before: json!({ "set": cx.plan.backup_set, "differing": missing.len() }), because: missing })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let release = cx.release()?;
        cx.progress(format!("placing {} files of {} {}", release.components.len(), release.name, release.version));
        let list: String = release
            .components
            .iter()
            .map(|c| {
                [&c.source, &c.destination, &c.owner, &c.group, &c.mode, &c.sha256].map(String::as_str).join("\t")
                    + "\n"
            })
            .collect();
        let units = cx.inventory().service.units.iter().rev().cloned();
        let args = [format!("{}/tree", cx.plan.staging())].into_iter().chain(units);
        let cmd = Cmd::mutate("files.install", INSTALL, args)
            .stdin(Stdin::Bytes(list.into_bytes()))
            .deadline(cx.inventory().limits.distribute.duration());
        cx.change()?.exec(&cmd).await.context("cannot place the files")?;
        Ok(())
    }

    fn undo(&self, before: &Value) -> Undo {
        let mut with = Map::new();
        if let Some(set) = before.get("set") {
            with.insert("set".to_owned(), set.clone());
        }
        Undo::Action(ActionRef { uses: "backup.restore".to_owned(), with })
    }
}

/// Looks whether the package's files are in place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {}

#[async_trait::async_trait]
impl Action for Installed {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let release = cx.release()?;
        let missing = differences(cx, release).await?;
        if missing.is_empty() {
            return Ok(State::seen(json!({ "version": release.version, "files": release.components.len() })));
        }
        Ok(State::blocked(missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component() -> Component {
        let text = |text: &str| text.to_owned();
        Component {
            source: text("payload/a.jar"),
            destination: text("/opt/o/a.jar"),
            owner: text("orders"),
            group: text("orders"),
            mode: text("0644"),
            sha256: "ab".repeat(32),
            size: 1,
        }
    }

    #[test]
    fn content_owner_and_mode_all_count_upg_4() {
        let sha = "ab".repeat(32);
        let look = |line: String| parse(&line).unwrap();
        let good = look(format!("{sha} 644 orders orders /opt/o/a.jar\n"));
        assert_eq!(difference(&component(), good.get("/opt/o/a.jar")), None);
        for wrong in [
            format!("{sha} 664 orders orders /opt/o/a.jar\n"),
            format!("{sha} 644 root orders /opt/o/a.jar\n"),
            format!("{} 644 orders orders /opt/o/a.jar\n", "cd".repeat(32)),
            "absent - - - /opt/o/a.jar\n".to_owned(),
            "link - - - /opt/o/a.jar\n".to_owned(),
        ] {
            assert!(difference(&component(), look(wrong.clone()).get("/opt/o/a.jar")).is_some(), "{wrong}");
        }
    }

    #[test]
    fn replaced_files_come_back_from_the_set_that_was_taken_before() {
        let Undo::Action(action) = (Install {}).undo(&json!({ "set": "backup_1" })) else {
            panic!("expected an action")
        };
        assert_eq!((action.uses.as_str(), &action.with["set"]), ("backup.restore", &json!("backup_1")));
    }
}
