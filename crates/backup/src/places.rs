//! Where sets lie: the nodes, and the operator's directory for copies. Reading from them, whichever they are.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rollup_engine::{Cx, Hosts};
use rollup_model::{Inventory, NodeName};
use rollup_remote::{Cmd, Host, ReadOnly, RemoteError, Stdin, transfer_seen};
use serde::{Deserialize, Serialize};

use crate::{
    SetName,
    manifest::{Manifest, Part},
    operator, wire,
};

/// One place where a set may lie. `operator` in documents, else the node's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    /// A node.
    Node(NodeName),
    /// The operator's directory for copies.
    Operator,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Node(node) => f.pad(node.as_str()),
            Place::Operator => f.pad("operator"),
        }
    }
}

impl From<Place> for String {
    fn from(place: Place) -> String {
        place.to_string()
    }
}

impl TryFrom<String> for Place {
    type Error = rollup_model::id::InvalidName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "operator" { Ok(Place::Operator) } else { NodeName::new(text).map(Place::Node) }
    }
}

/// Prints `SIZE NAME` for each part of a set that is whole or was. `$1` set directory.
const STAT: &str = r#"
cd "$1" 2>/dev/null || exit 0
find . -mindepth 2 -maxdepth 2 -type f ! -name '*.partial' ! -path './*.partial/*' -printf '%s %P\n'
"#;

/// `$1` set directory, `$2` name of a part.
const SEND: &str = r#"exec cat -- "$1/$2""#;

const RECEIVE: &str = include_str!("scripts/receive.sh");
const CHECK: &str = concat!(include_str!("scripts/calm.sh"), include_str!("scripts/check-parts.sh"));

/// What arrived is not what was asked for; another place may have it whole.
const ARRIVED_DAMAGED: i32 = 9;

/// What became of a part at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Whole,
    Missing,
    Damaged(String),
}

impl Condition {
    /// As people say it.
    pub(crate) fn words(&self) -> String {
        match self {
            Condition::Whole => "whole".to_owned(),
            Condition::Missing => "missing".to_owned(),
            Condition::Damaged(why) => format!("damaged: {why}"),
        }
    }
}

/// What a look for a manifest found.
#[derive(Debug)]
pub(crate) enum Seen {
    Absent,
    Whole(Box<Manifest>),
    Damaged(String),
    /// The place did not answer.
    Away(RemoteError),
}

/// Every place, with the right to read.
pub(crate) struct Places<'a> {
    nodes: BTreeMap<NodeName, ReadOnly<'a>>,
    pub(crate) dir: &'a str,
    pub(crate) operator: Option<PathBuf>,
    /// How long one command may take that reads or copies parts.
    pub(crate) limit: Duration,
}

impl<'a> Places<'a> {
    /// The places of a step.
    pub(crate) fn of(cx: &Cx<'a>) -> Result<Self> {
        let names = cx.inventory().node_names();
        let nodes = names.map(|node| Ok((node.clone(), cx.host_of(node)?))).collect::<Result<_>>()?;
        Ok(Self::with(nodes, cx.inventory()))
    }

    /// The places of a command that runs no plan.
    pub(crate) fn over(hosts: &'a Hosts, inventory: &'a Inventory) -> Self {
        let nodes = hosts.iter().map(|(node, host)| (node.clone(), ReadOnly::new(host.as_ref()))).collect();
        Self::with(nodes, inventory)
    }

    fn with(nodes: BTreeMap<NodeName, ReadOnly<'a>>, inventory: &'a Inventory) -> Self {
        let backup = &inventory.backup;
        let operator = backup.operator_dir.as_ref().map(PathBuf::from);
        Self { nodes, dir: &backup.dir, operator, limit: inventory.limits.backup.duration() }
    }

    /// Every place: the nodes in the order of their names, then the operator.
    pub(crate) fn all(&self) -> Vec<Place> {
        let operator = self.operator.as_ref().map(|_| Place::Operator);
        self.nodes.keys().cloned().map(Place::Node).chain(operator).collect()
    }

