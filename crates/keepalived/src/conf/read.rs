//! From the texts of all files to statements, in the order keepalived reads them.
//!
//! Owns the files, conditions and blocks. Lines of an included file stand where its `include` stands, also inside a
//! block; each file must open and close its own blocks, which keeps versions before and after 2.2 of one mind.

use std::str::FromStr;

use super::{
    Files, Include,
    blocks::{self, Takes},
    define::Definitions,
    lex::{self, Char, UNKNOWN},
    refused::{At, Refused},
};

/// More files than anybody has; files that include each other twice over would grow without end.
const MOST_FILES: usize = 500;

/// A keyword, what follows it on its line, and its block.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    pub(super) words: Vec<String>,
    pub(super) at: At,
    /// A condition decides about it, and which way is not known.
    pub(super) maybe: bool,
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

    /// The statements of the block, where there is one.
    pub(super) fn inside(&self) -> &[Statement] {
        self.block.as_ref().map_or(&[], |block| &block.statements)
    }

    /// An argument, where the texts settle it. Text with `$` in it was not defined.
    pub(super) fn argument(&self, index: usize) -> Option<&str> {
        let text = self.words.get(index)?;
        (!self.maybe && !text.contains([UNKNOWN, '$'])).then_some(text)
    }

    /// The first argument as a number.
    pub(super) fn number<N: FromStr>(&self) -> Option<N> {
        self.argument(1)?.parse().ok()
    }

    /// The first argument, in seconds with a fraction, as milliseconds.
    pub(super) fn millis(&self) -> Option<u64> {
        let seconds: f64 = self.number().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)?;
        Some((seconds * 1000.0).round() as u64)
    }
}

/// All statements of the top level with what is inside them, and the files in the order they were read.
pub(super) fn statements(files: &Files) -> Result<(Vec<Statement>, Vec<String>), Refused> {
    let mut reader = Reader {
        files,
        definitions: Definitions::standard(files.id.as_deref()),
        levels: vec![Vec::new()],
        owners: Vec::new(),
        under_way: Vec::new(),
        read: Vec::new(),
    };
    reader.file(&files.main, &At { file: files.main.clone(), line: 0 }, &files.main)?;
    Ok((reader.levels.pop().unwrap_or_default(), reader.read))
}

/// The lines of one text that include files; `matched` is empty. `from` is the path of the text.
pub fn include_lines(from: &str, text: &str) -> Result<Vec<Include>, Refused> {
    let mut found = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let at = At { file: from.to_owned(), line: number + 1 };
        let line = lex::string(&lex::decomment(line, 0, &at)?);
        if let Some((keyword, pattern)) = include(&line, &at)? {
            let (keyword, pattern) = (keyword.to_owned(), pattern.to_owned());
            found.push(Include { from: at.file, line: at.line, keyword, pattern, matched: Vec::new() });
        }
    }
    Ok(found)
}

/// The keyword and the pattern, where all versions read the same pattern.
fn include<'a>(line: &'a str, at: &At) -> Result<Option<(&'a str, &'a str)>, Refused> {
    match lex::include(line) {
        Some((_, pattern)) if pattern.is_empty() || pattern.contains([' ', '\t', '"', '\'', '\\', '$', '`']) => {
            Err(Refused::Include { at: at.clone() })
        }
        found => Ok(found),
    }
}

/// What a text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Under {
    Nothing,
    /// A condition that this host meets.
    Kept,
    /// A condition, and which way it goes is not known.
    Unknown,
}

struct Reader<'a> {
    files: &'a Files,
    definitions: Definitions,
    levels: Vec<Vec<Statement>>,
    /// Whose block each level but the first is, and where it opens.
    owners: Vec<(Statement, usize)>,
    /// The files that are being read, the outermost first.
    under_way: Vec<String>,
    read: Vec<String>,
}

