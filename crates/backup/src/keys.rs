//! `backup.key`: the root key of one node, encrypted here and kept as ciphertext (BAK-2).

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, NodeName, Undo, plan::hex};
use rollup_remote::{Cmd, Stdin};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{files, key, look, places::Places, wire};

/// How the root key lies on its node: `file`, `absent`, `link` or `other`. `$1` the key.
const KEY_STAT: &str = r#"
if [ -L "$1" ]; then echo link
elif [ -f "$1" ]; then echo file
elif [ -e "$1" ]; then echo other
else echo absent; fi
"#;

/// Prints `MODE OWNER GROUP`, then the key in base64. `$1` the key, `$2` the largest it may be.
const READ_KEY: &str = r#"
size=$(stat -c %s "$1")
if [ "$size" -gt "$2" ]; then echo "expected a root key of at most $2 bytes, found $size" >&2; exit 1; fi
stat -c '%a %U %G' "$1"
base64 -w 0 < "$1"
"#;

const WRITE_KEY: &str = include_str!("scripts/write-key.sh");

/// What `root-key.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRecord {
    pub(crate) path: String,
    pub(crate) mode: String,
    pub(crate) owner: String,
    pub(crate) group: String,
    pub(crate) fingerprint: String,
}

/// The finding that no root key may be kept without somebody who can open it.
pub(crate) fn unreadable_recipients(texts: &[String]) -> Option<Finding> {
    let found = match key::recipients(texts) {
        Ok(good) if good.is_empty() => "none".to_owned(),
        Ok(_) => return None,
        Err(bad) => bad.join(", "),
    };
    let expected = "backup.recipients: age public keys, `age1…`, that the root key is encrypted to";
    Some(
        Finding::check("backup.recipients", "BAK-2", false, expected, found)
            .fix("age-keygen -o identity.txt; then in rollup.toml, [backup] recipients = [\"age1… that it printed\"]"),
    )
}

/// The finding that the root key is not where the inventory says.
pub(crate) fn misplaced(node: &NodeName, path: &str, found: &str) -> Option<Finding> {
    let (found, fix) = match found {
        "file" => return None,
        "absent" => ("nothing there".to_owned(), "correct service.root_key in rollup.toml".to_owned()),
        "link" => ("a link".to_owned(), format!("set service.root_key to what `readlink -f {path}` prints")),
        other => (format!("`{other}`"), "correct service.root_key in rollup.toml".to_owned()),
    };
    let finding = Finding::check("backup.root-key", "BAK-2", false, format!("the root key, a file {path}"), found);
    Some(finding.on(node).fix(fix))
}

/// Encrypts the root key of the step's node into the set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {}

#[async_trait::async_trait]
impl Action for Key {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let Some(path) = &cx.inventory().service.root_key else {
            return Ok(State::seen("no root key is configured"));
        };
        let (places, set, node) = (Places::of(cx)?, look::meant(None, cx)?, cx.node()?);
        let names = [format!("{node}/key-sums"), format!("{node}/root-key.json")];
        let found = wire::read(cx.host()?, &places.set_dir(&set), &[&names[0], &names[1]]).await?;
        if let (Some(_), Some(record)) = (found.get(&names[0]), found.get(&names[1])) {
            let record: KeyRecord = serde_json::from_slice(&record.bytes).context("root-key.json cannot be read")?;
            return Ok(State::seen(json!({ "set": set, "root_key": record.fingerprint })));
        }
        let look = Cmd::read("backup.key-stat", KEY_STAT, [path.as_str()]);
        let stat = cx.host()?.exec(&look).await?.stdout;
        let recipients = unreadable_recipients(&cx.inventory().backup.recipients).map(|finding| finding.on(node));
        let wrong: Vec<_> = recipients.into_iter().chain(misplaced(node, path, stat.trim())).collect();
        Ok(if wrong.is_empty() { State::needed(json!({ "set": set })) } else { State::blocked(wrong) })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let Some(path) = &cx.inventory().service.root_key else { return Ok(()) };
        let recipients = key::recipients(&cx.inventory().backup.recipients);
        let recipients = recipients.map_err(|bad| anyhow::anyhow!("backup.recipients: {}", bad.join(", ")))?;
        let mut sink = key::SecretSink::new();
        let read = Cmd::read("backup.read-key", READ_KEY, [path.as_str(), &key::LARGEST.to_string()]);
        cx.host()?.exec_to(&read, &mut sink).await?;
        let file = sink.read().with_context(|| format!("{path} cannot be kept"))?;
        drop(sink);
        let sealed = file.key.seal(&recipients)?;
        let record = KeyRecord {
            path: path.clone(),
            mode: file.mode,
            owner: file.owner,
            group: file.group,
            fingerprint: file.key.fingerprint(),
        };
        let sum = hex(&Sha256::digest(&sealed));
        let args = [cx.plan.backup_dir(), cx.node()?.to_string(), serde_json::to_string(&record)?, sum];
        let write = Cmd::mutate("backup.write-key", WRITE_KEY, args).stdin(Stdin::Bytes(sealed));
        cx.change()?.exec(&write).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        files::harmless()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_without_recipients_is_refused_with_the_way_out_bak_2() {
        let finding = unreadable_recipients(&[]).unwrap();
        assert!(finding.fix.unwrap().contains("age-keygen"), "the exact command");
        assert_eq!(unreadable_recipients(&["age1nonsense".to_owned()]).unwrap().found, "`age1nonsense`");
        let good = "age1d73ew4wpl2fuk7p6wj777vu6qzxuxxtqt0lm4vkum28s7haa3v5q5yaz8w".to_owned();
        assert_eq!(unreadable_recipients(&[good]), None);
    }

    #[test]
    fn a_missing_key_and_a_link_are_told_apart_bak_2() {
        let node = NodeName::new("node-a").unwrap();
        assert_eq!(misplaced(&node, "/etc/k", "file"), None);
        assert!(misplaced(&node, "/etc/k", "link").unwrap().fix.unwrap().contains("readlink -f /etc/k"));
        assert_eq!(misplaced(&node, "/etc/k", "absent").unwrap().found, "nothing there");
    }
}
