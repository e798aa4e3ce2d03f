//! Every rule: its id, why it is there, and the safe way.

mod blocks;
mod old_version;
mod other;

use crate::Rule;

pub(crate) use {blocks::*, old_version::*, other::*};

/// All rules, by what they are about.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [old_version::ALL, blocks::ALL, other::ALL].into_iter().flatten().copied()
}

/// The rule of this id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_has_an_id_of_its_own_a_reason_and_a_way_out_db_5() {
        let mut ids = BTreeSet::new();
        for rule in rules() {
            assert!(ids.insert(rule.id), "{} twice", rule.id);
            assert!(rule.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", rule.id);
            assert!(!rule.why.is_empty() && !rule.safe_way.is_empty(), "{}", rule.id);
            assert!(!rule.about.ends_with('.') && rule.why.ends_with('.'), "{}", rule.id);
        }
    }
}
