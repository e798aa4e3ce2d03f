//! Hostile and damaged archives (PKG-4), and checksums that do not fit (PKG-1).

use package::PackageError;
use rollup_model::inventory::PackagePolicy;
use tar::EntryType;

use crate::sample::{Raw, file, files, gzip, policy, read, read_bytes, read_with, sums, tar};

macro_rules! refused {
    ($result:expr, $kind:pat) => {{
        let error = $result.expect_err("must be refused");
        assert!(matches!(error, $kind), "{error:?}");
        error.to_string()
    }};
}

fn special(name: &str, kind: EntryType) -> Raw {
    Raw { kind, ..file(name, "") }
}

#[test]
fn pkg_1_a_package_without_anything_wrong_is_accepted() {
    let (release, listing) = read(files()).unwrap();
    assert_eq!((release.name.as_str(), release.version.as_str()), ("orders", "2.0.0"));
    assert_eq!(release.migrations.len(), 1, "a file that leads back is not a migration of the release");
    assert_eq!(listing.entries.len(), 6);
    assert_eq!(release.components[0].size, 3);
}

#[test]
fn pkg_1_an_unsigned_package_is_refused_unless_the_policy_says_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.tar.gz");
    std::fs::write(&path, "").unwrap();
    let error = package::read(&path, &PackagePolicy::default()).unwrap_err();
    assert!(matches!(error, PackageError::Unsigned { .. }));
    assert!(error.hint().unwrap().contains("package.allow_unsigned = true"));
}

#[test]
fn pkg_4_a_name_that_leads_out_of_the_package_is_refused() {
    let message = refused!(read_with(file("payload/../../etc/passwd", "x")), PackageError::EntryName { .. });
    assert!(message.contains("`payload/../../etc/passwd` leads out of the package"), "{message}");
}

#[test]
fn pkg_4_an_absolute_name_is_refused() {
    refused!(read_with(file("/etc/passwd", "x")), PackageError::EntryName { problem: "is absolute", .. });
}

#[test]
fn pkg_4_a_name_that_could_be_spelled_in_two_ways_is_refused() {
    for name in ["./payload/x", "payload//x", "payload/./x", "payload/x/"] {
        refused!(read_with(file(name, "x")), PackageError::EntryName { .. });
    }
}

#[test]
fn pkg_4_a_name_with_a_control_character_is_refused_and_shown_escaped() {
    let message = refused!(read_with(file("payload/a\nb", "x")), PackageError::EntryName { .. });
    assert!(message.contains(r"payload/a\nb"), "{message}");
}

#[test]
fn pkg_4_a_name_that_is_not_utf_8_is_refused() {
    let raw = Raw { name: b"payload/\xff".to_vec(), ..file("", "x") };
    refused!(read_with(raw), PackageError::EntryName { problem: "is not UTF-8", .. });
}

#[test]
fn pkg_4_links_devices_and_pipes_are_refused() {
    let kinds = [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo];
    for kind in kinds {
        refused!(read_with(special("payload/x", kind)), PackageError::EntryType { .. });
    }
}

#[test]
fn pkg_4_headers_that_rename_or_resize_what_follows_are_refused() {
    for kind in [EntryType::XHeader, EntryType::XGlobalHeader, EntryType::GNULongName, EntryType::GNUSparse] {
        refused!(read_with(special("payload/x", kind)), PackageError::EntryType { .. });
    }
}

#[test]
fn pkg_4_a_name_that_occurs_twice_is_refused() {
    refused!(read_with(file("payload/app.jar", "jar")), PackageError::Duplicate { .. });
}

#[test]
fn pkg_4_a_file_that_is_also_a_directory_is_refused_in_either_order() {
    refused!(read_with(file("payload/app.jar/x", "x")), PackageError::Duplicate { .. });
    let mut entries = vec![file("payload/app.jar/x", "x")];
    entries.extend(files());
    refused!(read(entries), PackageError::Duplicate { .. });
    refused!(read_with(special("payload/app.jar/", EntryType::Directory)), PackageError::Duplicate { .. });
}

#[test]
fn pkg_4_setuid_setgid_and_sticky_bits_are_refused() {
    for mode in [0o4755, 0o2755, 0o1777] {
        refused!(read_with(Raw { mode, ..file("payload/x", "x") }), PackageError::SpecialMode { .. });
    }
}

#[test]
fn pkg_4_an_entry_where_a_package_has_nothing_is_refused() {
    for name in ["readme", "bin/x", "hooks/a/b", "migrations/other/V1__x.sql"] {
        refused!(read_with(file(name, "x")), PackageError::Layout { .. });
    }
    refused!(read_with(special("bin/", EntryType::Directory)), PackageError::Layout { .. });
}

#[test]
fn pkg_4_directories_of_a_package_are_accepted() {
    for name in ["payload/", "payload/deep/er/", "hooks/", "migrations/contract/"] {
        read_with(special(name, EntryType::Directory)).unwrap();
    }
}

#[test]
fn pkg_4_a_migration_that_is_larger_than_people_can_read_is_refused() {
    let huge = vec![b' '; 1024 * 1024 + 1];
    refused!(read_with(file("migrations/V3__x.sql", huge)), PackageError::TooLarge { .. });
}

#[test]
fn pkg_4_a_truncated_archive_is_refused_wherever_it_ends() {
    let mut entries = files();
    entries.push(sums(&entries));
    let whole = gzip(&tar(&entries, true));
    read_bytes(&whole).unwrap();
    for length in 1..whole.len() {
        assert!(read_bytes(&whole[..length]).is_err(), "accepted the first {length} of {} bytes", whole.len());
    }
}

