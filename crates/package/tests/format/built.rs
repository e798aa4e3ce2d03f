//! What is built can be read, and is the same whenever it is built (PKG-2).

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use package::PackageError;
use proptest::prelude::*;

use crate::sample::{MANIFEST, Raw, file, files, policy, write_tree};

fn build(files: &[Raw], name: &str) -> (tempfile::TempDir, package::Built) {
    let directory = tempfile::tempdir().unwrap();
    let source = write_tree(&directory.path().join("source"), files);
    let built = package::build(&source, &directory.path().join(name)).unwrap();
    (directory, built)
}

#[test]
fn pkg_2_building_twice_gives_the_same_bytes() {
    for name in ["x.tar.gz", "x.tar.zst"] {
        let (first_directory, first) = build(&files(), name);
        // Another order of creation, other times and other modes.
        let mut reversed = files();
        reversed.reverse();
        let (directory, _) = build(&reversed, name);
        let app = directory.path().join("source/payload/app.jar");
        fs::set_permissions(&app, fs::Permissions::from_mode(0o700)).unwrap();
        let again = package::build(&directory.path().join("source"), &directory.path().join(name)).unwrap();
        assert_eq!(first.sha256, again.sha256);
        assert_eq!(fs::read(&first.archive).unwrap(), fs::read(&again.archive).unwrap());
        assert!(first_directory.path().exists());
    }
}

#[test]
fn pkg_2_what_build_says_about_its_archive_is_what_reading_finds() {
    for name in ["x.tar.gz", "x.tar.zst"] {
        let (_directory, built) = build(&files(), name);
        let (release, listing) = package::read(&built.archive, &policy()).unwrap();
        assert_eq!((release.archive_size, &release.archive_sha256), (built.size, &built.sha256));
        assert_eq!(listing.entries.len(), built.files);
        assert_eq!(release.unpacked_size, listing.entries.values().map(|entry| entry.size).sum::<u64>());
        assert_eq!(Path::new(&release.archive), built.archive);
    }
}

#[test]
fn pkg_2_checksums_in_the_source_directory_are_computed_anew() {
    let mut files = files();
    files.push(file("SHA256SUMS", "stale"));
    let (_directory, built) = build(&files, "x.tar.gz");
    package::read(&built.archive, &policy()).unwrap();
}

#[test]
fn pkg_2_what_reading_would_refuse_is_not_built_and_an_old_package_stays() {
    let directory = tempfile::tempdir().unwrap();
    let source = write_tree(&directory.path().join("source"), &files());
    let out = directory.path().join("x.tar.gz");
    fs::write(&out, "old").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", source.join("payload/link")).unwrap();
    let error = package::build(&source, &out).unwrap_err();
    assert!(matches!(error, PackageError::EntryType { .. }), "{error}");
    fs::remove_file(source.join("payload/link")).unwrap();
    fs::write(source.join("payload").join("x".repeat(101)), "long").unwrap();
    let error = package::build(&source, &out).unwrap_err();
    assert!(matches!(error, PackageError::Manifest { .. }), "{error}");
    assert_eq!(fs::read(&out).unwrap(), b"old");
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "a partial package was left behind: {left:?}");
}

#[test]
fn pkg_2_a_package_must_be_called_what_it_is() {
    let error = package::build(Path::new("/nowhere"), Path::new("x.zip")).unwrap_err();
    assert!(matches!(error, PackageError::NotAnArchive { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pkg_2_whatever_is_built_is_read_back_and_unpacked_unchanged(
        payload in prop::collection::btree_map("[a-zA-Z0-9 ._éß-]{1,20}x", prop::collection::vec(any::<u8>(), 0..3000), 0..8),
        zstd in any::<bool>(),
    ) {
        let mut manifest = MANIFEST.to_owned();
        let mut expected: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut all = files();
        for (index, (name, content)) in payload.iter().enumerate() {
            let source = format!("payload/more/{name}");
            manifest.push_str(&format!(
                "[[components]]\nsource = '{source}'\ndestination = '/srv/{index}/{name}'\nowner = 'root'\ngroup = 'root'\nmode = '600'\n",
            ));
            all.push(file(&source, content));
        }
        all[0] = file("rollup-package.toml", &manifest);
        for raw in &all {
            expected.insert(String::from_utf8(raw.name.clone()).unwrap(), raw.content.clone());
        }
        let (directory, built) = build(&all, if zstd { "x.tar.zst" } else { "x.tar.gz" });
        let target = directory.path().join("target");
        let (release, listing) = package::unpack_checked(&built.archive, &target, &policy()).unwrap();
        prop_assert_eq!(release.components.len(), payload.len() + 1);
        prop_assert!(release.components.iter().all(|component| component.mode.len() == 4));
        for (name, content) in &expected {
            prop_assert_eq!(&fs::read(target.join(name)).unwrap(), content);
        }
        prop_assert_eq!(listing.entries.len(), expected.len() + 1);
    }
}
