//! The override block: written, found and taken out again.
//!
//! The block goes directly before the closing brace of the instance, where its `priority` is the last and so the one
//! that counts, whatever definitions, conditions, includes or repeated keywords come before. Taking it out gives back
//! the text byte for byte; for that a block squeezed in before a brace in the middle of a line says so in its first line.

use std::{collections::BTreeMap, ops::Range};

use super::{At, Config, Files, Refused, parse};

const BEGIN: &str = "# BEGIN rollup";
const BEGIN_INLINE: &str = "# BEGIN rollup inline";
const END: &str = "# END rollup";

struct Found {
    /// What [`clear`] removes.
    range: Range<usize>,
    priority: u8,
}

/// The override block; `inline` begins it with a line end of its own.
fn block(priority: u8, inline: bool) -> String {
    let begin = if inline { format!("\n  {BEGIN_INLINE}") } else { format!("  {BEGIN}") };
    format!("{begin}\n  priority {priority}\n  preempt\n  preempt_delay 0\n  {END}\n")
}

/// The new texts of the files that change: each of these instances has its priority, takes over from a lower one and
/// does so without delay. All other overrides are taken out.
pub fn raise(files: &Files, wanted: &BTreeMap<String, u8>) -> Result<BTreeMap<String, String>, Refused> {
    let plain = with(files, clear(files)?);
    let config = parse(&plain)?;
    let mut places: BTreeMap<&str, Vec<(usize, u8)>> = BTreeMap::new();
    for (name, &priority) in wanted {
        if !(1..=254).contains(&priority) {
            return Err(Refused::Priority(priority));
        }
        let instance = config.editable(name)?;
        places.entry(&instance.file).or_default().push((instance.close, priority));
    }
    let mut raised = plain.clone();
    for (file, mut closes) in places {
        // From the end, so that the places before stay where they are.
        closes.sort_unstable();
        let Some(text) = raised.texts.get_mut(file) else { continue };
        for (close, priority) in closes.into_iter().rev() {
            let line_start = text[..close].rfind('\n').map_or(0, |newline| newline + 1);
            let own_line = text[line_start..close].trim().is_empty();
            text.insert_str(if own_line { line_start } else { close }, &block(priority, !own_line));
        }
    }
    prove(&plain, &config, &raised, wanted)?;
    Ok(changed(files, raised))
}

/// The new texts of the files that hold an override block: without it, and so what they were, byte for byte.
pub fn clear(files: &Files) -> Result<BTreeMap<String, String>, Refused> {
    let mut cleared = BTreeMap::new();
    for (file, text) in &files.texts {
        let found = blocks(file, text)?;
        if found.is_empty() {
            continue;
        }
        let (mut plain, mut from) = (String::with_capacity(text.len()), 0);
        for block in found {
            plain.push_str(&text[from..block.range.start]);
            from = block.range.end;
        }
        plain.push_str(&text[from..]);
        cleared.insert(file.clone(), plain);
    }
    Ok(cleared)
}

/// The priority that an override block gives to each instance that has one.
pub fn overrides(files: &Files) -> BTreeMap<String, u8> {
    let Ok(config) = parse(files) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for (file, text) in &files.texts {
        for block in blocks(file, text).unwrap_or_default() {
            let inside = |instance: &&super::Instance| {
                &instance.file == file && instance.open < block.range.start && block.range.end <= instance.close
            };
            found.extend(config.instances.iter().find(inside).map(|instance| (instance.name.clone(), block.priority)));
        }
    }
    found
}

/// Proof on the result itself: still readable, the same instances, these priorities, and the way back leads to the same
/// bytes.
fn prove(plain: &Files, before: &Config, raised: &Files, wanted: &BTreeMap<String, u8>) -> Result<(), Refused> {
    let after = parse(raised)?;
    let same = before.instances.len() == after.instances.len()
        && before.instances.iter().zip(&after.instances).all(|(before, after)| match wanted.get(&after.name) {
            None => (&before.name, before.priority) == (&after.name, after.priority),
            Some(priority) => {
                before.name == after.name
                    && after.priority == Some(*priority)
                    && !after.nopreempt
                    && after.preempt_delay_millis == 0
            }
        });
    if same && with(raised, clear(raised)?) == *plain {
        return Ok(());
    }
    let places = before.instances.iter().filter(|instance| wanted.contains_key(&instance.name));
    let at = places.map(|instance| instance.at()).next();
    Err(Refused::Unbalanced { at: at.unwrap_or(At { file: plain.main.clone(), line: 1 }) })
}

/// The same files with other texts.
pub(super) fn with(files: &Files, texts: BTreeMap<String, String>) -> Files {
    let mut files = files.clone();
    files.texts.extend(texts);
    files
}

fn changed(before: &Files, after: Files) -> BTreeMap<String, String> {
    after.texts.into_iter().filter(|(file, text)| before.texts.get(file) != Some(text)).collect()
}

/// All override blocks of a text. One that is not to the byte what [`raise`] writes was changed by hand.
fn blocks(file: &str, text: &str) -> Result<Vec<Found>, Refused> {
    let mut found = Vec::new();
    let (mut start, mut skip) = (0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let (at, from) = (At { file: file.to_owned(), line: number + 1 }, start);
        start += line.len();
        if from < skip || !matches!(line.trim(), BEGIN | BEGIN_INLINE | END) {
            continue;
        }
        let changed = || Refused::HandEdited { at: at.clone() };
        let inline = line.trim() == BEGIN_INLINE;
        // The line end before an inline block is part of it.
        let from = if inline { from.checked_sub(1).ok_or_else(changed)? } else { from };
        let priority =
            text[start..].lines().next().and_then(|line| line.trim().strip_prefix("priority ")?.parse().ok());
        let written = block(priority.ok_or_else(changed)?, inline);
        if !text[from..].starts_with(&written) {
            return Err(changed());
        }
        skip = from + written.len();
        found.push(Found { range: from..skip, priority: priority.ok_or_else(changed)? });
    }
    Ok(found)
}
