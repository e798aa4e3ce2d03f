//! Why a package is refused. Callers branch on the kind; people read the message and the hint.

use std::{io, path::PathBuf};

use rollup_model::Diagnostic;

/// Why a package could not be built, read or unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A file of the operator's machine cannot be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    File {
        /// What was tried: `read`, `write` …
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not begin like an archive of a known kind.
    #[error("{} is not a package: expected gzip or zstd data, found {found}", path.display())]
    NotAnArchive {
        /// The file.
        path: PathBuf,
        /// Its first bytes, or what it is called.
        found: String,
    },
    /// The archive ends before its own end mark.
    #[error("the archive is truncated: expected {expected}, found its end after `{after}`")]
    Truncated {
        /// What should have come next.
        expected: &'static str,
        /// The last entry that was begun.
        after: String,
    },
    /// The compressed data or a tar header contradicts itself.
    #[error("the archive is damaged after entry `{after}`: {problem}")]
    Damaged {
        /// The last good entry.
        after: String,
        /// What the decoder said.
        problem: String,
    },
    /// There is something behind the end of the archive.
    #[error("expected nothing behind the end of the archive, found {found}")]
    TrailingData {
        /// What is there.
        found: &'static str,
    },
    /// An entry is neither a regular file nor a directory.
    #[error("entry `{entry}` is {found}: expected a regular file or a directory")]
    EntryType {
        /// The entry.
        entry: String,
        /// What it is.
        found: &'static str,
    },
    /// An entry's name leads out of the package, or could be read in two ways.
    #[error("entry name `{entry}` {problem}: expected a relative path such as `payload/app.jar`")]
    EntryName {
        /// The name, escaped.
        entry: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An entry lies where a package has nothing.
    #[error("unexpected entry `{entry}`: expected {expected}")]
    Layout {
        /// The entry.
        entry: String,
        /// What may lie there.
        expected: &'static str,
    },
    /// A name occurs twice, or a file's name is also a directory of other entries.
    #[error("entry `{entry}` occurs more than once: expected every name once")]
    Duplicate {
        /// The name.
        entry: String,
    },
    /// Two names differ in the case of letters alone.
    #[error(
        "entries `{other}` and `{entry}` differ in the case of letters alone: expected names that no system mixes up"
    )]
    CaseCollision {
        /// The later one.
        entry: String,
        /// The earlier one.
        other: String,
    },
    /// An entry carries the setuid, setgid or sticky bit.
    #[error("entry `{entry}` has mode {found:04o}: expected no setuid, setgid or sticky bit")]
    SpecialMode {
        /// The entry.
        entry: String,
        /// Its mode.
        found: u32,
    },
    /// The archive is larger than anything it could honestly be.
    #[error("{what} at entry `{entry}`: expected at most {limit}, found {found}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// Where the limit was passed.
        entry: String,
        /// The limit.
        limit: u64,
        /// What was found, which may be what a header claims.
        found: u64,
    },
    /// A file that every package has is not there.
    #[error("the package has no `{entry}`")]
    Missing {
        /// The file.
        entry: &'static str,
    },
    /// A line of `SHA256SUMS` is not what `sha256sum` writes.
    #[error("`SHA256SUMS` line {line}: expected 64 hex digits, two spaces and a path, found `{found}`")]
    Sums {
        /// The line's number, from 1.
        line: usize,
        /// The line.
        found: String,
    },
    /// Files that `SHA256SUMS` does not list.
    #[error("expected every file in `SHA256SUMS`, found unlisted: {}", entries.join(", "))]
    Unlisted {
        /// The files.
        entries: Vec<String>,
    },
    /// Files that only `SHA256SUMS` knows.
    #[error("expected every file of `SHA256SUMS` in the package, missing: {}", entries.join(", "))]
    Absent {
        /// The files.
        entries: Vec<String>,
    },
    /// A file's content is not what `SHA256SUMS` says.
    #[error("entry `{entry}` has the wrong content: expected sha256 {expected}, found {found}")]
    Checksum {
        /// The file.
        entry: String,
        /// From `SHA256SUMS`.
        expected: String,
        /// Of the content.
        found: String,
    },
    /// A text that must be UTF-8 is not.
    #[error("entry `{entry}` is not text: expected UTF-8")]
    NotText {
        /// The file.
        entry: String,
    },
    /// The manifest contradicts itself, the package or the policy. All problems that could be found at once.
    #[error("`rollup-package.toml`: {}", messages(problems))]
    Manifest {
        /// The problems.
        problems: Vec<Diagnostic>,
    },
    /// The migrations' names contradict each other.
    #[error("migrations: {}", messages(problems))]
    Migrations {
        /// The problems.
        problems: Vec<Diagnostic>,
    },
    /// The package has no signature and the policy wants one (PKG-1).
    #[error("the package is not signed: expected a minisign signature at {}, found no such file", path.display())]
    Unsigned {
        /// Where the signature should be.
        path: PathBuf,
    },
    /// The signature is that of a key that the policy does not name (PKG-1).
    #[error(
        "{} was made with key {found}: expected {}",
        path.display(),
        if trusted.is_empty() { "a key of `package.trusted_keys`, which is empty".to_owned() } else { trusted.join(" or ") }
    )]
    UnknownKey {
        /// The signature.
        path: PathBuf,
        /// Id of its key.
        found: String,
        /// Ids of the trusted keys.
        trusted: Vec<String>,
    },
    /// A trusted key's signature does not fit the archive: one of the two was changed (PKG-1).
    #[error("{} is not what key {key} has signed: the archive, the signature or its comment was changed", path.display())]
    Forged {
        /// The archive.
        path: PathBuf,
        /// Id of the key.
        key: String,
    },
    /// A file that should be a signature is none.
    #[error("{} is not a signature that can be verified: {problem}", path.display())]
    Signature {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The signed comment speaks of another package than the archive does.
    #[error("the signature is for another package: expected {what} {signed}, found {found}")]
    Claim {
        /// What differs.
        what: &'static str,
        /// From the signed comment.
        signed: String,
        /// From the archive.
        found: String,
    },
    /// A manifest that lies beside an archive is for another one.
    #[error("the manifest is for another archive: expected sha256 {expected}, found {found}")]
    OtherArchive {
        /// From the manifest.
        expected: String,
        /// Of the archive.
        found: String,
    },
    /// A key of the policy is none.
    #[error("`package.trusted_keys` has `{found}`: expected a public minisign key, 56 characters that begin with `RW`")]
    TrustedKey {
        /// What is there.
        found: String,
    },
    /// A secret key cannot be used.
    #[error("secret key {}: {problem}", path.display())]
    SecretKey {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file changed between being looked at and being used.
    #[error("{} changed while it was being read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The directory to unpack into already has something in it.
    #[error("{} is not empty: expected an empty directory", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
}

impl PackageError {
    /// What the operator can do about it, without the word `hint`.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unsigned { .. } => {
                "fetch the publisher's `.minisig` file too, or sign with `rollup pkg sign`; to accept packages without a \
                 signature, set `package.allow_unsigned = true` in the inventory"
            }
            Self::UnknownKey { .. } => {
                "if the publisher told you this key, add the second line of its `.pub` file to `package.trusted_keys` in \
                 the inventory"
            }
            Self::Forged { .. } | Self::Claim { .. } | Self::OtherArchive { .. } => {
                "do not install it: fetch archive and signature again from the publisher"
            }
            Self::Signature { .. } => "fetch the `.minisig` file again, or make it with `rollup pkg sign`",
            Self::TrustedKey { .. } => "take the second line of the key's `.pub` file",
            Self::SecretKey { .. } => "rollup pkg sign --secret FILE --password-file FILE PACKAGE",
            Self::Truncated { .. } | Self::Damaged { .. } | Self::Checksum { .. } => {
                "compare the file's sha256 with the publisher's and fetch it again"
            }
            Self::TrailingData { .. }
            | Self::EntryType { .. }
            | Self::Duplicate { .. }
            | Self::CaseCollision { .. }
            | Self::SpecialMode { .. } => {
                "rebuild the package with `rollup pkg build`; if it came from elsewhere, do not trust it"
            }
            Self::EntryName { .. } | Self::Layout { .. } | Self::Missing { .. } => {
                "build it with `rollup pkg build` from `rollup-package.toml`, `payload/`, `migrations/` and `hooks/`"
            }
            Self::Sums { .. } | Self::Unlisted { .. } | Self::Absent { .. } => {
                "do not edit a built package; `rollup pkg build` writes `SHA256SUMS` itself"
            }
            Self::NotAnArchive { .. } => "packages are `.tar.gz` or `.tar.zst` files made by `rollup pkg build`",
            Self::Changed { .. } => "wait until whatever writes the file is done, then try again",
            Self::NotEmpty { .. } => "name a directory that is empty or does not exist",
            Self::File { .. } | Self::TooLarge { .. } | Self::NotText { .. } => return None,
            // Each of these problems has a hint of its own.
            Self::Manifest { .. } | Self::Migrations { .. } => return None,
        })
    }

    pub(crate) fn file(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { verb, path, source }
    }
}

fn messages(problems: &[Diagnostic]) -> String {
    let one = |problem: &Diagnostic| match &problem.hint {
        Some(hint) => format!("{} (hint: {hint})", problem.message),
        None => problem.message.clone(),
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}
