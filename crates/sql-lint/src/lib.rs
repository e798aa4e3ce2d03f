//! Reads migrations and says what of them would break, block or outlive a rolling upgrade (DB-5).
//!
//! Owns how SQL is split into statements, the rules, waivers in comments, and reports for people and programs. It must not
//! know files, nodes or packages: it is given texts. What it cannot read is never called safe.

mod functions;
mod gauss;
mod lint;
mod meter;
mod own;
mod page;
mod place;
mod read;
mod report;
mod rule;
mod rules;
mod sarif;
mod scope;
mod split;
mod squawk;
mod tables;
mod transaction;
mod waiver;

use serde::Serialize;

pub use lint::{Against, Source, lint};
pub use page::{page, rules_page};
pub use place::Place;
pub use report::{FileReport, Finding, Report, json};
pub use rule::{Danger, Phase, Rule, Verdict, Verdicts};
pub use rules::{rule, rules};
pub use sarif::sarif;
pub use split::{Form, Open, Split, Statement, split};
pub use tables::Table;
pub use transaction::{Alone, alone, transaction_rule};

/// Which server the SQL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// PostgreSQL 12 and later.
    Postgresql,
    /// openGauss, and GaussDB, which has its words.
    Opengauss,
}
