//! Packages made by hand, entry by entry, so that each can be wrong in one way.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use package::{Listing, PackageError};
use rollup_model::{Release, inventory::PackagePolicy, plan::hex};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

/// A manifest without anything wrong.
pub(crate) const MANIFEST: &str = r#"
format = 1
name = "orders"
version = "2.0.0"
from_versions = ["1.*"]
architecture = "any"
units = ["orders-api.service"]
[[components]]
source = "payload/app.jar"
destination = "/opt/orders/app.jar"
owner = "orders"
group = "orders"
mode = "0644"
[[hooks]]
on = "post-install"
run = "hooks/key.sh"
limit = "60s"
"#;

/// One entry, exactly as it will be in the archive.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: EntryType,
    pub(crate) mode: u32,
    pub(crate) content: Vec<u8>,
}

/// A regular file.
pub(crate) fn file(name: &str, content: impl AsRef<[u8]>) -> Raw {
    Raw { name: name.into(), kind: EntryType::Regular, mode: 0o644, content: content.as_ref().to_vec() }
}

/// The files of a package without anything wrong, but for their checksums.
pub(crate) fn files() -> Vec<Raw> {
    vec![
        file("rollup-package.toml", MANIFEST),
        file("payload/app.jar", "jar"),
        file("hooks/key.sh", "#!/bin/sh\n"),
        file("migrations/V2.0.0__add_note.sql", "ALTER TABLE orders ADD COLUMN note text;\n"),
        file("migrations/U2.0.0__add_note.sql", "ALTER TABLE orders DROP COLUMN note;\n"),
    ]
}

/// The same with another manifest.
pub(crate) fn files_with(manifest: &str) -> Vec<Raw> {
    let mut files = files();
    files[0] = file("rollup-package.toml", manifest);
    files
}

/// The list of checksums that fits the files.
pub(crate) fn sums(entries: &[Raw]) -> Raw {
    let line = |raw: &Raw| format!("{}  {}\n", hex(&Sha256::digest(&raw.content)), String::from_utf8_lossy(&raw.name));
    let regular = entries.iter().filter(|raw| raw.kind == EntryType::Regular);
    file("SHA256SUMS", regular.map(line).collect::<String>())
}

/// A tar stream of these entries, with or without its end mark.
pub(crate) fn tar(entries: &[Raw], ended: bool) -> Vec<u8> {
    let mut stream = Vec::new();
    for raw in entries {
        let mut header = Header::new_ustar();
        // Not set_path: that refuses what these tests are about.
        header.as_old_mut().name[..raw.name.len()].copy_from_slice(&raw.name);
        header.set_entry_type(raw.kind);
        header.set_mode(raw.mode);
        header.set_size(raw.content.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        stream.extend_from_slice(header.as_bytes());
        stream.extend_from_slice(&raw.content);
        stream.resize(stream.len().next_multiple_of(512), 0);
    }
    if ended {
        stream.resize(stream.len() + 1024, 0);
    }
    stream
}

/// Compresses as a package may be.
pub(crate) fn gzip(stream: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(stream).unwrap();
    encoder.finish().unwrap()
}

/// A policy that accepts packages without a signature.
pub(crate) fn policy() -> PackagePolicy {
    PackagePolicy { allow_unsigned: true, ..PackagePolicy::default() }
}

/// Reads these bytes as a package.
pub(crate) fn read_bytes(bytes: &[u8]) -> Result<(Release, Listing), PackageError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.tar.gz");
    fs::write(&path, bytes).unwrap();
    let first = package::read(&path, &policy());
    // Whatever is refused must not leave a trace when it should be unpacked, either.
    let target = directory.path().join("target");
    let unpacked = package::unpack_checked(&path, &target, &policy());
    assert_eq!(unpacked.is_ok(), first.is_ok(), "unpacking and reading disagree");
    assert_eq!(target.exists(), first.is_ok(), "something was written before the package was accepted");
    first
}

/// Reads a package of these entries with fitting checksums.
pub(crate) fn read(mut entries: Vec<Raw>) -> Result<(Release, Listing), PackageError> {
    entries.push(sums(&entries));
    read_bytes(&gzip(&tar(&entries, true)))
}

/// Reads a package of the usual files and one more entry.
pub(crate) fn read_with(extra: Raw) -> Result<(Release, Listing), PackageError> {
    let mut entries = files();
    entries.push(extra);
    read(entries)
}

/// Writes the files of a package into a directory, for building.
pub(crate) fn write_tree(directory: &Path, files: &[Raw]) -> PathBuf {
    for raw in files {
        let path = directory.join(std::str::from_utf8(&raw.name).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &raw.content).unwrap();
    }
    directory.to_owned()
}
