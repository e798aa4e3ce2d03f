//! The root key in memory: read, encrypted, opened, and never shown (BAK-2).
//!
//! A key exists in the clear on its node and here, in memory that is wiped. Whatever leaves this module is ciphertext,
//! the key's fingerprint, or the input of the one command that puts the key into its place.

use std::{
    fmt,
    io::{Read, Write},
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use age::{
    Decryptor, Encryptor, Identity, Recipient,
    armor::{ArmoredReader, ArmoredWriter, Format},
    x25519,
};
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use rollup_model::plan::hex;
use rollup_remote::StdinStream;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWrite;
use zeroize::Zeroizing;

/// No root key is larger, in bytes; nothing is kept that is.
pub(crate) const LARGEST: usize = 1 << 20;

/// A root key in the clear.
pub struct RootKey(Zeroizing<Vec<u8>>);

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({})", self.fingerprint())
    }
}

impl RootKey {
    /// The first 16 hex digits of the key's SHA-256: names the key without telling it.
    pub fn fingerprint(&self) -> String {
        hex(&Sha256::digest(&*self.0)).chars().take(16).collect()
    }

    /// Encrypts it to all of these; the result is text.
    pub(crate) fn seal(&self, recipients: &[x25519::Recipient]) -> Result<Vec<u8>> {
        let each = recipients.iter().map(|recipient| recipient as &dyn Recipient);
        let encryptor = Encryptor::with_recipients(each).context("cannot encrypt the root key")?;
        let mut sealed = Vec::new();
        let armored = ArmoredWriter::wrap_output(&mut sealed, Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armored)?;
        writer.write_all(&self.0)?;
        writer.finish()?.finish()?;
        Ok(sealed)
    }

    /// The input of the command that puts it into its place. It is wiped when that command has taken it.
    pub(crate) fn into_stream(self) -> StdinStream {
        StdinStream::new(std::io::Cursor::new(self.0))
    }
}

/// Reads age recipients; says which of them are none.
pub fn recipients(texts: &[String]) -> Result<Vec<x25519::Recipient>, Vec<String>> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for text in texts {
        match text.parse() {
            Ok(recipient) => good.push(recipient),
            // Whoever writes an identity here by mistake must not find it in a log.
            Err(_) if text.to_ascii_uppercase().contains("SECRET") => {
                bad.push("a secret key; expected the public one, `age1…`".to_owned());
            }
            Err(_) => bad.push(format!("`{text}`")),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(bad) }
}

/// What opens keys: the operator's age identities. Never shown.
pub struct Identities {
    file: PathBuf,
    each: Vec<x25519::Identity>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({}, {})", self.file.display(), self.each.len())
    }
}

impl Identities {
    /// Reads a file as `age-keygen` writes it. Errors name file and line, never what is in it.
    pub fn read(file: &Path) -> Result<Self> {
        let name = file.display();
        let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST));
        let opened = std::fs::File::open(file).with_context(|| format!("cannot read the age identity {name}"))?;
        opened.take(LARGEST as u64).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
        let text =
            std::str::from_utf8(&bytes).ok().with_context(|| format!("{name}: expected text, found something else"))?;
        let mut each = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Ok(identity) = line.parse() else {
                bail!("{name}:{number}: expected an age identity, `AGE-SECRET-KEY-1…`, found something else");
            };
            each.push(identity);
        }
        ensure!(!each.is_empty(), "{name}: expected an age identity, `AGE-SECRET-KEY-1…`, found none");
        Ok(Self { file: file.to_owned(), each })
    }

    /// Whether they open what is encrypted to these recipients, tried with a key of no worth.
    pub(crate) fn open_own(&self, texts: &[String]) -> Result<()> {
        let recipients = recipients(texts).map_err(|bad| anyhow::anyhow!("backup.recipients: {}", bad.join(", ")))?;
        let sealed = RootKey(Zeroizing::new(b"tried".to_vec())).seal(&recipients)?;
        self.open(&sealed).map(drop)
    }

    /// Opens what was encrypted to one of them.
    pub fn open(&self, sealed: &[u8]) -> Result<RootKey> {
        let decryptor = Decryptor::new_buffered(ArmoredReader::new(sealed)).map_err(|error| plain(&error))?;
        let each = self.each.iter().map(|identity| identity as &dyn Identity);
        let reader = decryptor.decrypt(each).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => {
                anyhow::anyhow!("{} does not open it: it was encrypted to other recipients", self.file.display())
            }
            error => plain(&error),
        })?;
        let mut key = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
        reader.take(LARGEST as u64 + 1).read_to_end(&mut key).context("the ciphertext is damaged")?;
        ensure!(key.len() <= LARGEST, "expected a root key of at most {LARGEST} bytes, found more");
        Ok(RootKey(key))
    }
}

/// age's own words, in one line.
fn plain(error: &age::DecryptError) -> anyhow::Error {
    let text = error.to_string();
    anyhow::anyhow!("the ciphertext cannot be opened: {}", text.lines().next().unwrap_or_default())
}

/// The key and how it lies on its node, as the command prints it: `MODE OWNER GROUP`, then the key in base64.
pub(crate) struct KeyFile {
    pub(crate) mode: String,
    pub(crate) owner: String,
    pub(crate) group: String,
    pub(crate) key: RootKey,
}

