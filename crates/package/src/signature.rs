//! Whether somebody who is trusted has signed an archive (PKG-1): a detached minisign signature, `ARCHIVE.minisig`.
//!
//! The whole file is verified before anything looks into it: an archive by a stranger is not even decompressed. Facts:
//! <https://jedisct1.github.io/minisign/>. Only prehashed signatures (`ED`, the default since minisign 0.10) are accepted:
//! the others must be held in memory whole.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use minisign_verify::{Error, PublicKey, Signature};
use rollup_model::{inventory::PackagePolicy, plan::hex, release::Signer};
use sha2::{Digest, Sha256};

use crate::PackageError;

/// A signature has four short lines.
const LIMIT: u64 = 64 * 1024;

/// Where the signature of an archive lies.
#[must_use]
pub fn signature_path(archive: &Path) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// What is known of an archive's author.
#[derive(Debug)]
pub(crate) enum Standing {
    /// A trusted key has signed exactly these bytes.
    Trusted {
        signer: Signer,
        /// Of the bytes that were verified.
        archive_sha256: String,
        claims: Claims,
    },
    /// There is no signature, or one of an unknown key, and the policy takes it nevertheless.
    Untrusted,
}

/// What `rollup pkg sign` writes into the comment that is signed, too. A signature made by `minisign` has none of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) package: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) manifest: Option<String>,
}

impl Claims {
    fn parse(comment: &str) -> Self {
        let find = |key: &str| {
            let mut words = comment.split('\t').filter_map(|word| word.split_once(':'));
            words.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
        };
        Self { package: find("package"), version: find("version"), manifest: find("manifest") }
    }

    /// The comment for a signature that claims this.
    pub(crate) fn comment(name: &str, version: &str, manifest_sha256: &str, file: &str, at: u64) -> String {
        format!("timestamp:{at}\tfile:{file}\thashed\tpackage:{name}\tversion:{version}\tmanifest:{manifest_sha256}")
    }

    /// Holds what was signed against what the archive says of itself.
    pub(crate) fn hold(&self, name: &str, version: &str, manifest_sha256: &str) -> Result<(), PackageError> {
        let pairs = [
            ("name", &self.package, name),
            ("version", &self.version, version),
            ("manifest's sha256", &self.manifest, manifest_sha256),
        ];
        for (what, signed, found) in pairs {
            if let Some(signed) = signed.as_deref().filter(|signed| *signed != found) {
                return Err(PackageError::Claim { what, signed: signed.to_owned(), found: found.to_owned() });
            }
        }
        Ok(())
    }
}

/// A signature that must fit before an archive may be opened, and the trusted key that has made it.
struct Wanted {
    id: String,
    key: PublicKey,
    signature: Signature,
}

/// What a policy makes of a signature, or of none; `path` is where it lies or should lie. `None`: the archive is taken as
/// it is.
fn wanted(
    path: &Path,
    text: Option<&str>,
    keys: Vec<(String, PublicKey)>,
    policy: &PackagePolicy,
) -> Result<Option<Wanted>, PackageError> {
    let Some(text) = text else {
        let unsigned = PackageError::Unsigned { path: path.to_owned() };
        return if policy.allow_unsigned { Ok(None) } else { Err(unsigned) };
    };
    let signature = Signature::decode(text).map_err(|error| unusable(path, &error.to_string()))?;
    let id = text.lines().nth(1).and_then(key_id).ok_or_else(|| unusable(path, "it names no key"))?;
    let trusted = keys.iter().map(|(known, _)| known.clone()).collect();
    match keys.into_iter().find(|(known, _)| *known == id) {
        Some((id, key)) => Ok(Some(Wanted { id, key, signature })),
        None if policy.allow_unsigned => Ok(None),
        None => Err(PackageError::UnknownKey { path: path.to_owned(), found: id, trusted }),
    }
}

/// A signature that nobody can verify.
fn unusable(path: &Path, problem: &str) -> PackageError {
    PackageError::Signature { path: path.to_owned(), problem: problem.to_owned() }
}

/// One that must be made anew: it signs the bytes themselves, which would have to be held in memory whole.
fn legacy(path: &Path) -> PackageError {
    unusable(path, "it is of the old kind that signs no hash; sign again with `rollup pkg sign`")
}

