//! `db.relax` and `db.tighten`: commits that wait for no standby while there is none, and wait again afterwards.
//!
//! A primary whose only standby is down keeps every commit waiting when its settings ask for one. What was set before is
//! kept on the node itself, in a file that is on disk before the change, so that any later run can put it back, whatever
//! became of this one.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Undo, plan::ActionRef};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    DatabaseFacts, DatabaseSubject,
    engine::{At, engine_of},
};

/// Lets commits of the step's primary go on without a standby.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Relax {}

/// Puts back what [`Relax`] has changed on the step's node.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tighten {}

fn finding(good: bool, expected: &str, found: String) -> Finding {
    Finding::check("database.relaxed", "DB-2", good, expected, found)
}

async fn look(cx: &Cx<'_>) -> Result<DatabaseFacts> {
    cx.facts(&DatabaseSubject, cx.node()?).await
}

#[async_trait::async_trait]
impl Action for Relax {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let facts = look(cx).await?;
        if !facts.is_primary() {
            let found = finding(false, "a primary", facts.summary());
            return Ok(State::blocked(vec![found.on(cx.node()?)]));
        }
        Ok(match facts.waits_for() {
            None => State::seen(json!({ "commits": "wait for no standby" })),
            Some(setting) => {
                let because = finding(false, "commits that wait for no standby", setting.clone()).on(cx.node()?);
                State::Needed { before: json!({ "setting": setting }), because: vec![because] }
            }
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let engine = engine_of(&cx.inventory().database);
        cx.change()?.exec(&engine.relax(At::new(cx, cx.node()?)?)).await?;
        Ok(())
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::Action(ActionRef { uses: "db.tighten".to_owned(), with: Map::new() })
    }
}

#[async_trait::async_trait]
impl Action for Tighten {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let facts = look(cx).await?;
        Ok(match &facts.relaxed {
            None => {
                State::seen(json!({ "commits": facts.waits_for().unwrap_or_else(|| "wait for no standby".to_owned()) }))
            }
            Some(before) => {
                let because =
                    finding(false, "the settings that were there before", format!("{before} is to be put back"));
                State::not_yet(vec![because.on(cx.node()?)])
            }
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let engine = engine_of(&cx.inventory().database);
        cx.change()?.exec(&engine.tighten(At::new(cx, cx.node()?)?)).await?;
        Ok(())
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::NotNeeded { why: "the settings are those from before".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn a_primary_waits_for_a_standby_only_where_its_settings_say_so_db_2() {
        let with = |names: &str, commit: &str| {
            let mut facts = fixtures::primary();
            let settings = &mut facts.server.as_mut().unwrap().settings;
            settings.synchronous_standby_names = names.to_owned();
            settings.synchronous_commit = commit.to_owned();
            facts
        };
        assert_eq!(with("", "on").waits_for(), None);
        assert_eq!(with("*", "local").waits_for(), None);
        assert_eq!(with("*", "on").waits_for().unwrap(), "synchronous_standby_names is `*`");
        let mut gauss = with("*", "on");
        gauss.gauss = Some(fixtures::gauss());
        assert_eq!(gauss.waits_for().unwrap(), "synchronous_standby_names is `*`, most_available_sync is off");
        gauss.gauss.as_mut().unwrap().most_available_sync = Some(true);
        assert_eq!(gauss.waits_for(), None);
        assert_eq!(fixtures::standby().waits_for(), None);
    }

    #[test]
    fn what_was_relaxed_is_taken_back_by_tightening_it_db_2() {
        let Undo::Action(undo) = (Relax {}).undo(&Value::Null) else { panic!("there is a way back") };
        assert_eq!(undo.uses, "db.tighten");
        assert!(serde_json::from_value::<Relax>(json!({ "for": "ever" })).is_err());
    }
}
