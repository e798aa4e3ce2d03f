//! One run at a time: a directory on each node that only one can create.
//!
//! No expiry: a lock that runs out by itself is a second writer waiting to happen. It is cleared by the end of its run,
//! by `rollup resume` of the same run, or by `rollup unlock` with a reason.

use std::time::Duration;

use anyhow::{Context, Result};
use rollup_model::{NodeName, RunId, event::Operator};
use rollup_remote::{Cmd, Host, ReadOnly, RemoteError, Stdin, quiet};
use serde::{Deserialize, Serialize};

use crate::Hosts;

/// Who holds the lock of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The run it is held for.
    pub run: RunId,
    /// Who took it.
    pub by: Operator,
    /// When, by the operator's clock.
    pub since: jiff::Timestamp,
}

/// What became of taking the locks.
#[derive(Debug)]
pub enum Taken {
    /// All nodes are ours.
    Ours,
    /// Somebody else has this node; what had been taken was given back.
    Held {
        /// The node.
        node: NodeName,
        /// By whom.
        holder: Holder,
    },
}

/// Renaming a full directory onto a full one fails, so exactly one holder wins, and the holder's file is there from the
/// first moment. `$1` run; the holder's JSON on stdin. Prints `taken` or `ours already`. Status 17: held by another, whose
/// JSON is on stdout.
const ACQUIRE: &str = r#"
d=/var/lib/rollup; umask 022
mkdir -p "$d"
t=$(mktemp -d -p "$d" --suffix=.lock)
cat > "$t/holder.json"; printf '%s' "$1" > "$t/run"; chmod 755 "$t"
if mv -T "$t" "$d/lock" 2>/dev/null; then sync "$d"; echo taken; exit 0; fi
rm -rf "$t"
[ "$(cat "$d/lock/run")" = "$1" ] && { echo 'ours already'; exit 0; }
cat "$d/lock/holder.json"; exit 17
"#;

/// `$1` run. A lock of another run, or none, is left as it is; what jobs of the run left is removed in any case.
const RELEASE: &str = r#"
d=/var/lib/rollup
systemctl stop "rollup-$1-*.service" 2>/dev/null || true
systemctl reset-failed "rollup-$1-*.service" 2>/dev/null || true
rm -f "$d/jobs/rollup-$1-"*
[ "$(cat "$d/lock/run" 2>/dev/null)" = "$1" ] || exit 0
t=$(mktemp -d -p "$d" --suffix=.lock)
mv -T "$d/lock" "$t/gone"
rm -rf "$t"
sync "$d"
"#;

const SHOW: &str = "cat /var/lib/rollup/lock/holder.json 2>/dev/null || true";

/// Takes the lock of every node, in the order of their names so that two operators cannot block each other; all or none.
pub async fn acquire(hosts: &Hosts, holder: &Holder) -> Result<Taken> {
    let json = serde_json::to_vec(holder)?;
    let mut taken = Vec::new();
    for (node, host) in hosts {
        let cmd = Cmd::mutate("lock.acquire", ACQUIRE, [holder.run.as_str()]).stdin(Stdin::Bytes(json.clone()));
        let failure = match host.exec(&cmd).await {
            Ok(output) => {
                // What the run held before is not given back: its jobs may be at work behind it.
                if output.stdout.trim() == "taken" {
                    taken.push(node);
                }
                continue;
            }
            Err(RemoteError::Exit { code: 17, stdout, .. }) => {
                let held = serde_json::from_str(&stdout).with_context(|| format!("the lock on {node} cannot be read"));
                held.map(|holder| Taken::Held { node: node.clone(), holder })
            }
            Err(error) => {
                // It may have been taken just now; then it names a run that is on disk and can go on.
                Err(error).with_context(|| format!("cannot take the lock on {node}"))
            }
        };
        for node in taken {
            if let Some(host) = hosts.get(node) {
                // Best effort: what stays is named by the next attempt, with its run.
                let _ = give_back(host.as_ref(), &holder.run).await;
            }
        }
        return failure;
    }
    Ok(Taken::Ours)
}

/// How long a lock that is given back waits for commands of its run.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// A command that is under way when its process dies takes effect all the same. Whoever comes next must not be surprised
/// by it, so a node is free only when nothing runs there any more.
async fn give_back(host: &dyn Host, run: &RunId) -> Result<(), RemoteError> {
    let wait = quiet(UNDER_WAY);
    if let Err(error) = host.exec(&wait).await {
        match error {
            // One answer that is lost is no reason to leave a lock behind.
            RemoteError::Unreachable { .. } => drop(host.exec(&wait).await?),
            error => return Err(error),
        }
    }
    host.exec(&Cmd::mutate("lock.release", RELEASE, [run.as_str()])).await.map(|_| ())
}

/// Gives back the locks of a run, once its commands have ended, and ends what jobs of it are left. Nodes that do not
/// answer, or are not quiet within a minute, keep theirs; they are returned with the reason.
pub async fn release(hosts: &Hosts, run: &RunId) -> Vec<(NodeName, RemoteError)> {
    let mut kept = Vec::new();
    for (node, host) in hosts {
        if let Err(error) = give_back(host.as_ref(), run).await {
            kept.push((node.clone(), error));
        }
    }
    kept
}

/// Who holds a node, if anybody.
pub async fn holder(host: ReadOnly<'_>) -> Result<Option<Holder>> {
    let output = host.exec(&Cmd::read("lock.show", SHOW, [""; 0])).await?;
    match output.stdout.trim() {
        "" => Ok(None),
        json => {
            serde_json::from_str(json).map(Some).with_context(|| format!("the lock on {} cannot be read", host.name()))
        }
    }
}
