//! The base image: Debian with every package a node needs, made once per content and cached.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{host, overlay, places::Lock, shell};

const PACKAGES: &str = "systemd,systemd-sysv,dbus,openssh-server,openssh-client,sudo,keepalived,rsync,postgresql,\
    python3-minimal,python3-psycopg2,iproute2,iputils-ping,iputils-arping,curl,zstd,procps,default-jre-headless,\
    libpostgresql-jdbc-java,libcap2-bin";
const SCRIPT: &str = include_str!("../scripts/base.sh");
/// Nodes are never read by people at a desk; the JRE's packages need the empty directories of the set-up hook.
const OPTIONS: [&str; 10] = [
    "--mode=root",
    "--variant=minbase",
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--aptopt=APT::Install-Recommends \"false\"",
    "--aptopt=Acquire::Languages \"none\"",
    "--setup-hook=mkdir -p \"$1/usr/share/man/man1\" \"$1/usr/share/man/man7\"",
];

/// A layer that is complete and never changes again.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// Names the content.
    pub(crate) key: String,
    /// The layer, or the directory of the layers.
    pub(crate) directory: PathBuf,
}

/// A short name for a content.
pub(crate) fn content_key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // Lengths keep `ab` + `c` apart from `a` + `bc`.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The base image from the cache, built when the cache has none of this content.
pub(crate) fn ensure_base(cache: &Path, say: &dyn Fn(&str)) -> Result<Image> {
    let options = OPTIONS.join("\n");
    let key = content_key([host::SUITE, PACKAGES, SCRIPT, &options].map(str::as_bytes));
    build_once(cache, "base", &key, say, |building| {
        let mut debootstrap = shell::contained();
        debootstrap
            .arg("mmdebstrap")
            .args(OPTIONS)
            .args(["--format=directory", &format!("--include={PACKAGES}"), host::SUITE])
            .arg(building);
        debootstrap.args(host::mirror_lines());
        shell::run(&mut debootstrap)?;
        overlay::run_inside(building, SCRIPT, &[])
    })
}

/// Builds a directory of the cache unless it is there. A killed build leaves nothing that looks like a result.
pub(crate) fn build_once(
    cache: &Path,
    kind: &str,
    key: &str,
    say: &dyn Fn(&str),
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<Image> {
    let _lock = Lock::take(cache)?;
    let directory = cache.join(format!("{kind}-{key}"));
    if directory.is_dir() {
        return Ok(Image { key: key.to_owned(), directory });
    }
    say(&format!("building {kind} image {key} (once)"));
    sweep(cache, kind);
    let building = cache.join(format!("{kind}-{key}.building"));
    fs::create_dir_all(&building)?;
    build(&building).with_context(|| format!("cannot build {kind} image {key}"))?;
    // What the layer consists of must be on disk before its name says that it is complete.
    shell::run(shell::command("sync", ["--file-system"]).arg(&building))?;
    fs::rename(&building, &directory)?;
    Ok(Image { key: key.to_owned(), directory })
}

/// Removes halves of killed builds, and old images of the kind that no lab uses, but for the two newest.
fn sweep(cache: &Path, kind: &str) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    let prefix = format!("{kind}-");
    let mut old = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with(&prefix) {
            continue;
        }
        if name.ends_with(".building") {
            overlay::unmount_below(&path);
            let _next_build_tries_again = fs::remove_dir_all(&path);
        } else {
            old.push((fs::metadata(&path).and_then(|meta| meta.modified()).ok(), path));
        }
    }
    old.sort();
    old.reverse();
    for (_, path) in old.into_iter().skip(2).filter(|(_, path)| !overlay::is_layer_in_use(path)) {
        let _only_costs_space = fs::remove_dir_all(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_key_tells_boundaries_apart() {
        assert_ne!(content_key(["ab", "c"].map(str::as_bytes)), content_key(["a", "bc"].map(str::as_bytes)));
        assert_eq!(content_key(["ab"].map(str::as_bytes)).len(), 16);
    }

    #[test]
    fn a_failed_build_leaves_no_image_and_the_next_one_starts_clean() {
        let cache = tempfile::tempdir().unwrap();
        let failed = build_once(cache.path(), "base", "k", &|_| (), |half| {
            fs::write(half.join("half"), "")?;
            anyhow::bail!("power cut")
        });
        assert!(failed.is_err() && !cache.path().join("base-k").exists());
        let image = build_once(cache.path(), "base", "k", &|_| (), |half| {
            anyhow::ensure!(!half.join("half").exists());
            Ok(())
        });
        assert!(image.unwrap().directory.is_dir());
    }
}