#[test]
fn pkg_4_an_archive_without_an_end_mark_is_refused() {
    let mut entries = files();
    entries.push(sums(&entries));
    refused!(read_bytes(&gzip(&tar(&entries, false))), PackageError::Truncated { .. });
    // As long as an archive with an end mark, but the zeros belong to the last file.
    let mut stream = tar(&entries, false);
    stream.resize(stream.len() + 512, 0);
    refused!(read_bytes(&gzip(&stream)), PackageError::Truncated { .. });
}

#[test]
fn pkg_4_anything_behind_the_end_is_refused() {
    let mut entries = files();
    entries.push(sums(&entries));
    let stream = tar(&entries, true);
    let behind_compression = [gzip(&stream), b"x".to_vec()].concat();
    refused!(read_bytes(&behind_compression), PackageError::TrailingData { .. });
    let second_member = [gzip(&stream), gzip(b"x")].concat();
    refused!(read_bytes(&second_member), PackageError::TrailingData { .. });
    let second_archive = [stream.clone(), tar(&[file("payload/x", "x")], true)].concat();
    refused!(read_bytes(&gzip(&second_archive)), PackageError::TrailingData { .. });
    let padding = [stream, vec![0; 4 * 1024 * 1024]].concat();
    refused!(read_bytes(&gzip(&padding)), PackageError::TrailingData { .. });
}

#[test]
fn pkg_4_an_archive_of_zstd_is_read_and_its_trailing_data_refused() {
    let mut entries = files();
    entries.push(sums(&entries));
    let whole = zstd::encode_all(tar(&entries, true).as_slice(), 1).unwrap();
    read_bytes(&whole).unwrap();
    refused!(read_bytes(&[whole.clone(), whole.clone()].concat()), PackageError::TrailingData { .. });
    for length in 1..whole.len() {
        assert!(read_bytes(&whole[..length]).is_err(), "accepted the first {length} of {} bytes", whole.len());
    }
}

#[test]
fn pkg_4_a_zstd_window_larger_than_128_mib_is_refused() {
    use std::io::Write;
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(&tar(&files(), true)).unwrap();
    refused!(read_bytes(&encoder.finish().unwrap()), PackageError::Damaged { .. });
}

#[test]
fn pkg_4_a_damaged_archive_is_refused() {
    let mut entries = files();
    entries.push(sums(&entries));
    let mut stream = tar(&entries, true);
    stream[0] ^= 1;
    refused!(read_bytes(&gzip(&stream)), PackageError::Damaged { .. });
}

#[test]
fn pkg_4_what_is_no_archive_is_refused_by_its_first_bytes() {
    let message = refused!(read_bytes(b"PK\x03\x04zip"), PackageError::NotAnArchive { .. });
    assert!(message.contains("504b0304"), "{message}");
    refused!(read_bytes(b""), PackageError::NotAnArchive { .. });
}

#[test]
fn pkg_1_a_file_with_the_wrong_content_is_refused_with_both_checksums() {
    let mut entries = files();
    let list = sums(&entries);
    entries[1] = file("payload/app.jar", "jam");
    entries.push(list);
    let message = refused!(read_bytes(&gzip(&tar(&entries, true))), PackageError::Checksum { .. });
    assert!(message.contains("payload/app.jar") && message.contains("expected sha256"), "{message}");
}

#[test]
fn pkg_1_a_file_that_is_not_listed_is_refused() {
    let mut entries = files();
    entries.push(sums(&entries));
    entries.push(file("payload/more", "x"));
    let message = refused!(read_bytes(&gzip(&tar(&entries, true))), PackageError::Unlisted { .. });
    assert!(message.contains("payload/more"), "{message}");
}

#[test]
fn pkg_1_a_listed_file_that_is_missing_is_refused() {
    let mut entries = files();
    let list = sums(&entries);
    entries.remove(1);
    entries.push(list);
    refused!(read_bytes(&gzip(&tar(&entries, true))), PackageError::Absent { .. });
}

#[test]
fn pkg_1_a_list_that_is_not_what_sha256sum_writes_is_refused() {
    for line in ["abc  payload/app.jar", "no checksum", &format!("{}  ../x", "0".repeat(64))] {
        let mut entries = files();
        entries.push(file("SHA256SUMS", line));
        let error = read_bytes(&gzip(&tar(&entries, true))).unwrap_err();
        assert!(matches!(error, PackageError::Sums { .. } | PackageError::EntryName { .. }), "{error:?}");
    }
}

#[test]
fn pkg_1_a_package_without_manifest_or_checksums_is_refused() {
    refused!(read_bytes(&gzip(&tar(&files(), true))), PackageError::Missing { entry: "SHA256SUMS" });
    refused!(read(files().split_off(1)), PackageError::Missing { entry: "rollup-package.toml" });
}

#[test]
fn pkg_4_a_directory_with_something_in_it_is_not_unpacked_into() {
    let directory = tempfile::tempdir().unwrap();
    let mut entries = files();
    entries.push(sums(&entries));
    let path = directory.path().join("x.tar.gz");
    std::fs::write(&path, gzip(&tar(&entries, true))).unwrap();
    refused!(package::unpack_checked(&path, directory.path(), &policy()), PackageError::NotEmpty { .. });
}
