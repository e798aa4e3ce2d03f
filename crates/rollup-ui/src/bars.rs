//! Progress on a terminal: what has happened scrolls up, what each node does now stays at the bottom.
//!
//! Must not be used when the output is no terminal: bars are invisible there; [`crate::Lines`] is for that.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use console::measure_text_width;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};
use rollup_model::{Event, NodeName, Outcome, Plan, Record, RunState, Sink, StepId, plan::Target};

use crate::{
    Interruption, Style, human,
    human::{clean_lines, one_line, time_of_day},
    layout::{cut, pad, pad_left, wrap},
    lines::side_name,
    style::{Paint, Sign},
    tracker::Tracker,
};

/// Redraws per second: fast enough for a spinner, slow enough for a serial console.
const REDRAWS_PER_SECOND: u8 = 8;

/// Columns for a length of time.
const TOOK: usize = 7;

/// Progress on a terminal. A clone draws on the same place, so that one can be a [`Sink`] and another [`Bars::say`]
/// what the caller has to say meanwhile.
#[derive(Debug)]
pub struct Bars<T: TermLike> {
    inner: Arc<Mutex<Inner<T>>>,
}

#[derive(Debug)]
struct Inner<T: TermLike> {
    term: T,
    style: Style,
    tracker: Tracker,
    multi: MultiProgress,
    places: Vec<Place>,
    total: ProgressBar,
    is_steady: bool,
    id_width: usize,
    is_over: bool,
}

/// The line of one node, or of the pair.
#[derive(Debug)]
struct Place {
    node: Option<NodeName>,
    bar: ProgressBar,
    shown: Option<StepId>,
}

impl<T: TermLike> Clone for Bars<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl Bars<console::Term> {
    /// Follows a run on standard error, which the caller knows to be a terminal.
    pub fn stderr(plan: &Plan, start: &RunState, style: &Style) -> Self {
        Self::new(plan, start, style, console::Term::buffered_stderr())
    }
}

impl<T: TermLike + Clone + 'static> Bars<T> {
    /// Follows a run that has come as far as `start` on any terminal. The width is asked of the terminal each time.
    pub fn new(plan: &Plan, start: &RunState, style: &Style, term: T) -> Self {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), REDRAWS_PER_SECOND);
        Self::on(plan, start, style, term, target, true)
    }

    /// Without a clock of its own: drawn when an event comes and at no other time.
    pub fn unticked(plan: &Plan, start: &RunState, style: &Style, term: T) -> Self {
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        Self::on(plan, start, style, term, target, false)
    }

    fn on(plan: &Plan, start: &RunState, style: &Style, term: T, target: ProgressDrawTarget, is_steady: bool) -> Self {
        let multi = MultiProgress::with_draw_target(target);
        let mut nodes: Vec<_> = plan.inventory.node_names().cloned().map(Some).collect();
        if plan.steps.iter().any(|step| step.on == Target::Pair) {
            nodes.push(None);
        }
        let column = nodes.iter().map(|node| place_name(node.as_ref()).len()).max().unwrap_or_default();
        let places = nodes
            .into_iter()
            .map(|node| {
                let bar = multi.add(ProgressBar::new_spinner());
                bar.set_prefix(pad(place_name(node.as_ref()), column));
                Place { node, bar, shown: None }
            })
            .collect();
        let total = multi.add(ProgressBar::new(u64::try_from(plan.steps.len()).unwrap_or_default()));
        total.set_style(total_style(style));
        // Only after it was added: a bar that ticks before would draw itself where it does not belong.
        if is_steady {
            total.enable_steady_tick(Duration::from_millis(250));
        }
        let id_width = plan.steps.iter().map(|step| step.id.as_str().len()).max().unwrap_or_default();
        let tracker = Tracker::new(plan, start);
        let mut inner =
            Inner { term, style: style.clone(), tracker, multi, places, total, is_steady, id_width, is_over: false };
        inner.redraw();
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Writes a line of the caller above the bars.
    pub fn say(&self, text: &str) -> io::Result<()> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.print(&wrap(&one_line(text), inner.width()))
    }
}

