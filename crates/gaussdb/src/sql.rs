//! How a migration's file is run: what of it cannot be, and where its statements begin. Pure.

use sql_lint::{Alone, Dialect, Form, Statement, alone, split, transaction_rule};

/// One thing in a migration that this version does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Line in the file, from 1.
    pub(crate) line: usize,
    /// What was found there.
    pub(crate) found: String,
    /// Why it is refused.
    pub(crate) why: &'static str,
}

/// One statement of a file that cannot be one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part<'s> {
    /// Line in the file at which it begins, from 1.
    pub(crate) line: usize,
    /// The statement, without what ends it.
    pub(crate) sql: &'s str,
    /// What ends it.
    pub(crate) end: &'static str,
    /// How it is run where it cannot be in a transaction.
    pub(crate) alone: Option<Alone>,
}

/// Everything in this text that is refused, in its order.
pub(crate) fn refuse(sql: &str, dialect: Dialect) -> Vec<Refusal> {
    let parts = split(sql, dialect);
    let mut refused: Vec<(usize, String, &'static str)> = Vec::new();
    for statement in &parts.statements {
        if let Some(rule) = transaction_rule(statement, sql, dialect) {
            refused.push((statement.range.start, shown(statement), rule.about));
        }
    }
    for command in &parts.commands {
        let word = sql[command.clone()].split_whitespace().next().unwrap_or_default();
        refused.push((
            command.start,
            word.to_owned(),
            "a command of psql is not SQL, and could end the transaction or read files",
        ));
    }
    refused.extend(parts.open.map(|open| (open.at, open.what, "what follows would be swallowed")));
    refused.sort_by_key(|(at, ..)| *at);
    refused.into_iter().map(|(at, found, why)| Refusal { line: line(sql, at), found, why }).collect()
}

/// The same of a file that must be one transaction.
pub(crate) fn refuse_unless_whole(sql: &str, dialect: Dialect) -> Vec<Refusal> {
    let mut refused = refuse(sql, dialect);
    refused.extend(split(sql, dialect).statements.iter().filter(|it| alone(it, sql, dialect).is_some()).map(|it| {
        let why = "it cannot run inside a transaction, and what leads back is always one";
        Refusal { line: line(sql, it.range.start), found: shown(it), why }
    }));
    refused.sort_by_key(|refusal| refusal.line);
    refused
}

fn shown(statement: &Statement) -> String {
    statement.words.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn line(sql: &str, at: usize) -> usize {
    sql[..at].matches('\n').count() + 1
}

/// The statements of a file that cannot be one transaction; `None`: it can.
pub(crate) fn apart(sql: &str, dialect: Dialect) -> Option<Vec<Part<'_>>> {
    let parts: Vec<Part<'_>> = split(sql, dialect)
        .statements
        .into_iter()
        .map(|statement| Part {
            line: line(sql, statement.range.start),
            alone: alone(&statement, sql, dialect),
            // gsql ends what has no quotes around its body there.
            end: if dialect == Dialect::Opengauss && statement.form != Form::Plain { "\n/\n" } else { ";\n" },
            sql: sql.get(statement.range).unwrap_or_default(),
        })
        .collect();
    parts.iter().any(|part| part.alone.is_some()).then_some(parts)
}

/// The file with `more` before every statement but the first, on the same line. A file that changes its role by itself is
/// left as it is.
pub(crate) fn between(sql: &str, dialect: Dialect, more: &str) -> String {
    let parts = split(sql, dialect);
    let role = |statement: &Statement| match statement.words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["SET" | "RESET", rest @ ..] => rest.iter().take(2).any(|word| ["ROLE", "AUTHORIZATION", "ALL"].contains(word)),
        _ => false,
    };
    if parts.statements.iter().any(role) {
        return sql.to_owned();
    }
    let mut text = String::with_capacity(sql.len());
    let mut at = 0;
    for statement in parts.statements.iter().skip(1) {
        text.push_str(sql.get(at..statement.range.start).unwrap_or_default());
        text.push_str(more);
        at = statement.range.start;
    }
    text.push_str(sql.get(at..).unwrap_or_default());
    text
}

/// A name as the server keeps it.
pub(crate) fn folded(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
