//! Pages: values in, text out. No clock, no terminal, no write.
//!
//! No line is wider than the style says, except commands to type, which are never broken.

mod end;
mod findings;
mod health;
mod plan;
mod report;
mod status;
mod tables;
mod way_back;

use rollup_model::{NodeName, RunId, event::StopReason};
use serde::Serialize;

pub use end::{Ending, end_page};
pub use findings::{Selection, checks_table, findings_json, findings_junit, findings_table};
pub use health::{HealthCheck, HealthLook, HealthRow, health_changes, health_screen, health_table};
pub use plan::plan_table;
pub use report::{Report, Steps, report_json};
pub use status::status_page;
pub use tables::{Locked, RunRow, key_values, locked_page, runs_table, table};
pub use way_back::{LaneRow, PriceRow, WayBackPage, way_back_page};

use crate::{layout::Page, style::Paint};

/// What commands are called in hints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The program as it was typed, usually `rollup`.
    pub program: String,
    /// The run that hints are about.
    pub run: RunId,
}

/// A command to type, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    /// Exactly as it is typed.
    pub command: String,
    /// What it does, in a few words.
    pub why: String,
}

impl Next {
    /// A command to type, and what for.
    pub fn new(command: impl Into<String>, why: impl Into<String>) -> Self {
        Self { command: command.into(), why: why.into() }
    }
}

/// What serves when a run ends, as far as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Serving {
    /// The node that holds the VIP.
    pub vip: Option<NodeName>,
    /// How the service on that node is: `healthy on node-a`, or what is wrong with it.
    pub service: Option<String>,
    /// The node whose database takes writes.
    pub db_primary: Option<NodeName>,
}

/// Why a run stopped, after `stopped: `.
pub(crate) fn reason_text(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Operator => "asked to by the operator",
        StopReason::Pause => "asked to pause here",
        StopReason::Blocked => "a check said no, nothing was changed",
        StopReason::Failed => "a step failed",
    }
}

/// Commands under each other; beside or below each what it is for.
fn next_commands(page: &mut Page<'_>, next: &[Next]) {
    page.head("next");
    let column = next.iter().map(|next| next.command.len()).max().unwrap_or_default() + 2;
    let is_wide = next.iter().all(|next| 2 + column + next.why.chars().count() <= page.style.width);
    for next in next {
        if is_wide {
            let command = page.style.paint(Paint::Strong, crate::layout::pad(&next.command, column));
            page.raw(&format!("  {command}{}", next.why));
        } else {
            page.verbatim(2, 0, "", &next.command);
            page.text(6, Paint::Plain, &next.why);
        }
    }
}
