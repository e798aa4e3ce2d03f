//! Pages at the two widths people have, and the rules that hold at any width.

use std::path::Path;

use console::measure_text_width;
use rollup_model::{Plan, RunState, event::StopReason};
use rollup_ui::{
    Style,
    pages::{self, Names, Next, RunRow},
};

use crate::sample::{self, Course};

fn state(plan: &Plan, course: Course) -> RunState {
    RunState::fold(&sample::run(plan, course).unwrap())
}

fn names(plan: &Plan) -> Names {
    Names { program: "rollup".to_owned(), run: plan.run.clone() }
}

fn end(plan: &Plan, course: Course, style: &Style) -> String {
    let (stopped, exit_code) = match course {
        Course::Success => (None, 0),
        Course::Failure => (Some(StopReason::Failed), 4),
        Course::Killed => (Some(StopReason::Operator), 5),
        Course::Paused => (Some(StopReason::Pause), 5),
        Course::Blocked => (Some(StopReason::Blocked), 3),
    };
    let state = state(plan, course);
    let end = sample::end_of(plan, course).unwrap();
    pages::end_page(&end.ending(plan, &state, &names(plan), stopped, exit_code), style)
}

/// Every page by name.
fn all(style: &Style) -> Vec<(&'static str, String)> {
    let plan = sample::plan().unwrap();
    let killed = state(&plan, Course::Killed);
    let failed = state(&plan, Course::Failure);
    let way_back = sample::way_back(&plan, &failed).unwrap();
    let now = killed.last.unwrap() + std::time::Duration::from_secs(250);
    let status = |state: &RunState, live| pages::status_page(&plan, state, now, live, &names(&plan), style);
    let rows = [RunRow::new(&plan, &failed, false), RunRow::new(&plan, &killed, true)];
    let lock = sample::lock().unwrap();
    let by = sample::operator();
    let look = [Next::new(format!("rollup status {}", plan.run), "look at that run")];
    vec![
        ("plan", pages::plan_table(&plan, style)),
        ("plan-way-back", pages::plan_table(&way_back, style)),
        ("findings", pages::findings_table(&sample::findings().unwrap(), false, style)),
        ("findings-verbose", pages::findings_table(&sample::findings().unwrap(), true, style)),
        ("status-live", status(&killed, true)),
        ("status-interrupted", status(&killed, false)),
        ("status-failed", status(&failed, false)),
        ("end-success", end(&plan, Course::Success, style)),
        ("end-failure", end(&plan, Course::Failure, style)),
        ("end-stopped", end(&plan, Course::Killed, style)),
        ("end-paused", end(&plan, Course::Paused, style)),
        ("end-blocked", end(&plan, Course::Blocked, style)),
        ("runs", pages::runs_table(&rows, style)),
        ("locked", pages::locked_page(&lock.locked(&plan, &by), now, &look, style)),
        ("health", pages::health_table(&sample::health().unwrap(), style)),
        ("health-watch", pages::health_screen(&sample::health_later().unwrap(), 24, style).join("\n") + "\n"),
        ("values", pages::key_values("VIP 10.0.0.9", &sample::values(), style)),
    ]
}

pub(crate) fn same_as_last_time(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui/snapshots").join(format!("{name}.txt"));
    let expected = snapbox::Data::read_from(&path, Some(snapbox::data::DataFormat::Text)).raw();
    snapbox::Assert::new().action_env("SNAPSHOTS").eq(actual.to_owned(), expected);
}

