//! What its first words alone say of a statement: whether it can be part of the one transaction that a migration is.

use crate::{Dialect, Form, Rule, Statement, rules};

/// The rule that such a statement breaks, for the whole of it.
///
/// Sources: PostgreSQL's `PreventInTransactionBlock`, and of openGauss what its manual says of each statement.
pub fn transaction_rule(statement: &Statement, dialect: Dialect) -> Option<&'static Rule> {
    let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
    let concurrently = || words.iter().take(12).any(|word| *word == "CONCURRENTLY");
    let has = |what: &[&str]| words.windows(what.len()).any(|part| part == what);
    match words.as_slice() {
        _ if statement.form == Form::Block => None,
        ["ROLLBACK", rest @ ..] if rest.contains(&"TO") => None,
        ["BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "ABORT", ..] | ["START" | "PREPARE", "TRANSACTION", ..] => {
            Some(&rules::TRANSACTION_CONTROL)
        }
        _ if statement.from_stdin => Some(&rules::COPY_FROM_STDIN),
        ["REFRESH", ..] => None,
        ["VACUUM", ..]
        | ["CLUSTER"]
        | ["ALTER", "SYSTEM", ..]
        | ["DISCARD", "ALL"]
        | ["CREATE" | "DROP", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION", ..]
        | ["REINDEX", "DATABASE" | "SYSTEM" | "SCHEMA", ..] => Some(&rules::OUTSIDE_TRANSACTION),
        ["ALTER", "DATABASE", ..] if has(&["SET", "TABLESPACE"]) => Some(&rules::OUTSIDE_TRANSACTION),
        ["CREATE" | "DROP" | "REINDEX" | "ALTER", ..] if concurrently() => Some(&rules::OUTSIDE_TRANSACTION),
        // Since version 12 PostgreSQL lets it in, as long as nothing uses the value.
        ["ALTER", "TYPE", ..] if dialect == Dialect::Opengauss && has(&["ADD", "VALUE"]) => {
            Some(&rules::OUTSIDE_TRANSACTION)
        }
        ["ALTER", "TABLE", ..] if dialect == Dialect::Opengauss && has(&["MERGE", "PARTITIONS"]) => {
            Some(&rules::OUTSIDE_TRANSACTION)
        }
        _ => None,
    }
}
