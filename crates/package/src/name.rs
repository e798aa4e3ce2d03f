//! Names inside a package: which are safe, and what lies where.

use crate::PackageError;

/// The manifest's name in a package.
pub const MANIFEST: &str = "rollup-package.toml";
/// The name of the list of checksums in a package.
pub const SUMS: &str = "SHA256SUMS";

/// What an entry is, by where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Manifest,
    Sums,
    Payload,
    Migration,
    ContractMigration,
    Hook,
}

/// Takes a name apart from how archives write it; refuses what is not a plain path below the package's own directory.
///
/// One name has one spelling here, so that names can be compared as texts from now on.
pub(crate) fn checked(bytes: &[u8]) -> Result<&str, PackageError> {
    let refuse = |problem| Err(PackageError::EntryName { entry: bytes.escape_ascii().to_string(), problem });
    let Ok(name) = std::str::from_utf8(bytes) else { return refuse("is not UTF-8") };
    if name.is_empty() {
        return refuse("is empty");
    }
    if name.chars().any(char::is_control) {
        return refuse("contains a control character");
    }
    // `sha256sum` escapes lines with a backslash, and other systems read it as a separator.
    if name.contains('\\') {
        return refuse("contains a backslash");
    }
    if name.starts_with('/') {
        return refuse("is absolute");
    }
    for part in name.split('/') {
        match part {
            ".." => return refuse("leads out of the package"),
            "." | "" => return refuse("is not in its shortest form"),
            _ => {}
        }
    }
    Ok(name)
}

/// What a file of this name is.
pub(crate) fn place(name: &str) -> Result<Place, PackageError> {
    let refuse = |expected| Err(PackageError::Layout { entry: name.to_owned(), expected });
    match name.split_once('/') {
        None if name == MANIFEST => Ok(Place::Manifest),
        None if name == SUMS => Ok(Place::Sums),
        Some(("payload", _)) => Ok(Place::Payload),
        Some(("hooks", rest)) if !rest.contains('/') => Ok(Place::Hook),
        Some(("hooks", _)) => refuse("no directories below `hooks/`"),
        Some(("migrations", rest)) => match rest.split_once('/') {
            None => Ok(Place::Migration),
            Some(("contract", file)) if !file.contains('/') => Ok(Place::ContractMigration),
            Some(_) => refuse("only `migrations/*.sql` and `migrations/contract/*.sql`"),
        },
        _ => refuse("`rollup-package.toml`, `SHA256SUMS`, or something below `payload/`, `migrations/` or `hooks/`"),
    }
}

/// Refuses a directory that no file of a package could lie in.
pub(crate) fn check_directory(name: &str) -> Result<(), PackageError> {
    match name {
        "payload" | "hooks" | "migrations" | "migrations/contract" => Ok(()),
        _ if name.starts_with("payload/") => Ok(()),
        _ => Err(PackageError::Layout {
            entry: format!("{name}/"),
            expected: "only the directories `payload/`, `migrations/`, `migrations/contract/` and `hooks/`",
        }),
    }
}

/// The directories above a name, nearest first.
pub(crate) fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.rsplit_once('/').map(|(above, _)| above), |above| {
        above.rsplit_once('/').map(|(above, _)| above)
    })
}
