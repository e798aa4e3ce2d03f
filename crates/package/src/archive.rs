//! One pass over an archive: decompresses, checks every entry before its content, hashes the whole file.
//!
//! Owns everything that can be wrong with an archive as such. It must not know what the files mean: that is for the
//! visitor, which sees only names and contents that have passed. Long names and extended headers are refused rather
//! than interpreted, because two programs that read them differently is how archives lie.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    rc::Rc,
};

use rollup_model::plan::hex;
use sha2::{Digest, Sha256};
use tar::EntryType;

use crate::{PackageError, name, read::Compression};

pub(crate) const BLOCK: u64 = 512;
/// What may follow the last entry: two blocks of zeros, and more to fill a record of the program that wrote it.
const MAX_PADDING: u64 = 1024 * 1024;
/// 128 MiB of window: what `zstd` itself accepts without being asked.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How large a package may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Entries, directories included.
    pub(crate) entries: u64,
    /// Bytes of all files together.
    pub(crate) total: u64,
    /// Bytes of one file.
    pub(crate) file: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1024 * 1024 * 1024;
        Self { entries: 100_000, total: 8 * GIB, file: 4 * GIB }
    }
}

/// What is known about an archive after the pass.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) compression: Compression,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    pub(crate) unpacked: u64,
}

/// Receives one regular file: its checked name, its size and its content.
pub(crate) type Visit<'a> = dyn FnMut(&str, u64, &mut dyn Read) -> Result<(), PackageError> + 'a;

/// What an archive is expected to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A package: only names that a package has.
    Package,
    /// Somebody else's archive, whose manifest lies beside it: any names, perhaps with `./` before them.
    Plain,
}

/// Passes over the archive once.
pub(crate) fn scan(path: &Path, shape: Shape, limits: &Limits, visit: &mut Visit<'_>) -> Result<Scanned, PackageError> {
    let mut input = open(path, Some(Sha256::new()))?;
    let compression = compression(path, &mut input)?;
    let unpacked = decompress(&mut input, compression, |stream| entries(stream, shape, limits, &|| false, visit))?;
    if !input.fill_buf().map_err(PackageError::file("read", path))?.is_empty() {
        return Err(PackageError::TrailingData { found: "more bytes after the compressed data" });
    }
    let Hashing { hash, count, .. } = input.into_inner();
    let sha256 = hash.map(|hash| hex(&hash.finalize())).unwrap_or_default();
    Ok(Scanned { compression, size: count, sha256, unpacked })
}

/// Passes over a tar stream that somebody else has unpacked; returns the bytes of all files.
pub(crate) fn scan_unpacked(
    stream: &mut dyn Read,
    shape: Shape,
    limits: &Limits,
    visit: &mut Visit<'_>,
) -> Result<u64, PackageError> {
    entries(stream, shape, limits, &|| false, visit)
}

/// By the first bytes, whatever the name says.
pub(crate) fn compression_of(path: &Path, first: &[u8]) -> Result<Compression, PackageError> {
    match first {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Compression::Zstd),
        [] => Err(PackageError::NotAnArchive { path: path.to_owned(), found: "an empty file".to_owned() }),
        other => {
            let found = format!("`{}`", hex(&other[..other.len().min(4)]));
            Err(PackageError::NotAnArchive { path: path.to_owned(), found })
        }
    }
}

/// Passes over an archive that was scanned before, until `enough` says so. What comes after that is not looked at, and the
/// archive as a whole is not hashed: the visitor knows what each file must be.
pub(crate) fn pick(
    path: &Path,
    shape: Shape,
    enough: &dyn Fn() -> bool,
    visit: &mut Visit<'_>,
) -> Result<(), PackageError> {
    let mut input = open(path, None)?;
    let compression = compression(path, &mut input)?;
    decompress(&mut input, compression, |stream| entries(stream, shape, &Limits::default(), enough, visit)).map(drop)
}

type Input = BufReader<Hashing<File>>;

fn open(path: &Path, hash: Option<Sha256>) -> Result<Input, PackageError> {
    let inner = File::open(path).map_err(PackageError::file("read", path))?;
    Ok(BufReader::with_capacity(128 * 1024, Hashing { inner, hash, count: 0 }))
}

