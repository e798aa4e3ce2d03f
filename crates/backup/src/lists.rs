//! The lists beside an archive: `sums`, with a checksum of each file of a part, and `contents`, with each archived
//! path.

use anyhow::{Context, Result, bail, ensure};

use crate::PathKept;

/// One line of `sums`: `SHA256 SIZE NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) sha256: String,
    pub(crate) size: u64,
    pub(crate) name: String,
}

/// Reads `sums`. A name that would leave its directory is an error.
pub(crate) fn parse_sums(text: &str) -> Result<Vec<Sum>> {
    text.lines()
        .map(|line| {
            let words: Vec<_> = line.splitn(3, ' ').collect();
            let [sha256, size, name] = words[..] else { bail!("expected `SHA256 SIZE NAME`, found `{line}`") };
            ensure!(is_sha256(sha256), "expected a SHA-256, found `{sha256}`");
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let good = !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain);
            ensure!(good, "expected the name of a file, found `{name}`");
            let size = size.parse().with_context(|| format!("expected a size, found `{size}`"))?;
            Ok(Sum { sha256: sha256.to_owned(), size, name: name.to_owned() })
        })
        .collect()
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// One line of `contents`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry<'t> {
    pub(crate) kind: &'t str,
    pub(crate) mode: &'t str,
    pub(crate) owner: &'t str,
    pub(crate) group: &'t str,
    pub(crate) size: u64,
    pub(crate) path: &'t str,
}

/// Reads `contents`: `TYPE MODE OWNER GROUP SIZE SHA256|- PATH` for each archived path.
pub(crate) fn parse_contents(text: &str) -> Result<Vec<Entry<'_>>> {
    text.lines()
        .map(|line| {
            let words: Vec<_> = line.splitn(7, ' ').collect();
            let [kind, mode, owner, group, size, sha256, path] = words[..] else {
                bail!("expected seven words, found `{line}`")
            };
            ensure!(sha256 == "-" || is_sha256(sha256), "expected a SHA-256 or `-`, found `{sha256}`");
            let size = size.parse().with_context(|| format!("expected a size, found `{size}`"))?;
            Ok(Entry { kind, mode, owner, group, size, path })
        })
        .collect()
}

/// What each of `paths` held, by the list of a node.
pub(crate) fn totals<'p>(paths: impl Iterator<Item = &'p str>, contents: &[Entry<'_>]) -> Vec<PathKept> {
    paths
        .filter_map(|path| {
            let itself = contents.iter().find(|entry| entry.path == path)?;
            let inside = |entry: &&Entry<'_>| {
                entry.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let files: Vec<_> = contents.iter().filter(inside).filter(|entry| entry.kind == "f").collect();
            Some(PathKept {
                path: path.to_owned(),
                files: files.len() as u64,
                bytes: files.iter().map(|entry| entry.size).sum(),
                owner: format!("{}:{}", itself.owner, itself.group),
                mode: itself.mode.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_unknown_text_is_an_error() {
        let sha = "ab".repeat(32);
        let sums = parse_sums(&format!("{sha} 12 files.tar.zst\n{sha} 3 contents\n")).unwrap();
        assert_eq!((sums.len(), sums[0].size, sums[1].name.as_str()), (2, 12, "contents"));
        for bad in ["x 1 a", &format!("{sha} 1 ../a"), &format!("{sha} x a"), &format!("{sha} 1 .hidden"), &sha] {
            assert!(parse_sums(bad).is_err(), "{bad}");
        }
        let text = format!(
            "d 750 orders orders 0 - /etc/orders\nf 640 orders orders 10 {sha} /etc/orders/a b\n\
             f 640 root root 5 {sha} /etc/orders/x/y\nf 600 root root 7 {sha} /etc/orders-other\n"
        );
        let contents = parse_contents(&text).unwrap();
        assert_eq!(contents[1].path, "/etc/orders/a b");
        let kept = totals(["/etc/orders", "/not/there"].into_iter(), &contents);
        assert_eq!(kept.len(), 1);
        assert_eq!(
            (kept[0].files, kept[0].bytes, kept[0].owner.as_str(), kept[0].mode.as_str()),
            (2, 15, "orders:orders", "750")
        );
        assert!(parse_contents("f 640 a").is_err());
    }
}
