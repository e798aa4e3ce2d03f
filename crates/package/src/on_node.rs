//! A package that lies on a node: verified and read without its payload ever leaving that machine.
//!
//! The node hashes; the signature is verified here, over the hash, before anything is unpacked. Then the node prints the
//! archive's outline, and the code that reads archives of this machine decides about it. The node is believed about the
//! hashes of its own files: it is one of the machines that the package is for.

use std::{
    cell::RefCell,
    io::{self, BufReader},
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context, Result};
use rollup_model::{NodeName, Release, inventory::PackagePolicy};
use rollup_remote::{Cmd, ReadOnly, RemoteError};

use crate::{
    Compression, Listing, PackageError,
    archive::{self, Limits, Scanned},
    outline::{Outline, Told},
    read::{Beside, Contents, judge},
    signature::{self, Standing},
};

const LOOK: &str = include_str!("scripts/look-archive.sh");
const OUTLINE: &str = include_str!("scripts/outline.sh");

/// More files take minutes to outline: a node's shell starts a few processes for each.
const MOST_ENTRIES: u64 = 20_000;

/// An archive on a node.
#[derive(Debug, Clone)]
pub struct OnNode<'a> {
    /// The node.
    pub node: &'a NodeName,
    /// Absolute path there.
    pub path: &'a Path,
    /// The manifest of an archive that has none: a file of this machine.
    pub manifest: Option<&'a Path>,
    /// Limit for each of the two passes over the archive.
    pub limit: Duration,
}

/// What the node says before anything is unpacked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Look {
    size: u64,
    first: Vec<u8>,
    lacks: Vec<String>,
    blake2b: Vec<u8>,
    sha256: String,
    signature: Option<String>,
}

/// Reads a package that lies on a node; the inner error says why it is not accepted.
///
/// # Errors
/// The node cannot be asked, or answers what nobody understands.
pub async fn read_on_node(
    host: ReadOnly<'_>,
    archive: &OnNode<'_>,
    policy: &PackagePolicy,
) -> Result<Result<(Release, Listing), PackageError>> {
    let path = archive.path.to_str().context("expected a path in UTF-8")?;
    // As people name it, for whoever reads why it is refused.
    let named = PathBuf::from(format!("{}:{path}", archive.node));
    // Whether a signature counts depends on the keys; without one nobody needs the hashes yet.
    let hashes = if policy.trusted_keys.is_empty() { "plain" } else { "hash" };
    let look = Cmd::read("package.look-archive", LOOK, [path, hashes]).deadline(archive.limit);
    let said = host.exec(&look).await?.stdout;
    let look = match read_look(&said) {
        Ok(Ok(look)) => look,
        Ok(Err(why)) => return Ok(Err(PackageError::file("read", named)(io::Error::other(why)))),
        Err(found) => anyhow::bail!("{}: unexpected answer about {path}: `{}`", archive.node, found.escape_debug()),
    };
    let known = || -> Result<_, PackageError> {
        let standing = signature::check_told(&named, look.signature.as_deref(), &look.blake2b, &look.sha256, policy)?;
        let compression = archive::compression_of(&named, &look.first)?;
        let manifest = archive.manifest.map(Beside::read).transpose()?;
        Ok((standing, compression, manifest))
    };
    let (standing, compression, manifest) = match known() {
        Ok(known) => known,
        Err(error) => return Ok(Err(error)),
    };
    if !look.lacks.is_empty() {
        let lacks = look.lacks.join(", ");
        anyhow::bail!(
            "{} has no {lacks}, which reading a package there needs; install it, or copy the package here",
            archive.node
        );
    }
    let kind = match compression {
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    };
    let shape = if manifest.is_some() { "plain" } else { "package" };
    let outline = Cmd::read("package.outline", OUTLINE, [path, kind, shape]).deadline(archive.limit);
    let (sink, pipe) = pipe()?;
    let (policy, size) = (policy.clone(), look.size);
    let file = PathBuf::from(path);
    let reading = tokio::task::spawn_blocking(move || {
        let given = Given { file, named, compression, size, manifest, standing };
        read_outline(BufReader::with_capacity(128 * 1024, pipe), given, &policy)
    });
    let mut sink = sink;
    let printed = host.exec_to(&outline, &mut sink).await;
    drop(sink);
    let read = reading.await.context("reading the outline")?;
    match (read, printed) {
        // Whoever has decided hangs up; the node says that nobody listens any more.
        (Err(error), Ok(_) | Err(RemoteError::Sink { .. })) => Ok(Err(error)),
        (_, Err(error)) => Err(error.into()),
        (Ok((mut release, listing)), Ok(_)) => {
            release.archive_node = Some(archive.node.clone());
            Ok(Ok((release, listing)))
        }
    }
}

/// What was known before the outline came.
struct Given {
    file: PathBuf,
    named: PathBuf,
    compression: Compression,
    size: u64,
    manifest: Option<Beside>,
    standing: Standing,
}

fn read_outline(
    input: impl io::BufRead,
    given: Given,
    policy: &PackagePolicy,
) -> Result<(Release, Listing), PackageError> {
    let beside = Rc::new(RefCell::new(Told::default()));
    let mut outline = Outline::new(input, Rc::clone(&beside));
    let mut contents = Contents::new(given.manifest.is_some(), Some(Rc::clone(&beside)));
    let limits = Limits { entries: MOST_ENTRIES, ..Limits::default() };
    let unpacked = archive::scan_unpacked(&mut outline, contents.shape(), &limits, &mut |name, size, content| {
        contents.take(name, size, content)
    })?;
    let sha256 = outline.finish()?;
    let Given { file, named, compression, size, manifest, standing } = given;
    let scanned = Scanned { compression, size, sha256, unpacked };
    judge(&file, scanned, contents, manifest, standing, policy).map_err(|error| match error {
        PackageError::Changed { .. } => PackageError::Changed { path: named },
        other => other,
    })
}

/// Reads what the look prints: what is known, or why there is nothing to know.
fn read_look(text: &str) -> Result<Result<Look, &'static str>, &str> {
    match text.trim_end() {
        "absent" => return Ok(Err("no such file on that node")),
        "not a file" => return Ok(Err("not a regular file")),
        _ => {}
    }
    let mut look = Look::default();
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        match line.split_once(' ') {
            Some(("size", size)) => look.size = size.parse().map_err(|_| line)?,
            Some(("first", hex)) => look.first = crate::outline::bytes(hex),
            Some(("lacks", program)) => look.lacks.push(program.to_owned()),
            Some(("blake2b", hex)) => look.blake2b = crate::outline::bytes(hex),
            Some(("sha256", hex)) => hex.clone_into(&mut look.sha256),
            None if line == "signature" => {
                look.signature = Some(rest.to_owned());
                return Ok(Ok(look));
            }
            _ => return Err(line),
        }
    }
    if rest.is_empty() { Ok(Ok(look)) } else { Err(rest) }
}

/// A pipe from a task that may not block to a thread that may.
fn pipe() -> io::Result<(tokio::net::unix::pipe::Sender, io::PipeReader)> {
    let (reader, writer) = io::pipe()?;
    Ok((tokio::net::unix::pipe::Sender::from_owned_fd(writer.into())?, reader))
}
