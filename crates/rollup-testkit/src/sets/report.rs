//! What a reading back leaves: `RUN CHANGED NAME WHY` for each part that is not as it was.

use super::{Sets, sha256};
use crate::call::Call;

fn changed(sets: &Sets, dir: &str, name: &str) -> String {
    sets.files.get(&format!("{dir}/{name}")).map_or("-".to_owned(), |kept| kept.changed.to_string())
}

/// `$1` set directory, `$2` run, then `NAME SIZE SHA256` for each part.
pub(super) fn make(sets: &Sets, dir: &str, call: &Call) -> String {
    let wrong = |[name, size, sha]: [&str; 3]| {
        let why = match sets.get(&format!("{dir}/{name}")) {
            None => "is missing".to_owned(),
            Some(bytes) if bytes.len().to_string() != size => format!("has {} bytes, expected {size}", bytes.len()),
            Some(bytes) if sha256(bytes) != sha => "has another checksum".to_owned(),
            Some(_) => return None,
        };
        Some(format!("{} {} {name} {why}\n", call.arg(1), changed(sets, dir, name)))
    };
    call.groups(2).filter_map(wrong).collect()
}

/// Prints `NAME WHY` for what this run found and nobody has mended since.
pub(super) fn read(sets: &Sets, dir: &str, run: &str) -> String {
    let report = sets.get(&format!("{dir}/damaged")).map(String::from_utf8_lossy).unwrap_or_default();
    let line = |line: &str| {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        let [of, at, name, why] = words[..] else { return None };
        (of == run && changed(sets, dir, name) == at).then(|| format!("{name} {why}\n"))
    };
    report.lines().filter_map(line).collect()
}