    pub(crate) fn node(&self, node: &NodeName) -> Result<ReadOnly<'a>> {
        self.nodes.get(node).copied().with_context(|| format!("node `{node}` is not part of this run"))
    }

    /// The set's directory on a node.
    pub(crate) fn set_dir(&self, set: &SetName) -> String {
        format!("{}/{set}", self.dir)
    }

    /// The set's directory at the operator.
    pub(crate) fn operator_set(&self, set: &SetName) -> Result<PathBuf> {
        let dir = self.operator.as_ref().context("backup.operator_dir is not known")?;
        Ok(dir.join(set.as_str()))
    }

    /// What lies at a place under this name, with a path for people.
    pub(crate) fn where_is(&self, place: &Place, set: &SetName, name: &str) -> String {
        match place {
            Place::Node(node) => format!("{node}:{}/{set}/{name}", self.dir),
            Place::Operator => {
                let dir = self.operator.as_deref().unwrap_or(Path::new("?"));
                dir.join(set.as_str()).join(name).display().to_string()
            }
        }
    }

    /// Looks for the set's manifest everywhere at once.
    pub(crate) async fn manifests(&self, set: &SetName) -> Result<Vec<(Place, Seen)>> {
        let looks = self.all().into_iter().map(|place| async move {
            let found = self.small(&place, set, "manifest.json").await;
            let seen = match found {
                Ok(None) => Seen::Absent,
                Ok(Some(bytes)) => match Manifest::read(&bytes) {
                    Ok(manifest) if manifest.set == *set => Seen::Whole(Box::new(manifest)),
                    Ok(manifest) => Seen::Damaged(format!("it is of another set, {}", manifest.set)),
                    Err(error) => Seen::Damaged(format!("{error:#}")),
                },
                Err(error) => match error.downcast::<RemoteError>() {
                    Ok(away @ RemoteError::Unreachable { .. }) => Seen::Away(away),
                    Ok(other) => return Err(other.into()),
                    Err(other) => return Err(other),
                },
            };
            Ok((place, seen))
        });
        futures_util::future::join_all(looks).await.into_iter().collect()
    }

    /// The set's manifest, from whichever place has it whole; `Err`: none has, and what was found instead.
    pub(crate) async fn manifest(&self, set: &SetName) -> Result<Result<Manifest, String>> {
        Ok(agreed(self.manifests(set).await?))
    }

    /// One small file of a set.
    pub(crate) async fn small(&self, place: &Place, set: &SetName, name: &str) -> Result<Option<Vec<u8>>> {
        match place {
            Place::Node(node) => {
                let mut found = wire::read(self.node(node)?, &self.set_dir(set), &[name]).await?;
                Ok(found.remove(name).map(|small| small.bytes))
            }
            Place::Operator => operator::read(&self.operator_set(set)?.join(name)).await,
        }
    }

    /// Size of each part of the set at a place, by name.
    pub(crate) async fn stat(&self, place: &Place, set: &SetName) -> Result<BTreeMap<String, u64>> {
        match place {
            Place::Node(node) => {
                let cmd = Cmd::read("backup.stat", STAT, [self.set_dir(set)]);
                parse_stat(&self.node(node)?.exec(&cmd).await?.stdout)
            }
            Place::Operator => operator::stat(self.operator_set(set)?).await,
        }
    }

    /// Compares parts at a place with what the manifest says, `deep`: by reading every byte.
    pub(crate) async fn conditions(
        &self,
        place: &Place,
        set: &SetName,
        parts: &[&Part],
        deep: bool,
    ) -> Result<BTreeMap<String, Condition>> {
        if parts.is_empty() {
            return Ok(BTreeMap::new());
        }
        match place {
            Place::Node(node) => {
                let sum = |part: &Part| if deep { part.sha256.clone() } else { "-".to_owned() };
                let each = parts.iter().flat_map(|part| [part.name.clone(), part.size.to_string(), sum(part)]);
                let args = [self.set_dir(set)].into_iter().chain(each);
                let cmd = Cmd::read("backup.check-parts", CHECK, args).deadline(self.limit);
                parse_conditions(&self.node(node)?.exec(&cmd).await?.stdout)
            }
            Place::Operator => {
                let parts = parts.iter().map(|part| (*part).clone()).collect();
                operator::conditions(self.operator_set(set)?, parts, deep).await
            }
        }
    }

    /// Copies a part to the operator.
    pub(crate) async fn fetch(
        &self,
        set: &SetName,
        part: &Part,
        from: &NodeName,
        into: &Path,
        seen: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<()> {
        operator::receive(self.node(from)?, &self.send(set, part), &into.join(&part.name), part, seen).await
    }

    fn send(&self, set: &SetName, part: &Part) -> Cmd {
        Cmd::read("backup.send", SEND, [self.set_dir(set).as_str(), &part.name]).deadline(self.limit)
    }

    /// Copies a part to a node. `Ok(false)`: what came from there is not what the manifest says.
    pub(crate) async fn deliver(
        &self,
        set: &SetName,
        part: &Part,
        from: &Place,
        to: &dyn Host,
        seen: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<bool> {
        let args = [self.set_dir(set), part.name.clone(), part.size.to_string(), part.sha256.clone()];
        let receive = Cmd::mutate("backup.receive", RECEIVE, args).deadline(self.limit);
        let result = match from {
            Place::Node(node) => transfer_seen(self.node(node)?, &self.send(set, part), to, receive, seen).await,
            Place::Operator => {
                let file = self.operator_set(set)?.join(&part.name);
                to.exec(&receive.stdin(Stdin::File(file))).await.map(drop)
            }
        };
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.code() == Some(ARRIVED_DAMAGED) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot copy {}", part.name)),
        }
    }
}

