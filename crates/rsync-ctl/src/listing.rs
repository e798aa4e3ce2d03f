//! The copied files of one node, and how two such lists differ. Pure.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// The copied files of one node at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// How many there are.
    pub count: u64,
    /// SHA-256 over everything that is known of all of them.
    pub digest: String,
    /// Each of them by path; empty when there are too many.
    pub files: BTreeMap<String, Entry>,
}

/// One file or link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Octal; empty for a link.
    pub mode: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hex; for a link `-> ` and where it leads.
    pub content: String,
}

impl Listing {
    pub(crate) fn parse(lines: &[&str]) -> Result<Self> {
        let get = |key: &str| lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let count =
            get("count").context("expected the number of files")?.parse().context("expected a number of files")?;
        let digest = get("digest").context("expected a digest of the files")?.to_owned();
        let mut files: BTreeMap<String, Entry> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.contains('\t')) {
            let fields: Vec<_> = line.splitn(4, '\t').collect();
            let [kind, first, second, path] = fields[..] else { anyhow::bail!("expected four fields, found {line:?}") };
            let entry = files.entry(path.to_owned()).or_default();
            match kind {
                "file" => {
                    entry.mode = first.to_owned();
                    entry.size = second.parse().with_context(|| format!("expected a size, found {second:?}"))?;
                }
                "link" => entry.content = format!("-> {first}"),
                "hash" => entry.content = first.to_owned(),
                _ => anyhow::bail!("expected a file, a link or a hash, found {kind:?}"),
            }
        }
        let listed = files.len() as u64;
        // A file that went away between two looks leaves a part of its facts behind.
        ensure!(listed == 0 || listed.abs_diff(count) <= 16, "expected {count} files, found {listed}");
        Ok(Self { count, digest, files })
    }

    /// What is different in `now`, one text for each path.
    pub fn differences(&self, now: &Listing) -> Vec<String> {
        if self.digest == now.digest && !self.digest.is_empty() {
            return Vec::new();
        }
        if (self.files.is_empty() && self.count > 0) || (now.files.is_empty() && now.count > 0) {
            return vec![format!("{} files, {} files, not the same", self.count, now.count)];
        }
        let mut found = Vec::new();
        for (path, old) in &self.files {
            match now.files.get(path) {
                None => found.push(format!("{path} missing")),
                Some(new) if new == old => {}
                Some(new) if new.content != old.content => found.push(format!("{path} other content")),
                Some(new) => found.push(format!("{path} mode {} instead of {}", new.mode, old.mode)),
            }
        }
        found.extend(
            now.files.keys().filter(|path| !self.files.contains_key(*path)).map(|path| format!("{path} added")),
        );
        found.sort();
        found
    }

    /// The same list without these paths and what is below them.
    #[must_use]
    pub fn without(&self, paths: &[&str]) -> Self {
        let below = |file: &str| {
            paths
                .iter()
                .any(|path| file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        };
        let files: BTreeMap<_, _> = self
            .files
            .iter()
            .filter(|(file, _)| !below(file))
            .map(|(file, entry)| (file.clone(), entry.clone()))
            .collect();
        let left_out = (self.files.len() - files.len()) as u64;
        // The digest is over all files; after leaving some out only the list itself can be compared.
        let digest = if left_out == 0 { self.digest.clone() } else { String::new() };
        Self { count: self.count.saturating_sub(left_out), digest, files }
    }
}
