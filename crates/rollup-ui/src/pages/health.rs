//! How the nodes are: every answer of one look, and what has changed from one look to the next.

use jiff::Timestamp;
use rollup_model::NodeName;
use serde::Serialize;

use crate::{
    Style, human,
    human::one_line,
    layout::{Page, cut, pad},
    style::{Paint, Sign},
};

/// One look at all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthLook {
    /// When the answers were complete.
    pub at: Timestamp,
    /// Whether every node is healthy.
    pub healthy: bool,
    /// Each node.
    pub nodes: Vec<HealthRow>,
}

/// The health of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthRow {
    /// The node.
    pub node: NodeName,
    /// What was asked.
    pub checks: Vec<HealthCheck>,
}

/// One question about a node's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// Which kind, for example `health.unit`.
    pub id: String,
    /// What was asked, for example `unit orders-api.service`.
    pub name: String,
    /// Whether the answer is good.
    pub ok: bool,
    /// What was answered, for example `active`.
    pub detail: String,
    /// When the answer turned good or bad, where that was watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl HealthCheck {
    fn sign(&self) -> Sign {
        if self.ok { Sign::Done } else { Sign::Failed }
    }
}

impl HealthLook {
    /// Sums up the answers of all nodes.
    pub fn new(at: Timestamp, nodes: Vec<HealthRow>) -> Self {
        Self { at, healthy: nodes.iter().flat_map(|row| &row.checks).all(|check| check.ok), nodes }
    }

    /// The same look as one that follows another: answers that have turned say when.
    #[must_use]
    pub fn after(mut self, before: &HealthLook) -> Self {
        let at = self.at;
        for row in &mut self.nodes {
            for check in &mut row.checks {
                let known = before.check(&row.node, &check.name);
                check.since = match known {
                    Some(known) if known.ok == check.ok => known.since,
                    // One that was not asked while its node did not answer has not turned.
                    None if check.ok => None,
                    _ => Some(at),
                };
            }
        }
        self
    }

    fn check(&self, node: &NodeName, name: &str) -> Option<&HealthCheck> {
        let row = self.nodes.iter().find(|row| row.node == *node)?;
        row.checks.iter().find(|check| check.name == name)
    }
}

/// Every node with every answer, and a verdict as the last line.
pub fn health_table(look: &HealthLook, style: &Style) -> String {
    table(look, false, style)
}

/// `is_short`: good answers are only counted.
fn table(look: &HealthLook, is_short: bool, style: &Style) -> String {
    let mut page = Page::new(style);
    let names = look.nodes.iter().flat_map(|row| &row.checks).map(|check| console::measure_text_width(&check.name));
    let column = (names.max().unwrap_or_default() + 2).min(style.width / 2);
    for row in &look.nodes {
        let healthy = row.checks.iter().all(|check| check.ok);
        let (word, paint) = if healthy { ("healthy", Paint::Good) } else { ("not healthy", Paint::Bad) };
        page.text(0, Paint::Strong, row.node.as_str());
        for check in row.checks.iter().filter(|check| !(is_short && check.ok)) {
            let name = pad(&cut(&one_line(&check.name), column.saturating_sub(2), style), column);
            let since = check.since.map(|at| format!(", since {}", human::time_of_day(at, style))).unwrap_or_default();
            let detail = format!("{}{since}", one_line(&check.detail));
            page.signed_entry(2, check.sign(), &name, Paint::Plain, &detail);
        }
        if is_short {
            let good = row.checks.iter().filter(|check| check.ok).count();
            page.signed(2, Sign::Done, Paint::Plain, &format!("{} as expected", human::count(good, "answer")));
        }
        page.text(2, paint, word);
        page.blank();
    }
    let sick = look.nodes.iter().filter(|row| !row.checks.iter().all(|check| check.ok));
    let sick: Vec<&str> = sick.map(|row| row.node.as_str()).collect();
    match (sick.is_empty(), &look.nodes[..]) {
        (true, [one]) => page.text(0, Paint::Good, &format!("{} is healthy", one.node)),
        (true, _) => page.text(0, Paint::Good, "all nodes are healthy"),
        (false, _) => page.text(0, Paint::Bad, &format!("not healthy: {}", sick.join(", "))),
    }
    page.finish()
}

/// The same for a terminal that is drawn again and again: at most `height` lines, the verdict always among them. Where
/// not everything fits, what is good gives way first.
pub fn health_screen(look: &HealthLook, height: usize, style: &Style) -> Vec<String> {
    let looked = style.paint(Paint::Dim, format!("looked at {}, Ctrl-C ends", human::time_of_day(look.at, style)));
    let lines = |is_short| {
        let table = table(look, is_short, style);
        table.lines().map(str::to_owned).chain([looked.clone()]).collect::<Vec<_>>()
    };
    let all = lines(false);
    let mut lines = if all.len() <= height { all } else { lines(true) };
    if lines.len() > height {
        // The verdict and the time; what is cut off is said.
        let last = lines.split_off(lines.len().saturating_sub(2));
        let room = height.saturating_sub(last.len() + 1);
        let hidden = lines.len().saturating_sub(room);
        lines.truncate(room);
        lines.push(style.paint(Paint::Dim, format!("{hidden} more lines; a higher terminal shows them")));
        lines.extend(last);
    }
    lines
}

/// What is different since the look before, one line each; without one before, everything.
pub fn health_changes(before: Option<&HealthLook>, look: &HealthLook, style: &Style) -> Vec<String> {
    let mut lines = Vec::new();
    let at = human::time_of_day(look.at, style);
    let node_width = look.nodes.iter().map(|row| row.node.as_str().len()).max().unwrap_or_default();
    for row in &look.nodes {
        for check in &row.checks {
            let known = before.and_then(|before| before.check(&row.node, &check.name));
            if known.is_some_and(|known| says_the_same(known, check)) {
                continue;
            }
            let (sign, name) = (style.sign(check.sign()), one_line(&check.name));
            let node = pad(row.node.as_str(), node_width);
            lines.push(format!("{at} {node} {sign} {name}: {}", one_line(&check.detail)));
        }
    }
    if before.is_none_or(|before| before.healthy != look.healthy) {
        let word = if look.healthy { "all is healthy" } else { "not all is healthy" };
        lines.push(format!("{at} {word}"));
    }
    lines
}

/// A good answer stays the same whatever its words; a bad one when only numbers in it differ, such as how long ago
/// something was.
fn says_the_same(one: &HealthCheck, other: &HealthCheck) -> bool {
    let words = |check: &HealthCheck| check.detail.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    one.ok == other.ok && (one.ok || words(one) == words(other))
}
