//! Names that must not be mixed up. Each is checked when it enters and then only carried.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{text}` is not valid: expected {expected}")]
pub struct InvalidName {
    kind: &'static str,
    text: String,
    expected: &'static str,
}

/// Letters, digits, `-`, `_`, `.` and the characters in `extra`; starts with a letter or digit; at most 64 bytes.
/// Names become file names, systemd unit names and shell arguments, so nothing else may enter.
fn is_name(text: &str, extra: &[u8]) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 64
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b) || extra.contains(b))
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $extra:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks `text` and takes it as a name.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                if is_name(&text, $extra) { Ok(Self(text)) } else { Err(InvalidName { kind: $kind, text, expected: $expected }) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl std::str::FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// A machine of the inventory.
    NodeName, "node name", b"", "letters, digits, `-`, `_`, `.`"
);
name!(
    /// A step of a plan: `thing.verb`, with `@node` when it works on one node. Stable for ever: journals and tests name it.
    StepId, "step id", b"@", "`thing.verb` or `thing.verb@node`"
);
name!(
    /// A stage of a plan, the headline an operator sees.
    PhaseId, "phase id", b"", "letters, digits, `-`, `_`, `.`"
);
name!(
    /// One execution of a plan: `YYYYMMDD-HHMMSS-xxxx` in UTC, the tail random so two operators never share one.
    RunId, "run id", b"", "letters, digits, `-`, `_`, `.`"
);

impl StepId {
    /// The same step, bound to one node.
    pub fn at(&self, node: &NodeName) -> Self {
        Self(format!("{}@{node}", self.0))
    }

    /// The id as the playbook has it, without the node.
    pub fn base(&self) -> &str {
        self.0.split('@').next().unwrap_or(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_a_directory_or_a_shell_word_are_refused() {
        for bad in ["", "..", "../x", "a b", "a/b", "-rf", "a;b", "a\n", "é", &"x".repeat(65)] {
            assert!(NodeName::new(bad).is_err(), "{bad:?}");
        }
        assert!(NodeName::new("node-a.example_1").is_ok());
    }

    #[test]
    fn a_step_bound_to_a_node_keeps_its_base() {
        let step = StepId::new("service.stop").unwrap().at(&NodeName::new("node-b").unwrap());
        assert_eq!(step.as_str(), "service.stop@node-b");
        assert_eq!(step.base(), "service.stop");
    }
}
