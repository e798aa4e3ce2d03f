//! Reads a package in one pass and decides whether it is accepted.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::Path,
};

use rollup_model::{
    inventory::PackagePolicy,
    plan::hex,
    release::{self, Release},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    MANIFEST, Manifest, PackageError, SUMS,
    archive::{self, Limits, Scanned, Shape},
    manifest::{Destinations, LayoutChoice},
    migration,
    name::{self, Place},
    outline,
    signature::{self, Standing},
    sums,
};

const MIB: u64 = 1024 * 1024;
/// A manifest or a migration. Migrations become part of the plan, which people read.
const TEXT_LIMIT: u64 = MIB;
/// Room for a checksum of each of the most entries there may be.
const SUMS_LIMIT: u64 = 32 * MIB;
/// All texts that are kept in memory.
const KEPT_LIMIT: u64 = 64 * MIB;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// `.tar.gz`
    Gzip,
    /// `.tar.zst`
    Zstd,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the content, hex.
    pub sha256: String,
}

/// What is in a package, for people who want to look into it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listing {
    /// How the archive is compressed.
    pub compression: Compression,
    /// The manifest as its author wrote it.
    pub manifest: Manifest,
    /// SHA-256 of the manifest's text, hex.
    pub manifest_sha256: String,
    /// Every file by its path, `SHA256SUMS` included.
    pub entries: BTreeMap<String, Entry>,
}

/// Reads a package and checks all of it, without writing anything.
///
/// # Errors
/// The first reason to refuse the package; mistakes of the manifest all at once.
pub fn read(path: &Path, policy: &PackagePolicy) -> Result<(Release, Listing), PackageError> {
    read_within(path, None, policy, &Limits::default())
}

/// Reads somebody else's archive, which has no manifest, by one that lies beside it: components name the archive's own
/// files. What is in such an archive is as trusted as its signature, or as whoever wrote the manifest's `archive_sha256`.
///
/// # Errors
/// As [`read`].
pub fn read_beside(path: &Path, manifest: &Path, policy: &PackagePolicy) -> Result<(Release, Listing), PackageError> {
    read_within(path, Some(manifest), policy, &Limits::default())
}

pub(crate) fn read_within(
    path: &Path,
    beside: Option<&Path>,
    policy: &PackagePolicy,
    limits: &Limits,
) -> Result<(Release, Listing), PackageError> {
    let standing = signature::check(path, policy)?;
    let manifest = beside.map(Beside::read).transpose()?;
    let mut contents = Contents::new(manifest.is_some(), None);
    let shape = contents.shape;
    let scanned = archive::scan(path, shape, limits, &mut |name, size, content| contents.take(name, size, content))?;
    // The plan outlives the directory that rollup was started in.
    let absolute = std::path::absolute(path).map_err(PackageError::file("find", path))?;
    judge(&absolute, scanned, contents, manifest, standing, policy)
}

/// The manifest of an archive that has none.
#[derive(Debug)]
pub(crate) struct Beside {
    text: String,
    sha256: String,
}

impl Beside {
    pub(crate) fn read(path: &Path) -> Result<Self, PackageError> {
        let text = std::fs::read_to_string(path).map_err(PackageError::file("read", path))?;
        let sha256 = hex(&Sha256::digest(&text));
        Ok(Self { text, sha256 })
    }
}

