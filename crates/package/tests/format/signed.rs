//! Who vouches for a package (PKG-1), with keys and signatures that `minisign` reads and writes, too (PKG-2).

use std::{
    fs,
    path::{Path, PathBuf},
};

use package::{PackageError, SecretFile, keygen, sign, signature_path};
use rollup_model::{Release, inventory::PackagePolicy};

use crate::sample::{files, files_with, write_tree};

/// A package, and keys that nobody has used yet.
pub(crate) struct Signed {
    directory: tempfile::TempDir,
    pub(crate) archive: PathBuf,
    pub(crate) public: String,
}

impl Signed {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = write_tree(&directory.path().join("source"), &files());
        let archive = directory.path().join("orders-2.0.0.tar.gz");
        package::build(&source, &archive).unwrap();
        let public = keygen(&directory.path().join("key"), &directory.path().join("pub"), None).unwrap().public;
        Self { directory, archive, public }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn sign(&self) {
        sign(&self.archive, None, &SecretFile::read(&self.path("key")).unwrap(), None).unwrap();
    }

    /// Reads the archive where only this key is trusted.
    pub(crate) fn read(&self, key: &str) -> Result<Release, PackageError> {
        let policy = PackagePolicy { trusted_keys: vec![key.to_owned()], ..PackagePolicy::default() };
        package::read(&self.archive, &policy).map(|(release, _)| release)
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn pkg_1_a_signature_of_a_trusted_key_is_accepted_and_named() {
    let package = Signed::new();
    assert!(matches!(package.read(&package.public), Err(PackageError::Unsigned { .. })));
    package.sign();
    let signer = package.read(&package.public).unwrap().signer.unwrap();
    assert!(signer.comment.contains("\tpackage:orders\tversion:2.0.0\tmanifest:"), "{}", signer.comment);
    assert_eq!(signer.key.len(), 16);
    // Another name for the same bytes is as good.
    let renamed = package.path("renamed.tar.gz");
    fs::rename(&package.archive, &renamed).unwrap();
    fs::rename(signature_path(&package.archive), signature_path(&renamed)).unwrap();
    let policy = PackagePolicy { trusted_keys: vec![package.public.clone()], ..PackagePolicy::default() };
    package::read(&renamed, &policy).unwrap();
}

#[test]
fn pkg_1_a_signature_of_another_key_is_refused_and_both_are_named() {
    let package = Signed::new();
    package.sign();
    let other = keygen(&package.path("key2"), &package.path("pub2"), None).unwrap();
    let error = package.read(&other.public).unwrap_err();
    let PackageError::UnknownKey { found, trusted, .. } = &error else { panic!("{error:?}") };
    assert_eq!(trusted, &[other.id]);
    assert!(error.to_string().contains(found) && error.hint().unwrap().contains("package.trusted_keys"));
    // The policy can say that it does not care; then nobody vouches.
    let lenient = PackagePolicy { trusted_keys: vec![other.public], allow_unsigned: true, ..PackagePolicy::default() };
    assert_eq!(package::read(&package.archive, &lenient).unwrap().0.signer, None);
}

#[test]
fn pkg_1_a_changed_archive_comment_or_signature_is_refused_whatever_the_policy_says() {
    let package = Signed::new();
    package.sign();
    let signature = signature_path(&package.archive);
    let (archive, text) = (fs::read(&package.archive).unwrap(), fs::read_to_string(&signature).unwrap());
    let policy =
        PackagePolicy { trusted_keys: vec![package.public.clone()], allow_unsigned: true, ..PackagePolicy::default() };
    let refused = |what: &str| {
        let error = package::read(&package.archive, &policy).expect_err(what);
        assert!(matches!(error, PackageError::Forged { .. }), "{what}: {error:?}");
        fs::write(&package.archive, &archive).unwrap();
        fs::write(&signature, &text).unwrap();
    };
    edit(&package.archive, |bytes| bytes.push(0));
    refused("a byte more");
    edit(&package.archive, |bytes| bytes[100] ^= 1);
    refused("a bit");
    fs::write(&package.archive, "").unwrap();
    refused("nothing");
    fs::write(&signature, text.replace("version:2.0.0", "version:2.0.1")).unwrap();
    refused("the comment");
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&signature, [lines[0], lines[1], lines[2], lines[1]].join("\n")).unwrap();
    assert!(package::read(&package.archive, &policy).is_err(), "a signature of the comment that is none");
}

#[test]
fn pkg_1_nothing_of_an_archive_by_a_stranger_is_looked_into() {
    let package = Signed::new();
    package.sign();
    // Not even an archive: whoever looked into it first would say so.
    fs::write(&package.archive, "hello").unwrap();
    assert!(matches!(package.read(&package.public), Err(PackageError::Forged { .. })));
    let other = keygen(&package.path("key2"), &package.path("pub2"), None).unwrap();
    assert!(matches!(package.read(&other.public), Err(PackageError::UnknownKey { .. })));
}

#[test]
fn pkg_1_what_is_no_signature_or_no_key_is_told_as_such() {
    let package = Signed::new();
    for text in ["", "hello", "untrusted comment: x\nRUQ\ntrusted comment: y\nz\n"] {
        fs::write(signature_path(&package.archive), text).unwrap();
        assert!(matches!(package.read(&package.public), Err(PackageError::Signature { .. })), "{text:?}");
    }
    fs::write(signature_path(&package.archive), [0xff; 40]).unwrap();
    assert!(package.read(&package.public).is_err());
    let error = package.read("RWno").unwrap_err();
    assert!(matches!(error, PackageError::TrustedKey { .. }) && error.to_string().contains("`RWno`"), "{error}");
}

#[test]
fn pkg_1_a_signature_for_another_manifest_is_refused() {
    // Two archives with the same key; the comment of one is signed for the bytes of the other by nobody, so this needs
    // a key whose owner signs by hand and lies.
    let package = Signed::new();
    let secret = minisign::SecretKeyBox::from(fs::read_to_string(package.path("key")).unwrap());
    let secret = secret.into_unencrypted_secret_key().unwrap();
    let input = fs::File::open(&package.archive).unwrap();
    let signed = minisign::sign(None, &secret, input, Some("timestamp:1\tversion:2.0.1"), None).unwrap();
    fs::write(signature_path(&package.archive), signed.to_bytes()).unwrap();
    let error = package.read(&package.public).unwrap_err();
    assert!(matches!(&error, PackageError::Claim { what: "version", .. }), "{error:?}");
}

#[test]
fn pkg_2_keys_are_never_overwritten_and_the_secret_one_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let package = Signed::new();
    let mode = fs::metadata(package.path("key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read(package.path("key")).unwrap();
    for (secret, public) in [("key", "new"), ("new", "pub")] {
        keygen(&package.path(secret), &package.path(public), None).unwrap_err();
        assert!(!package.path("new").exists(), "half a pair is left");
    }
    assert_eq!(fs::read(package.path("key")).unwrap(), before);
}

#[test]
fn pkg_2_a_key_with_a_password_opens_with_it_alone() {
    let package = Signed::new();
    let made = keygen(&package.path("locked"), &package.path("locked.pub"), Some("open sesame".to_owned())).unwrap();
    let key = SecretFile::read(&package.path("locked")).unwrap();
    assert!(key.has_password() && !SecretFile::read(&package.path("key")).unwrap().has_password());
    for wrong in [None, Some("open".to_owned())] {
        let error = sign(&package.archive, None, &key, wrong).unwrap_err();
        assert!(matches!(error, PackageError::SecretKey { .. }), "{error:?}");
        assert!(!signature_path(&package.archive).exists());
    }
    let (path, id) = sign(&package.archive, None, &key, Some("open sesame".to_owned())).unwrap();
    assert_eq!((path, &id), (signature_path(&package.archive), &made.id));
    assert_eq!(package.read(&made.public).unwrap().signer.unwrap().key, id);
}

#[test]
fn pkg_2_what_would_be_refused_is_not_signed() {
    let package = Signed::new();
    fs::write(&package.archive, "hello").unwrap();
    let key = SecretFile::read(&package.path("key")).unwrap();
    assert!(matches!(sign(&package.archive, None, &key, None), Err(PackageError::NotAnArchive { .. })));
    assert!(matches!(SecretFile::read(&package.path("pub")), Err(PackageError::SecretKey { .. })));
}

#[test]
fn pkg_2_a_signature_of_an_older_build_is_replaced() {
    let package = Signed::new();
    package.sign();
    let source = write_tree(&package.path("other"), &files_with(&crate::sample::MANIFEST.replace("2.0.0", "2.0.1")));
    package::build(&source, &package.archive).unwrap();
    // What lies beside it was for the build before.
    assert!(matches!(package.read(&package.public), Err(PackageError::Forged { .. })));
    package.sign();
    assert_eq!(package.read(&package.public).unwrap().version, "2.0.1");
}

/// The same with Debian's own `minisign` at the other end (apt-get install minisign).
#[cfg(feature = "real-minisign")]
mod minisign_itself {
    use std::process::Command;

    use super::*;

    fn minisign(words: &[&str], paths: &[&Path], typed: &str) -> bool {
        use std::io::Write;
        let mut command = Command::new("minisign");
        let mut paths = paths.iter();
        for word in words {
            match *word {
                "%" => command.arg(paths.next().unwrap()),
                word => command.arg(word),
            };
        }
        command.stdin(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        child.wait().unwrap().success()
    }

    #[test]
    fn pkg_2_minisign_verifies_what_we_sign() {
        let package = Signed::new();
        package.sign();
        let verified = |archive: &Path| minisign(&["-V", "-p", "%", "-m", "%"], &[&package.path("pub"), archive], "");
        assert!(verified(&package.archive));
        edit(&package.archive, |bytes| bytes[100] ^= 1);
        assert!(!verified(&package.archive));
    }

    #[test]
    fn pkg_2_we_verify_what_minisign_signs_with_its_own_key() {
        let package = Signed::new();
        let (public, secret) = (package.path("m.pub"), package.path("m.key"));
        assert!(minisign(&["-G", "-W", "-p", "%", "-s", "%"], &[&public, &secret], ""));
        assert!(minisign(&["-S", "-s", "%", "-m", "%"], &[&secret, &package.archive], ""));
        let key = fs::read_to_string(&public).unwrap().lines().nth(1).unwrap().to_owned();
        let signer = package.read(&key).unwrap().signer.unwrap();
        assert!(signer.comment.starts_with("timestamp:"), "{}", signer.comment);
        // And its key signs here.
        let (_, id) = sign(&package.archive, None, &SecretFile::read(&secret).unwrap(), None).unwrap();
        assert_eq!(id, signer.key);
        assert_eq!(package.read(&key).unwrap().signer.unwrap().key, id);
        edit(&package.archive, |bytes| bytes[100] ^= 1);
        assert!(matches!(package.read(&key), Err(PackageError::Forged { .. })));
    }

    #[test]
    fn pkg_2_minisign_signs_with_our_key_and_the_old_kind_of_signature_is_refused() {
        let package = Signed::new();
        let words = ["-S", "-s", "%", "-m", "%"];
        assert!(minisign(&words, &[&package.path("key"), &package.archive], ""));
        assert!(package.read(&package.public).unwrap().signer.is_some());
        assert!(minisign(&[&words[..], &["-l"]].concat(), &[&package.path("key"), &package.archive], ""));
        let error = package.read(&package.public).unwrap_err();
        assert!(error.to_string().contains("old kind"), "{error}");
    }
}