/// Where a key goes that comes from a node: memory that is wiped, and never grows, so that no piece of it stays behind.
pub(crate) struct SecretSink(Zeroizing<Vec<u8>>);

impl SecretSink {
    pub(crate) fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(2 * LARGEST)))
    }

    /// Reads what came. No error shows any of it.
    pub(crate) fn read(&self) -> Result<KeyFile> {
        let text = std::str::from_utf8(&self.0).ok().context("the root key arrived in another form")?;
        let (head, key) = text.split_once('\n').context("the root key arrived in another form")?;
        let words: Vec<_> = head.split(' ').collect();
        let [mode, owner, group] = words[..] else { bail!("expected `MODE OWNER GROUP` of the root key") };
        let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST));
        let decoded = STANDARD.decode_vec(key.trim_end(), &mut bytes);
        ensure!(decoded.is_ok(), "the root key arrived in another form");
        ensure!(!bytes.is_empty(), "the root key is an empty file");
        let owned = str::to_owned;
        Ok(KeyFile { mode: owned(mode), owner: owned(owner), group: owned(group), key: RootKey(bytes) })
    }
}

impl AsyncWrite for SecretSink {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        if self.0.len() + bytes.len() > self.0.capacity() {
            return Poll::Ready(Err(std::io::Error::other("it is larger than a root key may be")));
        }
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use age::secrecy::ExposeSecret;
    use tokio::io::AsyncWriteExt;

    use super::*;

    const KEY: &[u8] = b"PLAIN-root-key-0123456789\n";

    /// Writes an identity file and returns its recipient.
    pub(crate) fn identity(file: &Path) -> String {
        let identity = x25519::Identity::generate();
        let text = format!("# created for a test\n{}\n", identity.to_string().expose_secret());
        std::fs::write(file, text).unwrap();
        identity.to_public().to_string()
    }

    #[tokio::test]
    async fn a_key_opens_with_its_identity_and_with_no_other_bak_2() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, other) = (dir.path().join("ours"), dir.path().join("other"));
        let to = recipients(&[identity(&ours), identity(&dir.path().join("third"))]).unwrap();
        identity(&other);
        let mut sink = SecretSink::new();
        sink.write_all(format!("600 orders staff\n{}\n", STANDARD.encode(KEY)).as_bytes()).await.unwrap();
        let file = sink.read().unwrap();
        assert_eq!((file.mode.as_str(), file.owner.as_str(), file.group.as_str()), ("600", "orders", "staff"));
        let sealed = file.key.seal(&to).unwrap();
        assert!(!String::from_utf8_lossy(&sealed).contains("PLAIN"));
        let opened = Identities::read(&ours).unwrap().open(&sealed).unwrap();
        assert_eq!((&*opened.0, opened.fingerprint()), (&KEY.to_vec(), file.key.fingerprint()));
        assert!(!format!("{opened:?}").contains("PLAIN") && !format!("{opened:?}").contains("80, 76"));
        let refused = Identities::read(&other).unwrap().open(&sealed).unwrap_err();
        assert!(format!("{refused:#}").contains("other recipients"), "{refused:#}");
        let mut damaged = sealed.clone();
        let middle = damaged.len() / 2;
        damaged[middle] = if damaged[middle] == b'A' { b'B' } else { b'A' };
        assert!(Identities::read(&ours).unwrap().open(&damaged).is_err());
    }

    #[test]
    fn an_identity_file_is_blamed_by_line_and_never_shown_bak_2() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("identity.txt");
        let error = format!("{:#}", Identities::read(&file).unwrap_err());
        assert!(error.contains("identity.txt"), "{error}");
        std::fs::write(&file, "# one\n\nAGE-SECRET-KEY-1QQQ\n").unwrap();
        let error = format!("{:#}", Identities::read(&file).unwrap_err());
        assert!(error.contains("identity.txt:3") && !error.contains("QQQ"), "{error}");
        std::fs::write(&file, "# nothing\n").unwrap();
        assert!(format!("{:#}", Identities::read(&file).unwrap_err()).contains("found none"));
    }

    #[test]
    fn recipients_that_are_none_are_named_and_a_secret_is_not_bak_2() {
        let bad = recipients(&["age1x".to_owned(), "AGE-SECRET-KEY-1ABC".to_owned()]).err().unwrap();
        assert_eq!(bad[0], "`age1x`");
        assert!(!bad[1].contains("ABC"), "{}", bad[1]);
        assert!(recipients(&[]).unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_no_key_is_refused_without_showing_it() {
        for bad in ["600 a b\n****SECRET\n", "600 a\nU0VDUkVU\n", "600 a b\n\n", ""] {
            let mut sink = SecretSink::new();
            sink.write_all(bad.as_bytes()).await.unwrap();
            let error = format!("{:#}", sink.read().err().unwrap());
            assert!(!error.contains("SECRET") && !error.contains("U0VD"), "{error}");
        }
        let mut sink = SecretSink::new();
        assert!(sink.write_all(&vec![b'A'; 3 * LARGEST]).await.is_err());
    }
}
