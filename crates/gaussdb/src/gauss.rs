//! What the tools of openGauss and GaussDB print, as values: `gs_ctl`, `gs_guc`, `gs_om`, `cm_ctl`, `gs_probackup`, `gs_dump`,
//! `gs_restore`, `gs_basebackup`, gsql and versions.
//!
//! Owns the parsers alone: pure functions of an exit status and a text, which run nothing and know no node. Where the facts
//! come from, and that nothing of it was held against a real server yet, stands in `docs/gaussdb.md`.
//!
//! Three rules hold for all of them:
//! - **An exit status alone makes no success.** Several tools end with 0 after they gave up, and with 1 when all is as
//!   wanted. The text decides, and where both contradict each other, neither does.
//! - **Unknown text is no verdict**: each has a variant `Unknown` with the piece of it that a person needs.
//! - **A verdict is the tool's word.** What a change has led to is asked of the servers afterwards.
//!
//! The tools' messages are translated where the locale asks for it, and only the English ones are read: run them with
//! `LC_ALL=C`.

pub mod build;
pub mod cluster;
pub mod cm;
#[cfg(test)]
mod cm_tests;
pub mod control;
pub mod dump;
#[cfg(test)]
mod fixtures;
pub mod guc;
pub mod handover;
pub mod om;
pub mod probackup;
#[cfg(test)]
mod probackup_tests;
pub mod query;
#[cfg(test)]
mod query_tests;
pub mod querybuild;
mod reading;
mod sections;
pub mod sql;
#[cfg(test)]
mod tests;
mod text;
pub mod version;
pub mod words;

pub use reading::{Reading, Tool, recognise};
pub use text::Shown;
