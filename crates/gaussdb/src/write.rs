//! The subject `database-write`: a primary that says it takes writes is made to take one (PRE-4).

use anyhow::Result;
use rollup_engine::{FindingCx, Probe, Subject};
use rollup_model::{Check, Finding, Inventory, inventory::Node};
use serde::{Deserialize, Serialize};

use crate::{
    engine::{At, engine_of},
    findings::set,
};

/// Whether a write works.
pub struct WriteSubject;

/// What became of a write that was tried and rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Write {
    /// It works.
    Works,
    /// A standby was not asked to write.
    Standby,
    /// There is no server to ask.
    Stopped,
    /// It does not, and what the server said.
    Fails(String),
}

const CHECKS: [Check; 2] = [
    Check::new("database-write.readable", "PRE-4", "what became of a write that was tried can be read"),
    Check::new("database.write", "PRE-4", "the primary takes a write, tried and rolled back"),
];

impl Subject for WriteSubject {
    type Facts = Write;

    fn name(&self) -> &'static str {
        "database-write"
    }

    fn probe(&self, inventory: &Inventory, node: &Node) -> Option<Probe> {
        Some(engine_of(&inventory.database).write_probe(At { inventory, node }))
    }

    fn parse(&self, text: &str, inventory: &Inventory) -> Result<Write> {
        engine_of(&inventory.database).read_write(text)
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        let database = &cx.inventory.database;
        let each = cx.each(self).into_iter().filter_map(|(node, write)| {
            let found = match &write {
                Write::Works => "it works",
                Write::Fails(said) => said,
                Write::Standby | Write::Stopped => return None,
            };
            let good = write == Write::Works;
            let finding =
                Finding::check("database.write", "PRE-4", good, "a write that is tried and rolled back", found);
            let fix = match found.contains("read-only transaction") {
                true => set(database, "default_transaction_read_only", "off"),
                false => format!("journalctl -u {} -n 50", database.unit),
            };
            Some(finding.on(node).fix(fix))
        });
        each.collect()
    }

    fn checks(&self) -> &'static [Check] {
        &CHECKS
    }

    /// A write, even one that is taken back, is for once and not for every look of a run.
    fn only_fresh(&self) -> bool {
        true
    }

    fn stands_alone(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollup_engine::Stage;
    use rollup_model::{Facts, Severity};

    #[test]
    fn a_primary_that_refuses_a_write_is_found_whatever_it_says_of_itself_pre_4() {
        let inventory = crate::fixtures::inventory();
        let mut facts = Facts::default();
        let said = "write fails psql:<stdin>:6: ERROR:  cannot execute CREATE TABLE AS in a read-only transaction";
        for (node, text) in inventory.node_names().zip([said, "write standby\n"]) {
            let write = WriteSubject.parse(text, &inventory).unwrap();
            facts
                .nodes
                .insert(node.clone(), [("database-write".to_owned(), serde_json::to_value(write).unwrap())].into());
        }
        let cx = FindingCx { inventory: &inventory, release: None, facts: &facts, stage: Stage::Fresh };
        let found = WriteSubject.findings(&cx);
        let [finding] = &found[..] else { panic!("{found:?}") };
        assert_eq!((finding.severity, finding.id.as_str()), (Severity::Error, "database.write"));
        assert_eq!(finding.found, "ERROR: cannot execute CREATE TABLE AS in a read-only transaction");
        assert!(finding.fix.as_ref().unwrap().contains("SET default_transaction_read_only = off"));
        for bad in ["", "write maybe", "psql: not found"] {
            assert!(WriteSubject.parse(bad, &inventory).is_err(), "{bad}");
        }
    }
}
