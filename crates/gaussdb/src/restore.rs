//! `db.restore`: what was unpacked takes the place of the data directory and comes up as the primary.
//!
//! Never a second writer: the other server must be halted, or be a standby, before this one is touched. Never a loss:
//! what is replaced stays beside as `.rollup-old` until `db.discard`, which asks the new server first.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::Undo;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    DatabaseSubject,
    engine::{At, engine_of},
    place::{self, Places},
};

/// Puts the set's unpacked database in place and starts it as the primary.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restore {
    set: String,
}

#[async_trait::async_trait]
impl Action for Restore {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let engine = engine_of(&cx.inventory().database);
        let at = At::new(cx, cx.node()?)?;
        let node = &at.node.name;
        let run = cx.plan.run.as_str();
        for other in cx.inventory().node_names().filter(|other| *other != node) {
            let peer = cx.facts(&DatabaseSubject, other).await?;
            if peer.may_write() {
                return Ok(State::blocked(vec![place::second_writer(other, &peer, node)]));
            }
        }
        let facts = cx.facts(&DatabaseSubject, node).await?;
        let places = Places::look(cx, engine, at).await?;
        if places.is_in_place(run) && facts.is_primary() && !facts.standby_signal {
            return Ok(State::seen(json!({ "set": self.set, "run": run, "server": facts.summary() })));
        }
        if !places.is_in_place(run) {
            if let Some(obstacle) = places.obstacle(node, &at.database().data_dir) {
                return Ok(State::blocked(vec![obstacle]));
            }
            if !places.waits(run, false) {
                let expected = format!("{} unpacked in {}.rollup-new for this run", self.set, at.database().data_dir);
                let found = match places.new.and_then(|new| new.run) {
                    Some(other) => format!("what run {other} has unpacked"),
                    None => "nothing that is whole".to_owned(),
                };
                let finding = place::finding("database.unpacked", false, expected, found).on(node);
                return Ok(State::blocked(vec![finding.fix("a step `db.unpack` before this one")]));
            }
        }
        let expected = format!("the primary that {} holds", self.set);
        let because = vec![place::finding("database.restored", false, expected, facts.summary()).on(node)];
        Ok(State::Needed { before: json!({ "server": facts.summary() }), because })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let engine = engine_of(&cx.inventory().database);
        let at = At::new(cx, cx.node()?)?;
        cx.progress("exchanging the data directory, then starting as primary");
        cx.change()?.exec(&engine.restore(at, cx.plan.run.as_str())).await?;
        Ok(())
    }

    fn undo(&self, _before: &Value) -> Undo {
        let why = "the restored database has a history of its own; go back to the safety set that was taken before";
        Undo::Impossible { why: why.to_owned() }
    }
}
