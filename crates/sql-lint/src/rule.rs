//! What a rule is, and what a statement can be called.

use serde::{Deserialize, Serialize};

/// What can be said of a statement. Ordered: the worst of its findings is a statement's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing that is known to be dangerous, in a statement that is known.
    Safe,
    /// Whether it is safe cannot be told from the text: a person must say.
    NeedsReview,
    /// It breaks the running version, blocks it, or cannot run as a migration.
    Unsafe,
}

impl Verdict {
    /// The word for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::NeedsReview => "needs-review",
            Self::Unsafe => "unsafe",
        }
    }
}

/// When a migration runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// During the upgrade: the version before still serves, on one node or on both.
    Expand,
    /// With `rollup finalize`: the version before is gone.
    Contract,
    /// On the way back: the version that needed the change is gone.
    Down,
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Danger {
    /// It takes away, or changes, what the version before reads or writes.
    OldVersion,
    /// It keeps readers or writers waiting.
    Blocks,
    /// It cannot be part of the one transaction that a migration is.
    Transaction,
    /// It cannot be undone.
    NoWayBack,
    /// It does not work, or is not there, on the standby.
    Standby,
    /// It cannot be read, so nothing is known of it.
    Unread,
    /// A comment that should waive something, and does not.
    Waiver,
}

impl Danger {
    /// In words.
    pub fn about(self) -> &'static str {
        match self {
            Self::OldVersion => "what breaks the version that still runs",
            Self::Blocks => "what keeps clients waiting",
            Self::Transaction => "what cannot run as one transaction",
            Self::NoWayBack => "what cannot be undone",
            Self::Standby => "what the standby cannot follow",
            Self::Unread => "what a person must read",
            Self::Waiver => "waivers that do not hold",
        }
    }
}

/// One rule. Its id is stable for ever.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rule {
    /// For example `drop-column`; waivers cite it.
    pub id: &'static str,
    /// What it is about.
    pub danger: Danger,
    /// What was found, as a sentence without an end.
    pub about: &'static str,
    /// Why that is dangerous.
    pub why: &'static str,
    /// How to reach the same safely, step by step.
    pub safe_way: &'static [&'static str],
    /// What it does to whoever reads on the standby.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby: Option<&'static str>,
    /// What it makes of a statement, by phase.
    pub verdicts: Verdicts,
    /// Whether a comment in the SQL can waive it.
    pub waivable: bool,
    /// Whether the danger lies in the size of the table: with a small one it takes a moment.
    pub sized: bool,
}

/// What a rule makes of a statement, by phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// During the upgrade.
    pub expand: Verdict,
    /// With `rollup finalize`.
    pub contract: Verdict,
    /// On the way back.
    pub down: Verdict,
}

impl Verdicts {
    const fn new(expand: Verdict, contract: Verdict) -> Self {
        Self { expand, contract, down: contract }
    }
}

/// Unsafe while the version before runs.
pub(crate) const BREAKS: Verdicts = Verdicts::new(Verdict::Unsafe, Verdict::Safe);
/// Unsafe while the version before runs, and a question afterwards, since the new one runs then.
pub(crate) const BREAKS_OR_ASK: Verdicts = Verdicts::new(Verdict::Unsafe, Verdict::NeedsReview);
/// A question while the version before runs.
pub(crate) const MAY_BREAK: Verdicts = Verdicts::new(Verdict::NeedsReview, Verdict::Safe);
/// Unsafe whenever clients are served, which is always.
pub(crate) const NEVER: Verdicts = Verdicts::new(Verdict::Unsafe, Verdict::Unsafe);
/// A question at any time.
pub(crate) const ASK: Verdicts = Verdicts::new(Verdict::NeedsReview, Verdict::NeedsReview);

impl Rule {
    pub(crate) const fn new(
        id: &'static str,
        danger: Danger,
        verdicts: Verdicts,
        about: &'static str,
        why: &'static str,
        safe_way: &'static [&'static str],
    ) -> Self {
        Self { id, danger, about, why, safe_way, standby: None, verdicts, waivable: true, sized: false }
    }

    pub(crate) const fn on_standby(self, standby: &'static str) -> Self {
        Self { standby: Some(standby), ..self }
    }

    /// For what takes as long as the table is large.
    pub(crate) const fn sized(self) -> Self {
        Self { sized: true, ..self }
    }

    /// For what the migration's own transaction refuses: no comment makes it run.
    pub(crate) const fn never_waived(self) -> Self {
        Self { waivable: false, ..self }
    }

    /// What it makes of a statement of this phase.
    pub fn verdict(&self, phase: Phase) -> Verdict {
        match phase {
            Phase::Expand => self.verdicts.expand,
            Phase::Contract => self.verdicts.contract,
            Phase::Down => self.verdicts.down,
        }
    }
}
