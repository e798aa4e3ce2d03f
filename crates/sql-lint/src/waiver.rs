//! Comments that let a finding pass: `-- rollup-lint: allow RULE why it is safe here`.
//!
//! One holds for the statement after it, for the one it stands in, or for the one that ends on its line. It names what it
//! waives and why; one that waives nothing is a finding itself, so that none outlives what it was written for.

use std::ops::Range;

use crate::{Rule, Split, rule, rules};

const MARK: &str = "rollup-lint";

/// A waiver, or an attempt at one.
#[derive(Debug)]
pub(crate) struct Waiver {
    /// Where the comment stands.
    pub(crate) range: Range<usize>,
    /// The statement that it is for, by its number; `None`: there is none.
    pub(crate) statement: Option<usize>,
    /// What it waives, and the word that was written.
    pub(crate) rules: Vec<(String, Option<&'static Rule>)>,
    /// Why.
    pub(crate) reason: String,
    /// Rules of it that have waived something.
    pub(crate) used: Vec<&'static str>,
}

/// All waivers of a file.
pub(crate) fn waivers(text: &str, split: &Split) -> Vec<Waiver> {
    let marked =
        split.comments.iter().filter(|range| text.get((*range).clone()).is_some_and(|text| text.contains(MARK)));
    marked.map(|range| waiver(text, split, range)).collect()
}

fn waiver(text: &str, split: &Split, range: &Range<usize>) -> Waiver {
    let written = text.get(range.clone()).unwrap_or_default();
    let written = written.trim_start_matches(['-', '/', '*']).trim_end_matches(['/', '*']).trim();
    let after = written.strip_prefix(MARK).and_then(|rest| rest.trim_start().strip_prefix(':'));
    let allowed = after.and_then(|rest| rest.trim_start().strip_prefix("allow ")).unwrap_or_default().trim_start();
    // `a, b: why` and `a,b why` are both read.
    let mut named = Vec::new();
    let mut rest = allowed;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            break;
        }
        named.push((word.to_owned(), rule(word)));
        rest = after;
        match after.trim_start().strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None => break,
        }
    }
    let reason = rest.trim_start_matches([':', '-', '–', '—', ' ']).trim().to_owned();
    Waiver { range: range.clone(), statement: statement_of(text, split, range), rules: named, reason, used: Vec::new() }
}

fn statement_of(text: &str, split: &Split, comment: &Range<usize>) -> Option<usize> {
    let next = split.statements.partition_point(|statement| statement.range.end <= comment.start);
    let same_line = |before: &usize| {
        let end = split.statements.get(*before).map_or(0, |statement| statement.range.end);
        !text.get(end..comment.start).unwrap_or_default().contains('\n')
    };
    let before = next.checked_sub(1).filter(same_line);
    before.or_else(|| (next < split.statements.len()).then_some(next))
}

impl Waiver {
    /// Whether it says what it waives and why.
    pub(crate) fn is_whole(&self) -> bool {
        !self.rules.is_empty() && self.reason.split_whitespace().any(|word| word.chars().any(char::is_alphanumeric))
    }

    /// Takes a finding on, if it is for it. Returns the reason.
    pub(crate) fn take(&mut self, statement: usize, found: &'static Rule) -> Option<String> {
        let named = self.rules.iter().any(|(_, rule)| rule.is_some_and(|rule| rule.id == found.id));
        let waives = self.statement == Some(statement) && named && self.is_whole() && found.waivable;
        if waives {
            self.used.push(found.id);
        }
        waives.then(|| self.reason.clone())
    }

    /// What is wrong with it, when every statement was read, with the word in question.
    pub(crate) fn problems(&self) -> Vec<(&'static Rule, Option<String>)> {
        if !self.is_whole() {
            return vec![(&rules::WAIVER_MALFORMED, None)];
        }
        let problem = |(word, rule): &(String, Option<&'static Rule>)| match rule {
            None => Some((&rules::WAIVER_UNKNOWN, Some(word.clone()))),
            Some(rule) if !rule.waivable => Some((&rules::WAIVER_REFUSED, Some(word.clone()))),
            Some(rule) if !self.used.contains(&rule.id) => Some((&rules::WAIVER_UNUSED, Some(word.clone()))),
            Some(_) => None,
        };
        self.rules.iter().filter_map(problem).collect()
    }
}