#[test]
fn pages_look_right_in_80_and_120_columns() {
    for width in [80, 120] {
        for (name, page) in all(&Style::plain(width)) {
            same_as_last_time(&format!("{name}-{width}"), &page);
        }
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_except_what_is_typed() {
    for width in 40..=160 {
        for unicode in [false, true] {
            let style = Style { unicode, color: true, ..Style::plain(width) };
            for (name, page) in all(&style) {
                for line in page.lines().filter(|line| measure_text_width(line) > width) {
                    let typed = ["rollup ", "fix "].iter().any(|word| line.contains(word));
                    assert!(typed, "{name} in {width} columns: {line:?}");
                }
            }
        }
    }
}

#[test]
fn ascii_pages_hold_nothing_but_ascii_and_no_escape_code() {
    for (name, page) in all(&Style::plain(80)) {
        assert!(page.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{name}");
    }
}

#[test]
fn colour_changes_no_character() {
    for width in [80, 120] {
        let plain = all(&Style::plain(width));
        for ((name, colored), (_, plain)) in all(&Style { color: true, ..Style::plain(width) }).iter().zip(&plain) {
            let strip = |text: &str| -> Vec<String> {
                console::strip_ansi_codes(text).lines().map(|line| line.trim_end().to_owned()).collect()
            };
            assert_eq!(strip(colored), strip(plain), "{name}");
        }
    }
}

#[test]
fn every_last_page_says_what_to_type_even_when_the_caller_does_not() {
    let plan = sample::plan().unwrap();
    let state = state(&plan, Course::Failure);
    let (names, serving) = (names(&plan), pages::Serving::default());
    let ending = pages::Ending {
        plan: &plan,
        state: &state,
        stopped: Some(StopReason::Failed),
        exit_code: 4,
        names: &names,
        serving: &serving,
        next: &[],
    };
    assert!(pages::end_page(&ending, &Style::plain(80)).contains("  rollup status 20261120-031204-ab12  look at"));
    assert_eq!(pages::Report::new(&ending).next.len(), 1);
}

#[test]
fn the_last_line_of_a_status_is_a_command() {
    for (name, page) in all(&Style::plain(80)).iter().filter(|(name, _)| name.starts_with("status")) {
        assert!(page.lines().last().unwrap().starts_with("next: rollup "), "{name}");
    }
}

#[test]
fn what_machines_answer_cannot_command_the_terminal() {
    let mut findings = sample::findings().unwrap();
    findings[3].found = "\u{1b}]0;gone\u{7}\u{1b}[2J\r\nsecond line".to_owned();
    findings[3].fix = Some("\u{1b}[31mecho".to_owned());
    let page = pages::findings_table(&findings, true, &Style::plain(80));
    assert!(!page.contains(['\u{1b}', '\u{7}', '\r']), "{page}");
}

#[test]
fn the_report_says_in_json_what_the_page_says() {
    let plan = sample::plan().unwrap();
    let state = state(&plan, Course::Success);
    let end = sample::end_of(&plan, Course::Success).unwrap();
    let names = names(&plan);
    let text = pages::report_json(&end.ending(&plan, &state, &names, None, 0)).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["result"], "finished");
    assert_eq!(report["files"]["node-a"], "2.0.0");
    assert_eq!(report["steps"]["already_so"][0], "hook.pre-install@node-b");
    assert_eq!(report["interruption"]["millis"], 2500);
    assert_eq!(report["interruption"]["by_step"][0]["step"], "db.switchover@node-b");
    same_as_last_time("report", &text);
}

#[test]
fn junit_is_well_formed_whatever_a_machine_answers() {
    let mut findings = sample::findings().unwrap();
    findings[3].found = "<a href='x'>&\"\u{0}\u{1b}[31m]]>\n".to_owned();
    let xml = pages::findings_junit(&findings, false);
    same_as_last_time("junit", &xml);
    assert!(xml.chars().all(|c| c == '\n' || !c.is_control()));
    // Outside of tags no bare `<` or `&` is left, and every tag that opens closes.
    let mut open = Vec::new();
    let mut rest = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap();
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').unwrap();
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<'), "{tag}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
    for (at, _) in xml.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#10;", "&#9;"];
        assert!(known.iter().any(|entity| xml[at..].starts_with(entity)), "{}", &xml[at..]);
    }
}

#[test]
fn findings_in_json_carry_their_totals() {
    let text = pages::findings_json(&sample::findings().unwrap(), false, &pages::Selection::default());
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&value["ok"], &value["errors"], &value["warnings"]), (&false.into(), &1.into(), &1.into()));
    assert_eq!(value["waived"], 1);
    assert_eq!(value["findings"].as_array().unwrap().len(), 6);
}

