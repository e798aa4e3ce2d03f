//! What checks found: for people, for scripts, and for a build server.

use std::fmt::Write;

use rollup_model::{Finding, NodeName, Severity};
use serde_json::json;

use crate::{
    Style, human,
    human::one_line,
    layout::Page,
    style::{Paint, Sign},
};

/// Findings by node, the pair last. Good ones are only counted, unless `verbose`.
pub fn findings_table(findings: &[Finding], verbose: bool, style: &Style) -> String {
    let mut page = Page::new(style);
    let nodes = by_node(findings);
    let column = nodes.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 2;
    for (name, group) in &nodes {
        let ok = number(group.iter().copied(), Severity::Ok);
        let counts = counts(
            ok,
            number(group.iter().copied(), Severity::Warning),
            number(group.iter().copied(), Severity::Error),
        );
        page.entry(0, column, name, Paint::Plain, &counts);
        for finding in group.iter().filter(|finding| verbose || finding.severity != Severity::Ok) {
            one(&mut page, 2, finding);
        }
    }
    page.blank();
    let all = |severity| number(findings.iter(), severity);
    let (ok, warnings, errors) = (all(Severity::Ok), all(Severity::Warning), all(Severity::Error));
    let paint = match (errors, warnings) {
        (0, 0) => Paint::Good,
        (0, _) => Paint::Caution,
        _ => Paint::Bad,
    };
    page.text(0, paint, &format!("{}: {}", human::count(findings.len(), "check"), counts(ok, warnings, errors)));
    page.finish()
}

/// One finding with all that is known of it.
pub(super) fn one(page: &mut Page<'_>, indent: usize, finding: &Finding) {
    let sign = match finding.severity {
        Severity::Ok => Sign::Done,
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
    if let Some(fix) = &finding.fix {
        page.verbatim(indent + 4, 10, "fix", &one_line(fix));
    }
}

/// The findings and their totals as one JSON object.
pub fn findings_json(findings: &[Finding]) -> String {
    let all = |severity| number(findings.iter(), severity);
    // What is good needs no remedy, and a template without its values is none.
    let remedy = |finding: &Finding| finding.fix.clone().filter(|_| finding.severity != Severity::Ok);
    let findings: Vec<_> = findings.iter().map(|finding| Finding { fix: remedy(finding), ..finding.clone() }).collect();
    let value = json!({
        "ok": all(Severity::Error) == 0,
        "errors": all(Severity::Error),
        "warnings": all(Severity::Warning),
        "findings": findings,
    });
    format!("{value:#}\n")
}

/// The findings as JUnit XML: one suite per node, errors as failures, warnings as output of a passed test.
pub fn findings_junit(findings: &[Finding]) -> String {
    let failures = number(findings.iter(), Severity::Error);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut put = |line: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = writeln!(xml, "{line}");
    };
    put(format_args!("<testsuites name=\"precheck\" tests=\"{}\" failures=\"{failures}\">", findings.len()));
    for (name, group) in by_node(findings) {
        let failures = number(group.iter().copied(), Severity::Error);
        let name = escape(name);
        put(format_args!("  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\">", group.len()));
        for finding in group {
            let id = escape(&finding.id);
            let class = format!("{name}.{}", escape(&finding.requirement));
            let line = escape(&finding.line());
            let fix = finding.fix.as_ref().map(|fix| format!("\nfix: {}", escape(fix))).unwrap_or_default();
            match finding.severity {
                Severity::Ok => put(format_args!("    <testcase classname=\"{class}\" name=\"{id}\"/>")),
                Severity::Warning => put(format_args!(
                    "    <testcase classname=\"{class}\" name=\"{id}\"><system-out>warning: {line}{fix}</system-out></testcase>"
                )),
                Severity::Error => put(format_args!(
                    "    <testcase classname=\"{class}\" name=\"{id}\"><failure message=\"{line}\">{line}{fix}</failure></testcase>"
                )),
            }
        }
        put(format_args!("  </testsuite>"));
    }
    put(format_args!("</testsuites>"));
    xml
}

fn number<'a>(findings: impl Iterator<Item = &'a Finding>, severity: Severity) -> usize {
    findings.filter(|finding| finding.severity == severity).count()
}

fn counts(ok: usize, warnings: usize, errors: usize) -> String {
    let mut parts = vec![format!("{ok} ok")];
    if warnings > 0 {
        parts.push(human::count(warnings, "warning"));
    }
    if errors > 0 {
        parts.push(human::count(errors, "error"));
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
