//! How long clients got no good answer, against the budget, and during which steps.

use std::collections::BTreeMap;

use rollup_model::{Plan, RunState, StepId, event::Side, plan::Kind};
use serde::Serialize;

use crate::{Style, human, style::Paint};

/// How long clients got no good answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interruption {
    /// Whether the inventory has a meter at all.
    pub measured: bool,
    /// Whether writes are measured too.
    pub writes_measured: bool,
    /// Time in which reads or writes were down, in milliseconds. Where both were down at once it counts once.
    pub millis: u64,
    /// Reads alone.
    pub read_millis: u64,
    /// Writes alone.
    pub write_millis: u64,
    /// What one run may cost.
    pub budget_millis: u64,
    /// The same time by the step that ran when it began; longest first.
    pub by_step: Vec<StepShare>,
}

/// The part of one step in an interruption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepShare {
    /// The step; `None`: between steps.
    pub step: Option<StepId>,
    /// In milliseconds.
    pub millis: u64,
}

impl Interruption {
    /// Adds up what the meter saw.
    pub fn of(plan: &Plan, state: &RunState) -> Self {
        // What only takes copies asks no client's questions.
        let meter = plan.inventory.meter.as_ref().filter(|_| plan.kind != Kind::Backup);
        let down = |side: Side, total: u64| total.max(union(spans(state, |outage| outage.side == side)));
        let read_millis = down(Side::Read, state.meter.read.down_millis);
        let write_millis = down(Side::Write, state.meter.write.down_millis);
        let mut steps: BTreeMap<Option<StepId>, u64> = BTreeMap::new();
        for outage in &state.outages {
            steps
                .entry(outage.during.clone())
                .or_insert_with(|| union(spans(state, |other| other.during == outage.during)));
        }
        let mut by_step: Vec<_> = steps.into_iter().map(|(step, millis)| StepShare { step, millis }).collect();
        by_step.sort_by_key(|share| std::cmp::Reverse(share.millis));
        Self {
            measured: meter.is_some(),
            writes_measured: meter.is_some_and(|meter| meter.write_url.is_some()),
            // The totals may be ahead of the outages, which are told when they end.
            millis: union(spans(state, |_| true)).max(read_millis).max(write_millis),
            read_millis,
            write_millis,
            budget_millis: u64::try_from(plan.inventory.cluster.downtime_budget.duration().as_millis())
                .unwrap_or(u64::MAX),
            by_step,
        }
    }

    /// Whether the run cost more than it may.
    pub fn is_over_budget(&self) -> bool {
        self.millis > self.budget_millis
    }

    /// `0.4s of 240s (reads 0.0s, writes 0.4s)`.
    pub fn text(&self) -> String {
        if !self.measured {
            return "not measured (no [meter] in the inventory)".to_owned();
        }
        let writes = match self.writes_measured {
            true => format!("writes {}", human::seconds(self.write_millis)),
            false => "writes not measured".to_owned(),
        };
        format!("{} (reads {}, {writes})", self.brief(), human::seconds(self.read_millis))
    }

    /// `0.4s of 240s`.
    pub(crate) fn brief(&self) -> String {
        format!("{} of {}s", human::seconds(self.millis), self.budget_millis / 1000)
    }

    /// Yellow from half of the budget, red from four fifths.
    pub(crate) fn paint(&self) -> Paint {
        let percent = u128::from(self.millis) * 100 / u128::from(self.budget_millis.max(1));
        match percent {
            0..50 => Paint::Plain,
            50..80 => Paint::Caution,
            _ => Paint::Bad,
        }
    }

    /// The longest line of the progress display that leaves `room`.
    pub(crate) fn progress(&self, room: usize, style: &Style) -> String {
        let long = format!("interruption {}", self.text());
        let text = match (self.measured, long.len() <= room) {
            (false, _) => "interruption not measured".to_owned(),
            (true, true) => long,
            (true, false) => format!("interruption {}", self.brief()),
        };
        style.paint(self.paint(), text)
    }
}

fn spans(state: &RunState, wanted: impl Fn(&rollup_model::fold::Outage) -> bool) -> Vec<(i128, i128)> {
    let mut spans: Vec<_> = state
        .outages
        .iter()
        .filter(|outage| wanted(outage))
        .map(|outage| {
            let from = i128::from(outage.since.as_millisecond());
            (from, from + i128::from(outage.millis))
        })
        .collect();
    spans.sort_unstable();
    spans
}

/// Length of sorted spans together, overlaps counted once.
fn union(spans: Vec<(i128, i128)>) -> u64 {
    let mut total = 0;
    let mut reached = i128::MIN;
    for (from, to) in spans {
        total += (to - from.max(reached)).max(0);
        reached = reached.max(to);
    }
    u64::try_from(total).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_reads_and_writes_are_down_counts_once() {
        assert_eq!(union(vec![(0, 100), (50, 150), (200, 300), (210, 220)]), 250);
        assert_eq!(union(Vec::new()), 0);
    }
}
