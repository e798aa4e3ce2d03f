//! Where each statement of a file begins and ends, and what in the file is no SQL at all.
//!
//! As psql and gsql split: at a `;` outside brackets and bodies. Bodies without quotes are kept whole: `BEGIN ATOMIC … END`,
//! and what GaussDB takes from `AS` or `IS` to `END` or to a line that holds nothing but `/`. The lines after
//! `COPY … FROM STDIN` are data, up to `\.`; every other backslash outside quotes is a command of the client.

use std::ops::Range;

use squawk_lexer::{LiteralKind, TokenKind, tokenize};

use crate::Dialect;

/// Words that are kept of each statement.
const WORDS: usize = 16;

/// A file, taken apart. All ranges are bytes of its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// The statements, in order. Empty ones are left out.
    pub statements: Vec<Statement>,
    /// Commands of the client, such as `\i other.sql`, each to the end of its line.
    pub commands: Vec<Range<usize>>,
    /// Comments, in order.
    pub comments: Vec<Range<usize>>,
    /// What is begun and never ends; it swallows the rest of the file.
    pub open: Option<Open>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// From its first word to its last token, without what ends it.
    pub range: Range<usize>,
    /// Its first words in upper case, at most 16; a quoted name is an empty one.
    pub words: Vec<String>,
    /// How it is written.
    pub form: Form,
    /// It is `COPY … FROM STDIN`.
    pub from_stdin: bool,
}

/// How a statement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As SQL.
    Plain,
    /// A function or procedure whose body stands there without quotes, as GaussDB has it.
    Routine,
    /// A package of GaussDB.
    Package,
    /// A block without a name, as GaussDB runs it: `DECLARE … BEGIN … END`.
    Block,
}

/// Something that is begun and never ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Where it begins.
    pub at: usize,
    /// What it is: `a $tag$ without its end`.
    pub what: String,
}

/// Takes a file apart. Never fails: what cannot be told apart stays together.
pub fn split(text: &str, dialect: Dialect) -> Split {
    let mut splitter = Splitter { text, dialect, split: Split::default(), current: None, fresh_line: true };
    let (mut base, mut limit, mut then) = (0, text.len(), None);
    loop {
        let mut at = base;
        let mut jump = None;
        for token in tokenize(text.get(base..limit).unwrap_or_default()) {
            let range = at..at + token.len as usize;
            at = range.end;
            jump = splitter.token(token.kind, range);
            if jump.is_some() {
                break;
            }
        }
        match (jump, then.take()) {
            (Some(Jump::To(next)), after) => (base, then) = (next, after),
            // What follows on the line is read first, as psql does.
            (Some(Jump::Data { rest, after }), _) => {
                (base, limit, then) = (rest.start, rest.end, Some(after));
            }
            (None, Some(after)) => (base, limit) = (after, text.len()),
            (None, None) => break,
        }
    }
    splitter.end();
    splitter.split
}

/// Where to read on.
enum Jump {
    To(usize),
    Data { rest: Range<usize>, after: usize },
}

struct Splitter<'t> {
    text: &'t str,
    dialect: Dialect,
    split: Split,
    current: Option<Current>,
    /// Nothing but blanks was seen on this line yet.
    fresh_line: bool,
}

/// The statement that is being read.
struct Current {
    statement: Statement,
    brackets: usize,
    /// Depth of `BEGIN … END` and of `CASE … END` inside it.
    blocks: usize,
    /// A block was begun, so that the statement can end with it.
    begun: bool,
    last: Last,
}

/// The token before, where what follows decides what it means.
#[derive(PartialEq, Eq)]
enum Last {
    Other,
    From,
    /// `AS` or `IS` of a routine's head.
    As,
    End,
    /// `BEGIN` as the first word.
    Begin,
}