/// Decides about an archive of which everything is known. `path` is absolute.
pub(crate) fn judge(
    path: &Path,
    scanned: Scanned,
    contents: Contents,
    beside: Option<Beside>,
    standing: Standing,
    policy: &PackagePolicy,
) -> Result<(Release, Listing), PackageError> {
    let Contents { shape, entries, mut texts, .. } = contents;
    let (manifest, manifest_sha256) = match beside {
        None => {
            let sums = text(&mut texts, SUMS)?;
            // Nothing that the package says about itself is believed before its checksums agree.
            sums::compare(&sums, &entries)?;
            let sha256 = entries.get(MANIFEST).map(|entry| entry.sha256.clone()).unwrap_or_default();
            (text(&mut texts, MANIFEST)?, sha256)
        }
        Some(beside) => (beside.text, beside.sha256),
    };
    let manifest = Manifest::parse(&manifest)?;
    manifest.check(&entries, shape, Destinations::Policy(policy))?;
    if let Some(expected) = manifest.archive_sha256.as_ref().filter(|expected| **expected != scanned.sha256) {
        return Err(PackageError::OtherArchive { expected: expected.clone(), found: scanned.sha256 });
    }
    let migrations = match shape {
        Shape::Package => migration::collect(&entries, &texts)?,
        Shape::Plain => Vec::new(),
    };
    let mut release = release(path, &scanned, &manifest, &entries, migrations)?;
    release.plain = shape == Shape::Plain;
    if let Standing::Trusted { signer, archive_sha256, claims } = standing {
        // The file may have been replaced since it was verified: then nothing that was verified is true.
        if archive_sha256 != release.archive_sha256 {
            return Err(PackageError::Changed { path: path.to_owned() });
        }
        claims.hold(&release.name, &release.version, &manifest_sha256)?;
        release.signer = Some(signer);
    }
    Ok((release, Listing { compression: scanned.compression, manifest, manifest_sha256, entries }))
}

fn release(
    path: &Path,
    scanned: &Scanned,
    manifest: &Manifest,
    entries: &BTreeMap<String, Entry>,
    migrations: Vec<release::Migration>,
) -> Result<Release, PackageError> {
    let archive = path.to_str().map(str::to_owned).ok_or_else(|| io::Error::other("its path is not UTF-8"));
    let layout = match &manifest.layout {
        LayoutChoice::InPlace => None,
        LayoutChoice::Symlink { root } => {
            Some(release::Layout { root: root.clone(), version: manifest.version.clone() })
        }
    };
    let is_run = |name: &str| manifest.hooks.iter().any(|hook| hook.run == name);
    let of_hooks = |name: &str| name.starts_with("hooks/") || is_run(name);
    let hook_files = entries.iter().filter(|(name, _)| of_hooks(name)).map(|(name, entry)| release::HookFile {
        source: name.clone(),
        sha256: entry.sha256.clone(),
        size: entry.size,
    });
    let mut release = Release {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        from_versions: manifest.from_versions.clone(),
        architecture: manifest.architecture.clone(),
        units: manifest.units.clone(),
        archive: archive.map_err(PackageError::file("record", path))?,
        archive_node: None,
        archive_size: scanned.size,
        archive_sha256: scanned.sha256.clone(),
        unpacked_size: scanned.unpacked,
        signer: None,
        plain: false,
        components: Vec::new(),
        layout,
        keep: manifest.keep.clone(),
        obsolete: Vec::new(),
        root_key: manifest.root_key,
        health: manifest.health.clone(),
        migrations,
        hooks: manifest.hooks.clone(),
        hook_files: hook_files.collect(),
    };
    let components = manifest.components.iter().filter_map(|component| {
        // The manifest's check has found every source.
        let entry = entries.get(&component.source)?;
        let place = |layout: &release::Layout| layout.place(&component.destination);
        Some(release::Component {
            source: component.source.clone(),
            destination: release.layout.as_ref().map_or_else(|| component.destination.clone(), place),
            owner: component.owner.clone(),
            group: component.group.clone(),
            mode: format!("{:0>4}", component.mode),
            sha256: entry.sha256.clone(),
            size: entry.size,
            capabilities: component.capabilities.clone(),
            keep: release.keeps(&component.destination),
        })
    });
    release.components = components.collect();
    Ok(release)
}

/// What the pass over the archive leaves: a checksum of everything, the content of little.
pub(crate) struct Contents {
    shape: Shape,
    entries: BTreeMap<String, Entry>,
    texts: BTreeMap<String, Vec<u8>>,
    kept: u64,
    /// What is told beside the stream by a node that has the archive.
    told: Option<outline::Beside>,
}

impl Contents {
    pub(crate) fn new(is_plain: bool, told: Option<outline::Beside>) -> Self {
        let shape = if is_plain { Shape::Plain } else { Shape::Package };
        Self { shape, entries: BTreeMap::new(), texts: BTreeMap::new(), kept: 0, told }
    }

