//! Builds a package from a directory: the same directory gives the same bytes, whoever builds it and when.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use rollup_model::{plan::hex, release::Migration};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::{
    Entry, MANIFEST, Manifest, PackageError, SUMS,
    archive::Shape,
    manifest::Destinations,
    migration,
    name::{self, Place},
    read::{Compression, hash},
    sums,
};

/// A package that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Where it is.
    pub archive: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, hex.
    pub sha256: String,
    /// How many files it holds, `SHA256SUMS` included.
    pub files: usize,
}

/// The manifest and the migrations of a directory that has the layout of a package; nothing else of it is read.
///
/// # Errors
/// Where [`build`] would refuse the same for one of them.
pub fn survey(directory: &Path) -> Result<(Manifest, Vec<Migration>), PackageError> {
    let mut files = BTreeMap::new();
    collect(directory, "", &mut files)?;
    let (mut entries, mut texts) = (BTreeMap::new(), BTreeMap::new());
    for (name, path) in &files {
        if is_text(name)? {
            entries.insert(name.clone(), digest(path)?);
            texts.insert(name.clone(), fs::read(path).map_err(PackageError::file("read", path))?);
        }
    }
    Ok((manifest(&texts)?, migration::collect(&entries, &texts)?))
}

/// Builds a package from a directory that has the layout of a package; `out` ends in `.tar.gz` or `.tar.zst`.
///
/// `SHA256SUMS` is computed; one that lies in the directory is ignored. `out` is replaced only by a complete package.
///
/// # Errors
/// Whatever [`crate::read`] would refuse, except for the policy of whoever installs it.
pub fn build(directory: &Path, out: &Path) -> Result<Built, PackageError> {
    let compression = compression(out)?;
    let mut files = BTreeMap::new();
    collect(directory, "", &mut files)?;
    files.remove(SUMS);
    let mut entries = BTreeMap::new();
    let mut texts = BTreeMap::new();
    for (name, path) in &files {
        entries.insert(name.clone(), digest(path)?);
        if is_text(name)? {
            texts.insert(name.clone(), fs::read(path).map_err(PackageError::file("read", path))?);
        }
    }
    manifest(&texts)?.check(&entries, Shape::Package, Destinations::Anywhere)?;
    migration::collect(&entries, &texts)?;

    // Beside the target, so that it can be renamed; hidden, so that no pattern for packages picks it up.
    let file_name = out.file_name().unwrap_or_default().to_string_lossy();
    let partial = out.with_file_name(format!(".{file_name}.{}", std::process::id()));
    let written = write(&partial, compression, &files, &entries);
    let done = written.and_then(|(size, sha256)| {
        fs::rename(&partial, out).map_err(PackageError::file("write", out))?;
        Ok(Built { archive: out.to_owned(), size, sha256, files: files.len() + 1 })
    });
    if done.is_err() {
        // The error is what matters; a left-over temporary file is not worth another one.
        let _removed = fs::remove_file(&partial);
    }
    done
}

/// Whether a file is read, and not only packed.
fn is_text(name: &str) -> Result<bool, PackageError> {
    Ok(matches!(name::place(name)?, Place::Manifest | Place::Migration | Place::ContractMigration))
}

fn manifest(texts: &BTreeMap<String, Vec<u8>>) -> Result<Manifest, PackageError> {
    let manifest = texts.get(MANIFEST).ok_or(PackageError::Missing { entry: MANIFEST })?;
    let text = String::from_utf8(manifest.clone()).map_err(|_| PackageError::NotText { entry: MANIFEST.to_owned() })?;
    Manifest::parse(&text)
}

fn compression(out: &Path) -> Result<Compression, PackageError> {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".tar.gz") {
        Ok(Compression::Gzip)
    } else if name.ends_with(".tar.zst") {
        Ok(Compression::Zstd)
    } else {
        Err(PackageError::NotAnArchive { path: out.to_owned(), found: format!("the name `{name}`") })
    }
}

