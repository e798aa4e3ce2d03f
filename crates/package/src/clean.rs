//! The staging directories, when nobody needs them any more.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Undo};
use rollup_remote::Cmd;
use serde::Deserialize;
use serde_json::Value;

use crate::{local, peer};

/// `$1` staging directory.
const LOOK: &str = r#"if [ -e "$1" ]; then echo present; else echo absent; fi"#;

/// `$1` staging directory `$2` the unit that may still serve it.
const CLEAN: &str = r#"
systemctl stop "$2" 2>/dev/null || true
rm -rf "$1"
rmdir /var/lib/rollup/staging 2>/dev/null || true
"#;

/// Removes the run's staging directory (FIN-3).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clean {
    /// The directory of another run, when that one is taken back.
    staging: Option<String>,
}

impl Clean {
    fn staging(&self, cx: &Cx<'_>) -> String {
        self.staging.clone().unwrap_or_else(|| cx.plan.staging())
    }
}

#[async_trait::async_trait]
impl Action for Clean {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let found = cx.host()?.exec(&Cmd::read("package.look-clean", LOOK, [self.staging(cx)])).await?.stdout;
        Ok(match found.trim() {
            "absent" => State::done(),
            "present" => State::not_yet(vec![
                Finding::check("package.clean", "FIN-3", false, format!("{} gone", self.staging(cx)), "still there")
                    .on(cx.node()?),
            ]),
            other => anyhow::bail!("expected present or absent, found `{other}`"),
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let words = [self.staging(cx), peer::unit(&self.staging(cx))];
        cx.change()?.exec(&Cmd::mutate("package.clean", CLEAN, words)).await?;
        local::clear(cx.inventory(), &self.staging(cx));
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::NotNeeded { why: "the staged copy can be sent again".to_owned() }
    }
}
