//! Small pages: lists of runs, health, a lock that somebody else holds, names and values.

use jiff::Timestamp;
use rollup_model::{
    NodeName, Plan, RunId, RunState, StepId, StepState,
    event::{Operator, StopReason},
    fold::RunStatus,
};
use serde::Serialize;

use super::{Next, next_commands};
use crate::{
    Style, human,
    human::one_line,
    layout::{Cell, Grid, Page},
    style::Paint,
};

/// One line of a list of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// First record.
    pub started: Option<Timestamp>,
    /// `running`, `interrupted`, `stopped`, `paused`, `blocked`, `failed`, `finished` or `taken back`.
    pub state: &'static str,
    /// Steps whose aim is reached.
    pub done: usize,
    /// All steps.
    pub total: usize,
    /// `user@host`.
    pub by: String,
    /// Headline of the plan.
    pub title: String,
}

impl RunRow {
    /// Sums up a run. `live`: whether a process works on it now.
    pub fn new(plan: &Plan, state: &RunState, live: bool) -> Self {
        let word = match (&state.status, live) {
            (_, true) => "running",
            (RunStatus::Running, false) => "interrupted",
            (RunStatus::Stopped { reason: StopReason::Operator }, _) => "stopped",
            (RunStatus::Stopped { reason: StopReason::Pause }, _) => "paused",
            (RunStatus::Stopped { reason: StopReason::Blocked }, _) => "blocked",
            (RunStatus::Stopped { reason: StopReason::Failed }, _) => "failed",
            (RunStatus::Finished, _) => "finished",
            (RunStatus::TakenBack { only: None, .. }, _) => "taken back",
            (RunStatus::TakenBack { .. }, _) => "partly taken back",
            (RunStatus::Finalized { .. }, _) => "final",
        };
        Self {
            run: plan.run.clone(),
            started: state.started,
            state: word,
            done: plan.steps.iter().filter(|step| state.get(&step.id) == StepState::Done).count(),
            total: plan.steps.len(),
            by: state.by.as_ref().map(|by| format!("{}@{}", by.user, by.host)).unwrap_or_default(),
            title: plan.title.clone(),
        }
    }
}

/// Runs under each other, in the order in which they are given.
pub fn runs_table(rows: &[RunRow], style: &Style) -> String {
    if rows.is_empty() {
        return "no runs\n".to_owned();
    }
    let cells: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| {
            let paint = match row.state {
                "failed" => Paint::Bad,
                "finished" | "running" => Paint::Good,
                _ => Paint::Caution,
            };
            vec![
                Cell::new(row.run.as_str()),
                Cell::new(row.started.map(|at| human::stamp(at, style)).unwrap_or_default()),
                Cell::painted(row.state, paint),
                Cell::new(format!("{}/{}", row.done, row.total)),
                Cell::new(one_line(&row.by)),
                Cell::new(one_line(&row.title)),
            ]
        })
        .collect();
    // Without its title a run is still known by its name; eighty columns have no room for both.
    let columns = if style.width >= 100 { 6 } else { 5 };
    let head = ["run", "started", "state", "steps", "by", "title"];
    grid(&head[..columns], cells.into_iter().map(|row| row.into_iter().take(columns).collect()).collect(), style)
}

/// Rows under headings, such as what is known of each node.
pub fn table(head: &[&str], rows: &[Vec<String>], style: &Style) -> String {
    grid(head, rows.iter().map(|row| row.iter().map(|text| Cell::new(one_line(text))).collect()).collect(), style)
}

fn grid(head: &[&str], rows: Vec<Vec<Cell>>, style: &Style) -> String {
    let mut page = Page::new(style);
    let mut all = vec![head.iter().map(|text| Cell::painted(*text, Paint::Dim)).collect::<Vec<_>>()];
    all.extend(rows);
    let soft: Vec<usize> = (1..head.len()).collect();
    let grid = Grid::fit(style, 0, &all, &soft);
    for row in &all {
        grid.row(row).iter().for_each(|line| page.raw(line));
    }
    page.finish()
}

/// Names and their values under a headline, for one thing's status.
pub fn key_values(title: &str, values: &[(String, String)], style: &Style) -> String {
    let mut page = Page::new(style);
    page.text(0, Paint::Strong, title);
    let column = values.iter().map(|(name, _)| console::measure_text_width(name)).max().unwrap_or_default() + 2;
    for (name, value) in values {
        page.entry(2, column, name, Paint::Plain, &one_line(value));
    }
    page.finish()
}

/// A lock that another run holds.
#[derive(Debug, Clone, Copy)]
pub struct Locked<'a> {
    /// Where the lock was found.
    pub node: &'a NodeName,
    /// The run it is held for.
    pub run: &'a RunId,
    /// Who took it.
    pub by: &'a Operator,
    /// What that run does now, when its journal could be read.
    pub step: Option<&'a StepId>,
    /// When the lock was taken.
    pub since: Timestamp,
}

/// Why this run may not begin: who is at work, at what, since when.
pub fn locked_page(locked: &Locked<'_>, now: Timestamp, next: &[Next], style: &Style) -> String {
    let mut page = Page::new(style);
    page.text(0, Paint::Caution, &format!("locked: another run works on {}", locked.node));
    let step = locked.step.map(|step| format!(", step {step}")).unwrap_or_default();
    let since = human::time_of_day(locked.since, style);
    let took = human::duration(human::millis_between(locked.since, now));
    let Operator { user, host, .. } = locked.by;
    page.text(0, Paint::Plain, &format!("held by {user}@{host}{step}, since {since} ({took})"));
    page.text(0, Paint::Plain, &format!("run {}. Nothing was changed by this command.", locked.run));
    if !next.is_empty() {
        next_commands(&mut page, next);
    }
    page.finish()
}
