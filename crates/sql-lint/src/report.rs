//! What was found, by file.

use std::{collections::BTreeMap, ops::Range};

use serde_json::{Value, json};

use crate::{Dialect, Phase, Place, Rule, Verdict, tables};

/// Everything that was found in some files.
#[derive(Debug, Clone)]
pub struct Report {
    /// What they were held against.
    pub dialect: Dialect,
    /// The files, in order.
    pub files: Vec<FileReport>,
}

/// What was found in one file.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// Its name, as it was given.
    pub name: String,
    /// When it runs.
    pub phase: Phase,
    /// How many statements it has.
    pub statements: usize,
    /// How many of them are unsafe.
    pub unsafe_statements: usize,
    /// How many of them a person must look at.
    pub review_statements: usize,
    /// In the order of the file, what is waived included.
    pub findings: Vec<Finding>,
}

/// One finding.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// What it makes of the statement; [`Verdict::Safe`] where it is waived.
    pub verdict: Verdict,
    /// The statement's number in the file, from 0; `None`: it is about the file.
    pub statement: Option<usize>,
    /// Bytes in the file.
    pub range: Range<usize>,
    /// The same in lines and columns.
    pub place: Place,
    /// What more there is to say: the parser's words, a name.
    pub detail: Option<String>,
    /// The reason of the comment that waives it.
    pub waived: Option<String>,
    /// The table that it is done to and its size in bytes, where the danger lies in the size and it was asked for.
    pub sized: Option<(String, u64)>,
}

impl Report {
    /// The worst there is.
    pub fn verdict(&self) -> Verdict {
        self.files.iter().map(FileReport::verdict).max().unwrap_or(Verdict::Safe)
    }

    /// Every finding that is not waived and at least this bad, with its file.
    pub fn at_least(&self, verdict: Verdict) -> impl Iterator<Item = (&FileReport, &Finding)> {
        let of_file = move |file| Self::findings(file).filter(move |(_, finding)| finding.verdict >= verdict);
        self.files.iter().flat_map(of_file)
    }

    fn findings(file: &FileReport) -> impl Iterator<Item = (&FileReport, &Finding)> {
        file.findings.iter().map(move |finding| (file, finding))
    }

    /// One line: how many statements, and what of them.
    pub fn summary(&self) -> String {
        let sum = |count: fn(&FileReport) -> usize| self.files.iter().map(count).sum::<usize>();
        let (all, broken, review) =
            (sum(|file| file.statements), sum(|file| file.unsafe_statements), sum(|file| file.review_statements));
        let waived = sum(|file| file.findings.iter().filter(|finding| finding.waived.is_some()).count());
        let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let waived = if waived == 0 { String::new() } else { format!("; {} waived", count(waived, "finding")) };
        let files = count(self.files.len(), "file");
        let safe = all.saturating_sub(broken + review);
        format!("{files}, {}: {safe} safe, {broken} unsafe, {review} to be reviewed{waived}", count(all, "statement"))
    }
}

/// Counts the statements by their worst finding.
pub(crate) fn file(name: &str, phase: Phase, statements: usize, mut findings: Vec<Finding>) -> FileReport {
    findings.sort_by_key(|finding| finding.range.start);
    let mut worst: BTreeMap<usize, Verdict> = BTreeMap::new();
    for finding in &findings {
        if let Some(statement) = finding.statement {
            let verdict = worst.entry(statement).or_insert(Verdict::Safe);
            *verdict = finding.verdict.max(*verdict);
        }
    }
    let count = |what: Verdict| worst.values().filter(|verdict| **verdict == what).count();
    FileReport {
        name: name.to_owned(),
        phase,
        statements,
        unsafe_statements: count(Verdict::Unsafe),
        review_statements: count(Verdict::NeedsReview),
        findings,
    }
}

impl FileReport {
    /// The worst there is in it.
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Safe)
    }
}

impl Finding {
    /// What was found, with what more there is to say: `a function is called …: f`.
    pub fn sentence(&self) -> String {
        let sized = self.sized.as_ref().map(|(table, bytes)| tables::shown(table, *bytes));
        let more: Vec<_> = self.detail.iter().cloned().chain(sized).collect();
        match more.is_empty() {
            true => self.rule.about.to_owned(),
            false => format!("{}: {}", self.rule.about, more.join(", ")),
        }
    }
}

/// The report as one JSON document; `format` is 1.
pub fn json(report: &Report) -> Value {
    let files = report.files.iter().map(|file| {
        let findings = file.findings.iter().map(|finding| {
            let Finding { rule, verdict, place, waived, sized, .. } = finding;
            json!({
                "rule": rule.id,
                "danger": rule.danger,
                "verdict": verdict,
                "message": finding.sentence(),
                "place": place,
                "why": rule.why,
                "standby": rule.standby,
                "safe_way": rule.safe_way,
                "waived": waived,
                "table": sized.as_ref().map(|(table, _)| table),
                "table_bytes": sized.as_ref().map(|(_, bytes)| bytes),
            })
        });
        json!({
            "file": file.name,
            "phase": file.phase,
            "verdict": file.verdict(),
            "statements": file.statements,
            "unsafe_statements": file.unsafe_statements,
            "review_statements": file.review_statements,
            "findings": findings.collect::<Vec<_>>(),
        })
    });
    json!({
        "format": 1,
        "dialect": report.dialect,
        "verdict": report.verdict(),
        "files": files.collect::<Vec<_>>(),
    })
}