impl<T: TermLike + Clone + 'static> Sink for Bars<T> {
    fn event(&mut self, record: &Record) -> io::Result<()> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).event(record)
    }
}

impl<T: TermLike> Drop for Inner<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T: TermLike> Inner<T> {
    fn width(&self) -> usize {
        usize::from(self.term.width()).max(20)
    }

    fn print(&self, lines: &[String]) -> io::Result<()> {
        if lines.is_empty() { Ok(()) } else { self.multi.println(lines.join("\n")) }
    }

    fn clear(&mut self) {
        // Once: what was printed after the run would be taken for bars and wiped.
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        for bar in self.places.iter().map(|place| &place.bar).chain([&self.total]) {
            bar.disable_steady_tick();
            bar.finish_and_clear();
        }
        // The terminal may be gone by now, and there is nobody to be told.
        let _ = self.multi.clear();
    }

    fn event(&mut self, record: &Record) -> io::Result<()> {
        self.tracker.take(record);
        if matches!(record.event, Event::RunStopped { .. } | Event::RunFinished { .. }) {
            self.clear();
            return Ok(());
        }
        let lines = self.lines(&record.event);
        self.print(&lines)?;
        if !self.is_over {
            self.redraw();
        }
        Ok(())
    }

    /// What stays on the screen of an event.
    fn lines(&self, event: &Event) -> Vec<String> {
        let (style, plan) = (&self.style, &self.tracker.plan);
        match event {
            Event::RunStarted { run, by, .. } => {
                let text = format!("run {run} by {}@{}", by.user, by.host);
                vec![style.paint(Paint::Dim, cut(&text, self.width(), style))]
            }
            Event::RunResumed { by } => {
                let (done, all) = self.tracker.done_of_all();
                let text = format!("run {} goes on, {done} of {all} steps done, by {}@{}", plan.run, by.user, by.host);
                vec![style.paint(Paint::Dim, cut(&text, self.width(), style))]
            }
            Event::PhaseStarted { phase } => {
                let (number, title) = self.tracker.phase_line(phase);
                let title = cut(&title, self.width().saturating_sub(number.len() + 2), style);
                vec![format!("{}  {}", style.paint(Paint::Dim, number), style.paint(Paint::Strong, title))]
            }
            Event::StepFinished { step, outcome, evidence, millis } => {
                let (sign, remark) = match outcome {
                    Outcome::FoundDone => (Sign::AlreadySo, "already so"),
                    Outcome::Applied | Outcome::Observed => (Sign::Done, ""),
                    Outcome::Accepted => (Sign::Outage, "not so, and accepted"),
                };
                let mut lines = vec![self.step_line(sign, step, remark, *millis)];
                lines.extend(self.below(human::summary(evidence), Paint::Dim));
                lines
            }
            Event::StepFailed { step, error, undone, millis, .. } => {
                let mut lines = vec![self.step_line(Sign::Failed, step, "", *millis)];
                lines.extend(self.below(error, Paint::Plain));
                if *undone {
                    lines.extend(self.below("its change was taken back at once", Paint::Plain));
                }
                lines
            }
            Event::StepRetried { step, attempt, error, pause_ms } => {
                let mut lines = vec![format!(
                    "  {} {}  {}",
                    style.sign(Sign::Retried),
                    pad(step.as_str(), self.id_width),
                    human::retried(*attempt, *pause_ms)
                )];
                lines.extend(self.below(error, Paint::Dim));
                lines
            }
            Event::Outage { side, since, millis, during } => {
                let during = during.as_ref().map(|step| format!(", during {step}")).unwrap_or_default();
                let from = time_of_day(*since, style);
                let text = format!(
                    "{} got no good answer for {} from {from}{during}",
                    side_name(*side),
                    human::seconds(*millis)
                );
                self.signed(Sign::Outage, &text)
            }
            Event::Note { node, text } => {
                let node = node.as_ref().map(|node| format!("{node}: ")).unwrap_or_default();
                self.signed(Sign::Note, &format!("{node}{}", one_line(text)))
            }
            _ => Vec::new(),
        }
    }

