//! Bars on a terminal in memory, lines, and JSON lines; and what they do when nobody reads them any more.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use indicatif::InMemoryTerm;
use rollup_model::{
    Event, Plan, Record, RunState, Sink,
    event::{MeterTotals, SideTotals},
};
use rollup_ui::{Bars, Interruption, JsonLines, Lines, Style};

use crate::{
    pages::same_as_last_time,
    sample::{self, Course},
};

/// A place to write to that can be read afterwards.
#[derive(Debug, Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe whose reader has gone away.
#[derive(Debug, Clone)]
struct ClosedPipe;

impl Write for ClosedPipe {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// A terminal that has gone away.
#[derive(Debug, Clone)]
struct ClosedTerminal;

impl indicatif::TermLike for ClosedTerminal {
    fn width(&self) -> u16 {
        80
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn write_line(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn write_str(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn clear_line(&self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// The screen after the records up to the one that `stop` accepts. Lengths of time come from a real clock, so each
/// reads `0.0s`.
fn screen(width: u16, course: Course, style: &Style, stop: impl Fn(&Record) -> bool) -> String {
    let plan = sample::plan().unwrap();
    let term = InMemoryTerm::new(60, width);
    let mut bars = Bars::unticked(&plan, &RunState::default(), style, term.clone());
    for record in sample::run(&plan, course).unwrap() {
        bars.event(&record).unwrap();
        if stop(&record) {
            break;
        }
    }
    let contents = term.contents();
    drop(bars);
    contents.lines().map(without_clock).collect::<Vec<_>>().join("\n")
}

/// A slow machine may show a tenth or two where a fast one shows none.
fn without_clock(line: &str) -> String {
    let is_live = line.contains("interruption ") || line.starts_with("  ⠋");
    (1..10).filter(|_| is_live).fold(line.to_owned(), |line, tenth| line.replace(&format!("   0.{tenth}s"), "   0.0s"))
}

fn is_switchover_outage(record: &Record) -> bool {
    matches!(&record.event, Event::Meter(totals) if totals.read.down_millis > 0)
}

#[test]
fn bars_show_what_happened_and_what_each_node_does_now() {
    for width in [80, 120] {
        let style = Style { unicode: true, ..Style::plain(usize::from(width)) };
        let shown = screen(width, Course::Success, &style, is_switchover_outage);
        same_as_last_time(&format!("bars-cutover-{width}"), &format!("{shown}\n"));
    }
}

#[test]
fn bars_are_gone_when_the_run_ends_and_what_happened_stays() {
    let shown = screen(80, Course::Failure, &Style::plain(80), |_| false);
    same_as_last_time("bars-failed-80", &format!("{shown}\n"));
}

#[test]
fn steps_that_run_at_once_each_have_a_line() {
    let on_progress = |record: &Record| matches!(record.event, Event::StepProgress { .. });
    let shown = screen(80, Course::Success, &Style::plain(80), on_progress);
    assert!(shown.contains("node-a  copy code, configuration and root key into the ba"), "{shown}");
    assert!(shown.contains("node-b  copy code, configuration and root key into the ba"), "{shown}");
    assert!(shown.contains("pair    idle"), "{shown}");
}

#[test]
fn a_resumed_run_counts_what_was_done_before() {
    let plan = sample::plan().unwrap();
    let prior = RunState::fold(&sample::run(&plan, Course::Killed).unwrap());
    let term = InMemoryTerm::new(30, 80);
    let mut bars = Bars::unticked(&plan, &prior, &Style::plain(80), term.clone());
    let record = |event| Record { seq: 100, at: plan.created, event };
    bars.event(&record(Event::RunResumed { by: sample::operator() })).unwrap();
    bars.event(&record(Event::PhaseStarted { phase: plan.phases[2].id.clone() })).unwrap();
    bars.say("stopping after this step").unwrap();
    let shown = term.contents();
    assert!(shown.contains("goes on, 8 of 19 steps done, by li@bastion"), "{shown}");
    assert!(shown.contains("stopping after this step"), "{shown}");
    assert!(shown.contains("node-b  replace the files atomically"), "{shown}");
    assert!(shown.contains("  8/19 "), "{shown}");
}

#[test]
fn lines_say_the_same_without_a_terminal() {
    for (name, course) in [("lines-success", Course::Success), ("lines-failure", Course::Failure)] {
        let plan = sample::plan().unwrap();
        let paper = Paper::default();
        let mut lines = Lines::new(&plan, &RunState::default(), &Style::plain(80), paper.clone());
        for record in sample::run(&plan, course).unwrap() {
            lines.event(&record).unwrap();
        }
        let text = paper.text();
        assert!(!text.contains(['\u{1b}', '\r']), "{text}");
        same_as_last_time(name, &text);
    }
}

#[test]
fn lines_are_never_silent_for_longer_than_ten_seconds() {
    let plan = sample::plan().unwrap();
    let paper = Paper::default();
    let mut lines = Lines::new(&plan, &RunState::default(), &Style::plain(80), paper.clone());
    let mut last = plan.created;
    let ticker = lines.clone();
    for record in sample::run(&plan, Course::Failure).unwrap() {
        while last < record.at {
            last += std::time::Duration::from_secs(1);
            ticker.tick(last.min(record.at)).unwrap();
        }
        lines.event(&record).unwrap();
    }
    ticker.tick(last + std::time::Duration::from_secs(60)).unwrap();
    let text = paper.text();
    let stamps: Vec<jiff::civil::DateTime> = text.lines().map(|line| line[..19].parse().unwrap()).collect();
    let longest = stamps.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs()).max();
    assert!(longest <= Some(11), "{longest:?}");
    assert!(text.contains("still: health.soak@node-b, watch the healthy node for a while, 10s"), "{text}");
    assert!(text.contains("still: health.soak@node-b, good 1 of 3, "), "{text}");
    assert!(text.ends_with("stopped: a step failed\n"), "a run that is over is not still at work");
}

#[test]
fn json_lines_are_the_journal_and_the_meter_once_a_second() {
    let plan = sample::plan().unwrap();
    let records = sample::run(&plan, Course::Success).unwrap();
    let paper = Paper::default();
    let mut json = JsonLines::new(paper.clone());
    for record in &records {
        json.event(record).unwrap();
    }
    let read: Vec<Record> = paper.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kept: Vec<Record> = records.into_iter().filter(|record| record.seq > 0).collect();
    assert_eq!(read, kept);

    let paper = Paper::default();
    let mut json = JsonLines::new(paper.clone());
    for tenths in 0..25 {
        let at = plan.created + std::time::Duration::from_millis(tenths * 100);
        json.event(&Record { seq: 0, at, event: Event::Meter(MeterTotals::default()) }).unwrap();
    }
    assert_eq!(paper.text().lines().count(), 3);
}

#[test]
fn a_display_that_nobody_reads_says_so_and_does_not_panic() {
    let plan = sample::plan().unwrap();
    let start = RunState::default();
    let record = &sample::run(&plan, Course::Success).unwrap()[0];
    let style = Style::plain(80);
    let is_broken = |result: io::Result<()>| assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    is_broken(JsonLines::new(ClosedPipe).event(record));
    is_broken(Lines::new(&plan, &start, &style, ClosedPipe).event(record));
    let mut bars = Bars::new(&plan, &start, &style, ClosedTerminal);
    is_broken(bars.event(record));
    is_broken(bars.say("still here"));
}

#[test]
fn interruption_is_a_warning_from_half_of_the_budget_and_an_alarm_from_four_fifths() {
    let plan = sample::plan().unwrap();
    let shown = |down_millis: u64| {
        let term = InMemoryTerm::new(30, 120);
        let style = Style { color: true, ..Style::plain(120) };
        let mut bars = Bars::unticked(&plan, &RunState::default(), &style, term.clone());
        let write = SideTotals { down_millis, ..SideTotals::default() };
        let event = Event::Meter(MeterTotals { write, ..MeterTotals::default() });
        bars.event(&Record { seq: 0, at: plan.created, event }).unwrap();
        String::from_utf8(term.contents_formatted()).unwrap()
    };
    assert!(shown(119_000).contains("  interruption 119.0s of 240s (reads 0.0s, writes 119.0s)"));
    assert!(shown(120_000).contains("\u{1b}[33minterruption 120.0s of 240s"));
    assert!(shown(192_000).contains("\u{1b}[31;1minterruption 192.0s of 240s"), "{}", shown(192_000));
}

#[test]
fn a_pair_without_a_meter_is_not_shown_as_uninterrupted() {
    let mut plan: Plan = sample::plan().unwrap();
    plan.inventory.meter = None;
    let interruption = Interruption::of(&plan, &RunState::default());
    assert_eq!(interruption.text(), "not measured (no [meter] in the inventory)");
}