#[test]
fn strict_makes_failures_of_warnings_and_leaves_what_is_waived_pre_10() {
    let findings = sample::findings().unwrap();
    let line = |strict: bool, id: &str| {
        let xml = pages::findings_junit(&findings, strict);
        xml.lines().find(|line| line.contains(id)).unwrap().to_owned()
    };
    assert!(line(false, "disk.space").contains("<system-out>warning: "));
    assert!(line(true, "disk.space").contains("<failure "));
    assert!(line(true, "service.enabled").contains("<skipped message=\"waived: started by hand until T-7"));
}

#[test]
fn evidence_is_shown_for_errors_and_else_only_when_asked_for_pre_10() {
    let mut findings = sample::findings().unwrap();
    for finding in &mut findings {
        finding.evidence = Some(format!("{} 1\n\n2\n3\n4", finding.id));
    }
    let page = |verbose| pages::findings_table(&findings, verbose, &Style::plain(80));
    assert!(page(false).contains("evidence  database.replication 1\n                2\n                3\n"));
    assert!(!page(false).contains("disk.space 1") && !page(true).contains("                4\n"));
    assert!(page(true).contains("evidence  disk.space 1"));
}

#[test]
fn a_table_fits_and_keeps_its_columns() {
    let rows = vec![
        vec!["node-a".to_owned(), "primary".to_owned(), "0 bytes".to_owned()],
        vec!["node-b".to_owned(), "standby, streaming".to_owned(), "212 MiB behind".to_owned()],
    ];
    let page = pages::table(&["node", "role", "lag"], &rows, &Style::plain(80));
    let expected = "node    role                lag\n\
                    node-a  primary             0 bytes\n\
                    node-b  standby, streaming  212 MiB behind\n";
    assert_eq!(page, expected);
}

#[test]
fn a_watch_that_is_no_terminal_says_only_what_has_changed_hlt_1() {
    let (style, first, later) = (Style::plain(80), sample::health().unwrap(), sample::health_later().unwrap());
    assert_eq!(pages::health_changes(None, &first, &style).len(), 6, "everything, and a verdict");
    let changes = pages::health_changes(Some(&first), &later, &style);
    assert_eq!(changes, ["03:12:05 node-b + http://127.0.0.1:8080/health: HTTP 200"]);
    assert_eq!(pages::health_changes(Some(&later), &later, &style), [""; 0]);
    // Only numbers in a reason differ: nothing new.
    let mut same = later.clone();
    same.nodes[1].checks[2].detail = "no answer within 3s".to_owned();
    assert_eq!(pages::health_changes(Some(&later), &same, &style), [""; 0]);
    same.nodes[1].checks[2].detail = "connection refused".to_owned();
    assert_eq!(pages::health_changes(Some(&later), &same, &style).len(), 1);
}

#[test]
fn a_watch_fits_a_terminal_and_keeps_its_verdict_hlt_1() {
    let (style, look) = (Style::plain(60), sample::health().unwrap());
    for height in 3..30 {
        let lines = pages::health_screen(&look, height, &style);
        assert!(lines.len() <= height, "{height}: {lines:#?}");
        assert!(lines.iter().any(|line| line == "not healthy: node-b"), "{height}: {lines:#?}");
        let is_good_told = lines.iter().any(|line| line.contains("port 8080"));
        let is_bad_told = lines.iter().any(|line| line.contains("database on port 5432"));
        assert!(is_bad_told || !is_good_told, "what is bad comes first: {lines:#?}");
        assert!(lines.iter().all(|line| measure_text_width(line) <= 60), "{lines:#?}");
    }
}