/// Manifests of places that all answered; one that did not is asked again by whoever asked.
pub(crate) fn answered(seen: Vec<(Place, Seen)>) -> Result<Vec<(Place, Seen)>> {
    let each = seen.into_iter().map(|(place, seen)| match seen {
        Seen::Away(error) => Err(error.into()),
        seen => Ok((place, seen)),
    });
    each.collect()
}

/// The one set that the whole manifests describe, the furthest of them.
pub(crate) fn agreed(seen: Vec<(Place, Seen)>) -> Result<Manifest, String> {
    let mut best: Option<(Place, Manifest)> = None;
    let mut others = Vec::new();
    for (place, seen) in seen {
        match seen {
            Seen::Absent => others.push(format!("none at {place}")),
            Seen::Damaged(why) => others.push(format!("a damaged one at {place}: {why}")),
            Seen::Away(error) => others.push(error.to_string()),
            Seen::Whole(manifest) => match &best {
                None => best = Some((place, *manifest)),
                Some((first, known)) if !known.is_same_set(&manifest) => {
                    return Err(format!("two that differ, at {first} and at {place}"));
                }
                // A verification that was interrupted has reached some places only.
                Some((_, known)) if manifest.verified_at > known.verified_at => best = Some((place, *manifest)),
                Some(_) => {}
            },
        }
    }
    best.map(|(_, manifest)| manifest).ok_or_else(|| others.join("; "))
}

fn parse_stat(text: &str) -> Result<BTreeMap<String, u64>> {
    text.lines()
        .map(|line| {
            let (size, name) = line.split_once(' ').with_context(|| format!("expected `SIZE NAME`, found `{line}`"))?;
            Ok((name.to_owned(), size.parse().with_context(|| format!("expected a size, found `{size}`"))?))
        })
        .collect()
}

fn parse_conditions(text: &str) -> Result<BTreeMap<String, Condition>> {
    text.lines()
        .map(|line| {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (name, why) = rest.split_once(' ').unwrap_or((rest, ""));
            let condition = match word {
                "whole" => Condition::Whole,
                "missing" => Condition::Missing,
                "damaged" => Condition::Damaged(why.to_owned()),
                _ => bail!("expected `whole`, `missing` or `damaged`, found `{line}`"),
            };
            Ok((name.to_owned(), condition))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Sealed, tests::sample};

    #[test]
    fn answers_are_read_and_unknown_text_is_an_error() {
        let stat = parse_stat("12 node-a/sums\n7 database/base.tar.zst\n").unwrap();
        assert_eq!(stat["database/base.tar.zst"], 7);
        assert!(parse_stat("find: no such file\n").is_err());
        let text = "whole a/sums\nmissing a/contents\ndamaged a/absent its size is 3, expected 4\n";
        let conditions = parse_conditions(text).unwrap();
        assert_eq!(conditions["a/sums"], Condition::Whole);
        assert_eq!(conditions["a/absent"].words(), "damaged: its size is 3, expected 4");
        assert!(parse_conditions("sha256sum: oops\n").is_err());
    }

    #[test]
    fn the_furthest_whole_manifest_counts_and_two_sets_under_one_name_do_not_rb_1() {
        let a = || Place::Node("node-a".parse().unwrap());
        let whole = |manifest: Manifest| Seen::Whole(Box::new(manifest));
        let verified = Manifest { state: Sealed::Verified, verified_at: Some(jiff::Timestamp::UNIX_EPOCH), ..sample() };
        let seen = vec![
            (a(), Seen::Damaged("x".to_owned())),
            (Place::Operator, whole(sample())),
            (a(), whole(verified.clone())),
        ];
        assert_eq!(agreed(seen).unwrap(), verified);
        let other = Manifest { cluster: "other".to_owned(), ..sample() };
        assert!(agreed(vec![(a(), whole(sample())), (Place::Operator, whole(other))]).unwrap_err().contains("differ"));
        assert!(agreed(vec![(a(), Seen::Absent)]).unwrap_err().contains("none at node-a"));
    }

    #[test]
    fn a_place_is_a_word() {
        for text in ["operator", "node-a"] {
            let place: Place = serde_json::from_value(serde_json::json!(text)).unwrap();
            assert_eq!(serde_json::to_value(&place).unwrap(), serde_json::json!(text));
        }
        assert_eq!(serde_json::from_str::<Place>("\"operator\"").unwrap(), Place::Operator);
    }
}
