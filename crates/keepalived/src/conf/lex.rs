//! From text to statements, by the rules keepalived reads with.
//!
//! A comment starts at `#` or `!` outside double quotes and ends with the line; `\#` starts none. `${NAME}` is one piece.
//! A keyword is the first word of a line, after `{` or `}`, or after `@condition`. The brace of a block stands on the
//! keyword's line or on the next.

use std::str::FromStr;

use super::Refused;

/// A keyword, what follows it on its line, and its block.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    pub(super) words: Vec<String>,
    pub(super) line: usize,
    /// Holds only for some `config-id`.
    pub(super) conditional: bool,
    pub(super) block: Option<Block>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) open: usize,
    pub(super) close: usize,
    pub(super) statements: Vec<Statement>,
}

impl Statement {
    pub(super) fn keyword(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The first argument as a number, where it is a plain one.
    pub(super) fn number<N: FromStr>(&self) -> Option<N> {
        self.words.get(1)?.parse().ok()
    }

    /// The first argument, in seconds with a fraction, as milliseconds.
    pub(super) fn millis(&self) -> Option<u64> {
        let seconds: f64 = self.number().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)?;
        Some((seconds * 1000.0).round() as u64)
    }

    /// `$NAME=…`; its text may turn up anywhere.
    fn is_definition(&self) -> bool {
        self.keyword().starts_with('$') && self.keyword().contains('=')
    }
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Open(usize),
    Close(usize),
    Newline,
}

/// Reads all statements of the top level, with what is inside them.
pub(super) fn statements(text: &str) -> Result<Vec<Statement>, Refused> {
    let mut levels: Vec<Vec<Statement>> = vec![Vec::new()];
    let mut owners: Vec<(Statement, usize)> = Vec::new();
    let mut current: Option<Statement> = None;
    let mut last_line = 1;
    for (token, line) in tokens(text)? {
        last_line = line;
        let unbalanced = || Refused::Unbalanced { line };
        let level = levels.last_mut().ok_or_else(unbalanced)?;
        match token {
            Token::Word(word) => {
                let empty = || Statement { words: Vec::new(), line, conditional: false, block: None };
                let statement = current.get_or_insert_with(empty);
                if statement.words.is_empty() && word.starts_with('@') {
                    statement.conditional = true;
                } else {
                    statement.words.push(word);
                }
            }
            Token::Newline => level.extend(current.take()),
            Token::Open(open) => {
                let owner = current.take().or_else(|| level.pop()).ok_or_else(unbalanced)?;
                if owner.is_definition() {
                    return Err(Refused::Definition { line });
                }
                if owner.block.is_some() || owner.words.is_empty() {
                    return Err(unbalanced());
                }
                owners.push((owner, open));
                levels.push(Vec::new());
            }
            Token::Close(close) => {
                if current.as_ref().is_some_and(Statement::is_definition) {
                    return Err(Refused::Definition { line });
                }
                level.extend(current.take());
                let (mut owner, open) = owners.pop().ok_or_else(unbalanced)?;
                let statements = levels.pop().ok_or_else(unbalanced)?;
                owner.block = Some(Block { open, close, statements });
                levels.last_mut().ok_or_else(unbalanced)?.push(owner);
            }
        }
    }
    let mut top = levels.pop().unwrap_or_default();
    top.extend(current);
    if owners.is_empty() { Ok(top) } else { Err(Refused::Unbalanced { line: last_line }) }
}

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Refused> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut line, mut apostrophes) = (0, 1, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\n' => {
                found.push((Token::Newline, line));
                (line, apostrophes) = (line + 1, 0);
                at += 1;
            }
            b'#' | b'!' => at = end_of_line(bytes, at),
            b'{' | b'}' => {
                // Whether an apostrophe protects a brace depends on the keyword and on the version.
                if apostrophes % 2 == 1 {
                    return Err(Refused::Quotes { line });
                }
                found.push((if *byte == b'{' { Token::Open(at) } else { Token::Close(at) }, line));
                at += 1;
            }
            byte if byte.is_ascii_whitespace() => at += 1,
            _ => {
                let start = at;
                let (word, end) = word(bytes, at, line)?;
                if word.contains("~SEQ") || word.contains("~LST") {
                    return Err(Refused::Sequence { line });
                }
                apostrophes += bytes[start..end].iter().filter(|byte| **byte == b'\'').count();
                found.push((Token::Word(word), line));
                at = end;
            }
        }
    }
    Ok(found)
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| from + length)
}

/// One word: its text without quotes, and where it ends.
fn word(bytes: &[u8], mut at: usize, line: usize) -> Result<(String, usize), Refused> {
    let mut text = Vec::new();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'}' | b'#' | b'!' => break,
            byte if byte.is_ascii_whitespace() => break,
            b'\\' => match bytes.get(at + 1) {
                None | Some(b'\n' | b'\r') => return Err(Refused::MultiLine { line }),
                Some(b'"') => return Err(Refused::Quotes { line }),
                Some(next) => {
                    text.extend([b'\\', *next]);
                    at += 2;
                }
            },
            b'"' => {
                let rest = &bytes[at + 1..end_of_line(bytes, at)];
                let length = rest.iter().position(|byte| *byte == b'"').ok_or(Refused::Quotes { line })?;
                // keepalived's two readers disagree about `\"`.
                if rest[..length].ends_with(b"\\") {
                    return Err(Refused::Quotes { line });
                }
                text.extend(&rest[..length]);
                at += length + 2;
            }
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                let rest = &bytes[at..end_of_line(bytes, at)];
                let length = rest.iter().position(|byte| *byte == b'}').ok_or(Refused::Unbalanced { line })?;
                text.extend(&rest[..=length]);
                at += length + 1;
            }
            other => {
                text.push(*other);
                at += 1;
            }
        }
    }
    Ok((String::from_utf8_lossy(&text).into_owned(), at))
}
