//! What the lab needs from its host: root, a few programs, and where Debian packages come from.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use crate::shell;

/// Programs and the Debian packages they come in. The JDK builds the example's Java service.
const TOOLS: [(&str, &str); 10] = [
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("ip", "iproute2"),
    ("ssh", "openssh-client"),
    ("rsync", "rsync"),
    ("zstd", "zstd"),
    ("javac", "default-jdk-headless"),
    ("ps", "procps"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
];

/// The Debian release of the nodes.
pub(crate) const SUITE: &str = "bookworm";

/// Makes sure that this host can run a lab, and installs what is missing.
pub fn prepare_host(say: &dyn Fn(&str)) -> Result<()> {
    let missing: BTreeSet<_> =
        TOOLS.iter().filter(|(program, _)| find_program(program).is_none()).map(|(_, package)| *package).collect();
    let words: Vec<_> = missing.into_iter().collect();
    if !rustix::process::geteuid().is_root() {
        if !words.is_empty() {
            let words = words.join(" ");
            bail!("the lab needs programs that are missing here; run `sudo apt-get install {words}`, then try again");
        }
        bail!("the lab makes namespaces and mounts: run it as root");
    }
    if words.is_empty() {
        return Ok(());
    }
    say(&format!("installing {}", words.join(" ")));
    shell::run(&mut shell::command("apt-get", ["update", "-q"]))?;
    let mut install = shell::command("apt-get", ["install", "-q", "-y", "--no-install-recommends"]);
    shell::run(install.args(words).env("DEBIAN_FRONTEND", "noninteractive"))?;
    Ok(())
}

fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Root's own directories are missing from the path of some `sudo` and CI shells.
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(extra).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// The cgroup hierarchies in which a machine needs a cgroup of its own; none where systemd runs the host and makes it.
pub(crate) fn cgroup_roots() -> Vec<PathBuf> {
    if Path::new("/run/systemd/system").is_dir() {
        return Vec::new();
    }
    hierarchies(&std::fs::read_to_string("/proc/mounts").unwrap_or_default())
}

/// The unified hierarchy and systemd's own; controllers of version 1 do not tell processes apart for systemd.
fn hierarchies(mounts: &str) -> Vec<PathBuf> {
    let systemd = |fields: &[&str]| fields[2] == "cgroup" && fields[3].split(',').any(|o| o == "name=systemd");
    mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|fields| fields.len() > 3 && (fields[2] == "cgroup2" || systemd(fields)))
        .map(|fields| PathBuf::from(fields[1]))
        .collect()
}

/// The lines of `sources.list` that this host uses for the suite of the nodes; none on a host of another release.
pub(crate) fn mirror_lines() -> Vec<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = std::fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    let mut lines = BTreeSet::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => lines.extend(from_stanzas(&text)),
            _ => lines.extend(from_lines(&text)),
        }
    }
    lines.into_iter().collect()
}

fn of_interest(suite: &str) -> bool {
    [SUITE, "bookworm-updates", "bookworm-security"].contains(&suite)
}

fn from_lines(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace().peekable();
        if words.next() != Some("deb") {
            continue;
        }
        if words.peek().is_some_and(|word| word.starts_with('[')) {
            // Options end with the word that closes the bracket.
            while words.next().is_some_and(|word| !word.ends_with(']')) {}
        }
        if let (Some(uri), Some(suite)) = (words.next(), words.next())
            && of_interest(suite)
            && words.any(|component| component == "main")
        {
            found.push(format!("deb {uri} {suite} main"));
        }
    }
    found
}

fn from_stanzas(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let line = stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().split_whitespace()
        };
        if field("Enabled").any(|word| word == "no") || !field("Types").any(|word| word == "deb") {
            continue;
        }
        if !field("Components").any(|component| component == "main") {
            continue;
        }
        for uri in field("URIs") {
            found.extend(field("Suites").filter(|suite| of_interest(suite)).map(|s| format!("deb {uri} {s} main")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_found_in_both_formats_and_foreign_archives_are_left_out() {
        let stanzas = "Types: deb\n# comment\nURIs: http://mirror.test/debian\nSuites: bookworm bookworm-updates\n\
                       Components: main\n\nTypes: deb\nURIs: https://deb.nodesource.test\nSuites: nodistro\nComponents: main\n";
        assert_eq!(
            from_stanzas(stanzas),
            ["deb http://mirror.test/debian bookworm main", "deb http://mirror.test/debian bookworm-updates main"]
        );
        let lines = "# deb http://old.test/ bookworm main\n\
                     deb [arch=amd64 signed-by=/k.gpg] http://m.test/d bookworm main contrib\n\
                     deb http://sdk.test/apt cloud-sdk-bookworm main\ndeb-src http://m.test/d bookworm main\n";
        assert_eq!(from_lines(lines), ["deb http://m.test/d bookworm main"]);
    }

    #[test]
    fn only_the_unified_hierarchy_and_the_one_of_systemd_count() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(hierarchies(mounts), [Path::new("/sys/fs/cgroup/systemd"), Path::new("/sys/fs/cgroup/unified")]);
    }
}
