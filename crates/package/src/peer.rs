//! One node fetches from the other what it lacks: directly where that works, else through this machine's memory.

use std::str;

use anyhow::{Context, Result};
use rollup_engine::ApplyCx;
use rollup_model::NodeName;
use rollup_remote::{Cmd, RemoteError, Stdin, transfer_seen};

use crate::distribute::{Lacking, from_operator, receive};

const SERVE: &str = include_str!("scripts/serve.sh");
const UNSERVE: &str = include_str!("scripts/unserve.sh");
const FETCH: &str = include_str!("scripts/fetch.sh");
const LEND: &str = include_str!("scripts/lend.sh");

/// What [`SERVE`] answers when it cannot.
const NONE: &str = "none";
/// Status of [`FETCH`]: the two nodes do not get together.
const NOT_THIS_WAY: i32 = 3;

/// Brings to a node what `first` has staged.
pub(crate) async fn fetch(cx: &ApplyCx<'_>, first: &NodeName, lacking: &Lacking<'_>) -> Result<()> {
    cx.progress(format!("fetching {} from {first} to {}", lacking.what, lacking.node));
    let fetched = directly(cx, first, lacking).await;
    // It ends by itself; when it cannot be ended now, that is no reason to stop.
    let unserve = Cmd::mutate("package.unserve", UNSERVE, [cx.plan.staging(), unit(&cx.plan.staging())]);
    let _ended = cx.change_of(first)?.exec(&unserve).await;
    let Err(why) = fetched? else { return Ok(()) };
    if lacking.release.archive_node.is_none() {
        cx.progress(format!("{why}; sending {} from here", lacking.what));
        return from_operator(cx, lacking).await;
    }
    cx.progress(format!("{why}; passing {} on through here", lacking.what));
    let staging = cx.plan.staging();
    let lend = Cmd::read("package.lend", LEND, [staging])
        .stdin(Stdin::Bytes(list(lacking).into_bytes()))
        .deadline(cx.inventory().limits.distribute.duration());
    let seen = |bytes: u64| cx.progress(format!("passing {} on: {} KiB", lacking.what, bytes / 1024));
    transfer_seen(cx.host_of(first)?, &lend, cx.change_of(lacking.node)?, receive(cx), &seen)
        .await
        .with_context(|| format!("cannot pass the package on from {first} to {}", lacking.node))
}

/// From node to node. The inner error says why that cannot be.
async fn directly(cx: &ApplyCx<'_>, first: &NodeName, lacking: &Lacking<'_>) -> Result<Result<(), String>> {
    let address = |name: &NodeName| {
        let node = cx.inventory().node(name).with_context(|| format!("node `{name}` is not in the inventory"));
        node.map(|node| node.peer_address().to_owned())
    };
    let limit = cx.inventory().limits.distribute.duration();
    let (staging, own, peer) = (cx.plan.staging(), address(first)?, address(lacking.node)?);
    let words = [staging.clone(), unit(&staging), own.clone(), peer, limit.as_secs().to_string()];
    // The answer holds a password: it goes past everything that is shown or kept.
    let mut answer = zeroize::Zeroizing::new(Vec::new());
    match cx.change_of(first)?.exec_to(&Cmd::mutate("package.serve", SERVE, words), &mut *answer).await {
        Err(error @ RemoteError::Exit { .. }) => return Ok(Err(error.to_string())),
        other => other?,
    };
    let said = str::from_utf8(&answer).unwrap_or_default().trim();
    let Some((port, password)) = said.split_once(' ') else {
        return match said {
            NONE => Ok(Err(format!("{first} has no rsync"))),
            _ => anyhow::bail!("{first} did not say where it serves the package"),
        };
    };
    let mut input = zeroize::Zeroizing::new(format!("{password}\n").into_bytes());
    input.extend_from_slice(list(lacking).as_bytes());
    let fetch = Cmd::mutate("package.fetch", FETCH, [staging, own, port.to_owned()])
        .stdin(Stdin::Bytes(input.to_vec()))
        .deadline(limit);
    match cx.change_of(lacking.node)?.exec(&fetch).await {
        Ok(output) => {
            let bytes: u64 = output.stdout.trim().parse().unwrap_or_default();
            cx.progress(format!("fetched {}; {} KiB travelled", lacking.what, bytes.div_ceil(1024)));
            Ok(Ok(()))
        }
        Err(error) if error.code() == Some(NOT_THIS_WAY) || error.code() == Some(127) => {
            Ok(Err(format!("{} cannot fetch from {first}: {error}", lacking.node)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The transient unit that serves a staging directory.
pub(crate) fn unit(staging: &str) -> String {
    format!("rollup-serve-{}", staging.rsplit('/').next().unwrap_or_default())
}

fn list(lacking: &Lacking<'_>) -> String {
    lacking.names.iter().map(|name| format!("{name}\n")).collect()
}
