//! Which actions and subjects there are.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, bail};
use rollup_model::{
    Check, Known, Resolution, Undo,
    compile::Site,
    plan::{ActionRef, Impact, Target},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    Action, Subject,
    gather::{AnySubject, known_checks},
};

type Build = fn(&Map<String, Value>) -> Result<Box<dyn Action>, String>;

/// Settles what a playbook left open (`"auto"`): the full arguments, and why.
pub type Choose = fn(&Map<String, Value>, &Target, &Site<'_>) -> Result<(Map<String, Value>, Option<String>), String>;

struct Entry {
    impact: Impact,
    build: Build,
    choose: Option<Choose>,
}

/// Which actions and subjects there are. Domain crates add theirs with one `register` each.
#[derive(Default)]
pub struct Registry {
    actions: BTreeMap<&'static str, Entry>,
    subjects: Vec<Arc<dyn AnySubject>>,
    checks: Vec<Check>,
}

impl Registry {
    /// Adds an action. `name` is stable for ever: plans and journals carry it.
    pub fn action<A: Action + DeserializeOwned + 'static>(&mut self, name: &'static str, impact: Impact) {
        self.actions.insert(name, Entry { impact, build: build::<A>, choose: None });
    }

    /// Adds an action whose arguments may be left open in the playbook.
    pub fn choosing_action<A: Action + DeserializeOwned + 'static>(
        &mut self,
        name: &'static str,
        impact: Impact,
        choose: Choose,
    ) {
        self.actions.insert(name, Entry { impact, build: build::<A>, choose: Some(choose) });
    }

    /// Adds a subject that facts are gathered about.
    pub fn subject<S: Subject + 'static>(&mut self, subject: S) {
        self.subjects.push(Arc::new(subject));
    }

    /// Adds checks that need no node.
    pub fn checks(&mut self, checks: &'static [Check]) {
        self.checks.extend(checks);
    }

    /// Every check there is, by id.
    pub fn known_checks(&self) -> Vec<Check> {
        let mut checks = known_checks(&self.subjects);
        checks.extend(&self.checks);
        checks.sort_by_key(|check| check.id);
        checks
    }

    /// Every subject.
    pub fn subjects(&self) -> &[Arc<dyn AnySubject>] {
        &self.subjects
    }

    /// Makes the action that a step names.
    pub fn build(&self, action: &ActionRef) -> Result<Box<dyn Action>> {
        let entry = self.actions.get(action.uses.as_str());
        let entry = entry.with_context(|| format!("there is no action `{}` in this version", action.uses))?;
        match (entry.build)(&action.with) {
            Ok(action) => Ok(action),
            Err(message) => bail!("action `{}`: {message}", action.uses),
        }
    }

    /// How a step with this action is taken back.
    pub fn undo(&self, action: &ActionRef, before: &Value) -> Undo {
        match self.build(action) {
            Ok(action) => action.undo(before),
            Err(error) => Undo::Impossible { why: format!("{error:#}") },
        }
    }

    /// What an action costs by its own word.
    pub fn impact_of(&self, uses: &str) -> Impact {
        self.actions.get(uses).map_or(Impact::Change, |entry| entry.impact)
    }
}

fn build<A: Action + DeserializeOwned + 'static>(with: &Map<String, Value>) -> Result<Box<dyn Action>, String> {
    serde_json::from_value::<A>(Value::Object(with.clone()))
        .map(|action| Box::new(action) as Box<dyn Action>)
        .map_err(|error| error.to_string())
}

impl Known for Registry {
    fn names(&self) -> Vec<String> {
        self.actions.keys().map(|name| (*name).to_owned()).collect()
    }

    fn impact(&self, uses: &str) -> Option<Impact> {
        self.actions.get(uses).map(|entry| entry.impact)
    }

    fn resolve(
        &self,
        uses: &str,
        with: &Map<String, Value>,
        on: &Target,
        site: &Site<'_>,
    ) -> Result<Resolution, String> {
        let entry = self.actions.get(uses).ok_or_else(|| format!("there is no action `{uses}`"))?;
        let (with, why) = match entry.choose {
            Some(choose) => choose(with, on, site)?,
            None => (with.clone(), None),
        };
        let action = (entry.build)(&with)?;
        Ok(Resolution { undo: action.undo(&Value::Null).describe(), with, why })
    }
}
