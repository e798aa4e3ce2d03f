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

/// Decides whether an archive may be opened at all.
pub(crate) fn check(archive: &Path, policy: &PackagePolicy) -> Result<Standing, PackageError> {
    let keys = policy.trusted_keys.iter().map(|key| trusted(key)).collect::<Result<Vec<_>, _>>()?;
    let path = signature_path(archive);
    let Some(text) = text(&path)? else {
        let unsigned = PackageError::Unsigned { path };
        return if policy.allow_unsigned { Ok(Standing::Untrusted) } else { Err(unsigned) };
    };
    let bad = |problem: &str| PackageError::Signature { path: path.clone(), problem: problem.to_owned() };
    let signature = Signature::decode(&text).map_err(|error| bad(&error.to_string()))?;
    let id = text.lines().nth(1).and_then(key_id).ok_or_else(|| bad("it names no key"))?;
    let Some((_, key)) = keys.iter().find(|(known, _)| *known == id) else {
        if policy.allow_unsigned {
            return Ok(Standing::Untrusted);
        }
        let trusted = keys.into_iter().map(|(id, _)| id).collect();
        return Err(PackageError::UnknownKey { path, found: id, trusted });
    };
    let mut verifier = key.verify_stream(&signature).map_err(|error| match error {
        Error::UnsupportedLegacyMode => {
            bad("it is of the old kind that signs no hash; sign again with `rollup pkg sign`")
        }
        other => bad(&other.to_string()),
    })?;
    let mut hash = Sha256::new();
    each_piece(archive, |piece| {
        verifier.update(piece);
        hash.update(piece);
    })?;
    verifier.finalize().map_err(|_| PackageError::Forged { path: archive.to_owned(), key: id.clone() })?;
    let comment = signature.trusted_comment().to_owned();
    let claims = Claims::parse(&comment);
    Ok(Standing::Trusted { signer: Signer { key: id, comment }, archive_sha256: hex(&hash.finalize()), claims })
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
