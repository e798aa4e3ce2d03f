//! The plan, as it is read before somebody says yes to it.

use rollup_model::{
    Impact, Plan, Role, Step,
    plan::{Kind, Phase, Target},
};

use crate::{
    Style, human,
    layout::{Cell, Grid, Page, cut, pad},
    style::Paint,
};

/// From this width on a step fits into one line of a table.
const WIDE: usize = 100;

/// The plan: what it is about, then every step by stage.
pub fn plan_table(plan: &Plan, style: &Style) -> String {
    let mut page = Page::new(style);
    headline(&mut page, plan);
    let numbered: Vec<(usize, &Step)> = plan.steps.iter().enumerate().map(|(at, step)| (at + 1, step)).collect();
    let rows: Vec<Vec<Cell>> = numbered.iter().map(|(number, step)| row(*number, step, plan)).collect();
    let head: Vec<Cell> =
        ["  #", "step", "node", "impact", "limit", "what it does", "undo"].map(|t| Cell::painted(t, Paint::Dim)).into();
    let all: Vec<_> = std::iter::once(&head).chain(&rows).cloned().collect();
    let grid = Grid::fit(style, 1, &all, &[5, 6]);
    if style.width >= WIDE {
        page.blank();
        grid.row(&head).iter().for_each(|line| page.raw(line));
    }
    for (at, phase) in plan.phases.iter().enumerate() {
        phase_head(&mut page, at + 1, plan.phases.len(), phase);
        for ((number, step), row) in numbered.iter().zip(&rows).filter(|((_, step), _)| step.phase == phase.id) {
            if style.width >= WIDE {
                grid.row(row).iter().for_each(|line| page.raw(line));
            } else {
                narrow(&mut page, *number, step, plan);
            }
            if let Some(why) = &step.why {
                page.text(7, Paint::Dim, &format!("why: {}", human::one_line(why)));
            }
        }
    }
    page.blank();
    page.text(0, Paint::Plain, &summary(plan));
    page.finish()
}

fn headline(page: &mut Page<'_>, plan: &Plan) {
    let style = page.style;
    page.text(0, Paint::Strong, &format!("{}: {}", plan.inventory.cluster.name, plan.title));
    page.blank();
    let to = plan.release.as_ref().map(|release| release.version.as_str()).filter(|_| !is_rollback(plan));
    for node in plan.inventory.node_names() {
        let from = plan.versions.get(node).map_or("unknown", String::as_str);
        let back = plan.brings_back.get(node).map(String::as_str);
        let version = match to.or(back.filter(|_| plan.restores.is_some())) {
            Some(to) if to != from => format!("{from} {} {to}", style.arrow()),
            Some(_) => from.to_owned(),
            None => back.map_or_else(|| from.to_owned(), |back| format!("back to {back}")),
        };
        let roles = roles_of(plan, node);
        page.entry(2, 12, node.as_str(), Paint::Plain, &format!("{version}{roles}"));
    }
    if let Some(release) = &plan.release {
        let text = format!("{} {} from {}", release.name, release.version, release.origin());
        page.entry(2, 12, "package", Paint::Plain, &text);
    }
    page.entry(2, 12, "VIP", Paint::Plain, &plan.inventory.vip.address.to_string());
    if let Some(set) = &plan.restores {
        page.entry(2, 12, "back to", Paint::Plain, set);
    }
    match plan.restores.is_some() {
        true => page.entry(2, 12, "safety set", Paint::Plain, &format!("{}, leads here again", plan.backup_set)),
        false => page.entry(2, 12, "backup set", Paint::Plain, &plan.backup_set),
    }
    page.entry(2, 12, "playbook", Paint::Plain, &plan.playbook);
    page.entry(2, 12, "digest", Paint::Plain, &plan.digest().chars().take(12).collect::<String>());
}

/// ` (original standby)`, or nothing.
pub(super) fn roles_of(plan: &Plan, node: &rollup_model::NodeName) -> String {
    // Where a backup is taken from is no part that people think of.
    let roles: Vec<String> = plan
        .bindings
        .iter()
        .filter(|(role, bound)| *bound == node && **role != Role::BackupSource)
        .map(|(role, _)| role.to_string().replace('-', " "))
        .collect();
    if roles.is_empty() { String::new() } else { format!(" ({})", roles.join(", ")) }
}

