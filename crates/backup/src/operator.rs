//! Copies on the operator's machine: private files, each whole or not there.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use rollup_model::plan::hex;
use rollup_remote::{Cmd, ReadOnly, RemoteError};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{manifest::Part, places::Condition};

/// What is held in memory at most while a part comes, in bytes.
const BETWEEN: usize = 256 * 1024;

/// Runs what blocks where it may.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the work was given up")?
}

/// A small file; `None`: there is none.
pub(crate) async fn read(file: &Path) -> Result<Option<Vec<u8>>> {
    match tokio::fs::read(file).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Size of each part in a set's directory, by name.
pub(crate) async fn stat(set: PathBuf) -> Result<BTreeMap<String, u64>> {
    aside(move || {
        let mut found = BTreeMap::new();
        for folder in entries(&set)?.into_iter().filter(|path| path.is_dir()) {
            for file in entries(&folder)? {
                let meta = std::fs::metadata(&file).with_context(|| format!("cannot read {}", file.display()))?;
                let name = file.strip_prefix(&set).unwrap_or(&file).display().to_string();
                if meta.is_file() && !name.ends_with(".partial") {
                    found.insert(name, meta.len());
                }
            }
        }
        Ok(found)
    })
    .await
}

/// What is in a directory; nothing when there is none.
pub(crate) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", dir.display())),
    }
}

/// Compares parts with what the manifest says of them; `deep`: by reading every byte.
pub(crate) async fn conditions(set: PathBuf, parts: Vec<Part>, deep: bool) -> Result<BTreeMap<String, Condition>> {
    aside(move || parts.iter().map(|part| Ok((part.name.clone(), condition(&set, part, deep)?))).collect()).await
}

fn condition(set: &Path, part: &Part, deep: bool) -> Result<Condition> {
    let path = set.join(&part.name);
    let mut file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Condition::Missing),
        Err(error) => return Ok(Condition::Damaged(error.to_string())),
    };
    let size = file.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
    if size != part.size {
        return Ok(Condition::Damaged(format!("its size is {size}, expected {}", part.size)));
    }
    if !deep {
        return Ok(Condition::Whole);
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BETWEEN];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) => return Ok(Condition::Damaged(error.to_string())),
        }
    }
    Ok(if hex(&hash.finalize()) == part.sha256 {
        Condition::Whole
    } else {
        Condition::Damaged("its checksum is another".to_owned())
    })
}

/// Where a set's directory here keeps what a reading back found wrong: `RUN CHANGED NAME WHY`, as on the nodes.
const REPORT: &str = "damaged";

/// When a file was changed last; `-`: there is none.
fn changed(file: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(file).map_or("-".to_owned(), |meta| format!("{}.{:09}", meta.ctime(), meta.ctime_nsec()))
}

/// Keeps what this run found wrong.
pub(crate) async fn blame(set: &Path, run: &str, wrong: Vec<(String, String)>) -> Result<()> {
    let lines: String =
        wrong.iter().map(|(name, why)| format!("{run} {} {name} {why}\n", changed(&set.join(name)))).collect();
    let file = set.join(REPORT);
    if lines.is_empty() { remove(&file).await } else { write(&file, lines.as_bytes()).await }
}

/// What this run found wrong and nobody has mended since: part, and what is wrong with it.
pub(crate) async fn blamed(set: PathBuf, run: String) -> Result<Vec<(String, String)>> {
    let text = read(&set.join(REPORT)).await?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.lines().filter_map(|line| {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        let [of, at, name, why] = words[..] else { return None };
        (of == run && changed(&set.join(name)) == at).then(|| (name.to_owned(), why.to_owned()))
    });
    Ok(lines.collect())
}

async fn private_directory(dir: &Path) -> Result<()> {
    let made = tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).await;
    made.with_context(|| format!("cannot make {}", dir.display()))
}

async fn private_file(file: &Path) -> Result<tokio::fs::File> {
    let made = tokio::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file).await;
    made.with_context(|| format!("cannot write {}", file.display()))
}

async fn put(new: &Path, file: &Path) -> Result<()> {
    tokio::fs::rename(new, file).await.with_context(|| format!("cannot make {}", file.display()))?;
    let dir = file.parent().unwrap_or(Path::new("/"));
    let synced = async { tokio::fs::File::open(dir).await?.sync_all().await };
    synced.await.with_context(|| format!("cannot make {} last", file.display()))
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Puts a small file into its place, whole.
pub(crate) async fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    private_directory(file.parent().unwrap_or(Path::new("/"))).await?;
    let new = beside(file);
    let mut open = private_file(&new).await?;
    let written = async {
        open.write_all(bytes).await?;
        open.sync_all().await
    };
    written.await.with_context(|| format!("cannot write {}", file.display()))?;
    put(&new, file).await
}

/// Removes a small file, where there is one.
pub(crate) async fn remove(file: &Path) -> Result<()> {
    match tokio::fs::remove_file(file).await {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Takes a part from a node; its checksum is made while it is written.
pub(crate) async fn receive(
    from: ReadOnly<'_>,
    send: &Cmd,
    file: &Path,
    part: &Part,
    seen: &(dyn Fn(u64) + Send + Sync),
) -> Result<()> {
    private_directory(file.parent().unwrap_or(Path::new("/"))).await?;
    let new = beside(file);
    let result = async {
        let (mut near, mut far) = tokio::io::duplex(BETWEEN);
        let sending = async {
            let result = from.exec_to(send, &mut near).await;
            drop(near);
            result
        };
        let taking = async {
            let result = store(&mut far, &new, seen).await;
            // Whoever still sends must not wait for a reader that is gone.
            drop(far);
            result
        };
        match tokio::join!(sending, taking) {
            (Err(RemoteError::Sink { .. }), Err(error)) => return Err(error),
            (Err(error), _) => return Err(error.into()),
            (Ok(_), Err(error)) => return Err(error),
            (Ok(_), Ok((size, sha256))) if size != part.size || sha256 != part.sha256 => {
                bail!("{} arrived damaged from {}: {size} bytes with checksum {sha256}", part.name, from.name());
            }
            (Ok(_), Ok(_)) => {}
        }
        put(&new, file).await
    };
    let result = result.await;
    if result.is_err() {
        remove(&new).await?;
    }
    result
}

async fn store(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    file: &Path,
    seen: &(dyn Fn(u64) + Send + Sync),
) -> Result<(u64, String)> {
    let why = || format!("cannot write {}", file.display());
    let mut open = private_file(file).await?;
    let mut hash = Sha256::new();
    let (mut buffer, mut size) = (vec![0; BETWEEN], 0);
    loop {
        let read = from.read(&mut buffer).await.with_context(why)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        open.write_all(&buffer[..read]).await.with_context(why)?;
        size += read as u64;
        seen(size);
    }
    open.flush().await.with_context(why)?;
    open.sync_all().await.with_context(why)?;
    Ok((size, hex(&hash.finalize())))
}

/// What the operator's machine has for copies.
pub(crate) struct Room {
    pub(crate) free: u64,
    pub(crate) writable: bool,
}

/// Looks at the place where a directory is or would be.
pub(crate) async fn room(dir: PathBuf) -> Result<Room> {
    aside(move || {
        let at = dir.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
        let stat = rustix::fs::statvfs(at).with_context(|| format!("cannot look at {}", at.display()))?;
        let writable = rustix::fs::access(at, rustix::fs::Access::WRITE_OK).is_ok();
        Ok(Room { free: stat.f_bavail.saturating_mul(stat.f_frsize), writable })
    })
    .await
}
