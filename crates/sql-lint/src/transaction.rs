//! What its first words alone say of a statement: whether it can be part of the one transaction that a migration is, and if
//! not, whether it can be run by itself and be known to have been run.

use squawk_lexer::{TokenKind, tokenize};

use crate::{Dialect, Form, Rule, Statement, rules};

/// How it is known of a statement that runs outside any transaction whether it has run, when its end was not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alone {
    /// `CREATE INDEX CONCURRENTLY`: the index is there and valid. What broke off leaves one that is not.
    Index {
        /// Its name, as written.
        name: String,
        /// Its table, as written.
        table: String,
    },
    /// It does no harm to run it again: VACUUM, `REINDEX … CONCURRENTLY`, `DROP INDEX CONCURRENTLY IF EXISTS`; of openGauss
    /// also `ALTER TYPE … ADD VALUE IF NOT EXISTS`.
    Again,
}

/// How this statement of `text` is run by itself; `None`: it is part of a transaction, or cannot be run at all
/// ([`transaction_rule`]).
pub fn alone(statement: &Statement, text: &str, dialect: Dialect) -> Option<Alone> {
    if statement.form != Form::Plain {
        return None;
    }
    let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
    let has = |word: &str| words.contains(&word);
    match words.as_slice() {
        ["VACUUM", ..] if !has("FULL") => Some(Alone::Again),
        ["REINDEX", "INDEX" | "TABLE", "CONCURRENTLY", ..] => Some(Alone::Again),
        ["DROP", "INDEX", "CONCURRENTLY", "IF", "EXISTS", ..] => Some(Alone::Again),
        ["CREATE", "INDEX", "CONCURRENTLY", ..] | ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", ..] => {
            index(text.get(statement.range.clone())?)
        }
        ["ALTER", "TYPE", ..] if dialect == Dialect::Opengauss => {
            let again = words.windows(5).any(|part| part == ["ADD", "VALUE", "IF", "NOT", "EXISTS"]);
            again.then_some(Alone::Again)
        }
        _ => None,
    }
}

/// Name and table of `CREATE [UNIQUE] INDEX CONCURRENTLY [IF NOT EXISTS] name ON [ONLY] table`. Without a name nobody could
/// tell which index it was.
fn index(text: &str) -> Option<Alone> {
    let mut at = 0;
    let tokens: Vec<(TokenKind, &str)> = tokenize(text)
        .filter_map(|token| {
            let range = at..at + token.len as usize;
            at = range.end;
            let blank =
                matches!(token.kind, TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment { .. });
            (!blank).then(|| text.get(range).map(|word| (token.kind, word))).flatten()
        })
        .collect();
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|(_, found)| found.eq_ignore_ascii_case(word));
    let named = |at: usize| match tokens.get(at) {
        Some((TokenKind::Ident | TokenKind::QuotedIdent { terminated: true, .. }, name)) => Some(*name),
        _ => None,
    };
    let mut at = tokens.iter().position(|(_, word)| word.eq_ignore_ascii_case("CONCURRENTLY"))? + 1;
    if is(at, "IF") {
        at += 3;
    }
    let name = named(at).filter(|name| !name.eq_ignore_ascii_case("ON"))?;
    if !is(at + 1, "ON") {
        return None;
    }
    at += if is(at + 2, "ONLY") { 3 } else { 2 };
    let mut table = named(at)?.to_owned();
    while is(at + 1, ".") {
        table = format!("{table}.{}", named(at + 2)?);
        at += 2;
    }
    Some(Alone::Index { name: name.to_owned(), table })
}

/// The rule that such a statement of `text` breaks, for the whole of it.
///
/// Sources: PostgreSQL's `PreventInTransactionBlock`, and of openGauss what its manual says of each statement.
pub fn transaction_rule(statement: &Statement, text: &str, dialect: Dialect) -> Option<&'static Rule> {
    let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
    let concurrently = || words.iter().take(12).any(|word| *word == "CONCURRENTLY");
    let has = |what: &[&str]| words.windows(what.len()).any(|part| part == what);
    let opengauss = dialect == Dialect::Opengauss;
    let outside = match words.as_slice() {
        _ if statement.form == Form::Block => return None,
        ["ROLLBACK", rest @ ..] if rest.contains(&"TO") => return None,
        ["BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "ABORT", ..] | ["START" | "PREPARE", "TRANSACTION", ..] => {
            return Some(&rules::TRANSACTION_CONTROL);
        }
        _ if statement.from_stdin => return Some(&rules::COPY_FROM_STDIN),
        ["REFRESH", ..] => false,
        ["VACUUM", ..]
        | ["CLUSTER"]
        | ["ALTER", "SYSTEM", ..]
        | ["DISCARD", "ALL"]
        | ["CREATE" | "DROP", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION", ..]
        | ["REINDEX", "DATABASE" | "SYSTEM" | "SCHEMA", ..] => true,
        ["ALTER", "DATABASE", ..] => has(&["SET", "TABLESPACE"]),
        // Since version 12 PostgreSQL lets a value in, as long as nothing uses it.
        ["ALTER", "TYPE", ..] if opengauss => has(&["ADD", "VALUE"]),
        ["ALTER", "TABLE", ..] if opengauss && has(&["MERGE", "PARTITIONS"]) => true,
        ["CREATE" | "DROP" | "REINDEX" | "ALTER", ..] => concurrently(),
        _ => false,
    };
    (outside && alone(statement, text, dialect).is_none()).then_some(&rules::OUTSIDE_TRANSACTION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split;

    fn how(text: &str, dialect: Dialect) -> (Option<Alone>, Option<&'static str>) {
        let statement = split(text, dialect).statements.remove(0);
        (alone(&statement, text, dialect), transaction_rule(&statement, text, dialect).map(|rule| rule.id))
    }

    #[test]
    fn what_no_transaction_takes_runs_by_itself_when_its_end_can_be_told_db_4() {
        let index = |name: &str, table: &str| Some(Alone::Index { name: name.to_owned(), table: table.to_owned() });
        for (text, expected) in [
            ("create index concurrently i on t (a)", index("i", "t")),
            (
                "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"I x\" ON ONLY s . \"T\" (a)",
                index("\"I x\"", "s.\"T\""),
            ),
            ("create /* \" */ index concurrently -- on\n i on a.b.c using gin (d)", index("i", "a.b.c")),
            ("vacuum (analyze) t", Some(Alone::Again)),
            ("reindex table concurrently t", Some(Alone::Again)),
            ("drop index concurrently if exists i", Some(Alone::Again)),
        ] {
            assert_eq!(how(text, Dialect::Postgresql), (expected, None), "{text}");
        }
        let value = "alter type color add value if not exists 'red'";
        assert_eq!(how(value, Dialect::Opengauss), (Some(Alone::Again), None));
        assert_eq!(how(value, Dialect::Postgresql), (None, None));
        for text in [
            "create index concurrently on t (a)",
            "drop index concurrently i",
            "vacuum full t",
            "alter table t detach partition p concurrently",
            "create database x",
        ] {
            assert_eq!(how(text, Dialect::Postgresql), (None, Some("outside-transaction")), "{text}");
        }
        assert_eq!(how("alter type color add value 'red'", Dialect::Opengauss), (None, Some("outside-transaction")));
        assert_eq!(how("create index i on t (a)", Dialect::Postgresql), (None, None));
    }
}
