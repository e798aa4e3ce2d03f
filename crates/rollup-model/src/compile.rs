//! Playbook + inventory + package + facts → plan.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    Diagnostic, Facts, Inventory, NodeName, Playbook, Release, RunId, Span,
    diagnostic::did_you_mean,
    facts::Role,
    inventory::Limits,
    plan::{ActionRef, FORMAT, Impact, Phase, Plan, Policy, Step, Target},
    playbook::{PolicySpec, StepSpec},
};

/// What the compiler may ask about actions, without knowing one.
pub trait Known {
    /// Names of all actions, for "did you mean".
    fn names(&self) -> Vec<String>;
    /// What an action costs by its own word; `None`: there is no such action.
    fn impact(&self, uses: &str) -> Option<Impact>;
    /// Checks the arguments of an action for one place, and settles what was left open.
    fn resolve(
        &self,
        uses: &str,
        with: &Map<String, Value>,
        on: &Target,
        site: &Site<'_>,
    ) -> Result<Resolution, String>;
}

/// What a choice may depend on.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The inventory.
    pub inventory: &'a Inventory,
    /// The package.
    pub release: Option<&'a Release>,
    /// Roles and facts as read now.
    pub facts: &'a Facts,
}

/// Arguments with nothing left open.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// The arguments that go into the plan.
    pub with: Map<String, Value>,
    /// Why an open choice came out as it did.
    pub why: Option<String>,
    /// How the step is taken back, as people say it.
    pub undo: String,
}

/// What makes one plan differ from another with the same content.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The run's name.
    pub run: RunId,
    /// When the plan is made.
    pub created: jiff::Timestamp,
}

impl Identity {
    /// `tail` is a few random letters or digits, so that two operators in the same second get different runs.
    pub fn new(created: jiff::Timestamp, tail: &str) -> Result<Self, crate::id::InvalidName> {
        let run = RunId::new(format!("{}-{tail}", created.strftime("%Y%m%d-%H%M%S")))?;
        Ok(Self { run, created })
    }

    fn backup_set(&self) -> String {
        self.created.strftime("backup_%Y%m%d_%H%M%S").to_string()
    }
}

