//! A package on its way to the nodes (PKG-3): staged beside the running version before anything stops, and proved file by
//! file. Only what a node lacks travels, and of that only what differs from the file it replaces.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{ActionRef, Finding, Release, Undo, release::StagedFile};
use rollup_remote::{Cmd, Effect, Rsync, SUMS, Stdin, StdinStream};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{PackageError, local, send};

const LOOK: &str = concat!(include_str!("scripts/tree.sh"), include_str!("scripts/look-tree.sh"));
const SEED: &str = concat!(include_str!("scripts/tree.sh"), include_str!("scripts/seed.sh"));
const PROVE: &str = concat!(include_str!("scripts/tree.sh"), include_str!("scripts/prove.sh"));
const RECEIVE: &str = include_str!("scripts/receive.sh");

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
        let release = cx.release()?;
        cx.progress("comparing with what is there");
        let seed = about(Effect::Mutate, "package.seed", SEED, cx, release);
        let said = cx.change()?.exec(&seed).await?.stdout;
        let mut lines = said.lines();
        let has_rsync = lines.next() == Some("rsync");
        let names: BTreeSet<String> = lines.map(str::to_owned).collect();
        if names.is_empty() {
            cx.progress("everything is there");
            return Ok(());
        }
        let size: u64 = release.staged().filter(|file| names.contains(file.source)).map(|file| file.size).sum();
        let what = format!("{} of {} files, {} KiB", names.len(), release.staged().count(), size.div_ceil(1024));
        cx.progress(format!("sending {what}"));
        if !(has_rsync && by_rsync(cx, release, &names, &what).await?) {
            by_stream(cx, release, names.clone()).await?;
        }
        cx.progress(format!("proving {what}"));
        cx.change()?.exec(&about(Effect::Mutate, "package.prove", PROVE, cx, release)).await?;
        Ok(())
    }

    fn undo(&self, before: &Value) -> Undo {
        let with = before.as_object().cloned().unwrap_or_default();
        Undo::Action(ActionRef { uses: "package.clean".to_owned(), with })
    }
}

/// Sends what differs; says whether that was possible at all.
async fn by_rsync(cx: &ApplyCx<'_>, release: &Release, names: &BTreeSet<String>, what: &str) -> Result<bool> {
    let host = cx.change()?;
    let probe = Rsync {
        id: "package.rsync",
        from: local::unpack(cx.inventory(), &cx.plan.staging(), release, names.clone())
            .await
            .with_context(|| format!("cannot unpack {}", release.archive))?,
        names: names.iter().cloned().collect(),
        to: format!("{}/tree", cx.plan.staging()),
        deadline: cx.inventory().limits.distribute.duration(),
    };
    let seen = |bytes: u64| cx.progress(format!("sending {what}: {} KiB", bytes / 1024));
    let Some(sent) = host.rsync(&probe, &seen).await else { return Ok(false) };
    let sent = sent.with_context(|| format!("cannot send {}", release.archive))?;
    cx.progress(format!("sent {what}; {} KiB travelled", (sent.there + sent.back).div_ceil(1024)));
    Ok(true)
}

/// Sends whole files, where rsync is missing.
async fn by_stream(cx: &ApplyCx<'_>, release: &Release, names: BTreeSet<String>) -> Result<()> {
    // Whoever reads the archive has the better reason when both sides fail.
    let failure: Arc<Mutex<Option<PackageError>>> = Arc::default();
    let (noted, sent) = (Arc::clone(&failure), release.clone());
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
    let cmd = Cmd::mutate("package.receive", RECEIVE, [cx.plan.staging()])
        .stdin(Stdin::Stream(StdinStream::lazy(open)))
        .deadline(cx.inventory().limits.distribute.duration());
    let received = cx.change()?.exec(&cmd).await;
    if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error).with_context(|| format!("cannot send {}", release.archive));
    }
    received.with_context(|| format!("cannot send {}", release.archive))?;
    Ok(())
}

fn flush(sender: &mut impl Write) -> Result<(), PackageError> {
    sender.flush().map_err(PackageError::file("send", "the package"))
}

/// A pipe from a thread that may block to a task that may not.
fn pipe() -> io::Result<(tokio::net::unix::pipe::Receiver, io::PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())?, writer))
}
