//! Archives of others, read by a manifest that lies beside them.

use std::{fs, path::PathBuf};

use package::{Listing, PackageError, read_beside};
use rollup_model::Release;
use tar::EntryType;

use crate::sample::{MANIFEST, Raw, file, gzip, policy, tar};

/// The sample's manifest for files that a vendor names.
pub(crate) fn manifest() -> String {
    MANIFEST.replace("payload/app.jar", "orders-2.0.0/lib/app.jar").replace("hooks/key.sh", "orders-2.0.0/bin/key.sh")
}

pub(crate) fn vendor() -> Vec<Raw> {
    vec![
        Raw { kind: EntryType::Directory, ..file("./", "") },
        file("./orders-2.0.0/README", "hello"),
        file("./orders-2.0.0/lib/app.jar", "jar"),
        file("./orders-2.0.0/bin/key.sh", "#!/bin/sh\n"),
    ]
}

/// A vendor's archive and the manifest beside it.
pub(crate) fn written(entries: &[Raw], manifest: &str) -> (tempfile::TempDir, [PathBuf; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let paths: [PathBuf; 2] = ["vendor.tar.gz", "vendor.toml"].map(|name| directory.path().join(name));
    fs::write(&paths[0], gzip(&tar(entries, true))).unwrap();
    fs::write(&paths[1], manifest).unwrap();
    (directory, paths)
}

fn read(entries: &[Raw], manifest: &str) -> Result<(Release, Listing), PackageError> {
    let (_directory, [archive, manifest]) = written(entries, manifest);
    read_beside(&archive, &manifest, &policy())
}

#[test]
fn pkg_1_an_archive_without_a_manifest_is_taken_with_one_beside_it() {
    let (release, _) = read(&vendor(), &manifest()).unwrap();
    let staged: Vec<_> = release.staged().map(|file| (file.source, file.size)).collect();
    // What nobody names is not even sent.
    assert_eq!(staged, [("orders-2.0.0/bin/key.sh", 10), ("orders-2.0.0/lib/app.jar", 3)]);
    assert!(release.plain && release.migrations.is_empty());
}

#[test]
fn pkg_1_a_manifest_beside_an_archive_names_its_own_files_and_may_pin_it() {
    let absent = manifest().replace("lib/app.jar", "lib/none.jar");
    assert!(matches!(read(&vendor(), &absent), Err(PackageError::Manifest { .. })));
    let pinned = manifest().replacen("format = 1", &format!("format = 1\narchive_sha256 = \"{}\"", "0".repeat(64)), 1);
    let error = read(&vendor(), &pinned).unwrap_err();
    assert!(matches!(&error, PackageError::OtherArchive { .. }), "{error:?}");
    let PackageError::OtherArchive { found, .. } = error else { panic!("checked above") };
    read(&vendor(), &pinned.replace(&"0".repeat(64), &found)).unwrap();
    // A package's own manifest cannot know its archive.
    let own = MANIFEST.replacen("format = 1", &format!("format = 1\narchive_sha256 = \"{found}\""), 1);
    assert!(matches!(crate::sample::read(crate::sample::files_with(&own)), Err(PackageError::Manifest { .. })));
}

#[test]
fn pkg_4_an_archive_of_others_is_as_suspicious_as_a_package() {
    let bad = [
        Raw { kind: EntryType::Symlink, ..file("./orders-2.0.0/link", "") },
        Raw { mode: 0o4755, ..file("./orders-2.0.0/su", "x") },
        file("./../victim", "x"),
        file("/etc/passwd", "x"),
        file("././x", "x"),
        file("orders-2.0.0/lib/app.jar", "again"),
    ];
    for raw in bad {
        let mut entries = vendor();
        let name = String::from_utf8_lossy(&raw.name).into_owned();
        entries.push(raw);
        assert!(read(&entries, &manifest()).is_err(), "{name} is accepted");
    }
}
