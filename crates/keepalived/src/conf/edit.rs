//! The override block: written, found and taken out again.
//!
//! The block goes directly before the closing brace of the instance, where its `priority` is the last and so the one
//! that counts, whatever definitions, conditions or repeated keywords come before. Taking it out gives back the text
//! byte for byte; for that a block squeezed in before a brace in the middle of a line says so in its first line.

use std::ops::Range;

use super::{Refused, parse};

const BEGIN: &str = "# BEGIN rollup";
const BEGIN_INLINE: &str = "# BEGIN rollup inline";
const END: &str = "# END rollup";

struct Found {
    /// What [`clear`] removes.
    range: Range<usize>,
    priority: u8,
}

/// The text in which `instance` has this priority, takes over from a lower one and does so without delay. An override
/// that is there is replaced.
pub fn raise(text: &str, instance: &str, priority: u8) -> Result<String, Refused> {
    if !(1..=254).contains(&priority) {
        return Err(Refused::Priority(priority));
    }
    let plain = clear(text)?;
    let config = parse(&plain)?;
    let close = config.editable(instance)?.close;
    let line_start = plain[..close].rfind('\n').map_or(0, |newline| newline + 1);
    let own_line = plain[line_start..close].trim().is_empty();
    let (at, begin) =
        if own_line { (line_start, format!("  {BEGIN}")) } else { (close, format!("\n  {BEGIN_INLINE}")) };
    let block = format!("{begin}\n  priority {priority}\n  preempt\n  preempt_delay 0\n  {END}\n");
    let raised = format!("{}{block}{}", &plain[..at], &plain[at..]);
    // Proof on the result itself: still readable, the same instances, and the way back leads to the same bytes.
    let names = |config: &super::Config| config.instances.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
    let line = plain[..close].matches('\n').count() + 1;
    if names(&parse(&raised)?) != names(&config) || clear(&raised)? != plain {
        return Err(Refused::Unbalanced { line });
    }
    Ok(raised)
}

/// The text without any override block: what it was before [`raise`], byte for byte.
pub fn clear(text: &str) -> Result<String, Refused> {
    let mut plain = String::with_capacity(text.len());
    let mut from = 0;
    for block in blocks(text)? {
        plain.push_str(&text[from..block.range.start]);
        from = block.range.end;
    }
    plain.push_str(&text[from..]);
    Ok(plain)
}

/// The priority that an override block gives to this instance.
pub fn override_of(text: &str, instance: &str) -> Option<u8> {
    let config = parse(text).ok()?;
    let instance = config.instances.iter().find(|found| found.name == instance)?;
    let inside = |block: &Found| instance.open < block.range.start && block.range.end <= instance.close;
    Some(blocks(text).ok()?.into_iter().find(inside)?.priority)
}

fn blocks(text: &str) -> Result<Vec<Found>, Refused> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut lines = text.split_inclusive('\n').enumerate();
    while let Some((number, line)) = lines.next() {
        let start = at;
        at += line.len();
        let inline = match line.trim() {
            BEGIN => false,
            BEGIN_INLINE => true,
            END => return Err(Refused::HandEdited { line: number + 1 }),
            _ => continue,
        };
        let changed = Refused::HandEdited { line: number + 1 };
        let mut content = Vec::new();
        for (_, line) in lines.by_ref().take(4) {
            at += line.len();
            content.push(line.trim());
        }
        let [priority, "preempt", "preempt_delay 0", END] = content[..] else { return Err(changed) };
        let priority = priority.strip_prefix("priority ").and_then(|number| number.parse().ok());
        let Some(priority) = priority else { return Err(changed) };
        // The newline before an inline block is part of it.
        let start = if inline { start.checked_sub(1).ok_or(changed)? } else { start };
        found.push(Found { range: start..at, priority });
    }
    Ok(found)
}
