//! What a node was given by a package: a list that the next upgrade, and whoever asks what was changed by hand, reads.

use anyhow::{Result, bail};
use rollup_model::{Release, release::INSTALLED};

/// The record of a release: its name and version, then `SHA256 MODE OWNER GROUP PATH` for each file that is not the
/// operator's own.
pub(crate) fn write(release: &Release) -> String {
    let files = release.components.iter().filter(|component| !component.keep);
    let lines = files.map(|c| format!("{} {} {} {} {}\n", c.sha256, c.mode, c.owner, c.group, c.destination));
    format!("# {} {}\n{}", release.name, release.version, lines.collect::<String>())
}

/// A file of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// SHA-256 of the content that was placed, hex.
    pub sha256: String,
    /// Absolute path.
    pub path: String,
}

/// Reads a record.
///
/// # Errors
/// A line that is none of a record.
pub fn read(text: &str) -> Result<Vec<Recorded>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<_> = line.splitn(5, ' ').collect();
            let [sha256, _, _, _, path] = words[..] else {
                bail!("expected `SHA256 MODE OWNER GROUP PATH` in a record below {INSTALLED}, found `{line}`")
            };
            Ok(Recorded { sha256: sha256.to_owned(), path: path.to_owned() })
        })
        .collect()
}
