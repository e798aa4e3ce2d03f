//! Some files of an archive, for those who lack them: unpacked, or as a tar stream. A second pass over the archive, which
//! must still be what was read; memory stays flat whatever it holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use rollup_model::Release;
use tar::{EntryType, Header};

use crate::{
    PackageError,
    archive::{self, Limits, Shape},
    read::hash,
};

/// Unpacks these files below a directory. A file gets its name when it is whole and its content is as it was read.
pub(crate) fn extract(release: &Release, names: &BTreeSet<String>, dir: &Path) -> Result<(), PackageError> {
    each(release, names, &mut |name, _, content| {
        let target = dir.join(name);
        let above = target.parent().unwrap_or(dir);
        // What a package holds is nobody else's business until it is installed.
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(above).map_err(PackageError::file("make", above))?;
        let partial = above.join(format!(".{}.partial", target.file_name().unwrap_or_default().to_string_lossy()));
        let failed = || PackageError::file("write", &partial);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&partial).map_err(failed())?;
        let found = hash(content, |piece| file.write_all(piece)).map_err(failed())?;
        fs::rename(&partial, &target).map_err(PackageError::file("write", &target))?;
        Ok(found.sha256)
    })
}

/// Writes these files as a tar stream.
pub(crate) fn stream(release: &Release, names: &BTreeSet<String>, out: &mut dyn Write) -> Result<(), PackageError> {
    let mut builder = tar::Builder::new(out);
    each(release, names, &mut |name, size, content| {
        let failed = || PackageError::file("send", name);
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(size);
        let mut content = Hashed { inner: content, hash: sha2::Digest::new() };
        builder.append_data(&mut header, name, &mut content).map_err(failed())?;
        Ok(content.sum())
    })?;
    builder.into_inner().and_then(Write::flush).map_err(PackageError::file("send", &release.archive))
}

/// Hands each wanted file to `take`, which returns the checksum of what it took.
fn each(
    release: &Release,
    names: &BTreeSet<String>,
    take: &mut dyn FnMut(&str, u64, &mut dyn Read) -> Result<String, PackageError>,
) -> Result<(), PackageError> {
    let path = Path::new(&release.archive);
    let changed = || PackageError::Changed { path: path.to_owned() };
    let expected: BTreeMap<&str, &str> = release.staged().map(|file| (file.source, file.sha256)).collect();
    let shape = if release.plain { Shape::Plain } else { Shape::Package };
    let mut left = names.len();
    let scanned = archive::scan(path, shape, &Limits::default(), &mut |name, size, content| {
        if !names.contains(name) {
            return io::copy(content, &mut io::sink()).map(drop).map_err(PackageError::file("read", path));
        }
        let found = take(name, size, content)?;
        left = left.saturating_sub(1);
        if expected.get(name) == Some(&found.as_str()) { Ok(()) } else { Err(changed()) }
    })?;
    if left == 0 && scanned.sha256 == release.archive_sha256 { Ok(()) } else { Err(changed()) }
}

/// Hashes what is read through it.
struct Hashed<'a> {
    inner: &'a mut dyn Read,
    hash: sha2::Sha256,
}

impl Hashed<'_> {
    fn sum(self) -> String {
        rollup_model::plan::hex(&sha2::Digest::finalize(self.hash))
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        sha2::Digest::update(&mut self.hash, &buffer[..read]);
        Ok(read)
    }
}
