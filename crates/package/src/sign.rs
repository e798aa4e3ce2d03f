//! Keys and signatures, in the files that `minisign` reads and writes (PKG-2).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};
use rollup_model::inventory::PackagePolicy;
use zeroize::Zeroizing;

use crate::{PackageError, read, read_beside, signature::Claims, signature_path};

/// A pair of keys that was made.
#[derive(Debug)]
pub struct Keys {
    /// Id of the key, as signatures name it.
    pub id: String,
    /// What goes into `package.trusted_keys` of an inventory.
    pub public: String,
}

/// A secret key's file, read and still closed.
pub struct SecretFile {
    path: PathBuf,
    text: Zeroizing<String>,
}

impl SecretFile {
    /// Reads the file.
    ///
    /// # Errors
    /// The file cannot be read, or it is not a secret key of minisign.
    pub fn read(path: &Path) -> Result<Self, PackageError> {
        let text = fs::read_to_string(path).map_err(PackageError::file("read", path))?;
        let file = Self { path: path.to_owned(), text: Zeroizing::new(text) };
        file.bytes()
            .ok_or_else(|| file.refuse("expected a secret key that `rollup pkg keygen` or `minisign -G` made"))?;
        Ok(file)
    }

    /// Whether a password opens it.
    #[must_use]
    pub fn has_password(&self) -> bool {
        // What derives the key follows the kind of signature; two zeros stand for none.
        self.bytes().is_some_and(|bytes| bytes[2..4] != [0, 0])
    }

    fn bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(self.text.lines().nth(1)?.trim()).ok()?);
        (bytes.len() == 158 && bytes.starts_with(b"Ed")).then_some(bytes)
    }

    fn refuse(&self, problem: &str) -> PackageError {
        PackageError::SecretKey { path: self.path.clone(), problem: problem.to_owned() }
    }

    fn open(&self, password: Option<String>) -> Result<SecretKey, PackageError> {
        let opened = match password {
            Some(password) if self.has_password() => {
                SecretKeyBox::from(self.text.to_string()).into_secret_key(Some(password))
            }
            None if self.has_password() => return Err(self.refuse("it has a password")),
            // `minisign -G -W` 0.11 leaves the checksum of a key without password empty, so it cannot be insisted on; a
            // key that is damaged does not verify its own signature.
            _ => SecretKey::from_bytes(&self.bytes().unwrap_or_default()),
        };
        opened.map_err(|error| self.refuse(&error.to_string()))
    }
}

/// Makes a pair of keys and writes both files, the secret one for its owner alone. Neither may exist.
///
/// # Errors
/// A file exists or cannot be written.
pub fn keygen(secret: &Path, public: &Path, password: Option<String>) -> Result<Keys, PackageError> {
    for path in [secret, public] {
        if path.exists() {
            // Whoever loses a key cannot sign for those who trust it.
            return Err(PackageError::file("make", path)(io::ErrorKind::AlreadyExists.into()));
        }
    }
    let refuse =
        |error: minisign::PError| PackageError::SecretKey { path: secret.to_owned(), problem: error.to_string() };
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password)),
        None => KeyPair::generate_unencrypted_keypair(),
    };
    let KeyPair { pk, sk } = pair.map_err(refuse)?;
    let (closed, shown) =
        (sk.to_box(Some("rollup release key, secret")).map_err(refuse)?, pk.to_box().map_err(refuse)?);
    write_new(secret, 0o600, closed.to_string().as_bytes())?;
    write_new(public, 0o644, &shown.to_bytes())?;
    Ok(Keys { id: id_of(&pk), public: pk.to_base64() })
}

fn id_of(key: &PublicKey) -> String {
    crate::signature::key_id(&key.to_base64()).unwrap_or_default()
}

fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), PackageError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(PackageError::file("make", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(PackageError::file("write", path))
}

/// Signs an archive, with the manifest that lies beside it if it has none: writes `ARCHIVE.minisig`, whose signed comment names package, version and the manifest's checksum.
/// Returns the file and the id of the key.
///
/// # Errors
/// Whatever [`read`] refuses but the lack of a signature: what would not be accepted is not signed. Also a key that does
/// not open.
pub fn sign(
    archive: &Path,
    beside: Option<&Path>,
    key: &SecretFile,
    password: Option<String>,
) -> Result<(PathBuf, String), PackageError> {
    let secret = key.open(password)?;
    let public = PublicKey::from_secret_key(&secret).map_err(|error| key.refuse(&error.to_string()))?;
    let anywhere =
        PackagePolicy { allow_unsigned: true, allowed_destinations: vec!["/".to_owned()], ..PackagePolicy::default() };
    let (release, listing) = match beside {
        Some(manifest) => read_beside(archive, manifest, &anywhere)?,
        None => read(archive, &anywhere)?,
    };
    let file = archive.file_name().unwrap_or_default().to_string_lossy().replace(char::is_control, "?");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let comment = Claims::comment(&release.name, &release.version, &listing.manifest_sha256, &file, now);
    let input = BufReader::new(File::open(archive).map_err(PackageError::file("read", archive))?);
    let signature =
        minisign::sign(Some(&public), &secret, input, Some(&comment), Some("signature of a rollup package"))
            .map_err(|error| key.refuse(&error.to_string()))?;
    let path = signature_path(archive);
    // Beside the target, so that there is never half a signature.
    let partial = path.with_extension(format!("minisig.{}", std::process::id()));
    fs::write(&partial, signature.to_bytes()).map_err(PackageError::file("write", &partial))?;
    fs::rename(&partial, &path).map_err(PackageError::file("write", &path))?;
    Ok((path, id_of(&public)))
}