/// Decides whether an archive may be opened at all.
pub(crate) fn check(archive: &Path, policy: &PackagePolicy) -> Result<Standing, PackageError> {
    // A key of the inventory that is none is said before anything of the package.
    let keys = keys(policy)?;
    let path = signature_path(archive);
    let Some(Wanted { id, key, signature }) = wanted(&path, text(&path)?.as_deref(), keys, policy)? else {
        return Ok(Standing::Untrusted);
    };
    let mut verifier = key.verify_stream(&signature).map_err(|error| match error {
        Error::UnsupportedLegacyMode => legacy(&path),
        other => unusable(&path, &other.to_string()),
    })?;
    let mut hash = Sha256::new();
    each_piece(archive, |piece| {
        verifier.update(piece);
        hash.update(piece);
    })?;
    verifier.finalize().map_err(|_| PackageError::Forged { path: archive.to_owned(), key: id.clone() })?;
    Ok(standing(id, &signature, hex(&hash.finalize())))
}

/// [`check`] for an archive that lies elsewhere and whose hashes were told: `blake2b` of 64 bytes, which is what a signature
/// signs, and `sha256`, hex.
pub(crate) fn check_told(
    archive: &Path,
    text: Option<&str>,
    blake2b: &[u8],
    sha256: &str,
    policy: &PackagePolicy,
) -> Result<Standing, PackageError> {
    let path = signature_path(archive);
    let Some(Wanted { id, key, .. }) = wanted(&path, text, keys(policy)?, policy)? else {
        return Ok(Standing::Untrusted);
    };
    // A signature of the new kind is one of the old kind over the hash; only its first two bytes say which.
    let lines: Vec<&str> = text.unwrap_or_default().lines().collect();
    let mut bytes = lines.get(1).and_then(|line| BASE64_STANDARD.decode(line.trim()).ok()).unwrap_or_default();
    match bytes.get_mut(..2) {
        Some(kind) if kind == b"ED" => kind.copy_from_slice(b"Ed"),
        _ => return Err(legacy(&path)),
    }
    let turned = BASE64_STANDARD.encode(bytes);
    let turned: Vec<&str> =
        lines.iter().enumerate().map(|(at, line)| if at == 1 { turned.as_str() } else { line }).collect();
    let signature = Signature::decode(&turned.join("\n")).map_err(|error| unusable(&path, &error.to_string()))?;
    key.verify(blake2b, &signature, true)
        .map_err(|_| PackageError::Forged { path: archive.to_owned(), key: id.clone() })?;
    Ok(standing(id, &signature, sha256.to_owned()))
}

fn standing(key: String, signature: &Signature, archive_sha256: String) -> Standing {
    let comment = signature.trusted_comment().to_owned();
    let claims = Claims::parse(&comment);
    Standing::Trusted { signer: Signer { key, comment }, archive_sha256, claims }
}

/// The keys of a policy, each with its id.
fn keys(policy: &PackagePolicy) -> Result<Vec<(String, PublicKey)>, PackageError> {
    policy.trusted_keys.iter().map(|key| trusted(key)).collect()
}

/// A key of the policy with its id.
fn trusted(text: &str) -> Result<(String, PublicKey), PackageError> {
    let bad = || PackageError::TrustedKey { found: text.to_owned() };
    let key = PublicKey::from_base64(text.trim()).map_err(|_| bad())?;
    Ok((key_id(text.trim()).ok_or_else(bad)?, key))
}

/// The id of the key in a line of a signature or of a public key, as `minisign` prints it.
pub(crate) fn key_id(line: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(line.trim()).ok()?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(id)))
}

/// The text of a signature, if there is one.
fn text(path: &Path) -> Result<Option<String>, PackageError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PackageError::file("read", path)(error)),
    };
    let mut text = String::new();
    file.take(LIMIT).read_to_string(&mut text).map_err(PackageError::file("read", path))?;
    Ok(Some(text))
}

fn each_piece(path: &Path, mut each: impl FnMut(&[u8])) -> Result<(), PackageError> {
    let failed = || PackageError::file("read", path);
    let mut file = File::open(path).map_err(failed())?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => each(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed()(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_is_read_from_the_comment_and_held_against_the_manifest_pkg_1() {
        let comment = Claims::comment("orders", "2.0.0", "ab", "x.tar.gz", 7);
        let claims = Claims::parse(&comment);
        claims.hold("orders", "2.0.0", "ab").unwrap();
        for (name, version, manifest) in
            [("other", "2.0.0", "ab"), ("orders", "2.0.1", "ab"), ("orders", "2.0.0", "cd")]
        {
            assert!(matches!(claims.hold(name, version, manifest), Err(PackageError::Claim { .. })));
        }
        // What `minisign` itself writes claims nothing.
        let plain = Claims::parse("timestamp:1555779966\tfile:test\thashed");
        assert_eq!(plain, Claims::default());
        plain.hold("orders", "2.0.0", "ab").unwrap();
    }

    #[test]
    fn a_key_is_named_as_minisign_names_it() {
        let id = key_id("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3");
        assert_eq!(id.as_deref(), Some("E7620F1842B4E81F"));
        assert_eq!(key_id("RWQf"), None);
    }
}
