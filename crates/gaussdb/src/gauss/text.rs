//! Output as lines, without what every tool puts around them, and the piece of it that a person is shown.

use std::fmt;

use serde::Serialize;

/// What is kept of the beginning and of the end of a long text, in characters.
const HEAD: usize = 400;
const TAIL: usize = 1600;

/// A piece of a tool's output that a person is shown: at most about 2000 characters, the beginning and the end of it,
/// without control characters other than line breaks and tabs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Shown(String);

impl Shown {
    /// Keeps what a person needs of `text`.
    pub fn of(text: &str) -> Self {
        let plain: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        let plain = plain.trim();
        let length = plain.chars().count();
        if length <= HEAD + TAIL {
            return Self(plain.to_owned());
        }
        let head: String = plain.chars().take(HEAD).collect();
        let tail: String = plain.chars().skip(length - TAIL).collect();
        Self(format!("{head}\n…\n{tail}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "nothing" } else { &self.0 })
    }
}

/// What a tool said, line by line.
pub(super) struct Said<'a> {
    /// Without log prefixes and without the lines of log rotation. Leading blanks are kept: rows differ from titles by
    /// them.
    pub(super) lines: Vec<&'a str>,
}

impl<'a> Said<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut lines = Vec::new();
        // A carriage return within a line is a progress display that writes over itself.
        for line in text.lines().flat_map(|line| line.split('\r')) {
            split_logged(line, &mut lines);
        }
        lines.retain(|line| !is_rotation(line));
        Self { lines }
    }

    /// The lines without blanks around them.
    pub(super) fn trimmed(&self) -> impl DoubleEndedIterator<Item = &'a str> + '_ {
        self.lines.iter().map(|line| line.trim())
    }

    /// What follows `start` in the last line that begins with it.
    pub(super) fn after(&self, start: &str) -> Option<&'a str> {
        self.trimmed().rev().find_map(|line| line.strip_prefix(start))
    }

    /// A line begins with this.
    pub(super) fn begins(&self, start: &str) -> bool {
        self.after(start).is_some()
    }

    /// A line is exactly this.
    pub(super) fn says(&self, whole: &str) -> bool {
        self.trimmed().any(|line| line == whole)
    }

    /// The first line that holds one of these.
    pub(super) fn holding(&self, parts: &[&str]) -> Option<&'a str> {
        self.trimmed().find(|line| parts.iter().any(|part| line.contains(part)))
    }

    /// What stands in the brackets of the last line `start(…)`, with `end` behind them.
    pub(super) fn in_brackets(&self, start: &str, end: &str) -> Option<&'a str> {
        let inside = |line: &'a str| line.strip_prefix(start)?.strip_prefix('(')?.strip_suffix(end)?.strip_suffix(')');
        self.trimmed().rev().find_map(inside)
    }

    /// Another gs_ctl holds the lock of the data directory, or another tool that of the log directory: the exit status is
    /// 0 for some verbs and 1 for others.
    pub(super) fn other_tool_runs(&self, status: i32) -> bool {
        matches!(status, 0 | 1)
            && self.trimmed().any(|line| {
                line.starts_with("Another gs_ctl command is still running")
                    || (line.starts_with("another ") && line.ends_with(" command is running, init_log failed!"))
            })
    }
}

/// The number at the beginning of a text.
pub(super) fn leading_number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Cuts a line where a log prefix stands in it. One message ends without a line break, so that the next one follows it
/// on the same line.
fn split_logged<'a>(line: &'a str, lines: &mut Vec<&'a str>) {
    let mut rest = line;
    while let Some((before, after)) = at_prefix(rest) {
        if !before.trim().is_empty() {
            lines.push(before);
        }
        rest = after;
    }
    lines.push(rest);
}

/// What stands before and after the first log prefix `[time][process][node][program]: `.
fn at_prefix(line: &str) -> Option<(&str, &str)> {
    line.match_indices('[').find_map(|(at, _)| {
        let (before, from) = line.split_at(at);
        let rest = group(from, is_time)?;
        let rest = group(rest, |text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))?;
        let rest = group(group(rest, |_| true)?, |program| !program.is_empty())?;
        let rest = rest.strip_prefix(':')?;
        Some((before, rest.strip_prefix(' ').unwrap_or(rest)))
    })
}

/// What follows `[…]`, when `fits` likes what stands inside. Bounded, so that a line of brackets costs no more than its
/// length.
fn group(text: &str, fits: fn(&str) -> bool) -> Option<&str> {
    let inside = text.strip_prefix('[')?;
    let end = inside.bytes().take(130).position(|byte| byte == b']')?;
    let (inside, rest) = inside.split_at(end);
    fits(inside).then(|| rest.strip_prefix(']')).flatten()
}

/// `2024-05-14 10:21:07.312`.
fn is_time(text: &str) -> bool {
    text.len() >= 19
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | ' '))
}

/// `gs_ctl: log file count 51, exceeds 50, remove the oldest ones` and what follows it.
fn is_rotation(line: &str) -> bool {
    let said = line.trim().split_once(": ").filter(|(tool, _)| !tool.contains(' '));
    said.is_some_and(|(_, said)| said.starts_with("log file count ") || said.starts_with("remove log file "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_prefixes_rotation_and_carriage_returns_are_no_part_of_what_is_said_db_1() {
        let text = "[2024-05-14 10:21:07.312][1][dn_6001][gs_ctl]:  PID file\r\n\
                    gs_ctl: log file count 51, exceeds 50, remove the oldest ones\r\n\
                    gs_ctl: remove log file /l/a]b.log failed!\n\
                    process 5 is not running[2024-05-14 10:21:07.312][1][][gs_ctl]: next\n\
                    [not][a][log][prefix]: kept\n\
                    [2024-05-14 10:21:07.312][1][][gs_ctl]: ";
        let lines: Vec<_> = Said::of(text).lines.into_iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines, [" PID file", "process 5 is not running", "next", "[not][a][log][prefix]: kept"]);
    }

    #[test]
    fn what_a_person_is_shown_is_bounded_and_keeps_both_ends_db_1() {
        let long = format!("first\x1b[31m\r\n{}\nlast", "x".repeat(100_000));
        let shown = Shown::of(&long);
        assert!(shown.as_str().chars().count() <= HEAD + TAIL + 3);
        assert!(shown.as_str().starts_with("first[31m\n") && shown.as_str().ends_with("\nlast"));
        assert_eq!(Shown::of(" \n").to_string(), "nothing");
    }

    #[test]
    fn brackets_in_a_path_do_not_end_it_db_1() {
        let said = Said::of("switchover completed (/data (old)/dn)\n");
        assert_eq!(said.in_brackets("switchover completed ", ""), Some("/data (old)/dn"));
        assert_eq!(said.in_brackets("switchover completed ", "."), None);
    }
}
