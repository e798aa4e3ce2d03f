//! A made-up run and every page, to be looked at: `cargo run -p rollup-ui --example gallery`.
//!
//! Progress goes to standard error, pages to standard output. `--slow` replays in about twenty seconds; `--pages` or
//! `--progress` show one half alone; `--fail` replays a run that fails.

mod sample;

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use rollup_model::{RunState, Sink, event::StopReason};
use rollup_ui::{Bars, JsonLines, Lines, Style, pages, pages::Next};
use sample::{Course, Fallible};

fn main() -> Fallible<()> {
    let asked = |name: &str| std::env::args().any(|argument| argument == name);
    if !asked("--pages") {
        let course = if asked("--fail") { Course::Failure } else { Course::Success };
        progress(if asked("--slow") { 250 } else { 20 }, course, asked("--json"))?;
    }
    if !asked("--progress") {
        let term = console::Term::stdout();
        let color = term.features().is_attended() && std::env::var_os("NO_COLOR").is_none();
        pages(&Style::detect(&term, color), &mut std::io::stdout().lock())?;
    }
    Ok(())
}

/// The run, as the program would show it here.
#[expect(
    clippy::disallowed_methods,
    reason = "this program does nothing but show a replay at a pace people can follow"
)]
fn progress(pause_millis: u64, course: Course, json: bool) -> Fallible<()> {
    let plan = sample::plan()?;
    let start = RunState::default();
    let term = console::Term::stderr();
    let is_terminal = std::io::stderr().is_terminal();
    let style = Style::detect(&term, is_terminal && std::env::var_os("NO_COLOR").is_none());
    let lines = Lines::new(&plan, &start, &style, std::io::stderr());
    let mut sink: Box<dyn Sink> = match (json, is_terminal) {
        (true, _) => Box::new(JsonLines::new(std::io::stdout())),
        (false, true) => Box::new(Bars::stderr(&plan, &start, &style)),
        (false, false) => Box::new(lines.clone()),
    };
    for record in sample::run(&plan, course)? {
        if !is_terminal && !json {
            lines.tick(record.at)?;
        }
        sink.event(&record)?;
        std::thread::sleep(Duration::from_millis(pause_millis));
    }
    Ok(())
}

fn pages(style: &Style, out: &mut impl Write) -> Fallible<()> {
    let plan = sample::plan()?;
    let names = pages::Names { program: "rollup".to_owned(), run: plan.run.clone() };
    let mut show = |title: &str, page: String| writeln!(out, "---- {title}\n{page}");
    show("plan", pages::plan_table(&plan, style))?;
    show("findings", pages::findings_table(&sample::findings()?, false, style))?;
    show("findings, verbose", pages::findings_table(&sample::findings()?, true, style))?;
    show("JUnit", pages::findings_junit(&sample::findings()?, false))?;
    let state_of = |course| -> Fallible<RunState> { Ok(RunState::fold(&sample::run(&plan, course)?)) };
    let killed = state_of(Course::Killed)?;
    let now = killed.last.unwrap_or(plan.created) + Duration::from_secs(250);
    show("status, live", pages::status_page(&plan, &killed, now, true, &names, style))?;
    show("status, process gone", pages::status_page(&plan, &killed, now, false, &names, style))?;
    let failed = state_of(Course::Failure)?;
    show("status, failed", pages::status_page(&plan, &failed, now, false, &names, style))?;
    let courses = [
        (Course::Success, None, 0),
        (Course::Failure, Some(StopReason::Failed), 4),
        (Course::Killed, Some(StopReason::Operator), 5),
        (Course::Paused, Some(StopReason::Pause), 5),
        (Course::Blocked, Some(StopReason::Blocked), 3),
    ];
    for (course, stopped, exit_code) in courses {
        let state = state_of(course)?;
        let end = sample::end_of(&plan, course)?;
        let page = pages::end_page(&end.ending(&plan, &state, &names, stopped, exit_code), style);
        show(&format!("end, {course:?}"), page)?;
    }
    let back = sample::way_back(&plan, &failed)?;
    show("plan of the way back", pages::plan_table(&back, style))?;
    let rows: Vec<_> = [(Course::Success, false), (Course::Killed, true), (Course::Blocked, false)]
        .into_iter()
        .map(|(course, live)| Ok(pages::RunRow::new(&plan, &state_of(course)?, live)))
        .collect::<Fallible<_>>()?;
    show("runs", pages::runs_table(&rows, style))?;
    let lock = sample::lock()?;
    let by = sample::operator();
    let page = pages::locked_page(&lock.locked(&plan, &by), now, &[Next::new("rollup status", "look at it")], style);
    show("locked", page)?;
    show("health", pages::health_table(&sample::health()?, style))?;
    show("health-watch", pages::health_screen(&sample::health_later()?, 24, style).join("\n"))?;
    show("values", pages::key_values("VIP 10.0.0.9", &sample::values(), style))?;
    Ok(())
}
