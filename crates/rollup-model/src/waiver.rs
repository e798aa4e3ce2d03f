//! Findings that are known and accepted for now (PRE-10). Pure: the day is told.

use jiff::civil::Date;

use crate::{
    Check, Finding, Severity,
    check::Waivable,
    diagnostic::{Diagnostic, did_you_mean},
    inventory::{Inventory, Waiver},
};

/// The finding that a waiver has run out.
pub const EXPIRED: Check =
    Check::new("waiver.expired", "PRE-10", "no waiver of the inventory is past its last day").never_waived();

/// Applies the waivers of an inventory on this day, UTC: what a valid one matches is [`Severity::Waived`] from now on.
pub fn apply(findings: &mut [Finding], waivers: &[Waiver], day: Date) {
    for finding in findings.iter_mut().filter(|finding| finding.severity >= Severity::Warning) {
        if let Some(waiver) = waivers.iter().find(|waiver| waiver.until >= day && matches(waiver, finding)) {
            finding.severity = Severity::Waived;
            finding.waived = Some(format!("{}, until {}", waiver.reason, waiver.until));
        }
    }
}

/// An error for each waiver that has run out; it waives nothing any more.
pub fn expired(waivers: &[Waiver], day: Date) -> Vec<Finding> {
    waivers.iter().filter(|waiver| waiver.until < day).map(past).collect()
}

fn matches(waiver: &Waiver, finding: &Finding) -> bool {
    waiver.check == finding.id && (waiver.node.is_none() || waiver.node == finding.node)
}

fn past(waiver: &Waiver) -> Finding {
    let expected = format!("a waiver of {} that still holds", waiver.check);
    let found = format!("its last day was {}: {}", waiver.until, waiver.reason);
    let mut finding = Finding::check(EXPIRED.id, EXPIRED.requirement, false, expected, found)
        .fix("mend what it waives and remove it, or set a later `until` in rollup.toml, [[waivers]]");
    finding.node.clone_from(&waiver.node);
    finding
}

/// What is wrong with the waivers of an inventory, each with the path of the value in question.
pub(crate) fn problems(inventory: &Inventory, known: &[Check]) -> Vec<([String; 3], Diagnostic)> {
    let mut problems = Vec::new();
    for (index, waiver) in inventory.waivers.iter().enumerate() {
        let mut complain = |key: &str, message: String, hint: String| {
            let path = ["waivers".to_owned(), index.to_string(), key.to_owned()];
            problems.push((path, Diagnostic::new(message).hint(hint)));
        };
        let id = waiver.check.as_str();
        match known.iter().find(|check| check.id == id) {
            Some(Check { waivable: Waivable::Never, .. }) => {
                complain("check", format!("`{id}` can never be waived"), "remove this waiver".to_owned());
            }
            Some(_) => {}
            None => {
                let meant = did_you_mean(id, known.iter().map(|check| check.id));
                let hint = meant.map_or_else(
                    || "every id there is: rollup precheck --list".to_owned(),
                    |meant| format!("did you mean `{meant}`?"),
                );
                complain("check", format!("there is no check `{id}`"), hint);
            }
        }
        if let Some(node) = waiver.node.as_ref().filter(|node| inventory.node(node).is_none()) {
            let names: Vec<_> = inventory.node_names().map(|node| format!("`{node}`")).collect();
            complain("node", format!("there is no node `{node}`"), format!("one of {}", names.join(", ")));
        }
        if waiver.reason.trim().is_empty() {
            complain("reason", "expected a reason, found none".to_owned(), "say why it is accepted".to_owned());
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeName;

    fn waiver(check: &str, node: Option<&str>) -> Waiver {
        let node = node.map(|node| NodeName::new(node).unwrap());
        Waiver {
            check: check.to_owned(),
            node,
            reason: "mended in T-7".to_owned(),
            until: "2026-11-20".parse().unwrap(),
        }
    }

    fn lag(node: &str) -> Finding {
        Finding::check("database.lag", "PRE-4", false, "little", "much").on(&NodeName::new(node).unwrap())
    }

    fn on(day: &str, waivers: &[Waiver]) -> Vec<Finding> {
        let good = Finding::check("database.lag", "PRE-4", true, "little", "little");
        let mut findings = vec![lag("node-a"), lag("node-b").only_warn(), good];
        apply(&mut findings, waivers, day.parse().unwrap());
        findings
    }

    #[test]
    fn a_waiver_takes_errors_and_warnings_of_its_check_and_node_and_nothing_that_is_good_pre_10() {
        let severities = |found: &[Finding]| found.iter().map(|finding| finding.severity).collect::<Vec<_>>();
        let everywhere = on("2026-11-20", &[waiver("database.lag", None)]);
        assert_eq!(severities(&everywhere), [Severity::Waived, Severity::Waived, Severity::Ok]);
        assert_eq!(everywhere[0].waived.as_deref(), Some("mended in T-7, until 2026-11-20"));
        let one = on("2026-11-20", &[waiver("database.lag", Some("node-b"))]);
        assert_eq!(severities(&one), [Severity::Error, Severity::Waived, Severity::Ok]);
        let other = on("2026-11-20", &[waiver("database.delay", None)]);
        assert_eq!(severities(&other), [Severity::Error, Severity::Warning, Severity::Ok]);
    }

    #[test]
    fn on_the_day_after_its_last_a_waiver_is_an_error_itself_pre_10() {
        let waivers = [waiver("database.lag", Some("node-a"))];
        assert_eq!(on("2026-11-21", &waivers)[0].severity, Severity::Error, "what it waived is as it was");
        assert_eq!(expired(&waivers, "2026-11-20".parse().unwrap()), []);
        let [past] = &expired(&waivers, "2026-11-21".parse().unwrap())[..] else { panic!("one has run out") };
        assert_eq!((past.id.as_str(), past.severity), ("waiver.expired", Severity::Error));
        assert_eq!(past.found, "its last day was 2026-11-20: mended in T-7");
    }
}