fn compression(path: &Path, input: &mut Input) -> Result<Compression, PackageError> {
    compression_of(path, input.fill_buf().map_err(PackageError::file("read", path))?)
}

fn decompress(
    input: &mut Input,
    compression: Compression,
    read: impl FnOnce(&mut dyn Read) -> Result<u64, PackageError>,
) -> Result<u64, PackageError> {
    match compression {
        Compression::Gzip => read(&mut flate2::bufread::GzDecoder::new(input)),
        Compression::Zstd => {
            let damaged =
                |error: io::Error| PackageError::Damaged { after: "(start)".to_owned(), problem: error.to_string() };
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(damaged)?.single_frame();
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(damaged)?;
            read(&mut decoder)
        }
    }
}

/// Passes over the tar stream; returns the bytes of all files.
fn entries(
    stream: &mut dyn Read,
    shape: Shape,
    limits: &Limits,
    enough: &dyn Fn() -> bool,
    visit: &mut Visit<'_>,
) -> Result<u64, PackageError> {
    let position = Rc::new(Cell::new(0));
    let mut archive = tar::Archive::new(Counting { inner: stream, count: Rc::clone(&position) });
    let mut seen = Seen::default();
    let mut after = "(start)".to_owned();
    let (mut count, mut total, mut end) = (0_u64, 0_u64, 0_u64);
    let tar_entries = archive.entries().map_err(|error| broken(&error, &after))?;
    // Raw: headers that rename or resize what follows are shown to us instead of obeyed.
    for entry in tar_entries.raw(true) {
        if enough() {
            return Ok(total);
        }
        let mut entry = entry.map_err(|error| broken(&error, &after))?;
        let size = entry.size();
        let escaped = || String::from_utf8_lossy(&entry.path_bytes()).escape_debug().to_string();
        let is_file = match entry.header().entry_type() {
            EntryType::Regular => true,
            EntryType::Directory => false,
            other => return Err(PackageError::EntryType { entry: escaped(), found: describe(other) }),
        };
        let bytes = entry.path_bytes().into_owned();
        let bytes = if is_file { bytes.as_slice() } else { bytes.strip_suffix(b"/").unwrap_or(&bytes) };
        let bytes = match shape {
            Shape::Package => bytes,
            Shape::Plain => bytes.strip_prefix(b"./").unwrap_or(bytes),
        };
        if shape == Shape::Plain && !is_file && [&b""[..], b"."].contains(&bytes) {
            continue;
        }
        let name = name::checked(bytes)?;
        let too_large = |what, limit, found| PackageError::TooLarge { what, entry: name.to_owned(), limit, found };
        count += 1;
        if count > limits.entries {
            return Err(too_large("too many entries", limits.entries, count));
        }
        if size > limits.file {
            return Err(too_large("a file is too large", limits.file, size));
        }
        total += size;
        if total > limits.total {
            return Err(too_large("the unpacked files are too large", limits.total, total));
        }
        let mode = entry.header().mode().map_err(|error| broken(&error, &after))?;
        if mode & 0o7000 != 0 {
            return Err(PackageError::SpecialMode { entry: name.to_owned(), found: mode });
        }
        seen.add(name, is_file)?;
        after = name.to_owned();
        end = entry.raw_file_position() + size.div_ceil(BLOCK) * BLOCK;
        if is_file {
            if shape == Shape::Package {
                name::place(name)?;
            }
            visit_whole(name, size, &mut entry, visit)?;
        } else {
            if shape == Shape::Package {
                name::check_directory(name)?;
            }
            if size != 0 {
                let problem = format!("a directory with {size} bytes of content");
                return Err(PackageError::Damaged { after, problem });
            }
        }
    }
    finish(archive.into_inner(), &position, end, &after)?;
    Ok(total)
}

/// Lets the visitor read a file, and makes sure that there was as much as the header said.
fn visit_whole(name: &str, size: u64, entry: &mut dyn Read, visit: &mut Visit<'_>) -> Result<(), PackageError> {
    let mut content = Content { inner: entry, left: size, failure: None };
    let visited = visit(name, size, &mut content);
    if let Some(error) = content.failure {
        // The visitor failed because the archive did.
        return Err(broken(&error, name));
    }
    visited?;
    if content.left > 0 {
        return Err(PackageError::Truncated { expected: "the rest of the file", after: name.to_owned() });
    }
    Ok(())
}

