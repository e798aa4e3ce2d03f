//! The audit trail on the nodes: one line for each run, appended to `/var/lib/rollup/audit.jsonl`.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, Registry, State};
use rollup_model::{Undo, plan::Impact};
use rollup_remote::{Cmd, Stdin};
use serde::Deserialize;
use serde_json::{Value, json};

/// Adds the audit action.
pub(crate) fn register(registry: &mut Registry) {
    registry.action::<Audit>("audit.record", Impact::Change);
}

/// Prints how many lines name the run. `$1` run.
const LOOK: &str = r#"grep -cF "\"run\":\"$1\"" /var/lib/rollup/audit.jsonl 2>/dev/null || true"#;

/// Appends one line unless the run has one. `$1` run; the line on stdin.
const APPEND: &str = r#"
f=/var/lib/rollup/audit.jsonl; umask 077
mkdir -p /var/lib/rollup
line=$(cat)
grep -qF "\"run\":\"$1\"" "$f" 2>/dev/null || { printf '%s\n' "$line" >> "$f"; sync "$f"; }
"#;

/// The line that clears a lock by hand.
pub(crate) fn unlock_line(run: &rollup_model::RunId, by: &rollup_model::event::Operator, reason: &str) -> Cmd {
    let line = json!({ "unlocked": run, "by": by, "at": jiff::Timestamp::now(), "reason": reason }).to_string();
    let script =
        r#"umask 077; mkdir -p /var/lib/rollup; cat >> /var/lib/rollup/audit.jsonl; sync /var/lib/rollup/audit.jsonl"#;
    Cmd::mutate("audit.unlock", script, [""; 0]).stdin(Stdin::Bytes(format!("{line}\n").into_bytes()))
}

/// Writes the audit record of the run (FIN-3).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {}

#[async_trait::async_trait]
impl Action for Audit {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let found = cx.host()?.exec(&Cmd::read("audit.look", LOOK, [cx.plan.run.as_str()])).await?.stdout;
        Ok(if found.trim().parse().unwrap_or(0) > 0 { State::done() } else { State::needed(Value::Null) })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let plan = cx.plan;
        let steps = cx.run.steps.iter();
        let accepted: std::collections::BTreeMap<_, _> =
            steps.filter_map(|(step, record)| Some((step, record.accepted.as_ref()?))).collect();
        let line = json!({
            "run": plan.run,
            "title": plan.title,
            "plan": plan.digest(),
            "release": plan.release.as_ref().map(|release| json!({ "name": release.name, "version": release.version, "sha256": release.archive_sha256 })),
            "from": plan.versions,
            "bindings": plan.bindings,
            "backup_set": plan.backup_set,
            "accepted": accepted,
            "downtime_accepted": cx.run.downtime_accepted,
            "at": jiff::Timestamp::now(),
        });
        let cmd =
            Cmd::mutate("audit.append", APPEND, [plan.run.as_str()]).stdin(Stdin::Bytes(line.to_string().into_bytes()));
        cx.change()?.exec(&cmd).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "what happened stays on record".to_owned() }
    }
}
