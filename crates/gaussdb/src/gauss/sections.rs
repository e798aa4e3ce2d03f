//! The sections of `gs_ctl query` and `gs_ctl querybuild`: a title, then rows of a key and its value, in blocks.
//!
//! Titles differ in case between versions, rows of the online answer begin with a tab and those of the state file with
//! eight blanks, blocks are parted by an empty line. What holds for all: a title is known, a row is indented and has a
//! key of letters, a block ends where one of its keys comes again.

use super::text::Said;

/// One section.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// Lower case, without the colon.
    pub(super) title: String,
    /// Rows with the keys that were asked for, in the tool's order.
    pub(super) blocks: Vec<Block>,
    /// It says `No information`.
    pub(super) nothing: bool,
}

/// Rows that belong together.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Keys in lower case, and their values.
    rows: Vec<(String, String)>,
    /// Lines that follow the row `detail_information` and are no rows: the state file's view prints there what the
    /// client library said, which may take several lines.
    pub(super) more: Vec<String>,
}

impl Block {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.rows.iter().find_map(|(known, value)| (known == key).then_some(value.as_str()))
    }
}

const TITLES: [&str; 5] = ["ha state", "senders info", "receiver info", "paxos replication info", "build state"];

/// Reads the sections, with those rows whose key is one of `keys`; others are newer than this program. `None`: a section
/// comes twice.
pub(super) fn read(said: &Said<'_>, keys: &[&str]) -> Option<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    let mut in_detail = false;
    for line in &said.lines {
        if let Some(title) = title(line) {
            if sections.iter().any(|section| section.title == title) {
                return None;
            }
            sections.push(Section { title, ..Section::default() });
            in_detail = false;
            continue;
        }
        let Some(section) = sections.last_mut() else { continue };
        if line.trim().eq_ignore_ascii_case("no information") {
            section.nothing = true;
        } else if let Some((key, value)) = row(line).filter(|(key, _)| keys.contains(&key.as_str())) {
            in_detail = key == "detail_information";
            if section.blocks.last().is_none_or(|block| block.get(&key).is_some()) {
                section.blocks.push(Block::default());
            }
            section.blocks.last_mut()?.rows.push((key, value));
        } else if in_detail && !line.trim().is_empty() && row(line).is_none() {
            section.blocks.last_mut()?.more.push(line.trim().to_owned());
        }
    }
    Some(sections)
}

fn title(line: &str) -> Option<String> {
    let title = line.trim().strip_suffix(':')?.to_ascii_lowercase();
    TITLES.contains(&title.as_str()).then_some(title)
}

fn row(line: &str) -> Option<(String, String)> {
    if !line.starts_with([' ', '\t']) {
        return None;
    }
    let (key, value) = line.split_once(':')?;
    let key = key.trim().to_ascii_lowercase();
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_key.then(|| (key, value.trim().to_owned()))
}
