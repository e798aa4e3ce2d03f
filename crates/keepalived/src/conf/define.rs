//! Definitions: `$NAME=text`, and `$NAME` or `${NAME}` where it is used.

use std::collections::BTreeMap;

use super::{
    lex::{self, Char, UNKNOWN},
    refused::{At, Refused},
};

/// How deep definitions may use each other; keepalived itself never ends on one that uses itself.
const DEEPEST: usize = 8;

/// A line grown longer than this by definitions is near the limit of keepalived's buffer.
const LONGEST: usize = 900;

/// All definitions made so far.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    /// `None`: defined, but what as depends on the host.
    values: BTreeMap<String, Option<String>>,
}

impl Definitions {
    /// Those that keepalived brings itself.
    pub(super) fn standard(id: Option<&str>) -> Self {
        let known = [("_INSTANCE", id.map(str::to_owned)), ("_PWD", None), ("_RANDOM", None), ("_ENV", None)];
        Self { values: known.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    /// Takes a line that is a definition and says so; `sure` is false when a condition decides about it.
    pub(super) fn define(&mut self, text: &[Char], sure: bool, at: &At) -> Result<bool, Refused> {
        let text = lex::string(text);
        let Some((name, value)) = text.strip_prefix('$').and_then(|text| text.split_once('=')) else {
            return Ok(false);
        };
        if identifier(name) != name || name.is_empty() {
            return Ok(false);
        }
        let value = value.trim_matches(lex::blank);
        // Braces would open or close blocks where it is used, a lone quote would hide some.
        let braces = without_uses(value).contains(['{', '}']);
        if braces || value.matches('"').count() % 2 == 1 || value.starts_with(['@', '~']) {
            return Err(Refused::Definition { at: at.clone(), name: name.to_owned() });
        }
        self.values.insert(name.to_owned(), sure.then(|| value.to_owned()));
        Ok(true)
    }

    /// The text with every definition put in.
    pub(super) fn replace(&self, text: &[Char], at: &At) -> Result<Vec<Char>, Refused> {
        let out = self.expand(text, at, 0)?;
        let mut quoted = false;
        // After putting a definition in, keepalived takes comments off once more.
        let comment = out.iter().any(|(found, _)| {
            quoted ^= *found == '"';
            !quoted && matches!(found, '#' | '!')
        });
        let changed = out.iter().any(|(_, offset)| offset.is_none()) || out.len() != text.len();
        if changed && (comment || quoted) { Err(Refused::Quotes { at: at.clone() }) } else { Ok(out) }
    }

    fn expand(&self, mut text: &[Char], at: &At, depth: usize) -> Result<Vec<Char>, Refused> {
        let mut out: Vec<Char> = Vec::new();
        while let [first, rest @ ..] = text {
            if out.len() > LONGEST || depth > DEEPEST {
                return Err(Refused::Unreadable { at: at.clone() });
            }
            if first.0 != '$' {
                out.push(*first);
                text = rest;
                continue;
            }
            let braced = rest.first().is_some_and(|(next, _)| *next == '{');
            let Some((name, length)) = used(&lex::string(rest), braced) else {
                out.push(*first);
                text = rest;
                continue;
            };
            match self.values.get(&name) {
                Some(Some(value)) => {
                    let value: Vec<Char> = value.chars().map(|found| (found, None)).collect();
                    out.extend(self.expand(&value, at, depth + 1)?);
                }
                Some(None) => out.push((UNKNOWN, None)),
                // Its value is a comment sign, which hides the rest of the line.
                None if matches!(name.as_str(), "_HASH" | "_BANG") => return Err(Refused::Quotes { at: at.clone() }),
                None if braced => return Err(Refused::Undefined { at: at.clone(), name }),
                None => out.extend(&text[..=length]),
            }
            text = rest.get(length..).unwrap_or_default();
        }
        Ok(out)
    }
}

/// The name used after a `$`, and how many characters it takes. Without braces, a name ends at a blank, `,` or `)`.
fn used(rest: &str, braced: bool) -> Option<(String, usize)> {
    if braced {
        // Anything that does not end here is taken as undefined.
        let inside = rest.strip_prefix('{')?.split('}').next()?;
        let name = identifier(inside);
        let parameters = &inside[name.len()..];
        let plain = |found: char| lex::blank(found) || found.is_ascii_alphanumeric() || found == '_';
        let standard = parameters.is_empty() || matches!(name, "_RANDOM" | "_ENV");
        let name = if standard && parameters.chars().all(plain) { name } else { inside };
        return Some((name.to_owned(), inside.chars().count() + 2));
    }
    let name = identifier(rest);
    let ends = rest[name.len()..].chars().next().is_none_or(|next| matches!(next, ' ' | '\t' | ',' | ')'));
    (!name.is_empty() && ends).then(|| (name.to_owned(), name.len()))
}

/// The identifier that the text begins with.
fn identifier(text: &str) -> &str {
    let letter = |found: char| found.is_ascii_alphabetic() || found == '_';
    if !text.starts_with(letter) {
        return "";
    }
    &text[..text.find(|found| !letter(found) && !found.is_ascii_digit()).unwrap_or(text.len())]
}

/// The text without its `${NAME}`.
fn without_uses(text: &str) -> String {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((name, after)) if identifier(name) == name && !name.is_empty() => out.push_str(after),
            _ => out.push('{'),
        }
    }
    out
}
