//! Some files of an archive, for those who lack them: unpacked, or as a tar stream. A second pass over the archive, until all
//! of them were met; each must still be what was read. Memory stays flat whatever the archive holds.

use std::{
    cell::Cell,
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
    archive::{self, Shape},
    read::hash,
};

/// Unpacks these files below a directory. A file gets its name when it is whole and its content is as it was read.
pub(crate) fn extract(release: &Release, names: &BTreeSet<String>, dir: &Path) -> Result<(), PackageError> {
    let expected = sums(release);
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
        if expected.get(name) == Some(&found.sha256.as_str()) {
            fs::rename(&partial, &target).map_err(PackageError::file("write", &target))?;
        }
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

/// What each file must be.
fn sums(release: &Release) -> BTreeMap<&str, &str> {
    release.staged().map(|file| (file.source, file.sha256)).collect()
}

/// Takes a file, by its name, size and content; returns the checksum of what it took.
type Take<'a> = dyn FnMut(&str, u64, &mut dyn Read) -> Result<String, PackageError> + 'a;

/// Hands each wanted file to `take`.
fn each(release: &Release, names: &BTreeSet<String>, take: &mut Take<'_>) -> Result<(), PackageError> {
    let path = Path::new(&release.archive);
    let changed = || PackageError::Changed { path: path.to_owned() };
    let expected = sums(release);
    let shape = if release.plain { Shape::Plain } else { Shape::Package };
    let left = Cell::new(names.len());
    archive::pick(path, shape, &|| left.get() == 0, &mut |name, size, content| {
        if !names.contains(name) {
            return io::copy(content, &mut io::sink()).map(drop).map_err(PackageError::file("read", path));
        }
        let found = take(name, size, content)?;
        left.set(left.get().saturating_sub(1));
        if expected.get(name) == Some(&found.as_str()) { Ok(()) } else { Err(changed()) }
    })?;
    if left.get() == 0 { Ok(()) } else { Err(changed()) }
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

#[cfg(test)]
mod tests {
    use rollup_model::inventory::PackagePolicy;

    use super::*;

    /// A package with three files, and a directory for what is taken of it.
    fn package() -> (tempfile::TempDir, Release) {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs::create_dir_all(source.join("payload")).unwrap();
        let mut manifest = "format = 1\nname = \"x\"\nversion = \"1\"\n".to_owned();
        for name in ["a", "b", "c"] {
            fs::write(source.join("payload").join(name), name.repeat(1000)).unwrap();
            manifest += &format!(
                "[[components]]\nsource = \"payload/{name}\"\ndestination = \"/opt/{name}\"\nowner = \"root\"\n\
                 group = \"root\"\nmode = \"0644\"\n"
            );
        }
        fs::write(source.join(crate::MANIFEST), manifest).unwrap();
        let archive = dir.path().join("x.tar.gz");
        crate::build(&source, &archive).unwrap();
        let policy = PackagePolicy { allow_unsigned: true, ..PackagePolicy::default() };
        let release = crate::read(&archive, &policy).unwrap().0;
        (dir, release)
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_what_is_asked_for_is_unpacked_pkg_3() {
        let (dir, release) = package();
        let to = dir.path().join("to");
        extract(&release, &names(&["payload/a", "payload/c"]), &to).unwrap();
        let found: BTreeSet<_> = fs::read_dir(to.join("payload")).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(found, ["a", "c"].map(Into::into).into());
        assert_eq!(fs::read_to_string(to.join("payload/c")).unwrap(), "c".repeat(1000));
    }

    #[test]
    fn only_what_is_asked_for_is_streamed_and_tar_reads_it_pkg_3() {
        let (_dir, release) = package();
        let mut out = Vec::new();
        stream(&release, &names(&["payload/b"]), &mut out).unwrap();
        let mut archive = tar::Archive::new(out.as_slice());
        let files: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (entry.path().unwrap().display().to_string(), text)
            })
            .collect();
        assert_eq!(files, [("payload/b".to_owned(), "b".repeat(1000))]);
    }

    #[test]
    fn a_file_that_is_not_what_was_read_gets_no_name_that_counts_pkg_3() {
        let (dir, mut release) = package();
        release.components[0].sha256 = "0".repeat(64);
        let to = dir.path().join("to");
        let error = extract(&release, &names(&["payload/a"]), &to).unwrap_err();
        assert!(matches!(error, PackageError::Changed { .. }), "{error}");
        assert!(!to.join("payload/a").exists(), "a wrong file must not look like a good one");
        let error = extract(&release, &names(&["payload/none"]), &to).unwrap_err();
        assert!(matches!(error, PackageError::Changed { .. }), "{error}");
    }
}
