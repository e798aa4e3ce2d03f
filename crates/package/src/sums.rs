//! `SHA256SUMS`: what `sha256sum` writes, compared with the files both ways.

use std::collections::BTreeMap;

use crate::{MANIFEST, PackageError, SUMS, name, read::Entry};

/// How many names a message lists.
const SHOWN: usize = 10;

/// Compares the list with the files of the package.
pub(crate) fn compare(text: &str, entries: &BTreeMap<String, Entry>) -> Result<(), PackageError> {
    let listed = parse(text)?;
    let absent = listed.keys().filter(|name| !entries.contains_key(**name));
    let unlisted = entries.keys().filter(|name| *name != SUMS && !listed.contains_key(name.as_str()));
    let absent: Vec<String> = some(absent.map(|name| (*name).to_owned()));
    let unlisted: Vec<String> = some(unlisted.cloned());
    if !absent.is_empty() {
        return Err(PackageError::Absent { entries: absent });
    }
    if !unlisted.is_empty() {
        return Err(PackageError::Unlisted { entries: unlisted });
    }
    for (name, expected) in listed {
        match entries.get(name) {
            Some(found) if found.sha256 == expected => {}
            found => {
                return Err(PackageError::Checksum {
                    entry: name.to_owned(),
                    expected,
                    found: found.map_or_else(String::new, |entry| entry.sha256.clone()),
                });
            }
        }
    }
    Ok(())
}

/// Writes the list, the manifest first and then by name.
pub(crate) fn format(entries: &BTreeMap<String, Entry>) -> String {
    let mut sorted: Vec<_> = entries.iter().filter(|(name, _)| *name != SUMS).collect();
    sorted.sort_by_key(|(name, _)| (*name != MANIFEST, *name));
    sorted.iter().map(|(name, entry)| format!("{}  {name}\n", entry.sha256)).collect()
}

fn parse(text: &str) -> Result<BTreeMap<&str, String>, PackageError> {
    let mut listed = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let bad = || PackageError::Sums { line: index + 1, found: line.chars().take(120).collect() };
        // The star stands for binary mode, which is the same thing on Linux.
        let (sum, path) = line.split_once("  ").or_else(|| line.split_once(" *")).ok_or_else(bad)?;
        if sum.len() != 64 || !sum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let path = name::checked(path.as_bytes())?;
        if path == SUMS {
            return Err(bad());
        }
        if listed.insert(path, sum.to_ascii_lowercase()).is_some() {
            return Err(PackageError::Duplicate { entry: format!("{path} (in {SUMS})") });
        }
    }
    Ok(listed)
}

fn some(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.take(SHOWN + 1).collect();
    if names.len() > SHOWN {
        names.truncate(SHOWN);
        names.push("…".to_owned());
    }
    names
}
