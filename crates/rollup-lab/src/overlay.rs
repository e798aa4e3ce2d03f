//! Mounting a node's layers, and running scripts inside an image that is not booted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::shell;

const PROLOGUE: &str = include_str!("../scripts/prologue.sh");

/// Mounts layers, uppermost first, with a writable one on top.
pub(crate) fn mount(lower: &[&Path], upper: &Path, work: &Path, target: &Path) -> Result<()> {
    for directory in [upper, work, target] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let lower: Vec<_> = lower.iter().map(|layer| layer.display().to_string()).collect();
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), upper.display(), work.display());
    shell::run(shell::command("mount", ["-t", "overlay", "rollup-lab", "-o", &options]).arg(target))?;
    Ok(())
}

/// Unmounts whatever is mounted at or below a directory, innermost first.
pub(crate) fn unmount_below(directory: &Path) {
    for point in mounted_below(&fs::read_to_string("/proc/self/mounts").unwrap_or_default(), directory) {
        // A process that still has a file open must not keep a dead lab on the host: detach what is busy.
        if !shell::attempt(shell::command("umount", [&point]).arg("--quiet")) {
            shell::attempt(shell::command("umount", ["--lazy", "--quiet"]).arg(&point));
        }
    }
}

fn mounted_below(mounts: &str, directory: &Path) -> Vec<PathBuf> {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut points: Vec<_> = points.filter(|point| point.starts_with(directory)).collect();
    points.reverse();
    points
}

/// Whether a mount of this host uses a directory as one of its layers.
pub(crate) fn is_layer_in_use(directory: &Path) -> bool {
    let directory = directory.display().to_string();
    fs::read_to_string("/proc/self/mounts").unwrap_or_default().lines().any(|line| line.contains(&directory))
}

/// A mount that goes away with its owner.
#[derive(Debug)]
pub(crate) struct Mounted {
    /// Where the image is.
    pub(crate) root: PathBuf,
}

impl Mounted {
    /// Mounts layers below `scratch`, with `upper` on top.
    pub(crate) fn new(lower: &[&Path], upper: &Path, scratch: &Path) -> Result<Self> {
        let root = scratch.join("root");
        mount(lower, upper, &scratch.join("work"), &root)?;
        Ok(Self { root })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount_below(&self.root);
    }
}

/// Runs one of our scripts as root inside an image, with processes, mounts and a network of its own.
///
/// Not `systemd-nspawn`: it wants a cgroup and a machine id, and an image under construction has neither.
pub(crate) fn run_inside(root: &Path, script: &str, variables: &[(&str, &str)]) -> Result<()> {
    let mut inside = shell::contained();
    inside.arg("--net").arg(format!("--root={}", root.display())).args(["/bin/bash", "-s"]);
    inside.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(variables.iter().copied());
    shell::feed(&mut inside, &format!("{PROLOGUE}{script}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_mounts_are_found_and_the_innermost_come_first() {
        let mounts = "a /s/lab/node-a/root overlay rw 0 0\nb /s/lab/node-a/root/proc proc rw 0 0\n\
                      c /s/lab2/node-a/root overlay rw 0 0\n";
        assert_eq!(
            mounted_below(mounts, Path::new("/s/lab")),
            [Path::new("/s/lab/node-a/root/proc"), Path::new("/s/lab/node-a/root")]
        );
    }
}
