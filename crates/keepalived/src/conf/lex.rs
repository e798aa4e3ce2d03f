//! One line of a file, by the rules keepalived reads it with (its `lib/parser.c`, 2.0 to 2.4).
//!
//! keepalived reads line by line: it takes the comment off, then the condition, then puts definitions in, and only then
//! looks for braces outside double quotes, each of which becomes a line of its own. Characters keep the place they have
//! in the file through all of that, so that a brace found at the end is still known to the byte.

use super::refused::{At, Refused};

/// The longest line, with its line end, that keepalived's buffer holds.
const LONGEST: usize = 1023;

/// Stands for text that depends on the host; no line can hold it otherwise.
pub(super) const UNKNOWN: char = '\0';

/// A character and its byte offset in the file; characters from definitions have none.
pub(super) type Char = (char, Option<usize>);

/// The text of a line without comment and outer blanks. `start` is the byte offset of the line.
pub(super) fn decomment(raw: &str, start: usize, at: &At) -> Result<Vec<Char>, Refused> {
    let raw = raw.trim_end_matches(['\n', '\r']);
    if raw.len() + 1 > LONGEST || raw.contains(|c: char| c.is_ascii_control() && c != '\t') {
        return Err(Refused::Unreadable { at: at.clone() });
    }
    // Up to 2.2 a backslash at the end of a comment counts too.
    if raw.trim_end_matches(blank).ends_with('\\') {
        return Err(Refused::MultiLine { at: at.clone() });
    }
    let ambiguous = || Refused::Quotes { at: at.clone() };
    let mut text: Vec<Char> = Vec::new();
    let (mut quoted, mut escaped, mut braces) = (false, false, false);
    let mut chars = raw.char_indices().peekable();
    while let Some((offset, found)) = chars.next() {
        match found {
            '"' => quoted = !quoted,
            // keepalived's two readers disagree about `\"`.
            '\\' if chars.peek().is_some_and(|(_, next)| *next == '"') => return Err(ambiguous()),
            '\\' => {
                let Some((offset_of_next, next)) = chars.next() else { continue };
                if !quoted && matches!(next, '#' | '!') {
                    // From 2.2 on the line is read twice, and the second time this begins a comment.
                    escaped = true;
                    if !matters_not(&string(trim(&text))) {
                        return Err(ambiguous());
                    }
                    text.push((UNKNOWN, None));
                    continue;
                }
                text.push((found, Some(start + offset)));
                text.push((next, Some(start + offset_of_next)));
                continue;
            }
            '#' | '!' if !quoted => break,
            '{' | '}' if !quoted => braces = true,
            _ => {}
        }
        text.push((found, Some(start + offset)));
    }
    if quoted || (escaped && braces) {
        return Err(ambiguous());
    }
    if ["~SEQ", "~LST"].iter().any(|word| raw.contains(word)) {
        return Err(Refused::Sequence { at: at.clone() });
    }
    Ok(trim(&text).to_vec())
}

/// Lines of which nothing is read here, so that versions may differ about their end.
fn matters_not(text: &str) -> bool {
    let (keyword, rest) = text.split_once(blank).unwrap_or((text, ""));
    !rest.is_empty() && (keyword.starts_with("notify") || matches!(keyword, "script" | "auth_pass" | "router_id"))
}

pub(super) fn blank(found: char) -> bool {
    matches!(found, ' ' | '\t')
}

pub(super) fn trim(mut text: &[Char]) -> &[Char] {
    while let [(first, _), rest @ ..] = text
        && blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., (last, _)] = text
        && blank(*last)
    {
        text = rest;
    }
    text
}

pub(super) fn string(text: &[Char]) -> String {
    text.iter().map(|(found, _)| found).collect()
}

/// The keyword and the pattern of a line that includes files.
pub(super) fn include(text: &str) -> Option<(&str, &str)> {
    let (keyword, pattern) = text.split_once(blank)?;
    let kind = keyword.strip_prefix("include")?;
    matches!(kind, "" | "r" | "m" | "w" | "b" | "a").then(|| (keyword, pattern.trim_matches(blank)))
}

/// What the text is, up to the first brace outside quotes, and that brace; with an odd apostrophe before it, whether it
/// is one depends on the keyword and on the version.
pub(super) fn until_brace<'a>(text: &'a [Char], at: &At) -> Result<(&'a [Char], Option<usize>), Refused> {
    let (mut quoted, mut apostrophes) = (false, 0);
    for (index, (found, _)) in text.iter().enumerate() {
        match found {
            '"' => quoted = !quoted,
            '\'' => apostrophes += 1,
            '{' | '}' if !quoted && apostrophes % 2 == 1 => return Err(Refused::Quotes { at: at.clone() }),
            '{' | '}' if !quoted => return Ok((&text[..index], Some(index))),
            _ => {}
        }
    }
    Ok((text, None))
}

/// Words as keepalived counts them: blanks part them, and so does a double quote.
pub(super) fn words(text: &[Char]) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = string(text);
    loop {
        let start = rest.trim_start_matches(blank);
        if start.is_empty() {
            return words;
        }
        let (word, after) = match start.strip_prefix('"') {
            Some(inside) => inside.split_once('"').unwrap_or((inside, "")),
            None => start.split_at(start.find([' ', '\t', '"']).unwrap_or(start.len())),
        };
        words.push(word.to_owned());
        rest = after.to_owned();
    }
}
