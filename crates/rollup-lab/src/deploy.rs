//! Places the first version of the example service into images that are not booted.
//!
//! A stand-in for whoever installed the service before `rollup` came: it reads the package's manifest, but only what
//! a first installation needs, and it trusts the package, which was built on this host.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{files::Tree, shell};

/// The part of `rollup-package.toml` that a first installation needs.
#[derive(Debug, Deserialize)]
struct Manifest {
    version: String,
    #[serde(default)]
    units: Vec<String>,
    components: Vec<Component>,
}

#[derive(Debug, Deserialize)]
struct Component {
    source: String,
    destination: String,
    #[serde(default = "root")]
    owner: String,
    #[serde(default = "root")]
    group: String,
    mode: Option<String>,
}

fn root() -> String {
    "root".to_owned()
}

/// An unpacked package.
#[derive(Debug)]
pub(crate) struct Package {
    directory: tempfile::TempDir,
    manifest: Manifest,
}

impl Package {
    /// Unpacks a package of the wanted version.
    pub(crate) fn open(archive: &Path, version: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut unpack = shell::command("tar", ["--extract", "--no-same-owner", "--file"]);
        shell::run(unpack.arg(archive).arg("--directory").arg(directory.path()))?;
        let text = fs::read_to_string(directory.path().join("rollup-package.toml"))
            .with_context(|| format!("{} has no manifest", archive.display()))?;
        let manifest: Manifest = toml::from_str(&text).with_context(|| format!("manifest of {}", archive.display()))?;
        let found = &manifest.version;
        ensure!(found == version, "{} contains version {found}, expected {version}", archive.display());
        Ok(Self { directory, manifest })
    }

    /// Units to enable.
    pub(crate) fn units(&self) -> &[String] {
        &self.manifest.units
    }

    /// Places every component with its owner and mode.
    pub(crate) fn place(&self, tree: &Tree) -> Result<()> {
        for component in &self.manifest.components {
            let content = fs::read(self.directory.path().join(&component.source))
                .with_context(|| format!("component {}", component.source))?;
            let mode = component.mode.as_deref().unwrap_or("0644");
            let mode = u32::from_str_radix(mode, 8).with_context(|| format!("mode `{mode}`"))?;
            tree.place(&component.destination, &component.owner, &component.group, mode, &content)?;
        }
        Ok(())
    }

    /// The versioned migrations that lead forward, in the order of their versions.
    pub(crate) fn migrations(&self) -> Result<Vec<PathBuf>> {
        let directory = self.directory.path().join("migrations");
        if !directory.is_dir() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(version) = migration_version(&name) {
                found.push((version, path));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }
}

/// `V1.0.0__init.sql` → `[1, 0, 0]`; nothing for undo scripts and other files.
fn migration_version(name: &str) -> Option<Vec<u32>> {
    let (version, _) = name.strip_prefix('V')?.strip_suffix(".sql")?.split_once("__")?;
    version.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_ordered_by_number_and_undo_scripts_are_left_out() {
        assert_eq!(migration_version("V1.10.0__x.sql"), Some(vec![1, 10, 0]));
        assert!(migration_version("V1.10.0__x.sql") > migration_version("V1.9__y.sql"));
        assert_eq!(migration_version("U2.0.0__x.sql"), None);
        assert_eq!(migration_version("README"), None);
    }
}
