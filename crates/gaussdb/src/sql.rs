//! What of a migration cannot run as one transaction. Pure.
//!
//! Not a parser: it knows quotes, comments, brackets and the words at the start of a statement, which is what it takes
//! to find the statements' ends and not to be fooled by text inside a string.

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

const META: &str = "a command of psql is not SQL, and could end the transaction or read files";
const INPUT: &str = "its data would come from the connection that carries the migration";
const CONTROL: &str = "each migration is one transaction, together with its row of history";
const OUTSIDE: &str = "it cannot run inside a transaction";
const OPEN: &str = "what follows would be swallowed";

/// Everything in this text that is refused.
pub(crate) fn refuse(sql: &str) -> Vec<Refusal> {
    let mut scanner = Scanner {
        chars: sql.chars().collect(),
        at: 0,
        line: 1,
        words: Vec::new(),
        first_line: 1,
        brackets: 0,
        bodies: 0,
        refusals: Vec::new(),
    };
    scanner.run();
    scanner.refusals
}

struct Scanner {
    chars: Vec<char>,
    at: usize,
    line: usize,
    /// The words of the statement so far, in upper case.
    words: Vec<String>,
    first_line: usize,
    brackets: usize,
    /// Depth of `BEGIN ATOMIC … END` and of `CASE … END` inside it.
    bodies: usize,
    refusals: Vec<Refusal>,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

impl Scanner {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn refuse(&mut self, line: usize, found: impl Into<String>, why: &'static str) {
        self.refusals.push(Refusal { line, found: found.into(), why });
    }

    fn run(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '-' if self.peek(0) == Some('-') => while self.next().is_some_and(|c| c != '\n') {},
                '/' if self.peek(0) == Some('*') => self.block_comment(),
                '\'' => self.quoted('\'', false),
                '"' => {
                    self.word_starts(String::new());
                    self.quoted('"', false);
                }
                '$' => self.dollar(),
                '\\' => {
                    let rest: String = self.chars[self.at..].iter().take_while(|c| !c.is_whitespace()).collect();
                    self.refuse(self.line, format!("\\{rest}"), META);
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                '(' | '[' => self.brackets += 1,
                ')' | ']' => self.brackets = self.brackets.saturating_sub(1),
                ';' if self.brackets == 0 && self.bodies == 0 => self.statement(),
                c if is_word(c) => self.word(c),
                _ => {}
            }
        }
        self.statement();
    }

    fn block_comment(&mut self) {
        let began = self.line;
        let mut depth = 1;
        self.at += 1;
        while depth > 0 {
            match (self.next(), self.peek(0)) {
                (Some('/'), Some('*')) => {
                    self.at += 1;
                    depth += 1;
                }
                (Some('*'), Some('/')) => {
                    self.at += 1;
                    depth -= 1;
                }
                (Some(_), _) => {}
                (None, _) => return self.refuse(began, "a comment without its end", OPEN),
            }
        }
    }

    /// After the opening quote. A doubled quote closes and opens again, which comes to the same.
    fn quoted(&mut self, quote: char, escapes: bool) {
        let began = self.line;
        loop {
            match self.next() {
                Some('\\') if escapes => drop(self.next()),
                Some(c) if c == quote && escapes && self.peek(0) == Some(quote) => self.at += 1,
                Some(c) if c == quote => return,
                Some(_) => {}
                None => return self.refuse(began, format!("a {quote} without its end"), OPEN),
            }
        }
    }

    /// After a `$` that does not belong to a word: `$tag$ … $tag$`, or a parameter such as `$1`.
    fn dollar(&mut self) {
        let tag: Vec<char> = self.chars[self.at..].iter().copied().take_while(|c| is_word(*c) && *c != '$').collect();
        let opens = self.peek(tag.len()) == Some('$') && !tag.first().is_some_and(char::is_ascii_digit);
        if !opens {
            return;
        }
        let began = self.line;
        let mark: Vec<char> = [&['$'], tag.as_slice(), &['$']].concat();
        self.at += tag.len() + 1;
        while !self.chars[self.at..].starts_with(&mark) {
            if self.next().is_none() {
                return self.refuse(began, format!("a {} without its end", mark.iter().collect::<String>()), OPEN);
            }
        }
        self.at += mark.len();
    }

    fn word(&mut self, first: char) {
        let mut word = String::from(first);
        while let Some(c) = self.peek(0).filter(|c| is_word(*c)) {
            word.push(c);
            self.at += 1;
        }
        if word.eq_ignore_ascii_case("e") && self.peek(0) == Some('\'') {
            self.at += 1;
            return self.quoted('\'', true);
        }
        let word = word.to_uppercase();
        if self.in_routine() {
            match word.as_str() {
                "BEGIN" => self.bodies += 1,
                "CASE" if self.bodies > 0 => self.bodies += 1,
                "END" => self.bodies = self.bodies.saturating_sub(1),
                _ => {}
            }
        }
        self.word_starts(word);
    }

    fn word_starts(&mut self, word: String) {
        if self.words.is_empty() {
            self.first_line = self.line;
        }
        self.words.push(word);
    }

    /// Inside `CREATE [OR REPLACE] FUNCTION | PROCEDURE`, where a body may hold statements.
    fn in_routine(&self) -> bool {
        let kind = |word: &String| word == "FUNCTION" || word == "PROCEDURE";
        self.words.first().is_some_and(|word| word == "CREATE") && self.words.iter().take(4).any(kind)
    }

    /// At the end of a statement.
    fn statement(&mut self) {
        self.bodies = 0;
        let words = std::mem::take(&mut self.words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Some(why) = judge(&words) {
            let shown = words.iter().take(4).copied().collect::<Vec<_>>().join(" ");
            self.refuse(self.first_line, shown, why);
        }
    }
}

fn judge(words: &[&str]) -> Option<&'static str> {
    match words {
        ["ROLLBACK", rest @ ..] if rest.contains(&"TO") => None,
        ["BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "ABORT", ..] | ["START" | "PREPARE", "TRANSACTION", ..] => {
            Some(CONTROL)
        }
        ["COPY", ..] if words.windows(2).any(|pair| pair == ["FROM", "STDIN"]) => Some(INPUT),
        ["REFRESH", ..] => None,
        ["VACUUM", ..]
        | ["CLUSTER"]
        | ["ALTER", "SYSTEM", ..]
        | ["CREATE" | "DROP", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION", ..]
        | ["REINDEX", "DATABASE" | "SYSTEM" | "SCHEMA", ..] => Some(OUTSIDE),
        ["CREATE" | "DROP" | "REINDEX" | "ALTER", ..] if words.iter().take(12).any(|w| *w == "CONCURRENTLY") => {
            Some(OUTSIDE)
        }
        _ => None,
    }
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
