//! `db.revert`: takes the schema changes of runs back, newest first, each whole or not at all.

use std::cmp::Ordering;

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Release, RunId, Undo, release::MigrationPhase};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    DatabaseFacts, DatabaseSubject,
    engine::{At, Engine, Reversal, engine_of},
    facts::{Applied, AppliedKind},
    history, migrations,
};

/// Runs the package's down migrations for everything that these runs have applied.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revert {
    runs: Vec<RunId>,
}

fn problem(expected: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding::check("database.reversal", "RB-2", false, expected, found)
}

/// What is to be taken back, newest first, or everything that stands in the way.
fn select<'a>(
    history: Option<&'a [Applied]>,
    release: Option<&'a Release>,
    runs: &[RunId],
) -> Result<Vec<Reversal<'a>>, Vec<Finding>> {
    let ours = |row: &Applied| runs.iter().any(|run| row.run.as_deref() == Some(run.as_str()));
    // The oldest first, as the history tells them.
    let run = || history.unwrap_or_default().iter().filter(|row| row.kind != AppliedKind::Baseline);
    let (mut reversals, mut problems) = (Vec::new(), Vec::new());
    for (index, row) in run().enumerate().filter(|(_, row)| ours(row)) {
        if row.phase != history::phase_name(MigrationPhase::Expand) {
            let expected = format!("only expand migrations by run {}", row.run.as_deref().unwrap_or_default());
            problems.push(problem(expected, format!("`{}`, a {} migration", row.name, row.phase)));
            continue;
        }
        if let Some(later) = run().skip(index + 1).find(|later| !ours(later)) {
            let by = later.run.as_deref().unwrap_or("an unknown run");
            let found = format!("`{}`, which {by} has applied since", later.name);
            problems.push(problem(format!("nothing that may build on `{}`", row.name), found));
        }
        match reversal(row, release) {
            Ok(reversal) => reversals.push(reversal),
            Err(finding) => problems.push(*finding),
        }
    }
    reversals.reverse();
    if problems.is_empty() { Ok(reversals) } else { Err(problems) }
}

fn reversal<'a>(row: &'a Applied, release: Option<&'a Release>) -> Result<Reversal<'a>, Box<Finding>> {
    let name = &row.name;
    let Some(release) = release else {
        return Err(Box::new(problem(format!("the package that brought `{name}`"), "a plan without a package")));
    };
    let same = |version: &str| history::compare(version, &row.version) == Some(Ordering::Equal);
    let known = release.migrations.iter().find(|known| known.phase == MigrationPhase::Expand && same(&known.version));
    let package = format!("{} {}", release.name, release.version);
    let Some(known) = known else {
        let expected = format!("the package that brought `{name}`");
        return Err(Box::new(problem(expected, format!("{package}, which does not have it"))));
    };
    if known.sha256 != row.checksum {
        let expected = format!("`{name}` as it was applied, sha256 {}", history::short(&row.checksum));
        return Err(Box::new(problem(expected, format!("sha256 {} in {package}", history::short(&known.sha256)))));
    }
    let Some(down) = &known.down else {
        let expected = format!("a file U{}__….sql in {package} that takes `{name}` back", known.version);
        let fix = "leave the schema as it is: rollup rollback --lane keep";
        return Err(Box::new(problem(expected, "none").fix(fix)));
    };
    Ok(Reversal { row, down })
}

/// The names of the migrations that these runs have applied and that can be taken back, newest first; or why they
/// cannot.
///
/// `history`: as the database tells it. `release`: the package that brought them.
pub fn revertible(
    history: Option<&[Applied]>,
    release: Option<&Release>,
    runs: &[RunId],
) -> Result<Vec<String>, String> {
    let names = |reversals: Vec<Reversal<'_>>| reversals.iter().map(|it| it.row.name.clone()).collect();
    select(history, release, runs).map(names).map_err(|problems| {
        let said: Vec<_> = problems.iter().map(|it| format!("expected {}, found {}", it.expected, it.found)).collect();
        said.join("; ")
    })
}

impl Revert {
    async fn look(cx: &Cx<'_>) -> Result<(&'static dyn Engine, DatabaseFacts)> {
        let engine = engine_of(&cx.inventory().database);
        Ok((engine, cx.facts(&DatabaseSubject, cx.node()?).await?))
    }
}

#[async_trait::async_trait]
impl Action for Revert {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let (engine, facts) = Self::look(cx).await?;
        let node = cx.node()?;
        if facts.server.is_none() {
            let finding = problem("the database's primary, which tells what was applied", facts.summary());
            return Ok(State::blocked(vec![finding.on(node)]));
        }
        let reversals = match select(facts.history.as_deref(), cx.plan.release.as_ref(), &self.runs) {
            Ok(reversals) => reversals,
            Err(problems) => return Ok(State::blocked(problems.into_iter().map(|it| it.on(node)).collect())),
        };
        if reversals.is_empty() {
            let left: Vec<_> = facts.history.iter().flatten().map(|row| row.name.as_str()).collect();
            return Ok(State::seen(json!({ "history": left })));
        }
        if !facts.is_primary() {
            let finding = problem("the database's primary, to change its schema there", facts.summary());
            return Ok(State::blocked(vec![finding.on(node)]));
        }
        let refused: Vec<_> =
            reversals.iter().flat_map(|it| history::refused_back(engine, &it.down.name, &it.down.sql)).collect();
        if !refused.is_empty() {
            return Ok(State::blocked(refused));
        }
        let names: Vec<_> = reversals.iter().map(|it| it.down.name.as_str()).collect();
        Ok(State::needed(json!({ "to_run": names })))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let (engine, facts) = Self::look(cx).await?;
        let at = At::new(cx, cx.node()?)?;
        let reversals = match select(facts.history.as_deref(), cx.plan.release.as_ref(), &self.runs) {
            Ok(reversals) => reversals,
            Err(problems) => {
                let lines: Vec<_> = problems.iter().map(Finding::line).collect();
                anyhow::bail!("the schema cannot be taken back: {}", lines.join("; "));
            }
        };
        for reversal in &reversals {
            cx.progress(format!("running {}", reversal.down.name));
            if let Err(error) = cx.change()?.exec(&migrations::revert(engine, at, reversal)).await {
                return Err(migrations::failed(engine, &reversal.down.name, (0, 1), error));
            }
        }
        Ok(())
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::NotNeeded { why: "the next upgrade runs the migrations again".to_owned() }
    }
}

#[cfg(test)]
#[path = "revert_tests.rs"]
mod tests;
