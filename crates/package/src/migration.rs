//! Migrations by file name: `V2.0.0__add_note.sql` leads forward, `U2.0.0__add_note.sql` back.

use std::collections::BTreeMap;

use rollup_model::{
    Diagnostic,
    release::{DownMigration, Migration, MigrationPhase},
};

use crate::{
    PackageError,
    name::{self, Place},
    read::Entry,
    version,
};

/// What a migration's file name says.
struct Name<'a> {
    /// `V` or `U`.
    direction: char,
    version: &'a str,
    numbers: Vec<u64>,
}

fn parse(file: &str) -> Option<Name<'_>> {
    let direction = file.chars().next().filter(|letter| matches!(letter, 'V' | 'U'))?;
    let (version, description) = file.get(1..)?.strip_suffix(".sql")?.split_once("__")?;
    // The name is recorded in the database and shown in logs.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let good = !description.is_empty() && description.bytes().all(plain);
    let numbers = version::numbers(version)?;
    good.then_some(Name { direction, version, numbers })
}

/// The migrations that lead forward, in the order in which they run: expand before contract, then by version.
///
/// `texts` holds the content of every SQL file, `entries` its checksum.
pub(crate) fn collect(
    entries: &BTreeMap<String, Entry>,
    texts: &BTreeMap<String, Vec<u8>>,
) -> Result<Vec<Migration>, PackageError> {
    let mut problems = Vec::new();
    let mut forward: Vec<(Vec<u64>, Migration)> = Vec::new();
    let mut back: Vec<(Vec<u64>, String, DownMigration)> = Vec::new();
    let text = |path: &String| {
        let not_text = || PackageError::NotText { entry: path.clone() };
        String::from_utf8(texts.get(path).ok_or_else(not_text)?.clone()).map_err(|_| not_text())
    };
    for (path, entry) in entries {
        let phase = match name::place(path)? {
            Place::Migration => MigrationPhase::Expand,
            Place::ContractMigration => MigrationPhase::Contract,
            _ => continue,
        };
        let file = path.rsplit_once('/').map_or(path.as_str(), |(_, file)| file);
        let Some(parsed) = parse(file) else {
            let message = format!("`{path}` is not named as a migration: expected for example `V2.0.0__add_note.sql`");
            problems.push(Diagnostic::new(message));
            continue;
        };
        if parsed.direction == 'U' {
            if phase == MigrationPhase::Contract {
                problems.push(
                    Diagnostic::new(format!("`{path}` would lead back from a contract migration"))
                        .hint("there is no way back after finalizing; remove the file"),
                );
            }
            let down = DownMigration { name: file.to_owned(), sha256: entry.sha256.clone(), sql: text(path)? };
            back.push((parsed.numbers, path.clone(), down));
            continue;
        }
        let (name, version, sha256) = (file.to_owned(), parsed.version.to_owned(), entry.sha256.clone());
        let migration = Migration { version, name, phase, sha256, sql: text(path)?, down: None };
        forward.push((parsed.numbers, migration));
    }
    forward.sort_by(|(left, l), (right, r)| {
        (l.phase == MigrationPhase::Contract)
            .cmp(&(r.phase == MigrationPhase::Contract))
            .then_with(|| version::compare(left, right))
    });
    let same = |left: &[u64], right: &[u64]| version::compare(left, right).is_eq();
    for (index, (numbers, migration)) in forward.iter().enumerate() {
        if let Some((_, other)) = forward[..index].iter().find(|(other, _)| same(other, numbers)) {
            let message =
                format!("`{}` and `{}` have the same version: expected every version once", other.name, migration.name);
            problems.push(Diagnostic::new(message));
        }
    }
    for (index, (numbers, path, _)) in back.iter().enumerate() {
        if back[..index].iter().any(|(other, ..)| same(other, numbers)) {
            problems
                .push(Diagnostic::new(format!("`{path}` leads back from a version that another file leads back from")));
        }
        if !forward.iter().any(|(other, _)| same(other, numbers)) {
            problems.push(Diagnostic::new(format!("`{path}` leads back from a version that no `V` file leads to")));
        }
    }
    for (numbers, _, down) in back {
        if let Some((_, migration)) = forward.iter_mut().find(|(other, _)| same(other, &numbers)) {
            migration.down = Some(down);
        }
    }
    if problems.is_empty() {
        Ok(forward.into_iter().map(|(_, migration)| migration).collect())
    } else {
        Err(PackageError::Migrations { problems })
    }
}