/// Compiles a playbook. Reports every mistake, not only the first.
pub fn compile(
    playbook: &Playbook,
    site: &Site<'_>,
    versions: &BTreeMap<NodeName, String>,
    known: &dyn Known,
    identity: &Identity,
) -> Result<Plan, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut phases = Vec::new();
    let mut steps = Vec::new();
    for spec in &playbook.phase {
        let limit = match spec.limit.as_deref().map(|text| span_of(text, &site.inventory.limits)).transpose() {
            Ok(limit) => limit,
            Err(message) => {
                problems.push(Diagnostic::new(format!("phase `{}`: {message}", spec.id)));
                None
            }
        };
        phases.push(Phase { id: spec.id.clone(), title: spec.title.clone(), limit });
        for step in &spec.step {
            match expand(step, &spec.id, site, known) {
                Ok(expanded) => steps.extend(expanded),
                Err(mut found) => problems.append(&mut found),
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let plan = Plan {
        format: FORMAT,
        run: identity.run.clone(),
        created: identity.created,
        playbook: playbook.name.clone(),
        title: playbook.title.clone(),
        kind: playbook.kind,
        takes_back: Vec::new(),
        restores: None,
        brings_back: BTreeMap::new(),
        bindings: site.facts.bindings.clone(),
        inventory: site.inventory.clone(),
        release: site.release.cloned(),
        versions: versions.clone(),
        backup_set: identity.backup_set(),
        phases,
        steps,
    };
    let found = crate::lint::lint(&plan);
    if found.is_empty() { Ok(plan) } else { Err(found) }
}

fn expand(
    spec: &StepSpec,
    phase: &crate::PhaseId,
    site: &Site<'_>,
    known: &dyn Known,
) -> Result<Vec<Step>, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut complain = |message: String, hint: Option<String>| {
        let diagnostic = Diagnostic::new(format!("step `{}`: {message}", spec.id));
        problems.push(match hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
    };
    let Some(own_impact) = known.impact(&spec.uses) else {
        let names = known.names();
        let meant = did_you_mean(&spec.uses, names.iter().map(String::as_str));
        complain(
            format!("there is no action `{}`", spec.uses),
            Some(
                meant
                    .map_or_else(|| format!("known actions: {}", names.join(", ")), |m| format!("did you mean `{m}`?")),
            ),
        );
        return Err(problems);
    };
    let places = match places(&spec.on, site) {
        Ok(places) => places,
        Err((message, hint)) => {
            complain(message, hint);
            return Err(problems);
        }
    };
    let policy = match policy_of(&spec.policy, &site.inventory.limits) {
        Ok(policy) => Some(policy),
        Err(message) => {
            complain(message, None);
            None
        }
    };
    // `all` means at once: without a group of its own it becomes one.
    let group = spec.group.clone().or_else(|| (spec.on == "all").then(|| spec.id.to_string()));
    let mut steps = Vec::new();
    for on in places {
        let resolution = match known.resolve(&spec.uses, &spec.with, &on, site) {
            Ok(resolution) => resolution,
            Err(message) => {
                complain(format!("on {on}: {message}"), None);
                continue;
            }
        };
        let Some(policy) = policy.clone() else { continue };
        steps.push(Step {
            id: match &on {
                Target::Node(node) => spec.id.at(node),
                Target::Pair => spec.id.clone(),
            },
            phase: phase.clone(),
            title: spec.title.clone(),
            on,
            action: ActionRef { uses: spec.uses.clone(), with: resolution.with },
            impact: spec.impact.unwrap_or(own_impact),
            policy,
            group: group.clone(),
            after_undo: spec.after_undo,
            undo: resolution.undo,
            why: resolution.why,
        });
    }
    if problems.is_empty() { Ok(steps) } else { Err(problems) }
}

fn places(on: &str, site: &Site<'_>) -> Result<Vec<Target>, (String, Option<String>)> {
    match on {
        "pair" => return Ok(vec![Target::Pair]),
        "all" | "each" => return Ok(site.inventory.node_names().cloned().map(Target::Node).collect()),
        _ => {}
    }
    if let Some((_, role)) = Role::ALL.iter().find(|(name, _)| *name == on) {
        return match site.facts.bindings.get(role) {
            Some(node) => Ok(vec![Target::Node(node.clone())]),
            None => Err((format!("no node could be bound to `{on}`"), Some("run `rollup precheck`".to_owned()))),
        };
    }
    if let Some(node) = site.inventory.node_names().find(|node| node.as_str() == on) {
        return Ok(vec![Target::Node(node.clone())]);
    }
    let words = ["pair", "all", "each"].into_iter().chain(Role::ALL.iter().map(|(name, _)| *name));
    let meant = did_you_mean(on, words.chain(site.inventory.node_names().map(NodeName::as_str)));
    Err((format!("`{on}` is neither a role nor a node"), meant.map(|meant| format!("did you mean `{meant}`?"))))
}

fn span_of(text: &str, limits: &Limits) -> Result<Span, String> {
    match text.strip_prefix("limit:") {
        Some(name) => limits.get(name).ok_or_else(|| match did_you_mean(name, Limits::NAMES) {
            Some(meant) => format!("there is no limit `{name}`; did you mean `limit:{meant}`?"),
            None => format!("there is no limit `{name}`; known: {}", Limits::NAMES.join(", ")),
        }),
        None => text.parse().map_err(|error| format!("{error}")),
    }
}

fn policy_of(spec: &PolicySpec, limits: &Limits) -> Result<Policy, String> {
    let span = |text: &Option<String>, default: Span| match text {
        Some(text) => span_of(text, limits),
        None => Ok(default),
    };
    let stable_checks = match &spec.stable_checks {
        None => 1,
        Some(Value::String(text)) if text == "limit:soak_checks" => limits.soak_checks,
        Some(Value::Number(number)) if number.as_u64().is_some_and(|n| (1..=1000).contains(&n)) => {
            number.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(1)
        }
        Some(other) => {
            return Err(format!("stable_checks: expected a number from 1 or `limit:soak_checks`, found {other}"));
        }
    };
    let attempts = spec.attempts.unwrap_or(1);
    if attempts == 0 {
        return Err("attempts: expected at least 1, found 0".to_owned());
    }
    Ok(Policy {
        attempts,
        attempt_timeout: span(&spec.attempt_timeout, limits.command)?,
        verify_within: span(&spec.verify_within, limits.command)?,
        backoff: span(&spec.backoff, Span::secs(1))?,
        poll: span(&spec.poll, Span::millis(200))?,
        stable_checks,
        stable_for: span(&spec.stable_for, Span::secs(0))?,
        undo_on_failure: spec.undo_on_failure.unwrap_or(false),
    })
}

#[cfg(test)]
mod tests;