    /// What the archive is expected to look like.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    pub(crate) fn take(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<(), PackageError> {
        let place = if self.shape == Shape::Plain { Place::Payload } else { name::place(name)? };
        let limit = match place {
            Place::Manifest | Place::Migration | Place::ContractMigration => Some(TEXT_LIMIT),
            Place::Sums => Some(SUMS_LIMIT),
            Place::Payload | Place::Hook => None,
        };
        let mut text = Vec::new();
        if let Some(limit) = limit {
            let too_large = |what, limit, found| PackageError::TooLarge { what, entry: name.to_owned(), limit, found };
            if size > limit {
                return Err(too_large("a text is too large", limit, size));
            }
            self.kept += size;
            if self.kept > KEPT_LIMIT {
                return Err(too_large("the texts are too large together", KEPT_LIMIT, self.kept));
            }
        }
        let failed = || PackageError::file("read", name);
        let entry = match &self.told {
            // Zeros are not worth hashing.
            Some(told) if limit.is_none() && size > 0 => {
                let size = io::copy(content, &mut io::sink()).map_err(failed())?;
                told.borrow_mut().content.take().map(|sha256| Entry { size, sha256 })
            }
            _ => None,
        };
        let entry = match entry {
            Some(entry) => entry,
            None => hash(content, |piece| {
                if limit.is_some() {
                    text.extend_from_slice(piece);
                }
                Ok(())
            })
            .map_err(failed())?,
        };
        if self.told.as_ref().is_some_and(|told| told.borrow().content.is_some()) {
            let problem = "the node told a hash of a text instead of the text".to_owned();
            return Err(PackageError::Damaged { after: name.to_owned(), problem });
        }
        self.entries.insert(name.to_owned(), entry);
        if limit.is_some() {
            self.texts.insert(name.to_owned(), text);
        }
        Ok(())
    }
}

/// Reads to the end and hashes, piece by piece; each piece is also given to `each`.
pub(crate) fn hash(content: &mut dyn Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Entry> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match content.read(&mut buffer) {
            Ok(0) => return Ok(Entry { size, sha256: hex(&hash.finalize()) }),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = &buffer[..read];
        hash.update(piece);
        size += read as u64;
        each(piece)?;
    }
}

fn text(texts: &mut BTreeMap<String, Vec<u8>>, name: &'static str) -> Result<String, PackageError> {
    let bytes = texts.remove(name).ok_or(PackageError::Missing { entry: name })?;
    String::from_utf8(bytes).map_err(|_| PackageError::NotText { entry: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(limits: &Limits) -> PackageError {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("source");
        std::fs::create_dir_all(source.join("payload")).unwrap();
        let manifest = "format = 1\nname = \"x\"\nversion = \"1\"\n[[components]]\nsource = \"payload/a\"\n\
            destination = \"/opt/a\"\nowner = \"root\"\ngroup = \"root\"\nmode = \"0644\"\n";
        std::fs::write(source.join(MANIFEST), manifest).unwrap();
        std::fs::write(source.join("payload/a"), vec![0; 5000]).unwrap();
        let out = directory.path().join("x.tar.gz");
        crate::build(&source, &out).unwrap();
        let policy = PackagePolicy { allow_unsigned: true, ..PackagePolicy::default() };
        read_within(&out, None, &policy, limits).unwrap_err()
    }

    #[test]
    fn pkg_4_an_archive_with_too_many_entries_is_refused() {
        let error = limited(&Limits { entries: 2, ..Limits::default() });
        assert!(matches!(error, PackageError::TooLarge { limit: 2, found: 3, .. }), "{error}");
    }

    #[test]
    fn pkg_4_a_file_that_unpacks_to_too_much_is_refused() {
        let error = limited(&Limits { file: 4999, ..Limits::default() });
        assert!(matches!(error, PackageError::TooLarge { limit: 4999, found: 5000, .. }), "{error}");
    }

    #[test]
    fn pkg_4_files_that_unpack_to_too_much_together_are_refused() {
        let error = limited(&Limits { total: 5010, ..Limits::default() });
        assert!(matches!(error, PackageError::TooLarge { limit: 5010, .. }), "{error}");
    }
}
