//! Names and directories: where labs live on the host and what their parts are called.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// The directories that all labs of a host share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Images, which may be deleted at any time while no lab runs.
    pub cache: PathBuf,
    /// Running labs.
    pub state: PathBuf,
}

impl Places {
    /// The places that `ROLLUP_LAB_CACHE` and `ROLLUP_LAB_STATE` name, or the defaults.
    pub fn from_environment() -> Self {
        let place = |variable: &str, default: &str| {
            std::env::var_os(variable).filter(|value| !value.is_empty()).map_or_else(|| default.into(), PathBuf::from)
        };
        Self {
            cache: place("ROLLUP_LAB_CACHE", "/var/cache/rollup-lab"),
            state: place("ROLLUP_LAB_STATE", "/var/lib/rollup-lab"),
        }
    }

    /// The directory of one lab.
    pub fn lab(&self, name: &LabName) -> PathBuf {
        self.state.join(&name.0)
    }
}

/// The name of a lab: short, lower case, safe as part of a file name and of a host name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

impl LabName {
    /// The network namespace of the operator.
    pub fn operator_namespace(&self) -> String {
        format!("rl-{}-op", self.0)
    }

    /// The machine, the network namespace and the cgroup of a node, which share one name.
    pub fn machine(&self, letter: char) -> String {
        format!("rl-{}-{letter}", self.0)
    }
}

impl FromStr for LabName {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 20 || text.starts_with('-') || !text.bytes().all(good) {
            bail!("`{text}` is not a name for a lab: expected 1 to 20 of `a-z`, `0-9` and `-`, for example `lab`");
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for LabName {
    type Error = anyhow::Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A lock on a directory, so that two commands do not build or boot the same thing. Held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: std::fs::File,
}

impl Lock {
    /// Waits for the lock of this directory, which is made when it is missing.
    pub(crate) fn take(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        let file = std::fs::File::create(directory.join(".lock"))?;
        file.lock()?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_directory_is_refused() {
        for bad in ["", "-x", "a/b", "..", "Lab", "a b", "abcdefghijklmnopqrstu"] {
            assert!(bad.parse::<LabName>().is_err(), "{bad:?}");
        }
        assert!("lab-2".parse::<LabName>().is_ok());
    }

    #[test]
    fn names_of_parts_carry_the_name_of_the_lab() {
        let name: LabName = "demo".parse().unwrap();
        assert_eq!(name.operator_namespace(), "rl-demo-op");
        assert_eq!(name.machine('b'), "rl-demo-b");
    }
}