/// Whether the plan leads back.
pub(super) fn is_rollback(plan: &Plan) -> bool {
    plan.kind == Kind::Rollback
}

fn phase_head(page: &mut Page<'_>, number: usize, all: usize, phase: &Phase) {
    let limit = phase.limit.map(|limit| format!(", within {limit}")).unwrap_or_default();
    page.head(&format!("phase {number} of {all}, {}: {}{limit}", phase.id, phase.title));
}

fn row(number: usize, step: &Step, plan: &Plan) -> Vec<Cell> {
    let on = match &step.on {
        Target::Pair => "pair",
        Target::Node(node) => node.as_str(),
    };
    vec![
        Cell::painted(format!("{number:>3}"), Paint::Dim),
        Cell::new(step.id.base()),
        Cell::new(on),
        Cell::painted(impact_word(step.impact), impact_paint(step.impact)),
        Cell::painted(limit(step, plan), Paint::Dim),
        Cell::new(&*step.title),
        Cell::painted(undo(step).unwrap_or_default(), undo_paint(step)),
    ]
}

fn narrow(page: &mut Page<'_>, number: usize, step: &Step, plan: &Plan) {
    let style = page.style;
    let limit = limit(step, plan);
    let id = pad(step.id.as_str(), 32);
    let impact = style.paint(impact_paint(step.impact), pad(impact_word(step.impact), 10));
    let number = style.paint(Paint::Dim, format!("{number:>4}"));
    let line = format!("{number}   {id} {impact} {}", style.paint(Paint::Dim, limit));
    page.raw(&cut(&line, style.width, style));
    page.text(7, Paint::Plain, &step.title);
    if let Some(undo) = undo(step) {
        page.entry(7, 6, "undo:", undo_paint(step), &undo);
    }
}

/// A word short enough for a column.
fn impact_word(impact: Impact) -> &'static str {
    match impact {
        Impact::Observe => "look",
        Impact::Change => "change",
        Impact::Interrupt => "interrupt",
        Impact::PointOfNoReturn => "no return",
    }
}

fn impact_paint(impact: Impact) -> Paint {
    match impact {
        Impact::Observe => Paint::Dim,
        Impact::Change => Paint::Plain,
        Impact::Interrupt => Paint::Caution,
        Impact::PointOfNoReturn => Paint::Bad,
    }
}

/// What differs from one try within the usual limit: `2m x3`.
fn limit(step: &Step, plan: &Plan) -> String {
    let usual = plan.inventory.limits.command;
    let policy = &step.policy;
    let within = [policy.verify_within, policy.attempt_timeout].into_iter().find(|span| *span != usual);
    let within = within.map(|span| span.to_string());
    let tries = (policy.attempts > 1).then(|| format!("x{}", policy.attempts));
    [within, tries].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// How the step is taken back; nothing where there is nothing to take back.
fn undo(step: &Step) -> Option<String> {
    let undo = human::one_line(&step.undo);
    let is_trivial = step.impact == Impact::Observe || undo.starts_with("not needed");
    (!is_trivial && !undo.is_empty()).then_some(undo)
}

fn undo_paint(step: &Step) -> Paint {
    if step.undo.starts_with("impossible") { Paint::Bad } else { Paint::Dim }
}

fn summary(plan: &Plan) -> String {
    let count = |impact: Impact| plan.steps.iter().filter(|step| step.impact == impact).count();
    let (look, change) = (count(Impact::Observe), count(Impact::Change));
    let (interrupt, last) = (count(Impact::Interrupt), count(Impact::PointOfNoReturn));
    let no_return = if last > 0 { format!(", {last} cannot be taken back") } else { String::new() };
    let budget = plan.inventory.cluster.downtime_budget.duration().as_secs();
    format!(
        "{}: {look} look, {change} change, {interrupt} may interrupt clients{no_return}. Interruption budget {budget}s.",
        human::count(plan.steps.len(), "step")
    )
}
