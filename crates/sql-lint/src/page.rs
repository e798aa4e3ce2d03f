//! The report for people: each finding at its line, why, and the safe way. At most 80 columns, whatever is in the file.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::{FileReport, Finding, Phase, Report, Rule, Verdict, place::Lines, rules};

/// Findings that are shown; nobody reads more at once.
const FINDINGS: usize = 100;
/// Columns of text beside the marks at its left, which are wider where lines have more digits.
const WIDTH: usize = 62;
/// Columns of a line that are shown, around what is marked.
const SHOWN: usize = 68;

/// Every finding that is not waived, and the count. `texts`: the files' own, in the order of the report.
pub fn page(report: &Report, texts: &[&str], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut page = String::new();
    let (mut shown, mut more) = (0, 0);
    for (file, text) in report.files.iter().zip(texts) {
        let lines = Lines::new(text);
        for finding in file.findings.iter().filter(|finding| finding.verdict > Verdict::Safe) {
            if shown == FINDINGS {
                more += 1;
                continue;
            }
            shown += 1;
            page.push_str(&at_its_line(file, text, &lines, finding, &renderer));
            page.push_str("\n\n");
        }
    }
    if more > 0 {
        page.push_str(&format!("… and {more} findings more; --format json has all of them\n\n"));
    }
    page + &report.summary() + "\n"
}

fn at_its_line(file: &FileReport, text: &str, lines: &Lines<'_>, finding: &Finding, renderer: &Renderer) -> String {
    let Finding { rule, verdict, place, range, .. } = finding;
    let level = match verdict {
        Verdict::Unsafe => Level::ERROR,
        Verdict::NeedsReview | Verdict::Safe => Level::WARNING,
    };
    // `needs-review[rule]: ` stands before it.
    let room = 80_usize.saturating_sub(verdict.word().len() + rule.id.len() + 4).max(20);
    let (sentence, why) = (wrapped_at(&finding.sentence(), room).join("\n"), wrapped(rule.why));
    let line = lines.line(place.line);
    let whole = text.get(line.clone()).unwrap_or_default();
    let marked = range.start - line.start..(range.end.min(line.end)).saturating_sub(line.start);
    let (shown, marked) = window(whole, marked);
    let title = level.with_name(verdict.word()).primary_title(sentence.as_str()).id(rule.id);
    // Of a line that is cut, the column is counted in what is left of it.
    let column = shown.get(..marked.start).unwrap_or_default().chars().count() + 1;
    let snippet = Snippet::source(shown).path(file.name.as_str()).line_start(place.line);
    let snippet = snippet.annotation(AnnotationKind::Primary.span(marked));
    let mut group = Group::with_title(title).element(snippet);
    group = group.element(Level::NOTE.with_name("why").message(why));
    if let Some(standby) = rule.standby {
        group = group.element(Level::NOTE.with_name("standby").message(wrapped(standby)));
    }
    group = group.element(Level::HELP.with_name("safe way").message(steps(rule)));
    let at = |column: usize| format!("{}:{}:{column}", file.name, place.line);
    renderer.render(&[group]).replacen(&at(column), &at(place.column), 1)
}

/// The part of a line that is shown, and what is marked in it. Tabs would move the marks.
fn window(line: &str, marked: std::ops::Range<usize>) -> (String, std::ops::Range<usize>) {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let part =
        |range: Option<&str>| -> Vec<char> { range.unwrap_or_default().chars().map(plain).take(SHOWN + 1).collect() };
    let mut before: Vec<char> =
        line.get(..marked.start).unwrap_or_default().chars().rev().map(plain).take(SHOWN + 1).collect();
    before.reverse();
    let (inside, after) = (part(line.get(marked.clone())), part(line.get(marked.end..)));
    let fits = before.len() + inside.len() + after.len() <= SHOWN;
    // What is marked comes first, then a little behind it, and the rest goes to what stands before it.
    let in_it = if fits { inside.len() } else { inside.len().min(SHOWN - 20) };
    let whole = in_it == inside.len();
    let behind = if whole { after.len().min(10) } else { 0 };
    let left = before.len().min(SHOWN - in_it - behind);
    let right = if whole { after.len().min(SHOWN - in_it - left) } else { 0 };
    let mut shown = String::from(if left < before.len() { "…" } else { "" });
    shown.extend(before.iter().skip(before.len() - left));
    let start = shown.len();
    shown.extend(inside.iter().take(in_it));
    let end = shown.len();
    shown.extend(after.iter().take(right));
    shown.push_str(if whole && right == after.len() { "" } else { "…" });
    (shown, start..end)
}

fn steps(rule: &Rule) -> String {
    let step = |(number, step): (usize, &&str)| {
        let lines = wrapped_at(step, WIDTH - 3);
        format!("{}. {}", number + 1, lines.join("\n   "))
    };
    match rule.safe_way {
        [one] => wrapped(one),
        several => several.iter().enumerate().map(step).collect::<Vec<_>>().join("\n"),
    }
}

fn wrapped(text: &str) -> String {
    wrapped_at(text, WIDTH).join("\n")
}

fn wrapped_at(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        match line.chars().count() + 1 + word.chars().count() > width && !line.is_empty() {
            true => lines.push(word.to_owned()),
            false if line.is_empty() => line.push_str(word),
            false => line.extend([" ", word]),
        }
    }
    lines
}

/// Every rule as Markdown, by what it is about: the reference of `docs/lint.md`.
pub fn rules_page() -> String {
    let mut page = String::new();
    let mut danger = None;
    let mut all: Vec<_> = rules().collect();
    all.sort_by_key(|rule| rule.danger);
    for rule in all {
        if danger.replace(rule.danger) != Some(rule.danger) {
            page.push_str(&format!("\n## {}\n", capital(rule.danger.about())));
        }
        let (expand, later) = (rule.verdict(Phase::Expand).word(), rule.verdict(Phase::Contract).word());
        let verdict =
            if expand == later { format!("`{expand}`") } else { format!("`{expand}` in expand, else `{later}`") };
        let never = if rule.waivable { "" } else { ", never waived" };
        page.push_str(&format!("\n### `{}`\n\n{}: {verdict}{never}.\n\n", rule.id, capital(rule.about)));
        page.push_str(&format!("{}\n", wrapped_at(rule.why, 120).join("\n")));
        if let Some(standby) = rule.standby {
            page.push_str(&format!("On the standby: {standby}.\n"));
        }
        page.push_str("\nSafe way:\n");
        for (number, step) in (1..).zip(rule.safe_way) {
            page.push_str(&format!("{number}. {}\n", wrapped_at(step, 117).join("\n   ")));
        }
    }
    page
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_what_is_marked_db_5() {
        let marked = |line: &str, marked: std::ops::Range<usize>| {
            let (shown, marked) = window(line, marked);
            assert!(shown.chars().count() <= SHOWN + 2, "{shown}");
            format!("{}[{}]{}", &shown[..marked.start], &shown[marked.clone()], &shown[marked.end..])
        };
        assert_eq!(marked("select\ta from b", 7..8), "select [a] from b");
        let exact = "x".repeat(SHOWN);
        assert_eq!(marked(&exact, 0..SHOWN), format!("[{exact}]"));
        assert_eq!(marked(&"y".repeat(500), 100..300), format!("…{}[{}]…", "y".repeat(20), "y".repeat(48)));
        let line = format!("{}é{}", "a".repeat(300), "b".repeat(300));
        assert_eq!(marked(&line, 300..302), format!("…{}[é]{}…", "a".repeat(57), "b".repeat(10)));
    }
}