impl Splitter<'_> {
    fn token(&mut self, kind: TokenKind, range: Range<usize>) -> Option<Jump> {
        let fresh_line = std::mem::take(&mut self.fresh_line);
        match kind {
            TokenKind::Whitespace => self.fresh_line = fresh_line || self.slice(&range).contains('\n'),
            TokenKind::Eof => {}
            TokenKind::LineComment => self.split.comments.push(range),
            TokenKind::BlockComment { terminated } => {
                if !terminated {
                    self.open(range.start, "a comment without its end".to_owned());
                }
                self.split.comments.push(range);
            }
            TokenKind::Unknown if self.slice(&range) == "\\" => {
                let command = range.start..line_end(self.text, range.end);
                self.split.commands.push(command.clone());
                return Some(Jump::To(command.end));
            }
            TokenKind::Semi => return self.semicolon(range),
            TokenKind::Slash if fresh_line && self.ends_here(&range) => self.end(),
            TokenKind::Ident => self.word(range),
            TokenKind::QuotedIdent { terminated, .. } => {
                self.unless_closed(terminated, "\"", range.start);
                self.content(range, Some(""));
            }
            TokenKind::Literal { kind } => self.literal(kind, range),
            TokenKind::OpenParen => self.content(range, None).brackets += 1,
            TokenKind::CloseParen => {
                let current = self.content(range, None);
                current.brackets = current.brackets.saturating_sub(1);
            }
            _ => drop(self.content(range, None)),
        }
        None
    }

    fn slice(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    fn open(&mut self, at: usize, what: String) {
        self.split.open.get_or_insert(Open { at, what });
    }

    fn unless_closed(&mut self, terminated: bool, quote: &str, at: usize) {
        if !terminated {
            self.open(at, format!("a {quote} without its end"));
        }
    }

    fn literal(&mut self, kind: LiteralKind, range: Range<usize>) {
        use LiteralKind::{BitStr, ByteStr, DollarQuotedString, EscStr, NationalStr, Str, UnicodeEscStr};
        match kind {
            DollarQuotedString { terminated: false } => {
                let tag = self.slice(&range).split_inclusive('$').take(2).collect::<String>();
                self.open(range.start, format!("a {tag} without its end"));
            }
            Str { terminated }
            | NationalStr { terminated }
            | ByteStr { terminated }
            | BitStr { terminated }
            | UnicodeEscStr { terminated }
            | EscStr { terminated } => self.unless_closed(terminated, "'", range.start),
            _ => {}
        }
        self.content(range, None);
    }

    /// Any token of a statement; with its word where it has one.
    fn content(&mut self, range: Range<usize>, word: Option<&str>) -> &mut Current {
        let current = self.current.get_or_insert_with(|| Current {
            statement: Statement { range: range.clone(), words: Vec::new(), form: Form::Plain, from_stdin: false },
            brackets: 0,
            blocks: 0,
            begun: false,
            last: Last::Other,
        });
        current.statement.range.end = range.end;
        let last = current.settle(word);
        if let Some(word) = word {
            if current.statement.words.len() < WORDS {
                current.statement.words.push(word.to_owned());
            }
            current.announce(word, &last);
        }
        current
    }

    fn word(&mut self, range: Range<usize>) {
        let word = self.slice(&range).to_uppercase();
        let nameless = self.dialect == Dialect::Opengauss;
        let current = self.content(range, Some(&word));
        if nameless && current.statement.words.len() == 1 {
            match word.as_str() {
                "DECLARE" => current.statement.form = Form::Block,
                "BEGIN" => current.last = Last::Begin,
                _ => {}
            }
        }
    }

    fn semicolon(&mut self, range: Range<usize>) -> Option<Jump> {
        let current = self.current.as_mut()?;
        current.settle(None);
        if !current.may_end() {
            current.statement.range.end = range.end;
            return None;
        }
        let from_stdin = current.statement.from_stdin;
        self.end();
        if !from_stdin {
            return None;
        }
        let rest = range.end..line_end(self.text, range.end);
        let data = self.text.get(rest.end..).unwrap_or_default();
        let mut after = rest.end;
        for line in data.split_inclusive('\n') {
            after += line.len();
            if line.trim_end_matches(['\n', '\r']) == "\\." {
                break;
            }
        }
        Some(Jump::Data { rest, after })
    }

    /// Whether this `/`, the first on its line, is alone there and ends what is being read.
    fn ends_here(&self, range: &Range<usize>) -> bool {
        let rest = self.text.get(range.end..line_end(self.text, range.end)).unwrap_or_default();
        let ends = match &self.current {
            Some(current) => current.statement.form != Form::Plain,
            None => self.dialect == Dialect::Opengauss,
        };
        ends && rest.trim().is_empty()
    }

    fn end(&mut self) {
        self.split.statements.extend(self.current.take().map(|current| current.statement));
    }
}

