//! The example inventory as a list of tables, keys and what is said of them, so that a written file looks like it.
//!
//! Owns the form of `examples/rollup.toml`, which has every key there is. It must not know any value of a pair.

use anyhow::{Context, Result, bail};

const EXAMPLE: &str = include_str!("../../../../examples/rollup.toml");

/// One table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// `cluster`, `nodes` …
    pub(super) name: &'static str,
    /// `[cluster]`, `[[nodes]]` …
    pub(super) header: &'static str,
    pub(super) comment: String,
    pub(super) keys: Vec<Key>,
}

/// One key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Its value there, as it is written.
    pub(super) value: &'static str,
    pub(super) comment: String,
}

/// The tables of the example, each once.
pub(super) fn tables() -> Result<Vec<Table>> {
    read(EXAMPLE)
}

fn read(text: &'static str) -> Result<Vec<Table>> {
    let mut tables: Vec<Table> = Vec::new();
    // A second table of one name says nothing new.
    let mut again = false;
    for line in text.lines() {
        let (code, comment) = split(line);
        if line.starts_with('#') || line.is_empty() {
            continue;
        } else if code.starts_with('[') {
            let name = code.trim_matches(['[', ']']);
            again = tables.iter().any(|table| table.name == name);
            if !again {
                tables.push(Table { name, header: code, comment: comment.to_owned(), keys: Vec::new() });
            }
        } else if !again {
            let table = tables.last_mut().context("expected a table before the first key")?;
            if code.is_empty() {
                let last = table.keys.last_mut().map_or(&mut table.comment, |key| &mut key.comment);
                last.push(' ');
                last.push_str(comment);
                continue;
            }
            let Some((name, value)) = code.split_once(" = ") else { bail!("expected `key = value`, found `{line}`") };
            table.keys.push(Key { name, value, comment: comment.to_owned() });
        }
    }
    Ok(tables)
}

/// What stands before a `#` outside quotes, and what behind it.
fn split(line: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '#' if !quoted => return (line[..at].trim(), line[at + 1..].trim()),
            _ => {}
        }
    }
    (line.trim(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_example_is_read_with_its_comment() {
        let tables = tables().unwrap();
        let known: toml::Table = toml::from_str(EXAMPLE).unwrap();
        assert_eq!(tables.len(), known.len());
        for table in &tables {
            let keys = known[table.name].as_table().or_else(|| known[table.name][0].as_table()).unwrap();
            assert_eq!(table.keys.len(), keys.len(), "{}", table.name);
            for key in &table.keys {
                let read: toml::Table = toml::from_str(&format!("x = {}", key.value)).unwrap();
                assert_eq!(read["x"], keys[key.name], "{}.{}", table.name, key.name);
            }
        }
        let keepalived = tables.iter().find(|table| table.name == "keepalived").unwrap();
        let strategies = keepalived.keys.iter().find(|key| key.name == "strategies").unwrap();
        assert!(strategies.comment.contains("proved to work is taken."), "{}", strategies.comment);
    }
}
