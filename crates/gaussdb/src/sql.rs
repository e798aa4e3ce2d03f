//! What of a migration cannot run as one transaction. Pure.

use sql_lint::{Dialect, split, transaction_rule};

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

/// Everything in this text that is refused, in its order.
pub(crate) fn refuse(sql: &str) -> Vec<Refusal> {
    let dialect = Dialect::Postgresql;
    let parts = split(sql, dialect);
    let mut refused: Vec<(usize, String, &'static str)> = Vec::new();
    for statement in &parts.statements {
        if let Some(rule) = transaction_rule(statement, dialect) {
            let shown = statement.words.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(" ");
            refused.push((statement.range.start, shown, rule.about));
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
    let line = |at: usize| sql[..at].matches('\n').count() + 1;
    refused.into_iter().map(|(at, found, why)| Refusal { line: line(at), found, why }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sql: &str) -> Vec<(usize, String)> {
        refuse(sql).into_iter().map(|refusal| (refusal.line, refusal.found)).collect()
    }

    #[test]
    fn an_ordinary_migration_is_let_through_db_4() {
        for sql in [
            "",
            ";;",
            "alter table orders add column note text not null default '';\ncreate index orders_note on orders (note);",
            "select 1; savepoint a; rollback to savepoint a; release savepoint a",
            "update a set b = E'it\\'s \\\\', c = 'C:\\dir', d = e'x''\\n' where f = \"we\"\"ird\\\";",
            "do $$ begin perform 1; if true then raise notice '\\o'; end if; end $$;",
            "create function f() returns int language sql as $body$ select $1; $$ vacuum; $body$;",
            "create or replace function f(a int) returns int begin atomic select case a when 1 then 2 end; select 3; end;",
            "create rule r as on insert to t do also (insert into a values (1); delete from b);",
            "/* vacuum; /* \\q */ commit; */ select 1 -- begin; \\q\n",
            "refresh materialized view concurrently v; copy t from '/srv/x'; comment on table t is 'commit; vacuum';",
            "insert into t values ($1, a$b$, 'x')",
        ] {
            assert_eq!(found(sql), [], "{sql}");
        }
    }

    #[test]
    fn what_would_leave_the_transaction_is_refused_with_its_line_db_5() {
        let cases: [(&str, usize, &str); 12] = [
            ("select 1;\n\\i other.sql", 2, "\\i"),
            ("select 1 \\gexec", 1, "\\gexec"),
            ("copy t (a, b) from stdin;", 1, "COPY T A B"),
            ("-- first\n\nCREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", 3, "CREATE UNIQUE INDEX CONCURRENTLY"),
            ("drop index concurrently i;", 1, "DROP INDEX CONCURRENTLY I"),
            ("select 1;\nvacuum analyze t;", 2, "VACUUM ANALYZE T"),
            ("select '1''; commit'; commit;", 1, "COMMIT"),
            ("create function f() returns int language sql as $$select 1$$; end;", 1, "END"),
            ("alter system set fsync = off", 1, "ALTER SYSTEM SET FSYNC"),
            ("start transaction", 1, "START TRANSACTION"),
            ("select $x$ $y$;\nselect 1", 1, "a $x$ without its end"),
            ("select 1;\n/* open", 2, "a comment without its end"),
        ];
        for (sql, line, what) in cases {
            assert_eq!(found(sql), [(line, what.to_owned())], "{sql}");
        }
        assert_eq!(found("select 'open")[0].1, "a ' without its end");
    }
}
