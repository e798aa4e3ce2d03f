//! How deep a parser would have to go, told by the lexer alone.
//!
//! The parser behind the rules calls itself for each level, and some of what it checks afterwards takes the square of the
//! depth. A stack that runs out ends the process, so nothing is parsed that was not measured here before.

use squawk_lexer::{LiteralKind, TokenKind, tokenize};

/// Brackets inside each other, or `BEGIN` and `CASE`.
const NESTED: usize = 250;
/// Tokens between two commas, with those before each bracket around them: each may be a level of its own.
const IN_A_ROW: usize = 5_000;
/// Bytes of one statement. Its tree takes some hundred times as much.
const LARGEST: usize = 2 * 1024 * 1024;
/// Bodies of functions in bodies of functions.
const BODIES: usize = 3;

/// Why a statement is not read, in words.
pub(crate) fn measure(sql: &str) -> Result<(), String> {
    match sql.len() > LARGEST {
        true => Err(format!("more than {} MiB in one statement", LARGEST >> 20)),
        false => body(sql, BODIES),
    }
}

fn body(sql: &str, bodies: usize) -> Result<(), String> {
    let mut meter = Meter::default();
    for (kind, text) in tokens(sql) {
        meter.token(kind, text)?;
    }
    // What is quoted may be the body of a function then, which is read as well.
    if !meter.routine {
        return Ok(());
    }
    for (kind, text) in tokens(sql) {
        let TokenKind::Literal { kind } = kind else { continue };
        let inside = match kind {
            LiteralKind::DollarQuotedString { .. } => text.split_once('$').and_then(|(_, rest)| rest.split_once('$')),
            LiteralKind::Str { .. } | LiteralKind::NationalStr { .. } => text.split_once('\''),
            LiteralKind::EscStr { .. } | LiteralKind::UnicodeEscStr { .. } => {
                // Brackets may be written as numbers there.
                nested(text.matches('\\').count())?;
                text.split_once('\'')
            }
            _ => None,
        };
        if let Some((_, inside)) = inside.filter(|(_, inside)| inside.len() > NESTED) {
            let left = bodies.checked_sub(1).ok_or("functions in functions in functions")?;
            body(inside, left)?;
        }
    }
    Ok(())
}

fn tokens(sql: &str) -> impl Iterator<Item = (TokenKind, &str)> {
    let mut at = 0;
    tokenize(sql).map(move |token| {
        let from = at;
        at += token.len as usize;
        (token.kind, sql.get(from..at).unwrap_or_default())
    })
}

fn nested(depth: usize) -> Result<(), String> {
    match depth > NESTED {
        true => Err(format!("more than {NESTED} levels inside each other")),
        false => Ok(()),
    }
}

#[derive(Default)]
struct Meter {
    /// Tokens since the last comma: at the top, and inside each open bracket.
    rows: Vec<usize>,
    top: usize,
    in_a_row: usize,
    blocks: usize,
    routine: bool,
}

impl Meter {
    fn token(&mut self, kind: TokenKind, text: &str) -> Result<(), String> {
        match kind {
            TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment { .. } => return Ok(()),
            TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenCurly => {
                self.rows.push(0);
                nested(self.rows.len())?;
                self.in_a_row += 1;
                *self.row() += 1;
            }
            TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseCurly => {
                self.in_a_row -= self.rows.pop().unwrap_or_default();
                self.in_a_row += 1;
                *self.row() += 1;
            }
            TokenKind::Comma | TokenKind::Semi => {
                let row = std::mem::take(self.row());
                self.in_a_row -= row;
            }
            _ => {
                self.in_a_row += 1;
                *self.row() += 1;
            }
        }
        if kind == TokenKind::Ident {
            match text.len() {
                5 if text.eq_ignore_ascii_case("begin") => self.blocks += 1,
                4 if text.eq_ignore_ascii_case("case") => self.blocks += 1,
                3 if text.eq_ignore_ascii_case("end") => self.blocks = self.blocks.saturating_sub(1),
                8 if text.eq_ignore_ascii_case("function") => self.routine = true,
                9 if text.eq_ignore_ascii_case("procedure") => self.routine = true,
                _ => {}
            }
            nested(self.blocks)?;
        }
        match self.in_a_row > IN_A_ROW {
            true => Err(format!("more than {IN_A_ROW} words and signs without a comma")),
            false => Ok(()),
        }
    }

    fn row(&mut self) -> &mut usize {
        self.rows.last_mut().unwrap_or(&mut self.top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_measured_in_bodies_of_functions_too_and_width_is_free_db_5() {
        let deep = |open: &str, close: &str| format!("select {}1{}", open.repeat(300), close.repeat(300));
        for sql in [
            deep("(", ")"),
            deep("case when 1 then ", " end"),
            deep("array[", "]"),
            format!("select 1{}", "+1".repeat(6000)),
            format!("create function f() as $b$ {} $b$", deep("(", ")")),
            format!("create function f() as '{}'", deep("(", ")")),
            format!("create function f() as E'{}'", "\\x28".repeat(300)),
            format!("insert into t values (1){}", ", (1)".repeat(500_000)),
            format!("create procedure f() as $a$ create function g() as $b$ {} $b$ $a$", deep("(", ")")),
        ] {
            assert!(measure(&sql).is_err(), "{}", &sql[..60]);
        }
        for sql in [
            format!("insert into t values (1, 'a', -2){}", ", (1, 'it''s', -2)".repeat(90_000)),
            format!("select '{}'", "(".repeat(1000)),
            format!("do $$ begin {} end $$", "if true then perform f(1); end if; ".repeat(3000)),
            format!("create function f() as $$ begin {} end $$", "if true then perform f(1); end if; ".repeat(3000)),
        ] {
            assert_eq!(measure(&sql), Ok(()), "{}", &sql[..60]);
        }
    }
}
