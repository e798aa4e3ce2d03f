//! Migrations by file name: `V2.0.0__add_note.sql` leads forward, `U2.0.0__add_note.sql` back.

use std::collections::BTreeMap;

use rollup_model::{
    Diagnostic,
    release::{Migration, MigrationPhase},
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
    let mut back: Vec<(Vec<u64>, String)> = Vec::new();
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
            back.push((parsed.numbers, path.clone()));
            continue;
        }
        let bytes = texts.get(path).ok_or_else(|| PackageError::NotText { entry: path.clone() })?;
        let sql = String::from_utf8(bytes.clone()).map_err(|_| PackageError::NotText { entry: path.clone() })?;
        let version = parsed.version.to_owned();
        let migration = Migration { version, name: file.to_owned(), phase, sha256: entry.sha256.clone(), sql };
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
    for (index, (numbers, path)) in back.iter().enumerate() {
        if back[..index].iter().any(|(other, _)| same(other, numbers)) {
            problems
                .push(Diagnostic::new(format!("`{path}` leads back from a version that another file leads back from")));
        }
        if !forward.iter().any(|(other, _)| same(other, numbers)) {
            problems.push(Diagnostic::new(format!("`{path}` leads back from a version that no `V` file leads to")));
        }
    }
    if problems.is_empty() {
        Ok(forward.into_iter().map(|(_, migration)| migration).collect())
    } else {
        Err(PackageError::Migrations { problems })
    }
}
