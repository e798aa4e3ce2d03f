//! A package on its way to the nodes (PKG-3): staged beside the running version before anything stops, and proved file by
//! file. Only what a node lacks travels, and of that only what differs from the file it replaces.
//!
//! It comes from the operator, or from an archive that lies on a node; the second node may fetch it from the first. Where
//! one node depends on the other, whoever comes first stages the first node, and the other finds everything there.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{ActionRef, Finding, NodeName, Release, Role, Undo, inventory::DistributeFrom, release::StagedFile};
use rollup_remote::{Cmd, Effect, Rsync, SUMS, Stdin, StdinStream, has_rsync};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{PackageError, local, peer, send};

const LOOK: &str = concat!(include_str!("scripts/tree.sh"), include_str!("scripts/look-tree.sh"));
const SEED: &str = concat!(include_str!("scripts/tree.sh"), include_str!("scripts/seed.sh"));
const PROVE: &str = concat!(include_str!("scripts/tree.sh"), include_str!("scripts/prove.sh"));
const RECEIVE: &str = include_str!("scripts/receive.sh");
const TAKE: &str = include_str!("scripts/take.sh");

/// How many names a finding shows.
const SHOWN: usize = 5;

/// Brings the package's files to the node's staging directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribute {}

/// A script about the tree, with the list of the files that belong there, each with the file of the node that is most
/// like it.
fn about(effect: Effect, id: &'static str, script: &str, cx: &Cx<'_>, release: &Release) -> Cmd {
    let line = |file: StagedFile<'_>| {
        let basis = file.destination.map(|place| release.basis(place)).unwrap_or_default();
        format!("{}\t{}\t{basis}\n", file.sha256, file.source)
    };
    let list: String = release.staged().map(line).collect();
    let noted = format!("{}.stat", release.record());
    Cmd::script(effect, id, &format!("{SUMS}{script}"), [cx.plan.staging(), noted])
        .stdin(Stdin::Bytes(list.into_bytes()))
        .deadline(cx.inventory().limits.distribute.duration())
}

#[async_trait::async_trait]
impl Action for Distribute {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let release = cx.release()?;
        let look = about(Effect::Read, "package.look-tree", LOOK, cx, release);
        let said = cx.host()?.exec(&look).await?.stdout;
        let lacking: Vec<&str> = said.lines().collect();
        if lacking.is_empty() {
            return Ok(State::seen(json!({ "files": release.staged().count() })));
        }
        let node = cx.node()?;
        let expected = format!("{} files staged as the archive has them", release.staged().count());
        let found = format!("{} absent or damaged: {}", lacking.len(), lacking[..lacking.len().min(SHOWN)].join(", "));
        Ok(State::Needed {
            before: json!({ "staging": cx.plan.staging() }),
            because: vec![Finding::check("package.staged", "PKG-3", false, expected, found).on(node)],
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let node = cx.node()?;
        let first = match source(cx, cx.release()?)? {
            Source::First(first) if first == node => return stage_first(cx, first).await,
            Source::First(first) => Some(first),
            Source::Operator => None,
        };
        let Some(lacking) = compare(cx, node).await? else { return Ok(()) };
        match first {
            None => from_operator(cx, &lacking).await?,
            Some(first) => {
                stage_first(cx, first).await?;
                peer::fetch(cx, first, &lacking).await?;
            }
        }
        prove(cx, &lacking).await
    }

    fn undo(&self, before: &Value) -> Undo {
        let with = before.as_object().cloned().unwrap_or_default();
        Undo::Action(ActionRef { uses: "package.clean".to_owned(), with })
    }
}

/// Where a node's files come from.
enum Source<'a> {
    Operator,
    /// From this node, which itself has them from the operator, or from the archive that lies there.
    First(&'a NodeName),
}

fn source<'a>(cx: &Cx<'a>, release: &'a Release) -> Result<Source<'a>> {
    if let Some(node) = &release.archive_node {
        return Ok(Source::First(node));
    }
    Ok(match cx.inventory().package.distribute {
        DistributeFrom::Operator => Source::Operator,
        // The one that is upgraded first.
        DistributeFrom::Peer => {
            let first = cx.plan.bound(Role::OriginalStandby).or_else(|| cx.inventory().node_names().next());
            Source::First(first.context("expected a node in the inventory")?)
        }
    })
}

/// What a node lacks of the package.
pub(crate) struct Lacking<'a> {
    pub(crate) node: &'a NodeName,
    pub(crate) release: &'a Release,
    pub(crate) names: BTreeSet<String>,
    /// How much that is, for people.
    pub(crate) what: String,
    has_rsync: bool,
}

/// Makes the tree of a node from what it has; what it lacks then.
async fn compare<'a>(cx: &ApplyCx<'a>, node: &'a NodeName) -> Result<Option<Lacking<'a>>> {
    let release = cx.release()?;
    cx.progress(format!("comparing with what is on {node}"));
    let said = cx.change_of(node)?.exec(&about(Effect::Mutate, "package.seed", SEED, cx, release)).await?.stdout;
    let mut lines = said.lines();
    let has_rsync = lines.next() == Some("rsync");
    let names: BTreeSet<String> = lines.map(str::to_owned).collect();
    if names.is_empty() {
        cx.progress(format!("everything is on {node}"));
        return Ok(None);
    }
    let size: u64 = release.staged().filter(|file| names.contains(file.source)).map(|file| file.size).sum();
    let what = format!("{} of {} files, {} KiB", names.len(), release.staged().count(), size.div_ceil(1024));
    Ok(Some(Lacking { node, release, names, what, has_rsync }))
}