/// Reads what follows the last entry: the end mark must be there, and nothing but zeros after it.
fn finish(mut rest: Counting<'_>, position: &Cell<u64>, end: u64, after: &str) -> Result<(), PackageError> {
    let mut buffer = [0; 4096];
    loop {
        let read = rest.read(&mut buffer).map_err(|error| broken(&error, after))?;
        if read == 0 {
            break;
        }
        if buffer[..read].iter().any(|byte| *byte != 0) {
            return Err(PackageError::TrailingData { found: "data after the tar archive's end mark" });
        }
        if position.get().saturating_sub(end) > MAX_PADDING {
            return Err(PackageError::TrailingData { found: "too much padding after the tar archive's end mark" });
        }
    }
    // The tar reader is content with an archive that just stops between two entries.
    if position.get() < end + 2 * BLOCK {
        return Err(PackageError::Truncated { expected: "the end mark of the tar archive", after: after.to_owned() });
    }
    Ok(())
}

fn broken(error: &io::Error, after: &str) -> PackageError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return PackageError::Truncated { expected: "more compressed data", after: after.to_owned() };
    }
    PackageError::Damaged { after: after.to_owned(), problem: error.to_string() }
}

fn describe(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "a hard link",
        EntryType::Symlink => "a symbolic link",
        EntryType::Char => "a character device",
        EntryType::Block => "a block device",
        EntryType::Fifo => "a named pipe",
        EntryType::GNULongName | EntryType::GNULongLink => "a header for a long name",
        EntryType::GNUSparse => "a sparse file",
        EntryType::XGlobalHeader | EntryType::XHeader => "an extended header",
        _ => "of an unknown type",
    }
}

/// Names that have occurred. A name is a file, or a directory, or a directory that only other names mention.
#[derive(Default)]
struct Seen {
    files: BTreeSet<String>,
    directories: BTreeSet<String>,
    implied: BTreeSet<String>,
    /// Every name in small letters, with how it was written first.
    small: BTreeMap<String, String>,
}

impl Seen {
    fn add(&mut self, name: &str, is_file: bool) -> Result<(), PackageError> {
        let twice = |entry: &str| PackageError::Duplicate { entry: entry.to_owned() };
        let taken = self.files.contains(name) || self.directories.contains(name);
        if taken || (is_file && self.implied.contains(name)) {
            return Err(twice(name));
        }
        // They would be one file where somebody unpacks the package on a system that knows no difference.
        for written in std::iter::once(name).chain(name::ancestors(name)) {
            match self.small.entry(written.to_lowercase()) {
                Entry::Vacant(place) => {
                    place.insert(written.to_owned());
                }
                Entry::Occupied(place) if place.get() == written => break,
                Entry::Occupied(place) => {
                    return Err(PackageError::CaseCollision { entry: written.to_owned(), other: place.get().clone() });
                }
            }
        }
        for above in name::ancestors(name) {
            if self.files.contains(above) {
                return Err(twice(above));
            }
            if !self.implied.insert(above.to_owned()) {
                // Whoever mentioned it first has mentioned everything above it, too.
                break;
            }
        }
        let names = if is_file { &mut self.files } else { &mut self.directories };
        names.insert(name.to_owned());
        Ok(())
    }
}

/// Hashes, where that is wanted, and counts what is read through it.
struct Hashing<R> {
    inner: R,
    hash: Option<Sha256>,
    count: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..read]);
        }
        self.count += read as u64;
        Ok(read)
    }
}

/// Counts what is read through it, for somebody who no longer holds it.
struct Counting<'a> {
    inner: &'a mut dyn Read,
    count: Rc<Cell<u64>>,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// The content of one entry; remembers a failure of the archive, which visitors would report as their own.
struct Content<'a> {
    inner: &'a mut dyn Read,
    left: u64,
    failure: Option<io::Error>,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(read) => {
                self.left = self.left.saturating_sub(read as u64);
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.failure = Some(error);
                Err(copy)
            }
        }
    }
}
