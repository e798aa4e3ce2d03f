//! `backup.release`: the hold of an upgrade is dropped, since its run was taken back or finalized (BAK-3).

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::Undo;
use rollup_remote::Cmd;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Place, SetName, look, places::Places};

/// `$1` set directory.
const UNHOLD: &str = r#"
[ -d "$1" ] || exit 0
rm -f "$1/hold.json"
sync "$1"
"#;

/// Lets a set go with the next pruning.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Default: the one of the plan.
    set: Option<SetName>,
}

#[async_trait::async_trait]
impl Action for Release {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let set = look::meant(self.set.as_ref(), cx)?;
        let here = Place::Node(cx.node()?.clone());
        Ok(match Places::of(cx)?.small(&here, &set, "hold.json").await? {
            None => State::seen(json!({ "set": set })),
            Some(hold) => State::needed(json!({ "set": set, "hold": String::from_utf8_lossy(&hold) })),
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let set = look::meant(self.set.as_ref(), cx)?;
        let cmd = Cmd::mutate("backup.unhold", UNHOLD, [Places::of(cx)?.set_dir(&set)]);
        cx.change()?.exec(&cmd).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "the set itself stays until a later one is pruned".to_owned() }
    }
}
