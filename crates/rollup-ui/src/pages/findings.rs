//! What checks found: for people, for scripts, and for a build server.

use std::fmt::Write;

use rollup_model::{Check, Finding, NodeName, Severity};
use serde_json::json;

use super::tables::table;
use crate::{
    Style, human,
    human::one_line,
    layout::Page,
    style::{Paint, Sign},
};

/// The format of [`findings_json`]: `docs/findings.schema.json`.
const FORMAT: u32 = 1;

/// How many lines of evidence are shown.
const EVIDENCE: usize = 3;

/// What was asked for, where it was not everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'a> {
    /// Nothing else; empty: everything.
    pub only: &'a [String],
    /// Left out.
    pub skip: &'a [String],
}

/// Every check there is.
pub fn checks_table(checks: &[Check], style: &Style) -> String {
    let row = |check: &Check| [check.id, check.requirement, check.about].map(str::to_owned).to_vec();
    let rows: Vec<_> = checks.iter().map(row).collect();
    table(&["check", "requirement", "what it asks"], &rows, style)
}

/// Findings by node, the pair last. Good ones are only counted, unless `verbose`.
pub fn findings_table(findings: &[Finding], verbose: bool, style: &Style) -> String {
    let mut page = Page::new(style);
    let nodes = by_node(findings);
    let column = nodes.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 2;
    for (name, group) in &nodes {
        page.entry(0, column, name, Paint::Plain, &counts(group.iter().copied()));
        for finding in group.iter().filter(|finding| verbose || finding.severity != Severity::Ok) {
            one(&mut page, 2, finding);
            if verbose || finding.severity == Severity::Error {
                evidence(&mut page, 2, finding);
            }
        }
    }
    page.blank();
    let paint = match findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Error) => Paint::Bad,
        Some(Severity::Warning) => Paint::Caution,
        _ => Paint::Good,
    };
    page.text(0, paint, &format!("{}: {}", human::count(findings.len(), "check"), counts(findings.iter())));
    page.finish()
}

/// What was read, where it says more: the beginning of it.
fn evidence(page: &mut Page<'_>, indent: usize, finding: &Finding) {
    let Some(evidence) = &finding.evidence else { return };
    for (at, line) in evidence.lines().filter(|line| !line.trim().is_empty()).take(EVIDENCE).enumerate() {
        let name = if at == 0 { "evidence" } else { "" };
        page.entry(indent + 4, 10, name, Paint::Plain, &one_line(line));
    }
}

/// One finding with all that is known of it.
pub(super) fn one(page: &mut Page<'_>, indent: usize, finding: &Finding) {
    let sign = match finding.severity {
        Severity::Ok => Sign::Done,
        Severity::Waived => Sign::AlreadySo,
        Severity::Warning => Sign::Outage,
        Severity::Error => Sign::Failed,
    };
    let name = format!("{} ({})", one_line(&finding.id), one_line(&finding.requirement));
    if finding.severity == Severity::Ok {
        let (expected, found) = (one_line(&finding.expected), one_line(&finding.found));
        page.signed(indent, sign, Paint::Plain, &format!("{name}  {expected}: {found}"));
        return;
    }
    page.signed(indent, sign, Paint::Strong, &name);
    page.entry(indent + 4, 10, "expected", Paint::Plain, &one_line(&finding.expected));
    page.entry(indent + 4, 10, "found", Paint::Plain, &one_line(&finding.found));
    if let Some(waived) = &finding.waived {
        page.entry(indent + 4, 10, "waived", Paint::Plain, &one_line(waived));
    } else if let Some(fix) = &finding.fix {
        // The command as it is typed; what is said to it wraps like any text.
        let (command, comment) = fix.split_once("   # ").unwrap_or((fix, ""));
        page.verbatim(indent + 4, 10, "fix", &one_line(command));
        if !comment.is_empty() {
            page.entry(indent + 4, 10, "", Paint::Plain, &format!("# {}", one_line(comment)));
        }
    }
}

