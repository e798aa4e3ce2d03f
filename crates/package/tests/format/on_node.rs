//! Packages that lie on a node are read as those of this machine are (PKG-1, PKG-3, PKG-4).

use std::fs;

use package::{Listing, PackageError};
use rollup_model::{Release, inventory::PackagePolicy};

use crate::{
    local,
    plain::{manifest, vendor, written},
    sample::{files, write_tree},
    signed::Signed,
};

/// What both ways of reading must agree about.
fn same(mut there: (Release, Listing), here: (Release, Listing)) {
    assert_eq!(there.0.archive_node.take().unwrap().as_str(), "node-a");
    assert_eq!(there.0, here.0);
    assert_eq!(there.1, here.1);
}

#[test]
fn pkg_3_a_package_on_a_node_is_read_as_if_it_were_here() {
    let directory = tempfile::tempdir().unwrap();
    let source = write_tree(&directory.path().join("source"), &files());
    let policy = PackagePolicy { allow_unsigned: true, ..PackagePolicy::default() };
    for name in ["orders-2.0.0.tar.gz", "orders-2.0.0.tar.zst"] {
        let archive = directory.path().join(name);
        package::build(&source, &archive).unwrap();
        let there = local::read(&archive, None, &policy).unwrap();
        assert_eq!(there.0.origin(), format!("node-a:{}", archive.display()));
        same(there, package::read(&archive, &policy).unwrap());
    }
}

#[test]
fn pkg_3_an_archive_without_a_manifest_on_a_node_is_read_by_one_that_lies_here() {
    let (_directory, [archive, manifest]) = written(&vendor(), &manifest());
    let policy = PackagePolicy { allow_unsigned: true, ..PackagePolicy::default() };
    let there = local::read(&archive, Some(&manifest), &policy).unwrap();
    assert!(there.0.plain && !there.0.components.is_empty());
    same(there, package::read_beside(&archive, &manifest, &policy).unwrap());
}

#[test]
fn pkg_1_the_signature_of_a_package_on_a_node_is_verified_before_anything_is_unpacked() {
    let package = Signed::new();
    let trusting = |key: &str| PackagePolicy { trusted_keys: vec![key.to_owned()], ..PackagePolicy::default() };
    let read = |key: &str| local::read(&package.archive, None, &trusting(key));
    assert!(matches!(read(&package.public), Err(PackageError::Unsigned { .. })));
    package.sign();
    same(read(&package.public).unwrap(), package::read(&package.archive, &trusting(&package.public)).unwrap());
    let stranger = package::keygen(&package.path("key2"), &package.path("pub2"), None).unwrap().public;
    assert!(matches!(read(&stranger), Err(PackageError::UnknownKey { .. })));

    // One byte more, in the archive or in the comment.
    let good = fs::read(&package.archive).unwrap();
    fs::write(&package.archive, [&good[..], b"x"].concat()).unwrap();
    let error = read(&package.public).unwrap_err();
    assert!(matches!(error, PackageError::Forged { .. }), "{error}");
    assert!(error.to_string().contains("node-a:"), "{error}");
    fs::write(&package.archive, good).unwrap();
    let signature = package::signature_path(&package.archive);
    let text = fs::read_to_string(&signature).unwrap();
    fs::write(&signature, text.replace("version:2.0.0", "version:2.0.1")).unwrap();
    assert!(matches!(read(&package.public), Err(PackageError::Forged { .. })));
    fs::write(&signature, text.lines().take(2).collect::<Vec<_>>().join("\n")).unwrap();
    assert!(matches!(read(&package.public), Err(PackageError::Signature { .. })));
}

#[test]
fn pkg_3_what_is_no_archive_on_a_node_is_named_as_people_name_it() {
    let directory = tempfile::tempdir().unwrap();
    let policy = PackagePolicy { allow_unsigned: true, ..PackagePolicy::default() };
    let absent = directory.path().join("none.tar.gz");
    let error = local::read(&absent, None, &policy).unwrap_err().to_string();
    assert!(error.contains(&format!("node-a:{}", absent.display())) && error.contains("no such file"), "{error}");
    let error = local::read(directory.path(), None, &policy).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
    let text = directory.path().join("text");
    fs::write(&text, "text").unwrap();
    assert!(matches!(local::read(&text, None, &policy), Err(PackageError::NotAnArchive { .. })));
}
