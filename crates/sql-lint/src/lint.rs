//! From texts to a report.

use std::thread;

use crate::{
    Dialect, FileReport, Finding, Phase, Report, Statement, Table, Verdict, alone,
    place::Lines,
    read::{Found, Read, Reader, overlap},
    report, rules, split,
    tables::{self, Size},
    waiver::{Waiver, waivers},
};

/// One file.
#[derive(Debug, Clone, Copy)]
pub struct Source<'t> {
    /// Its name, for people.
    pub name: &'t str,
    /// All of it.
    pub text: &'t str,
    /// When it runs.
    pub phase: Phase,
}

/// What it is held against.
#[derive(Debug, Clone, Copy)]
pub struct Against<'t> {
    /// Which server it is for.
    pub dialect: Dialect,
    /// How large the tables are, where that is known: all tables of the database, or none.
    pub tables: &'t [Table],
}

impl From<Dialect> for Against<'_> {
    fn from(dialect: Dialect) -> Self {
        Self { dialect, tables: &[] }
    }
}

/// The stack that the parser gets, in bytes. It takes less than a tenth of that for the deepest statement that it is given;
/// what is not used is never there.
const STACK: usize = 128 * 1024 * 1024;

/// Reads all of it and says what is dangerous.
pub fn lint<'t>(sources: &[Source<'_>], against: impl Into<Against<'t>>) -> Report {
    let against = against.into();
    let all =
        |parses: bool| -> Vec<FileReport> { sources.iter().map(|source| file(source, against, parses)).collect() };
    let files = thread::scope(|scope| {
        let reading = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || all(true));
        reading.ok().and_then(|reading| reading.join().ok())
    });
    // Without such a stack, what words alone tell is still told, and the rest is for a person to read.
    Report { dialect: against.dialect, files: files.unwrap_or_else(|| all(false)) }
}

fn file(source: &Source<'_>, against: Against<'_>, parses: bool) -> FileReport {
    let Source { name, text, phase } = *source;
    let split = split(text, against.dialect);
    let lines = Lines::new(text);
    let mut waivers = waivers(text, &split);
    let mut reader = Reader::new(text, &split, against.dialect, parses);
    let mut findings = Vec::new();
    let mut add = |found: Found, statement: Option<usize>, detail: Option<String>, waivers: &mut [Waiver]| {
        let Found { rule, range, table } = found;
        let sized = table.filter(|_| rule.sized);
        let sized = sized.and_then(|table| Some((table.clone(), tables::bytes(against.tables, &table)?)));
        let verdict = match (rule.verdict(phase), sized.as_ref().map(|(_, bytes)| tables::size(*bytes))) {
            (Verdict::Safe, _) => return,
            (_, Some(Size::Small)) => Verdict::Safe,
            (_, Some(Size::Large)) => Verdict::Unsafe,
            (verdict, _) => verdict,
        };
        let waived = statement.and_then(|number| waivers.iter_mut().find_map(|waiver| waiver.take(number, rule)));
        let verdict = if waived.is_some() { Verdict::Safe } else { verdict };
        let place = lines.place(&range);
        findings.push(Finding { rule, verdict, statement, range, place, detail, waived, sized });
    };
    let runs_alone = |statement: &Statement| alone(statement, text, against.dialect).is_some();
    let mixed = split.statements.iter().any(runs_alone) && !split.statements.iter().all(runs_alone);
    for (number, statement) in split.statements.iter().enumerate() {
        let Read { mut found, mut detail } = reader.read(statement);
        if runs_alone(statement) {
            let rule = match phase {
                Phase::Down => Some(&rules::OUTSIDE_TRANSACTION),
                _ => mixed.then_some(&rules::HALF_WAY),
            };
            found.extend(rule.map(|rule| Found::new(rule, statement.range.clone())));
        }
        for found in found {
            let detail = detail.take_if(|(rule, _)| *rule == found.rule.id).map(|(_, detail)| detail);
            add(found, Some(number), detail, &mut waivers);
        }
    }
    // What lies in no statement counts as one.
    let mut count = split.statements.len();
    let mut number_of = |at: usize| {
        let next = split.statements.partition_point(|statement| statement.range.end <= at);
        let inside = split.statements.get(next).is_some_and(|statement| statement.range.contains(&at));
        if !inside {
            count += 1;
        }
        if inside { next } else { count - 1 }
    };
    for command in &split.commands {
        let word = text.get(command.clone()).unwrap_or_default().split_whitespace().next().unwrap_or_default();
        let found = Found::new(&rules::CLIENT_COMMAND, command.clone());
        add(found, Some(number_of(command.start)), Some(quoted(word)), &mut waivers);
    }
    if let Some(open) = &split.open {
        let end = text.get(open.at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| open.at + at);
        let found = Found::new(&rules::UNTERMINATED, open.at..end);
        add(found, Some(number_of(open.at)), Some(open.what.clone()), &mut waivers);
    }
    let problems: Vec<_> = waivers
        .iter()
        .flat_map(|waiver| waiver.problems().into_iter().map(|problem| (waiver.range.clone(), problem)))
        .collect();
    for (range, (rule, detail)) in problems {
        add(Found::new(rule, range), None, detail.map(|word| quoted(&word)), &mut []);
    }
    leave_out_the_harmless_half(&mut findings);
    report::file(name, phase, count, findings)
}

/// That a constraint holds for the old version's rows is said by what is worse at the same place, where that holds.
fn leave_out_the_harmless_half(findings: &mut Vec<Finding>) {
    let worse = [rules::CONSTRAINT_AT_ONCE.id, rules::UNIQUE_AT_ONCE.id, rules::INDEX_NOT_CONCURRENT.id];
    let said = |finding: &&Finding| {
        worse.contains(&finding.rule.id) && (finding.verdict == Verdict::Unsafe || finding.waived.is_some())
    };
    let said: Vec<_> = findings.iter().filter(said).map(|finding| finding.range.clone()).collect();
    findings.retain(|finding| {
        // The first that ends behind it; findings are in order, and so are these.
        let next = said.partition_point(|range| range.end < finding.range.start);
        let same = said.get(next).is_some_and(|range| overlap(range, &finding.range));
        !(same && finding.rule.id == rules::CONSTRAINT_ON_OLD_WRITES.id)
    });
}

/// A word of the file, for people: what could move their cursor is left out, and so is what is long.
fn quoted(word: &str) -> String {
    let plain: String = word.chars().filter(|c| !c.is_control()).take(20).collect();
    format!("`{plain}`")
}
