//! Files of a package unpacked on the operator's machine, for rsync to read; made once for all nodes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use rollup_model::{Inventory, Release};
use tokio::sync::Mutex;

use crate::{PackageError, send};

/// Two nodes often lack the same files: whoever comes second finds them there.
static UNPACKING: Mutex<()> = Mutex::const_new(());

/// Where the files of a run lie, by its staging directory: beside the operator's copies of backups, since both may be
/// large.
fn directory(inventory: &Inventory, staging: &str) -> PathBuf {
    let beside = inventory.backup.operator_dir.as_ref().map_or_else(std::env::temp_dir, PathBuf::from);
    let run = staging.rsplit('/').next().unwrap_or_default();
    beside.join(format!(".unpacked-{run}"))
}

/// Unpacks these files, if they are not there yet, and says where.
pub(crate) async fn unpack(
    inventory: &Inventory,
    staging: &str,
    release: &Release,
    names: BTreeSet<String>,
) -> anyhow::Result<PathBuf> {
    let _one = UNPACKING.lock().await;
    let (dir, release) = (directory(inventory, staging), release.clone());
    let made = dir.clone();
    let unpacked = tokio::task::spawn_blocking(move || -> Result<(), PackageError> {
        let missing: BTreeSet<_> = names.into_iter().filter(|name| !is_there(&dir.join(name))).collect();
        if missing.is_empty() { Ok(()) } else { send::extract(&release, &missing, &dir) }
    });
    unpacked.await??;
    Ok(made)
}

/// A name is given only to a whole file.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

/// Removes the files of a run. What cannot be removed harms nobody.
pub(crate) fn clear(inventory: &Inventory, staging: &str) {
    let _gone = fs::remove_dir_all(directory(inventory, staging));
}