impl Reader<'_> {
    fn file(&mut self, file: &str, from: &At, pattern: &str) -> Result<(), Refused> {
        if self.under_way.iter().any(|outer| outer == file) {
            return Err(Refused::IncludeLoop { at: from.clone(), file: file.to_owned() });
        }
        let missing = || Refused::IncludeNotFollowed { at: from.clone(), pattern: pattern.to_owned() };
        let files = self.files;
        let text = files.texts.get(file).filter(|_| self.read.len() < MOST_FILES).ok_or_else(missing)?;
        self.under_way.push(file.to_owned());
        self.read.push(file.to_owned());
        let (mut start, depth) = (0, self.owners.len());
        for (number, line) in text.split_inclusive('\n').enumerate() {
            self.line(line, start, &At { file: file.to_owned(), line: number + 1 })?;
            start += line.len();
        }
        self.under_way.pop();
        match self.owners.get(depth) {
            Some((open, _)) => Err(Refused::Unbalanced { at: open.at.clone() }),
            // A keyword whose block would begin in another file.
            None => self.complete(),
        }
    }

    fn line(&mut self, raw: &str, start: usize, at: &At) -> Result<(), Refused> {
        let text = lex::decomment(raw, start, at)?;
        let Some((first, _)) = text.first() else { return Ok(()) };
        if *first != '@'
            && *first != '$'
            && let Some((_, pattern)) = include(&lex::string(&text), at)?
        {
            return self.include(pattern, at);
        }
        let Some((text, under)) = self.condition(&text, at)? else { return Ok(()) };
        if self.definitions.define(text, under != Under::Unknown, at)? {
            return Ok(());
        }
        let text = self.definitions.replace(text, at)?;
        self.pieces(&text, under, at)
    }

    fn include(&mut self, pattern: &str, at: &At) -> Result<(), Refused> {
        let files = self.files;
        let followed = files.includes.iter().find(|include| include.from == at.file && include.pattern == pattern);
        let missing = || Refused::IncludeNotFollowed { at: at.clone(), pattern: pattern.to_owned() };
        for file in &followed.ok_or_else(missing)?.matched {
            self.file(file, at, pattern)?;
        }
        Ok(())
    }

    /// Pieces of one line between braces. After a brace the rest is read like a line of its own.
    fn pieces(&mut self, text: &[Char], mut under: Under, at: &At) -> Result<(), Refused> {
        let mut rest = lex::trim(text);
        while !rest.is_empty() {
            let (piece, brace) = lex::until_brace(rest, at)?;
            if lex::include(&lex::string(piece)).is_some() {
                return Err(Refused::Include { at: at.clone() });
            }
            self.words(lex::trim(piece), under == Under::Unknown, at)?;
            let Some(index) = brace else { return Ok(()) };
            // A block of ours between the two would make it join lines.
            if lex::trim(piece).last().is_some_and(|(last, _)| *last == '\\') {
                return Err(Refused::Quotes { at: at.clone() });
            }
            let defined = || Refused::Definition { at: at.clone(), name: lex::string(piece) };
            let offset = rest[index].1.ok_or_else(defined)?;
            match rest[index].0 {
                '{' => self.open(offset, under, at)?,
                _ => self.close(offset, at)?,
            }
            let after = lex::trim(&rest[index + 1..]);
            let Some((after, further)) = self.condition(after, at)? else { return Ok(()) };
            under = under.max(further);
            if self.definitions.define(after, under != Under::Unknown, at)? {
                return Ok(());
            }
            rest = after;
        }
        Ok(())
    }

    /// What is left of a text after its condition: `None` when the condition drops it.
    fn condition<'t>(&self, text: &'t [Char], at: &At) -> Result<Option<(&'t [Char], Under)>, Refused> {
        let Some(('@', _)) = text.first() else { return Ok(Some((text, Under::Nothing))) };
        let Some(end) = text.iter().position(|(found, _)| lex::blank(*found)) else { return Ok(None) };
        let (id, rest) = (lex::string(&text[1..end]), lex::trim(&text[end..]));
        let refused = || Refused::Condition { at: at.clone() };
        // keepalived finds an `include` under a condition twice, or not at all.
        if lex::include(&lex::string(rest)).is_some() {
            return Err(Refused::Include { at: at.clone() });
        }
        let mut depth = 0_usize;
        let (mut left, mut braces) = (rest, false);
        while let (_, Some(index)) = lex::until_brace(left, at)? {
            braces = true;
            depth = if left[index].0 == '{' { depth + 1 } else { depth.checked_sub(1).ok_or_else(refused)? };
            left = &left[index + 1..];
        }
        let (reversed, id) = id.strip_prefix('^').map_or((false, id.as_str()), |id| (true, id));
        match &self.files.id {
            _ if depth > 0 => Err(refused()),
            None if braces => Err(refused()),
            None => Ok(Some((rest, Under::Unknown))),
            Some(own) => Ok(((own == id) != reversed).then_some((rest, Under::Kept))),
        }
    }

    fn words(&mut self, text: &[Char], maybe: bool, at: &At) -> Result<(), Refused> {
        let words = lex::words(text);
        let Some(keyword) = words.first() else { return Ok(()) };
        // Only known keywords tell where blocks begin and end.
        if keyword.contains(UNKNOWN) {
            return Err(Refused::Definition { at: at.clone(), name: lex::string(text).replace(UNKNOWN, "…") });
        }
        self.complete()?;
        if let Some(level) = self.levels.last_mut() {
            level.push(Statement { words, at: at.clone(), maybe, block: None });
        }
        Ok(())
    }

    /// The last keyword gets no block any more: keepalived would take the next one for it.
    fn complete(&self) -> Result<(), Refused> {
        let last = self.levels.last().and_then(|level| level.last()).filter(|last| last.block.is_none());
        match last {
            Some(last) if self.takes(last) == Takes::Always => Err(refuse_block(last)),
            _ => Ok(()),
        }
    }

    fn takes(&self, statement: &Statement) -> Takes {
        let outer: Vec<&str> = self.owners.iter().map(|(owner, _)| owner.keyword()).collect();
        blocks::takes(&outer, statement.keyword())
    }

    fn open(&mut self, offset: usize, under: Under, at: &At) -> Result<(), Refused> {
        let unbalanced = || Refused::Unbalanced { at: at.clone() };
        let owner = self.levels.last_mut().and_then(Vec::pop).ok_or_else(unbalanced)?;
        // A block of ours would part the closing brace from its condition.
        if owner.maybe || (under != Under::Nothing && owner.keyword() == "vrrp_instance") {
            return Err(Refused::Condition { at: owner.at });
        }
        if owner.block.is_some() || owner.at.file != at.file {
            return Err(unbalanced());
        }
        if self.takes(&owner) == Takes::Never {
            return Err(refuse_block(&owner));
        }
        self.owners.push((owner, offset));
        self.levels.push(Vec::new());
        Ok(())
    }

    fn close(&mut self, offset: usize, at: &At) -> Result<(), Refused> {
        let unbalanced = || Refused::Unbalanced { at: at.clone() };
        self.complete()?;
        let (mut owner, open) =
            self.owners.pop().filter(|(owner, _)| owner.at.file == at.file).ok_or_else(unbalanced)?;
        let statements = self.levels.pop().ok_or_else(unbalanced)?;
        owner.block = Some(Block { open, close: offset, statements });
        self.levels.last_mut().ok_or_else(unbalanced)?.push(owner);
        Ok(())
    }
}

fn refuse_block(statement: &Statement) -> Refused {
    Refused::Block { at: statement.at.clone(), word: statement.keyword().to_owned() }
}