/// Finds the files below a directory by their names in the package.
fn collect(directory: &Path, above: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<(), PackageError> {
    let failed = || PackageError::file("read", directory);
    for entry in fs::read_dir(directory).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let file_name = entry.file_name();
        let name = format!("{above}{}", name::checked(file_name.as_encoded_bytes())?);
        let kind = entry.file_type().map_err(failed())?;
        if kind.is_file() {
            name::place(&name)?;
            files.insert(name, entry.path());
        } else if kind.is_dir() {
            name::check_directory(&name)?;
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            let found = if kind.is_symlink() { "a symbolic link" } else { "a special file" };
            return Err(PackageError::EntryType { entry: name, found });
        }
    }
    Ok(())
}

fn digest(path: &Path) -> Result<Entry, PackageError> {
    let failed = || PackageError::file("read", path);
    hash(&mut File::open(path).map_err(failed())?, |_| Ok(())).map_err(failed())
}

/// Writes the archive; returns its size and SHA-256.
fn write(
    out: &Path,
    compression: Compression,
    files: &BTreeMap<String, PathBuf>,
    entries: &BTreeMap<String, Entry>,
) -> Result<(u64, String), PackageError> {
    let failed = || PackageError::file("write", out);
    let file = File::create(out).map_err(failed())?;
    let output = Output { inner: BufWriter::new(file), hash: Sha256::new(), count: 0 };
    let output = match compression {
        Compression::Gzip => {
            // The builder's header has no time and no file name.
            let encoder = flate2::GzBuilder::new().write(output, flate2::Compression::default());
            archive(encoder, out, files, entries)?.finish().map_err(failed())?
        }
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(output, 3).map_err(failed())?;
            encoder.include_checksum(true).map_err(failed())?;
            archive(encoder, out, files, entries)?.finish().map_err(failed())?
        }
    };
    let file = output.inner.into_inner().map_err(|error| failed()(error.into_error()))?;
    file.sync_all().map_err(failed())?;
    Ok((output.count, hex(&output.hash.finalize())))
}

/// Appends every file: the list of checksums first, then the manifest, then by name.
fn archive<W: Write>(
    encoder: W,
    out: &Path,
    files: &BTreeMap<String, PathBuf>,
    entries: &BTreeMap<String, Entry>,
) -> Result<W, PackageError> {
    let failed = || PackageError::file("write", out);
    let mut builder = tar::Builder::new(encoder);
    let list = sums::format(entries);
    let header = header(SUMS, list.len() as u64)?;
    builder.append(&header, list.as_bytes()).map_err(failed())?;
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by_key(|(name, _)| (*name != MANIFEST, *name));
    for (name, path) in sorted {
        let Some(expected) = entries.get(name) else { continue };
        let header = self::header(name, expected.size)?;
        let file = File::open(path).map_err(PackageError::file("read", path))?;
        let mut content = Hashed { inner: file.take(expected.size), hash: Sha256::new() };
        builder.append(&header, &mut content).map_err(failed())?;
        // Its checksum is already in the archive, so it must still be the same file.
        let unread = content.inner.limit();
        if unread != 0 || hex(&content.hash.finalize()) != expected.sha256 {
            return Err(PackageError::Changed { path: path.clone() });
        }
    }
    builder.into_inner().map_err(failed())
}

fn header(name: &str, size: u64) -> Result<Header, PackageError> {
    let mut header = Header::new_ustar();
    // Longer names need extended headers, which the reader refuses.
    let expected = "a path short enough for tar: 100 bytes for the file name, 155 for its directory";
    header.set_path(name).map_err(|_| PackageError::Layout { entry: name.to_owned(), expected })?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    // What a node makes of a file is in the manifest; these are only what unpacking by hand would give.
    header.set_mode(if name::place(name)? == Place::Hook { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

/// Hashes and counts what is written through it.
struct Output<W> {
    inner: W,
    hash: Sha256,
    count: u64,
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.count += written as u64;
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Hashes what is read through it.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
