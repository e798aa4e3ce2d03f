//! Code, configuration and root key of one node, copied into the set (BAK-1).

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::Undo;
use rollup_remote::{Cmd, Job};
use serde::Deserialize;
use serde_json::{Value, json};

/// Makes `SET/files`. `$1` set directory, `$2` root key or empty, then the paths to keep.
///
/// `files.tar.zst` with everything that exists, `present` with the checksum of each regular file, `absent` with the paths
/// that do not exist (a way back removes them), `root-key` apart, readable by root alone. The root key is not in the
/// archive, so that an archive may be copied elsewhere without it. The last act is the rename: a set directory `files`
/// is whole, or it is not there.
const TAKE: &str = r#"
set=$1 key=$2; shift 2
umask 077
mkdir -p "$set"; chmod 711 "$set" "$(dirname "$set")"
rm -rf "$set/files.partial"; mkdir "$set/files.partial"; cd "$set/files.partial"
: > list; : > absent; : > present
for path in "$@"; do
  if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\0' "$path" >> list; else printf '%s\n' "$path" >> absent; fi
done
exclude=/dev/null
if [ -n "$key" ]; then printf '%s\n' "$key" > exclude; exclude=exclude; fi
echo "packing $(tr -cd '\0' < list | wc -c) paths"
tar --create --absolute-names --warning=no-file-changed --zstd --file files.tar.zst \
  --no-wildcards --anchored --exclude-from="$exclude" --null --files-from=list
while IFS= read -r -d '' path; do
  find "$path" -type f ! -path "$key" -print0
done < list | xargs -0 -r sha256sum > present
if [ -n "$key" ] && [ -f "$key" ]; then cp --preserve=all "$key" root-key; chmod 600 root-key; stat -c '%a %U %G' "$key" > root-key.mode; fi
sha256sum files.tar.zst present absent $([ -f root-key ] && echo root-key root-key.mode) > SHA256SUMS
rm -f list exclude
sync
rm -rf "$set/files"
mv -T "$set/files.partial" "$set/files"
sync "$set"
"#;

/// Prints size and checksum of the archive when the set's files are whole and unchanged. `$1` set directory.
pub(crate) const VERIFY: &str = r#"
cd "$1/files" 2>/dev/null || { echo absent; exit 0; }
sha256sum --check --quiet --strict SHA256SUMS >&2 || { echo damaged; exit 0; }
echo "whole $(stat -c %s files.tar.zst) $(sha256sum < files.tar.zst | cut -c1-64) $(wc -l < present) $([ -f root-key ] && sha256sum < root-key | cut -c1-16 || echo -)"
"#;

/// What is in the set's `files`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Kept {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) files: u64,
    /// The first 16 hex digits of the key's SHA-256: names the key without telling it.
    pub(crate) root_key: Option<String>,
}

pub(crate) fn parse(text: &str) -> Result<Option<Kept>> {
    let words: Vec<_> = text.split_whitespace().collect();
    match words[..] {
        ["absent" | "damaged"] => Ok(None),
        ["whole", bytes, sha256, files, key] => Ok(Some(Kept {
            bytes: bytes.parse().with_context(|| format!("expected a size, found `{bytes}`"))?,
            sha256: sha256.to_owned(),
            files: files.parse().with_context(|| format!("expected a count, found `{files}`"))?,
            root_key: (key != "-").then(|| key.to_owned()),
        })),
        _ => anyhow::bail!("expected `absent`, `damaged` or `whole …`, found `{}`", text.trim()),
    }
}

pub(crate) async fn look(cx: &Cx<'_>, dir: &str) -> Result<Option<Kept>> {
    let cmd = Cmd::read("backup.verify", VERIFY, [dir]).deadline(cx.inventory().limits.backup.duration());
    parse(&cx.host()?.exec(&cmd).await?.stdout)
}

/// What must be kept of a node: what the package would replace, and the configuration.
fn paths(cx: &Cx<'_>) -> Result<BTreeSet<String>> {
    let service = &cx.inventory().service;
    let components = cx.release()?.components.iter().map(|component| component.destination.clone());
    Ok(components.chain(service.config.iter().cloned()).collect())
}

/// Copies code, configuration and root key into the set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {}

#[async_trait::async_trait]
impl Action for Files {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        Ok(match look(cx, &cx.plan.backup_dir()).await? {
            Some(kept) => State::seen(kept),
            None => State::needed(json!({ "set": cx.plan.backup_set })),
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let key = cx.inventory().service.root_key.clone().unwrap_or_default();
        let args = [cx.plan.backup_dir(), key].into_iter().chain(paths(cx)?);
        let limit = cx.inventory().limits.backup.duration();
        let job =
            Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), Cmd::mutate("backup.take", TAKE, args).deadline(limit));
        job.run(cx.change()?, &|line| cx.progress(line)).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "a backup set harms nobody".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_set_is_no_set_bak_1() {
        assert_eq!(parse("damaged\n").unwrap(), None);
        assert_eq!(parse("absent\n").unwrap(), None);
        let kept = parse("whole 123 abcd 7 0011223344556677\n").unwrap().unwrap();
        assert_eq!((kept.bytes, kept.files, kept.root_key.as_deref()), (123, 7, Some("0011223344556677")));
        assert!(parse("whole\n").is_err());
    }
}
