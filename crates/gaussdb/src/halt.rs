//! `db.halt` and `db.start`: a server that is down and can only come up as a standby, and its way back up.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Undo, plan::ActionRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    DatabaseFacts, DatabaseRole, DatabaseSubject,
    engine::{At, engine_of},
    place,
};

/// Stops the step's server; whatever starts it later starts a standby, never a writer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Halt {}

/// What taking it back needs.
#[derive(Serialize, Deserialize)]
struct Before {
    role: Option<DatabaseRole>,
}

/// It is down and would come up as a standby, or has no data that could come up.
fn is_halted(facts: &DatabaseFacts) -> bool {
    facts.server.is_none() && facts.silent.is_none() && (facts.standby_signal || facts.control.is_none())
}

#[async_trait::async_trait]
impl Action for Halt {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let node = cx.node()?;
        let facts = cx.facts(&DatabaseSubject, node).await?;
        if is_halted(&facts) {
            return Ok(State::seen(json!({ "server": facts.summary() })));
        }
        let expected = "a stopped server that would come up as a standby";
        let because = vec![place::finding("database.halted", false, expected, facts.summary()).on(node)];
        Ok(State::Needed { before: json!(Before { role: facts.role() }), because })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let engine = engine_of(&cx.inventory().database);
        cx.change()?.exec(&engine.halt(At::new(cx, cx.node()?)?)).await?;
        Ok(())
    }

    fn undo(&self, before: &Value) -> Undo {
        // Without a look it may have been a primary: what is printed is the more careful of both.
        let role = Before::deserialize(before).map_or(Some(DatabaseRole::Primary), |before| before.role);
        match role {
            Some(role) => {
                let with = Map::from_iter([("role".to_owned(), json!(role))]);
                Undo::Action(ActionRef { uses: "db.start".to_owned(), with })
            }
            None => Undo::NotNeeded { why: "the server did not answer before either".to_owned() },
        }
    }
}

/// Starts a halted server in the part that it played before. Never beside another writer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    role: DatabaseRole,
}

#[async_trait::async_trait]
impl Action for Start {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let node = cx.node()?;
        let facts = cx.facts(&DatabaseSubject, node).await?;
        if self.role == DatabaseRole::Primary {
            for other in cx.inventory().node_names().filter(|other| *other != node) {
                let peer = cx.facts(&DatabaseSubject, other).await?;
                if peer.is_primary() || peer.silent.is_some() {
                    return Ok(State::blocked(vec![place::second_writer(other, &peer, node)]));
                }
            }
        }
        let marked = facts.standby_signal && self.role == DatabaseRole::Primary;
        if facts.role() == Some(self.role) && !marked {
            return Ok(State::seen(json!({ "server": facts.summary() })));
        }
        if self.role == DatabaseRole::Standby && facts.is_primary() {
            let finding = place::finding("database.role", false, "a standby, or a stopped server", facts.summary());
            return Ok(State::blocked(vec![finding.on(node)]));
        }
        Ok(State::needed(Value::Null))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let engine = engine_of(&cx.inventory().database);
        let at = At::new(cx, cx.node()?)?;
        let cmd = match self.role {
            DatabaseRole::Primary => engine.reinstate(at),
            DatabaseRole::Standby => engine.rejoin(at, At::new(cx, cx.peer()?)?.node),
        };
        cx.change()?.exec(&cmd).await?;
        Ok(())
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::Action(ActionRef { uses: "db.halt".to_owned(), with: Map::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, primary, standby, stopped};

    #[test]
    fn only_a_stopped_server_that_comes_up_as_a_standby_is_halted_rb_2() {
        assert!(is_halted(&stopped("shut down")) && is_halted(&fixtures::facts(fixtures::ABSENT)));
        let unmarked = DatabaseFacts { standby_signal: false, ..stopped("shut down") };
        for facts in [primary(), standby(), fixtures::facts(fixtures::SILENT), unmarked] {
            assert!(!is_halted(&facts), "{}", facts.summary());
        }
        // The same words for a server that may write, however it is asked.
        let unmarked = DatabaseFacts { standby_signal: false, ..stopped("shut down") };
        assert!(primary().may_write() && unmarked.may_write() && fixtures::facts(fixtures::SILENT).may_write());
        assert!(!standby().may_write() && !stopped("shut down").may_write());
        assert!(!fixtures::facts(fixtures::ABSENT).may_write());
    }

    #[test]
    fn a_halted_server_starts_again_in_the_part_it_played_rb_2() {
        let undo = |before: Value| match (Halt {}).undo(&before) {
            Undo::Action(action) => (action.uses, action.with["role"].clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(undo(json!({ "role": "standby" })), ("db.start".to_owned(), json!("standby")));
        assert_eq!(undo(Value::Null), ("db.start".to_owned(), json!("primary")));
        assert!(matches!((Halt {}).undo(&json!({ "role": null })), Undo::NotNeeded { .. }));
        assert!(serde_json::from_value::<Start>(json!({ "role": "arbiter" })).is_err());
    }
}
