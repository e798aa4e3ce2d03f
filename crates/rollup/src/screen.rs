//! The operator's terminal: data on standard output, people on standard error, and nothing breaks when either is closed.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use console::Term;
use indicatif::{ProgressBar, ProgressStyle};
use rollup_model::{Finding, Plan, RunState, Sink};
use rollup_ui::{
    Bars, JsonLines, Lines, Style,
    pages::{self, Next},
};

use crate::{
    cli::{Color, Global},
    exit::Exit,
    typed::Typed,
};

/// How to talk to the operator.
pub(crate) struct Screen {
    out: Style,
    err: Style,
    json: bool,
    verbose: bool,
    quiet: bool,
    typed: Typed,
}

impl Screen {
    /// Decides once from flags, environment and terminals.
    pub(crate) fn new(global: &Global) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = |is_terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !no_color,
        };
        Self {
            out: Style::detect(&Term::stdout(), color(io::stdout().is_terminal())),
            err: Style::detect(&Term::stderr(), color(io::stderr().is_terminal())),
            json: global.json,
            verbose: global.verbose > 0,
            quiet: global.quiet,
            typed: Typed::new(global),
        }
    }

    /// Commands as they must be typed here: with the options that told this process where to look.
    pub(crate) fn typed(&self, text: &str) -> String {
        self.typed.complete(text)
    }

    /// A command to type next, and what for.
    pub(crate) fn next(&self, command: &str, why: &str) -> Next {
        Next::new(self.typed(command), why)
    }

    /// Style of standard output.
    pub(crate) fn out(&self) -> &Style {
        &self.out
    }

    /// Style of standard error.
    pub(crate) fn err(&self) -> &Style {
        &self.err
    }

    /// Whether data is asked for as JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether more is asked for.
    pub(crate) fn verbose(&self) -> bool {
        self.verbose
    }

    /// Whether errors may be coloured.
    pub(crate) fn color(&self) -> bool {
        self.err.color
    }

    /// Writes data. A reader that went away is success: it has what it wanted.
    pub(crate) fn data(&self, text: &str) -> Result<(), Exit> {
        self.stream(text).map(drop)
    }

    /// Writes one of many pieces of data. Returns whether anybody still reads.
    pub(crate) fn stream(&self, text: &str) -> Result<bool, Exit> {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| match text.ends_with('\n') {
            true => out.flush(),
            false => out.write_all(b"\n").and_then(|()| out.flush()),
        });
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(true),
        }
    }

    /// Tells people. Nobody is left to tell when standard error is closed.
    pub(crate) fn tell(&self, text: &str) {
        let mut err = io::stderr().lock();
        let _closed = writeln!(err, "{}", text.trim_end());
    }

    /// A page of findings for standard error.
    pub(crate) fn findings(&self, findings: &[Finding]) -> String {
        pages::findings_table(&self.typed_fixes(findings), self.verbose, &self.err)
    }

    /// Findings whose remedies can be typed as they stand.
    pub(crate) fn typed_fixes(&self, findings: &[Finding]) -> Vec<Finding> {
        let typed =
            |finding: &Finding| Finding { fix: finding.fix.as_ref().map(|fix| self.typed(fix)), ..finding.clone() };
        findings.iter().map(typed).collect()
    }

    /// The same as [`Screen::waiting`]; without a terminal a line at once and another every few seconds, so that a log
    /// is never silent for long.
    pub(crate) fn waiting_aloud(&self, what: &str) -> Waiting {
        if self.quiet || io::stderr().is_terminal() {
            return self.waiting(what);
        }
        self.tell(what);
        let what = what.to_owned();
        let begun = Instant::now();
        Waiting(
            None,
            Some(tokio::spawn(async move {
                let mut turn = tokio::time::interval(ALOUD);
                turn.tick().await;
                loop {
                    turn.tick().await;
                    let _closed = writeln!(io::stderr().lock(), "{what}: {} s", begun.elapsed().as_secs());
                }
            })),
        )
    }

    /// A spinner while something short is waited for; gone when dropped.
    pub(crate) fn waiting(&self, what: &str) -> Waiting {
        if self.quiet || self.json || !io::stderr().is_terminal() {
            return Waiting(None, None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Waiting(Some(bar), None)
    }

    /// The displays that follow a run.
    pub(crate) fn follow(&self, plan: &Plan, start: &RunState) -> Following {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        let mut lines = None;
        if self.json {
            sinks.push(Box::new(JsonLines::new(io::stdout())));
        }
        if !self.quiet && !self.json {
            if io::stderr().is_terminal() {
                sinks.push(Box::new(Bars::stderr(plan, start, &self.err)));
            } else {
                let plain = Lines::new(plan, start, &self.err, io::stderr());
                lines = Some(plain.clone());
                sinks.push(Box::new(plain));
            }
        }
        Following { sinks, lines }
    }

    /// Asks for a line. Without a terminal nobody can be asked.
    pub(crate) fn ask(&self, question: &str) -> Result<String, Exit> {
        if !io::stderr().is_terminal() || !io::stdin().is_terminal() {
            return Err(Exit::usage("nobody can be asked without a terminal"));
        }
        let asked = dialoguer::Input::<String>::new().with_prompt(question).allow_empty(true).interact_text();
        asked.map_err(|error| anyhow::Error::from(error).into())
    }

    /// Asks for a password, for a new one twice. Without a terminal nobody can be asked.
    pub(crate) fn password(&self, question: &str, new: bool) -> Result<String, Exit> {
        if !io::stderr().is_terminal() || !io::stdin().is_terminal() {
            return Err(Exit::usage("nobody can be asked for a password without a terminal"));
        }
        let mut asked = dialoguer::Password::new().with_prompt(question);
        if new {
            asked = asked.with_confirmation("once more", "these are two different passwords");
        }
        asked.interact().map_err(|error| anyhow::Error::from(error).into())
    }

    /// Asks for a yes. Without a terminal nobody can be asked: `--yes` is needed then.
    pub(crate) fn confirm(&self, question: &str, yes: bool, command: &str) -> Result<bool, Exit> {
        if yes {
            return Ok(true);
        }
        if !io::stderr().is_terminal() || !io::stdin().is_terminal() {
            return Err(Exit::usage("nobody can be asked without a terminal").hint(format!("{command} --yes")));
        }
        let asked = dialoguer::Confirm::new().with_prompt(question).default(false).interact_opt();
        asked.map(|answer| answer == Some(true)).map_err(|error| anyhow::Error::from(error).into())
    }
}

/// How often a log hears that something is waited for.
const ALOUD: Duration = Duration::from_secs(8);

/// A spinner, or lines, until it is dropped.
pub(crate) struct Waiting(Option<ProgressBar>, Option<tokio::task::JoinHandle<()>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
        if let Some(lines) = &self.1 {
            lines.abort();
        }
    }
}

/// The displays of a run.
pub(crate) struct Following {
    /// For the recorder.
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    /// The plain one, which must be ticked so that a log is never silent for long.
    pub(crate) lines: Option<Lines<io::Stderr>>,
}
