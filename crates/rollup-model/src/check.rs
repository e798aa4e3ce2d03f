//! Which checks there are: ids are API, and waivers, filters and tests cite them.

use serde::Serialize;

/// One kind of finding, by its stable id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name, for example `database.replication`.
    pub id: &'static str,
    /// The requirement it belongs to, for example `PRE-4`.
    pub requirement: &'static str,
    /// What it asks, in one line.
    pub about: &'static str,
    /// Whether the inventory may accept a bad answer for a while.
    pub waivable: Waivable,
}

/// Whether the inventory may accept a bad answer of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waivable {
    /// With a reason and a last day.
    Yes,
    /// Not at all: data is at risk, or nothing further can be known.
    Never,
}

impl Check {
    /// A check whose bad answer may be waived.
    pub const fn new(id: &'static str, requirement: &'static str, about: &'static str) -> Self {
        Self { id, requirement, about, waivable: Waivable::Yes }
    }

    /// The same check, never to be waived.
    #[must_use]
    pub const fn never_waived(self) -> Self {
        Self { waivable: Waivable::Never, ..self }
    }

    /// Whether a word of `--only` or `--skip` means it: its id, the part before the dot, or its requirement.
    pub fn is_meant_by(&self, word: &str) -> bool {
        self.id == word || self.requirement == word || self.id.split_once('.').is_some_and(|(area, _)| area == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_meant_by_its_id_its_area_and_its_requirement_pre_10() {
        let check = Check::new("database.lag", "PRE-4", "how far the standby is behind");
        assert!(["database.lag", "database", "PRE-4"].iter().all(|word| check.is_meant_by(word)));
        assert!(["data", "database.l", "PRE", "lag"].iter().all(|word| !check.is_meant_by(word)));
    }
}