/// Hashes what has come; from now on the node knows it.
async fn prove(cx: &ApplyCx<'_>, lacking: &Lacking<'_>) -> Result<()> {
    cx.progress(format!("proving {}", lacking.what));
    let prove = about(Effect::Mutate, "package.prove", PROVE, cx, lacking.release);
    cx.change_of(lacking.node)?.exec(&prove).await?;
    Ok(())
}

/// Stages the node that the other one fetches from. Whoever comes second finds everything there.
async fn stage_first<'a>(cx: &ApplyCx<'a>, first: &'a NodeName) -> Result<()> {
    let _turn = cx.alone().await;
    let Some(lacking) = compare(cx, first).await? else { return Ok(()) };
    match lacking.release.archive_node {
        Some(_) => take(cx, &lacking).await?,
        None => from_operator(cx, &lacking).await?,
    }
    prove(cx, &lacking).await
}

/// Takes what is lacking out of the archive that lies on the node.
async fn take(cx: &ApplyCx<'_>, lacking: &Lacking<'_>) -> Result<()> {
    let Lacking { node, release, names, what, .. } = lacking;
    cx.progress(format!("taking {what} out of {}", release.origin()));
    let list: String = names.iter().map(|name| format!("{name}\n")).collect();
    let take = Cmd::mutate("package.take", TAKE, [cx.plan.staging(), release.archive.clone()])
        .stdin(Stdin::Bytes(list.into_bytes()))
        .deadline(cx.inventory().limits.distribute.duration());
    cx.change_of(node)?.exec(&take).await.with_context(|| format!("cannot unpack {}", release.origin()))?;
    Ok(())
}

/// Sends what is lacking.
pub(crate) async fn from_operator(cx: &ApplyCx<'_>, lacking: &Lacking<'_>) -> Result<()> {
    cx.progress(format!("sending {} to {}", lacking.what, lacking.node));
    if !(lacking.has_rsync && has_rsync() && by_rsync(cx, lacking).await?) {
        by_stream(cx, lacking).await?;
    }
    Ok(())
}

/// Sends what differs; says whether that was possible at all.
async fn by_rsync(cx: &ApplyCx<'_>, lacking: &Lacking<'_>) -> Result<bool> {
    let Lacking { node, release, names, what, .. } = lacking;
    let rsync = Rsync {
        id: "package.rsync",
        from: local::unpack(cx.inventory(), &cx.plan.staging(), release, names.clone())
            .await
            .with_context(|| format!("cannot unpack {}", release.archive))?,
        names: names.iter().cloned().collect(),
        to: format!("{}/tree", cx.plan.staging()),
        deadline: cx.inventory().limits.distribute.duration(),
    };
    let seen = |bytes: u64| cx.progress(format!("sending {what}: {} KiB", bytes / 1024));
    let Some(sent) = cx.change_of(node)?.rsync(&rsync, &seen).await else { return Ok(false) };
    let sent = sent.with_context(|| format!("cannot send {}", release.archive))?;
    cx.progress(format!("sent {what}; {} KiB travelled", (sent.there + sent.back).div_ceil(1024)));
    Ok(true)
}

/// Sends whole files, where rsync is missing.
async fn by_stream(cx: &ApplyCx<'_>, lacking: &Lacking<'_>) -> Result<()> {
    let Lacking { node, release, names, .. } = lacking;
    // Whoever reads the archive has the better reason when both sides fail.
    let failure: Arc<Mutex<Option<PackageError>>> = Arc::default();
    let (noted, sent, names) = (Arc::clone(&failure), (*release).clone(), names.clone());
    let open = move || -> Box<dyn tokio::io::AsyncRead + Send + Unpin> {
        let Ok((receiver, sender)) = pipe() else { return Box::new(tokio::io::empty()) };
        tokio::task::spawn_blocking(move || {
            let mut sender = io::BufWriter::with_capacity(256 * 1024, sender);
            if let Err(error) = send::stream(&sent, &names, &mut sender).and_then(|()| flush(&mut sender)) {
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        });
        Box::new(receiver)
    };
    let cmd = receive(cx).stdin(Stdin::Stream(StdinStream::lazy(open)));
    let received = cx.change_of(node)?.exec(&cmd).await;
    if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error).with_context(|| format!("cannot send {}", release.archive));
    }
    received.with_context(|| format!("cannot send {}", release.archive))?;
    Ok(())
}

/// Takes a tar stream into a node's tree.
pub(crate) fn receive(cx: &Cx<'_>) -> Cmd {
    Cmd::mutate("package.receive", RECEIVE, [cx.plan.staging()]).deadline(cx.inventory().limits.distribute.duration())
}

fn flush(sender: &mut impl Write) -> Result<(), PackageError> {
    sender.flush().map_err(PackageError::file("send", "the package"))
}

/// A pipe from a thread that may block to a task that may not.
fn pipe() -> io::Result<(tokio::net::unix::pipe::Receiver, io::PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())?, writer))
}
