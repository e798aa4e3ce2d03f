//! `db.discard`: removes what an exchange of data directories has left.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::Undo;
use rollup_remote::Job;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    DatabaseSubject,
    engine::{At, engine_of},
    findings,
    place::{self, Places},
};

/// Removes the replaced data directory, what waits beside it, and the marker. What was replaced only goes once the
/// server that replaced it answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Discard {}

#[async_trait::async_trait]
impl Action for Discard {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let engine = engine_of(&cx.inventory().database);
        let at = At::new(cx, cx.node()?)?;
        let places = Places::look(cx, engine, at).await?;
        if places.is_tidy() {
            return Ok(State::done());
        }
        if places.old {
            let facts = cx.facts(&DatabaseSubject, &at.node.name).await?;
            if facts.server.is_none() {
                let expected = format!("a server that answers, before {}.rollup-old goes", at.database().data_dir);
                let finding = place::finding("database.running", false, expected, facts.summary()).on(&at.node.name);
                return Ok(State::blocked(vec![finding.fix(findings::start(at.database()))]));
            }
        }
        Ok(State::needed(json!({ "replaced": places.old })))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let engine = engine_of(&cx.inventory().database);
        let cmd = engine.discard(At::new(cx, cx.node()?)?);
        let job = Job::new(cx.plan.run.as_str(), cx.step.id.as_str(), cmd);
        Ok(job.run(cx.change()?, &|line| cx.progress(line)).await?)
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::NotNeeded { why: "what it removes is not in use".to_owned() }
    }
}