    fn step_line(&self, sign: Sign, id: &StepId, remark: &str, millis: u64) -> String {
        let style = &self.style;
        let title = self.tracker.plan.step(id).map_or("", |step| &step.title);
        let remark = if remark.is_empty() { String::new() } else { format!("  {remark}") };
        let room = self.width().saturating_sub(4 + self.id_width + 2 + measure_text_width(&remark) + 1 + TOOK);
        let title = pad(&cut(title, room, style), room);
        let paint = if sign == Sign::AlreadySo { Paint::Dim } else { Paint::Plain };
        let text = format!(
            "{}  {title}{remark} {}",
            pad(id.as_str(), self.id_width),
            pad_left(&human::duration(millis), TOOK)
        );
        cut(&format!("  {} {}", style.sign(sign), style.paint(paint, text)), self.width(), style)
    }

    /// A paragraph under a step.
    fn below(&self, text: &str, paint: Paint) -> Vec<String> {
        let wrapped = clean_lines(text).into_iter().flat_map(|line| wrap(&line, self.width().saturating_sub(6)));
        wrapped.map(|line| format!("      {}", self.style.paint(paint, line))).collect()
    }

    fn signed(&self, sign: Sign, text: &str) -> Vec<String> {
        let sign = self.style.sign(sign);
        let lines = wrap(text, self.width().saturating_sub(4));
        lines.iter().enumerate().map(|(at, line)| format!("  {} {line}", if at == 0 { &sign } else { " " })).collect()
    }

    fn redraw(&mut self) {
        let width = self.width();
        for place in &mut self.places {
            let column = measure_text_width(&place.bar.prefix());
            let Some((step, current)) = self.tracker.current_on(place.node.as_ref()) else {
                place.shown = None;
                place.bar.disable_steady_tick();
                let word = if self.tracker.has_more_on(place.node.as_ref()) { "idle" } else { "done" };
                place.bar.set_style(template("    {prefix}  {msg}", &self.style));
                place.bar.set_message(self.style.paint(Paint::Dim, word));
                continue;
            };
            let room = width.saturating_sub(4 + column + 2 + 1 + TOOK);
            let attempt = match current.attempt {
                1 => String::new(),
                number => format!(" (try {number})"),
            };
            let doing = current.doing.as_ref().map(|doing| format!(": {doing}")).unwrap_or_default();
            let message = cut(&format!("{}{attempt}{doing}", step.title), room, &self.style);
            place.bar.set_style(template("  {spinner} {prefix}  {wide_msg} {took}", &self.style));
            place.bar.set_message(message);
            if place.shown.as_ref() != Some(&step.id) {
                place.bar.reset_elapsed();
                place.shown = Some(step.id.clone());
                if self.is_steady {
                    place.bar.enable_steady_tick(Duration::from_millis(125));
                }
            }
        }
        let (done, _) = self.tracker.done_of_all();
        let interruption = Interruption::of(&self.tracker.plan, &self.tracker.state);
        // The count, a bar of a few cells and the time must fit beside it.
        self.total.set_message(interruption.progress(width.saturating_sub(26), &self.style));
        self.total.set_position(u64::try_from(done).unwrap_or_default());
    }
}

fn place_name(node: Option<&NodeName>) -> &str {
    node.map_or("pair", NodeName::as_str)
}

fn template(text: &str, style: &Style) -> ProgressStyle {
    // The templates are constants of this file; one that does not parse costs looks and nothing else.
    ProgressStyle::with_template(text)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_chars(if style.unicode { "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ " } else { "|/-\\ " })
        .with_key("took", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let millis = u64::try_from(state.elapsed().as_millis()).unwrap_or(u64::MAX);
            // Only memory is written to here.
            let _ = write!(out, "{:>TOOK$}", human::duration(millis));
        })
}

fn total_style(style: &Style) -> ProgressStyle {
    let chars = if style.unicode { "━╸─" } else { "=>-" };
    template("  {pos}/{len} {wide_bar} {took}  {msg}", style).progress_chars(chars)
}