/// The findings and their totals as one JSON object, as `docs/findings.schema.json` says.
pub fn findings_json(findings: &[Finding], ready: bool, selection: &Selection<'_>) -> String {
    let all = |severity| number(findings.iter(), severity);
    // What is good needs no remedy, and a template without its values is none.
    let remedy = |finding: &Finding| finding.fix.clone().filter(|_| finding.severity != Severity::Ok);
    let findings: Vec<_> = findings.iter().map(|finding| Finding { fix: remedy(finding), ..finding.clone() }).collect();
    let value = json!({
        "format": FORMAT,
        "ok": ready,
        "errors": all(Severity::Error),
        "warnings": all(Severity::Warning),
        "waived": all(Severity::Waived),
        "only": selection.only,
        "skip": selection.skip,
        "findings": findings,
    });
    format!("{value:#}\n")
}

/// The findings as JUnit XML: one suite per node, errors as failures, what is waived as skipped, warnings as output of a
/// passed test; `strict`: as failures, too.
pub fn findings_junit(findings: &[Finding], strict: bool) -> String {
    let bad = if strict { Severity::Warning } else { Severity::Error };
    let counted = |group: &[&Finding]| {
        let failures = group.iter().filter(|finding| finding.severity >= bad).count();
        let skipped = number(group.iter().copied(), Severity::Waived);
        format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"", group.len())
    };
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut put = |line: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = writeln!(xml, "{line}");
    };
    put(format_args!("<testsuites name=\"precheck\" {}>", counted(&findings.iter().collect::<Vec<_>>())));
    for (name, group) in by_node(findings) {
        let name = escape(name);
        put(format_args!("  <testsuite name=\"{name}\" {}>", counted(&group)));
        for finding in group {
            // Some checks are made of several things; a test is told from another by its name.
            let id = escape(&format!("{}: {}", finding.id, finding.expected));
            let class = format!("{name}.{}", escape(&finding.requirement));
            let line = escape(&finding.line());
            let under = |text: String| text.lines().map(|line| format!("\n{}", escape(line))).collect::<String>();
            let fix = finding.fix.as_ref().map(|fix| under(format!("fix: {fix}"))).unwrap_or_default();
            let more = fix + &finding.evidence.clone().map(under).unwrap_or_default();
            let waived = escape(finding.waived.as_deref().unwrap_or_default());
            let body = match finding.severity {
                Severity::Ok => String::new(),
                Severity::Waived => format!("<skipped message=\"waived: {waived}: {line}\"/>"),
                severity if severity >= bad => format!("<failure message=\"{line}\">{line}{more}</failure>"),
                _ => format!("<system-out>warning: {line}{more}</system-out>"),
            };
            put(format_args!("    <testcase classname=\"{class}\" name=\"{id}\">{body}</testcase>"));
        }
        put(format_args!("  </testsuite>"));
    }
    put(format_args!("</testsuites>"));
    xml
}

fn number<'a>(findings: impl Iterator<Item = &'a Finding>, severity: Severity) -> usize {
    findings.filter(|finding| finding.severity == severity).count()
}

/// `34 ok, 1 waived, 2 warnings, 1 error`.
fn counts<'a>(findings: impl Iterator<Item = &'a Finding> + Clone) -> String {
    let all = |severity| number(findings.clone(), severity);
    let mut parts = vec![format!("{} ok", all(Severity::Ok))];
    let waived = all(Severity::Waived);
    parts.extend((waived > 0).then(|| format!("{waived} waived")));
    for (severity, word) in [(Severity::Warning, "warning"), (Severity::Error, "error")] {
        let count = all(severity);
        parts.extend((count > 0).then(|| human::count(count, word)));
    }
    parts.join(", ")
}

/// Nodes in the order of their names, the pair last.
fn by_node(findings: &[Finding]) -> Vec<(&str, Vec<&Finding>)> {
    let mut nodes: Vec<Option<&NodeName>> = findings.iter().map(|finding| finding.node.as_ref()).collect();
    nodes.sort_by_key(|node| (node.is_none(), *node));
    nodes.dedup();
    nodes
        .into_iter()
        .map(|node| {
            let group = findings.iter().filter(|finding| finding.node.as_ref() == node).collect();
            (node.map_or("pair", NodeName::as_str), group)
        })
        .collect()
}

/// Text for XML. Control characters other than line ends and tabs cannot be written in XML 1.0 at all.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
