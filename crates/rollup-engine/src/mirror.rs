//! Copies of plan and journal on the nodes, so that another operator on another machine can see and go on.
//!
//! A copy is a convenience for people, the local journal is the precondition for change: a node that does not take the
//! copy is noted once and tried again, and the run goes on.

use std::{path::Path, time::Duration};

use rollup_model::{NodeName, Plan, Record, RunId};
use rollup_remote::{Cmd, Host, ReadOnly, RemoteError, Stdin, quiet};

use crate::journal;

/// Replaces a file of the run's directory as a whole. `$1` run, `$2` file name; content on stdin.
const PUT: &str = r#"
d=/var/lib/rollup/runs/$1; umask 077
mkdir -p "$d"
cat > "$d/.$2.new"
sync "$d/.$2.new"
mv -f "$d/.$2.new" "$d/$2"
sync "$d"
"#;

/// Appends to the journal when the copy is as long as we think; else status 9. `$1` run, `$2` its length in bytes.
const APPEND: &str = r#"
f=/var/lib/rollup/runs/$1/journal.jsonl
[ "$(stat -c %s "$f" 2>/dev/null || echo -1)" = "$2" ] || exit 9
cat >> "$f"
sync -d "$f"
"#;

/// The copy on one node.
pub(crate) struct Mirror {
    node: NodeName,
    run: RunId,
    length: Option<u64>,
    down: bool,
    /// A copy may still be on its way, and would overwrite a newer one.
    doubt: bool,
    skip: u32,
}

impl Mirror {
    pub(crate) fn new(node: &NodeName, run: &RunId) -> Self {
        Self { node: node.clone(), run: run.clone(), length: None, down: false, doubt: false, skip: 0 }
    }

    pub(crate) fn node(&self) -> &NodeName {
        &self.node
    }

    /// Tries again at once, even if the node was away.
    pub(crate) fn hurry(&mut self) {
        self.skip = 0;
    }

    /// Brings the copy up to `dir`'s journal, of which `line` was just appended. Returns a note the first time it fails.
    pub(crate) async fn follow(&mut self, host: &dyn Host, dir: &Path, line: &str, total: u64) -> Option<String> {
        if self.length == Some(total) {
            return None;
        }
        // A node that is away must not slow every record down: leave it alone for the next few.
        if self.down && self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        match self.try_follow(host, dir, line, total).await {
            Ok(()) => {
                self.length = Some(total);
                self.down = false;
                None
            }
            Err(error) => {
                self.doubt |= matches!(error, RemoteError::InDoubt { .. });
                self.length = None;
                self.skip = 4;
                let first = !std::mem::replace(&mut self.down, true);
                first.then(|| format!("the copy of the journal is not up to date there: {error}"))
            }
        }
    }

    async fn try_follow(&mut self, host: &dyn Host, dir: &Path, line: &str, total: u64) -> Result<(), RemoteError> {
        let run = self.run.as_str();
        let limit = Duration::from_secs(5);
        if self.doubt {
            // Other steps may be at work there for long: then the copy waits, and not the run.
            host.exec(&quiet(Duration::from_secs(2))).await?;
            self.doubt = false;
        }
        let expected = total - line.len() as u64;
        if self.length == Some(expected) {
            let length = expected.to_string();
            let cmd =
                Cmd::mutate("journal.append", APPEND, [run, &length]).stdin(Stdin::Bytes(line.into())).deadline(limit);
            match host.exec(&cmd).await {
                Err(RemoteError::Exit { code: 9, .. }) => {}
                other => return other.map(|_| ()),
            }
        }
        for file in ["plan.json", "journal.jsonl"] {
            let cmd = Cmd::mutate("journal.put", PUT, [run, file]).stdin(Stdin::File(dir.join(file))).deadline(limit);
            host.exec(&cmd).await?;
        }
        Ok(())
    }
}

/// A run as a node knows it.
#[derive(Debug, Clone)]
pub struct Mirrored {
    /// The plan.
    pub plan: Plan,
    /// The records that are whole.
    pub records: Vec<Record>,
    /// The journal's bytes, for taking the run over.
    pub journal: String,
}

/// Names of the runs that a node has a copy of, oldest first.
pub async fn list_mirrors(host: ReadOnly<'_>) -> Result<Vec<RunId>, RemoteError> {
    let cmd = Cmd::read("journal.list", "ls -1 /var/lib/rollup/runs 2>/dev/null || true", [""; 0]);
    let output = host.exec(&cmd).await?;
    Ok(output.stdout.lines().filter_map(|line| RunId::new(line.trim()).ok()).collect())
}

/// Reads the copy of one run from a node.
pub async fn fetch_mirror(host: ReadOnly<'_>, run: &RunId) -> anyhow::Result<Mirrored> {
    let read = |file: &str| Cmd::read("journal.get", r#"cat "/var/lib/rollup/runs/$1/$2""#, [run.as_str(), file]);
    let plan = serde_json::from_str(&host.exec(&read("plan.json")).await?.stdout)?;
    let journal = host.exec(&read("journal.jsonl")).await?.stdout;
    let place = format!("{}:/var/lib/rollup/runs/{run}/journal.jsonl", host.name());
    let (records, ..) = journal::parse(journal.as_bytes(), Path::new(&place))?;
    Ok(Mirrored { plan, records, journal })
}
