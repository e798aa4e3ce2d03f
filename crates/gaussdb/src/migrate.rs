//! `db.migrate`: runs the package's schema changes on the primary, each once, each whole or not at all.

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Severity, Undo, release::MigrationPhase};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    DatabaseFacts, DatabaseSubject,
    engine::{At, Change, Engine, engine_of},
    facts::AppliedKind,
    findings,
    history::{self, Selection},
    migrations,
};

/// Runs the package's migrations of one phase.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Migrate {
    phase: MigrationPhase,
}

impl Migrate {
    async fn look(&self, cx: &Cx<'_>) -> Result<(&'static dyn Engine, DatabaseFacts)> {
        let engine = engine_of(&cx.inventory().database);
        Ok((engine, cx.facts(&DatabaseSubject, cx.node()?).await?))
    }

    fn select<'r>(&self, cx: &Cx<'r>, engine: &dyn Engine, facts: &DatabaseFacts) -> Result<Selection<'r>> {
        let installed = cx.plan.versions.get(cx.node()?).map(String::as_str);
        let migrations = &cx.release()?.migrations;
        Ok(history::select(engine, migrations, self.phase, facts.history.as_deref(), installed))
    }
}

#[async_trait::async_trait]
impl Action for Migrate {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let (engine, facts) = self.look(cx).await?;
        let selection = self.select(cx, engine, &facts)?;
        if !selection.problems.is_empty() {
            return Ok(State::blocked(selection.problems));
        }
        // The history is replicated, so a node that has become a standby meanwhile still proves what was applied.
        if selection.missing.is_empty() && facts.server.is_some() {
            return Ok(State::seen(json!({ "applied": selection.applied })));
        }
        if !facts.is_primary() {
            let expected = "the database's primary, to change its schema there";
            let finding = Finding::check("database.primary", "UPG-2", false, expected, facts.summary());
            return Ok(State::blocked(vec![finding.on(cx.node()?)]));
        }
        // It would hang in its commit, and hold its locks for as long.
        let commits = findings::commits(&facts, &cx.inventory().database);
        if commits.severity == Severity::Error {
            return Ok(State::blocked(vec![commits.on(cx.node()?)]));
        }
        Ok(State::needed(json!({ "applied": selection.applied })))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let (engine, facts) = self.look(cx).await?;
        let at = At::new(cx, cx.node()?)?;
        for (migration, kind) in self.select(cx, engine, &facts)?.missing {
            let name = &migration.name;
            let change = Change { migration, kind, run: cx.plan.run.as_str() };
            let commands = migrations::migrate(engine, at, &change);
            let count = commands.len();
            for (index, command) in commands.iter().enumerate() {
                let number = index + 1;
                cx.progress(match (kind, count) {
                    (AppliedKind::Baseline, _) => format!("adopting {name}: the installed version has it"),
                    (_, 1) => format!("running {name}"),
                    _ => format!("running {name}: statement {number} of {count}"),
                });
                if let Err(error) = cx.change()?.exec(command).await {
                    return Err(migrations::failed(engine, name, (index, count), error));
                }
            }
        }
        Ok(())
    }

    fn undo(&self, _before: &Value) -> Undo {
        match self.phase {
            MigrationPhase::Expand => {
                Undo::NotNeeded { why: "expand migrations stay; the old version tolerates them".to_owned() }
            }
            MigrationPhase::Contract => {
                Undo::Impossible { why: "contract migrations remove what the old version needs".to_owned() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_migration_cannot_be_taken_back_and_an_expand_migration_need_not_upg_2() {
        let action = |phase: &str| serde_json::from_value::<Migrate>(json!({ "phase": phase })).unwrap();
        assert!(matches!(action("expand").undo(&Value::Null), Undo::NotNeeded { .. }));
        assert!(matches!(action("contract").undo(&Value::Null), Undo::Impossible { .. }));
        assert!(serde_json::from_value::<Migrate>(json!({ "phase": "expand", "fast": true })).is_err());
    }
}
