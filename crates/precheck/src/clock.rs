//! Clocks: of each node against the operator's, and against each other.
//!
//! A node reads its clock somewhere between question and answer, so an offset is known only up to that time. What is
//! reported as apart is apart for certain.

use rollup_engine::FindingCx;
use rollup_model::{Asked, Finding, NodeName};

use crate::HostFacts;

/// More than this is too much, in seconds.
const MOST: f64 = 5.0;

/// Between these two lies what has to be added to the operator's clock to get the node's, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Offset {
    least: f64,
    most: f64,
}

impl Offset {
    fn of(clock: f64, asked: &Asked) -> Self {
        let seconds = |at: jiff::Timestamp| at.as_duration().as_secs_f64();
        Self { least: clock - seconds(asked.answered), most: clock - seconds(asked.sent) }
    }

    fn minus(self, other: Self) -> Self {
        Self { least: self.least - other.most, most: self.most - other.least }
    }

    /// How far from nothing it is at least.
    fn at_least(self) -> f64 {
        self.least.max(-self.most).max(0.0)
    }

    /// As people say it: `90.0 s behind (±0.2 s)`.
    fn words(self) -> String {
        let (middle, doubt) = (f64::midpoint(self.least, self.most), (self.most - self.least) / 2.0);
        let word = if middle < 0.0 { "behind" } else { "ahead" };
        format!("{:.1} s {word} (±{doubt:.1} s)", middle.abs())
    }
}

/// PRE-8: what a run writes down is ordered by these clocks.
pub(crate) fn findings(cx: &FindingCx<'_>, hosts: &[(&NodeName, HostFacts)]) -> Vec<Finding> {
    let offsets =
        hosts.iter().filter_map(|(node, facts)| Some((*node, Offset::of(facts.clock, cx.facts.asked.get(*node)?))));
    let offsets: Vec<_> = offsets.collect();
    let check = |offset: Offset, expected: String, found: String| {
        Finding::check("host.clock", "PRE-8", offset.at_least() < MOST, expected, found)
            .fix("chronyc makestep   # or: timedatectl set-ntp true")
    };
    let against_us = offsets.iter().map(|(node, offset)| {
        let expected = format!("a clock less than {MOST:.0} s from this machine's");
        check(*offset, expected, offset.words()).on(node)
    });
    let mut found: Vec<_> = against_us.collect();
    let order = |a: &&(&NodeName, Offset), b: &&(&NodeName, Offset)| a.1.least.total_cmp(&b.1.least);
    if let (Some((first, slow)), Some((last, fast))) = (offsets.iter().min_by(order), offsets.iter().max_by(order))
        && offsets.len() > 1
    {
        let apart = fast.minus(*slow);
        let expected = format!("clocks less than {MOST:.0} s apart");
        found.push(check(apart, expected, format!("{last} {} of {first}", apart.words())));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollup_engine::Stage;
    use rollup_model::{Facts, Severity};

    fn seen(clocks: [f64; 2]) -> Vec<(Severity, String)> {
        let inventory = crate::findings::tests::inventory("");
        let mut facts = Facts::default();
        let asked =
            Asked { sent: "2023-11-14T22:13:19Z".parse().unwrap(), answered: "2023-11-14T22:13:21Z".parse().unwrap() };
        let names: Vec<_> = inventory.node_names().cloned().collect();
        facts.asked = names.iter().map(|node| (node.clone(), asked)).collect();
        let cx = FindingCx { inventory: &inventory, release: None, facts: &facts, stage: Stage::Fresh };
        let host = |clock: f64| HostFacts { clock: 1_700_000_000.0 + clock, ..HostFacts::default() };
        let hosts = [(&names[0], host(clocks[0])), (&names[1], host(clocks[1]))];
        findings(&cx, &hosts).into_iter().map(|finding| (finding.severity, finding.found)).collect()
    }

    #[test]
    fn a_clock_that_is_off_is_told_against_the_operator_and_against_the_other_node_pre_8() {
        let found = seen([0.0, -90.0]);
        assert_eq!(found[0], (Severity::Ok, "0.0 s ahead (±1.0 s)".to_owned()));
        assert_eq!(found[1], (Severity::Error, "90.0 s behind (±1.0 s)".to_owned()));
        assert_eq!(found[2], (Severity::Error, "a 90.0 s ahead (±2.0 s) of b".to_owned()));
    }

    #[test]
    fn an_operator_whose_own_clock_is_off_sees_both_nodes_off_and_the_pair_agreeing_pre_8() {
        let severities: Vec<_> = seen([60.0, 60.5]).into_iter().map(|(severity, _)| severity).collect();
        assert_eq!(severities, [Severity::Error, Severity::Error, Severity::Ok]);
    }

    #[test]
    fn what_may_be_the_way_of_the_answer_is_no_error_pre_8() {
        assert!(seen([5.9, 5.9]).iter().all(|(severity, _)| *severity == Severity::Ok));
    }
}