impl Current {
    /// Settles what the token before means, now that the next is known; returns it. `word`: the next, where it is one.
    fn settle(&mut self, word: Option<&str>) -> Last {
        // `RETURN a IS NULL` is SQL, and the body of a function; what is quoted is no word, and needs no other end.
        const EXPRESSION: [&str; 8] = ["NULL", "NOT", "TRUE", "FALSE", "UNKNOWN", "DISTINCT", "OF", "JSON"];
        const OF_A_LOOP: [&str; 4] = ["IF", "LOOP", "WHILE", "REPEAT"];
        let last = std::mem::replace(&mut self.last, Last::Other);
        match (&last, word) {
            (Last::As, Some(word)) if !word.is_empty() && !EXPRESSION.contains(&word) => {
                self.statement.form = Form::Routine;
            }
            (Last::End, word) if !word.is_some_and(|word| OF_A_LOOP.contains(&word)) => {
                self.blocks = self.blocks.saturating_sub(1);
            }
            (Last::Begin, Some(word)) if !TRANSACTION.contains(&word) => {
                self.statement.form = Form::Block;
                (self.blocks, self.begun) = (1, true);
            }
            (Last::From, Some("STDIN")) => {
                self.statement.from_stdin = self.statement.words.first().is_some_and(|first| first == "COPY");
            }
            _ => {}
        }
        last
    }

    /// Takes note of a word that opens, ends or announces something. `last`: the word before, where it matters.
    fn announce(&mut self, word: &str, last: &Last) {
        let Statement { words, form, .. } = &self.statement;
        if self.brackets > 0 {
            return;
        }
        let creates = |what: &[&str], within: usize| {
            words.first().is_some_and(|first| first == "CREATE")
                && words.iter().take(within).any(|word| what.contains(&word.as_str()))
        };
        let routine = creates(&["FUNCTION", "PROCEDURE"], 5);
        let body = *form != Form::Plain;
        match word {
            "PACKAGE" if words.len() <= 4 && creates(&["PACKAGE"], 4) => self.statement.form = Form::Package,
            "BEGIN" if routine || body => (self.blocks, self.begun) = (self.blocks + 1, true),
            "CASE" if self.blocks > 0 && *last != Last::End => self.blocks += 1,
            "END" if routine || body => self.last = Last::End,
            "AS" | "IS" if routine && !body && self.blocks == 0 => self.last = Last::As,
            "FROM" => self.last = Last::From,
            _ => {}
        }
    }

    /// Whether a `;` here ends the statement.
    fn may_end(&self) -> bool {
        match self.statement.form {
            Form::Package => false,
            Form::Plain => self.brackets == 0 && self.blocks == 0,
            Form::Block if self.is_cursor() => true,
            Form::Routine | Form::Block => self.begun && self.blocks == 0,
        }
    }

    /// `DECLARE name … CURSOR`, which is SQL.
    fn is_cursor(&self) -> bool {
        const CURSOR: [&str; 6] = ["CURSOR", "BINARY", "ASENSITIVE", "INSENSITIVE", "SCROLL", "NO"];
        !self.begun && self.statement.words.get(2).is_some_and(|word| CURSOR.contains(&word.as_str()))
    }
}

/// What may follow `BEGIN` where it begins a transaction.
const TRANSACTION: [&str; 6] = ["TRANSACTION", "WORK", "ISOLATION", "READ", "NOT", "DEFERRABLE"];

fn line_end(text: &str, from: usize) -> usize {
    text.get(from..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| from + at)
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
