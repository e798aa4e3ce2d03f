//! Everything people see: progress on a terminal, progress in a log, JSON lines, and the pages printed before, during
//! and after a run.
//!
//! This crate sees only the model, so it can execute nothing. It must not know the engine, SSH or any domain action.
//! Displays write to what they are given and return the error of a write, so that a closed pipe costs the display and
//! never the run. Pages are pure: values in, text out.

mod bars;
mod human;
mod interruption;
mod json;
mod layout;
mod lines;
pub mod pages;
mod style;
mod tracker;

pub use bars::Bars;
pub use human::{bytes, duration, one_line, seconds};
pub use interruption::Interruption;
pub use json::JsonLines;
pub use lines::Lines;
pub use style::{Style, is_unicode_locale};
