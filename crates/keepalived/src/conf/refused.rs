//! Why a configuration is not read, or not changed, by a program.

use std::fmt;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Absolute path.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Why a configuration is not read, or not changed, by a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The instance is not there.
    #[error("there is no `vrrp_instance {name}` in {}", files.join(", "))]
    NotFound {
        /// Its name.
        name: String,
        /// What was read.
        files: Vec<String>,
    },
    /// The instance is there more than once; keepalived skips all but the first.
    #[error("`vrrp_instance {name}` is defined {} times: {}", at.len(), list(at))]
    Found {
        /// Its name.
        name: String,
        /// Where.
        at: Vec<At>,
    },
    /// A file that is read twice would be changed twice.
    #[error("{at}: `vrrp_instance {name}` is in a file that is included {times} times")]
    IncludedTwice {
        /// Its name.
        name: String,
        /// Where the instance begins.
        at: At,
        /// How often.
        times: usize,
    },
    /// What an `include` brings was not read.
    #[error("{at}: `include {pattern}` was not followed")]
    IncludeNotFollowed {
        /// Where.
        at: At,
        /// The file pattern.
        pattern: String,
    },
    /// A file includes itself.
    #[error("{at}: {file} includes itself")]
    IncludeLoop {
        /// Where.
        at: At,
        /// The file.
        file: String,
    },
    /// An `include` whose pattern versions of keepalived read differently, or that is read twice.
    #[error(
        "{at}: an `include` that cannot be followed safely (quotes, spaces, `$`, a condition, or not on its own line)"
    )]
    Include {
        /// Where.
        at: At,
    },
    /// A backslash joins lines.
    #[error("{at}: a line that ends in a backslash")]
    MultiLine {
        /// Where.
        at: At,
    },
    /// A line longer than keepalived's buffer, or one with control characters.
    #[error("{at}: a line that is too long or has control characters in it")]
    Unreadable {
        /// Where.
        at: At,
    },
    /// A generated sequence of lines.
    #[error("{at}: `~SEQ` or `~LST` generates lines")]
    Sequence {
        /// Where.
        at: At,
    },
    /// A definition that may open, close or hide blocks where it is used.
    #[error("{at}: the definition of `${name}` may open, close or hide a block where it is used")]
    Definition {
        /// Where.
        at: At,
        /// Its name.
        name: String,
    },
    /// `${NAME}` of a name that is not defined above: keepalived reads its braces as a block.
    #[error("{at}: `${{{name}}}` is not defined above, so keepalived takes its braces for a block")]
    Undefined {
        /// Where.
        at: At,
        /// The name.
        name: String,
    },
    /// The name of an instance depends on a definition.
    #[error("{at}: the name of the instance cannot be read safely")]
    Name {
        /// Where.
        at: At,
    },
    /// A condition decides about a brace.
    #[error("{at}: an `@` condition decides about a brace")]
    Condition {
        /// Where.
        at: At,
    },
    /// Quotes or escapes that versions of keepalived read differently.
    #[error("{at}: quotes or escapes that cannot be read safely")]
    Quotes {
        /// Where.
        at: At,
    },
    /// Braces do not match.
    #[error("{at}: braces do not match")]
    Unbalanced {
        /// Where.
        at: At,
    },
    /// A block where keepalived expects none, or none where it expects one: it closes the wrong one then.
    #[error(
        "{at}: whether `{word}` has a block here is not as expected, so where the block around it ends is not certain"
    )]
    Block {
        /// Where.
        at: At,
        /// The keyword.
        word: String,
    },
    /// The override block is not as it was written.
    #[error("{at}: the block between `# BEGIN rollup` and `# END rollup` was changed by hand")]
    HandEdited {
        /// Where.
        at: At,
    },
    /// A priority that VRRP gives another meaning.
    #[error("priority {0} is outside 1 to 254")]
    Priority(u8),
}

fn list(places: &[At]) -> String {
    places.iter().map(At::to_string).collect::<Vec<_>>().join(", ")
}
