//! Unpacks a package on this machine, after all of it has been checked.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use rollup_model::{Release, inventory::PackagePolicy};

use crate::{
    Listing, PackageError,
    archive::{self, Limits, Shape},
    name::{self, Place},
    read::{hash, read},
};

/// Checks a package and then unpacks it into a directory that is empty or does not exist yet.
///
/// # Errors
/// Whatever [`read`] refuses, before anything is written. After a later error the directory may hold part of the files.
pub fn unpack_checked(
    path: &Path,
    directory: &Path,
    policy: &PackagePolicy,
) -> Result<(Release, Listing), PackageError> {
    let (release, listing) = read(path, policy)?;
    match fs::read_dir(directory) {
        Ok(mut inside) => {
            if inside.next().is_some() {
                return Err(PackageError::NotEmpty { path: directory.to_owned() });
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directory(directory).map_err(PackageError::file("make", directory))?;
        }
        Err(error) => return Err(PackageError::file("read", directory)(error)),
    }
    let scanned = archive::scan(path, Shape::Package, &Limits::default(), &mut |name, _, content| {
        let expected = listing.entries.get(name);
        let written = write(&directory.join(name), name, content)?;
        // The file may have been replaced since it was checked: then nothing that was checked is true.
        if expected == Some(&written) { Ok(()) } else { Err(PackageError::Changed { path: path.to_owned() }) }
    })?;
    if scanned.sha256 != release.archive_sha256 {
        return Err(PackageError::Changed { path: path.to_owned() });
    }
    Ok((release, listing))
}

fn write(target: &Path, name: &str, content: &mut dyn Read) -> Result<crate::Entry, PackageError> {
    let failed = || PackageError::file("write", target);
    if let Some(above) = target.parent() {
        make_directory(above).map_err(failed())?;
    }
    let mode = if name::place(name)? == Place::Hook { 0o700 } else { 0o600 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(target).map_err(failed())?;
    hash(content, |piece| file.write_all(piece)).map_err(failed())
}

fn make_directory(path: &Path) -> io::Result<()> {
    // What a package holds is nobody else's business until it is installed.
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
