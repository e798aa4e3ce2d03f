//! What no plan may look like, whoever wrote the playbook.

use std::collections::BTreeSet;

use crate::{
    Diagnostic,
    plan::{Impact, Plan, Target},
};

/// Every mistake in the shape of a plan.
pub fn lint(plan: &Plan) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut complain = |message: String| problems.push(Diagnostic::new(message));

    if plan.steps.is_empty() {
        complain("the plan has no steps".to_owned());
    }
    let mut phases = BTreeSet::new();
    for phase in plan.phases.iter().filter(|phase| !phases.insert(&phase.id)) {
        complain(format!("phase `{}` appears twice; its steps would run as two halves", phase.id));
    }
    let mut seen = BTreeSet::new();
    for step in &plan.steps {
        if !seen.insert(&step.id) {
            complain(format!("step `{}` appears twice; ids name journal records and must be unique", step.id));
        }
    }
    let mut groups_done = BTreeSet::new();
    let mut previous = None;
    for step in &plan.steps {
        let here = step.group.as_ref().map(|group| (&step.phase, group));
        if here != previous {
            if let Some((_, group)) = previous {
                groups_done.insert(group.clone());
            }
            if let Some((_, group)) = here.filter(|(_, group)| groups_done.contains(*group)) {
                complain(format!("step `{}`: group `{group}` is torn apart; its steps must be neighbours", step.id));
            }
        }
        previous = here;
    }
    for batch in plan.batches().into_iter().filter(|batch| batch.len() > 1) {
        for step in batch.iter().filter(|step| step.impact >= Impact::Interrupt) {
            complain(format!("step `{}` has impact {} and may not share a group", step.id, step.impact));
        }
        let on_pair = |target: &Target| matches!(target, Target::Pair);
        if batch.iter().any(|step| on_pair(&step.on) && step.impact > Impact::Observe) {
            complain(format!("step `{}` changes the pair and may not share a group", batch[0].id));
        }
    }
    let first_change = plan.steps.iter().position(|step| step.impact > Impact::Observe);
    if let Some(at) = first_change.filter(|at| *at == 0) {
        complain(format!("step `{}` changes something before anything was checked", plan.steps[at].id));
    }
    let mut passed = None;
    for step in &plan.steps {
        match (step.impact, &passed) {
            (Impact::PointOfNoReturn, None) => passed = Some(&step.id),
            (Impact::Interrupt, Some(point)) => {
                complain(format!("step `{}` interrupts clients after the point of no return `{point}`", step.id));
            }
            _ => {}
        }
    }
    problems
}
