//! The tools that the scripts of all crates call, where they come from, and how new they must be.

use rollup_model::Finding;

use crate::facts::HostFacts;

/// A tool beyond a POSIX system.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// Its package on Debian.
    deb: &'static str,
    /// Its package on Red Hat and SUSE.
    rpm: &'static str,
}

const fn tool(name: &'static str, deb: &'static str, rpm: &'static str) -> Tool {
    Tool { name, deb, rpm }
}

/// What must be there.
pub(crate) const TOOLS: [Tool; 12] = [
    tool("bash", "bash", "bash"),
    tool("flock", "util-linux", "util-linux"),
    tool("runuser", "util-linux", "util-linux"),
    tool("timeout", "coreutils", "coreutils"),
    tool("sha256sum", "coreutils", "coreutils"),
    tool("systemd-run", "systemd", "systemd"),
    tool("awk", "mawk", "gawk"),
    tool("tar", "tar", "tar"),
    tool("zstd", "zstd", "zstd"),
    tool("curl", "curl", "curl"),
    tool("ss", "iproute2", "iproute"),
    tool("rsync", "rsync", "rsync"),
];

/// The oldest versions that will do: `systemd-run` with its output in a file, `mapfile -d` of bash, `sha256sum -z`.
const OLDEST: [(&str, [u32; 2]); 3] = [("bash", [4, 4]), ("systemd", [240, 0]), ("coreutils", [8, 25])];

/// Major and minor, as far as they are told.
fn version(text: &str) -> Option<[u32; 2]> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next().and_then(Result::ok).unwrap_or(0)])
}

/// Every tool is there, and new enough (PRE-8).
pub(crate) fn finding(facts: &HostFacts) -> Finding {
    let too_old = OLDEST.iter().filter_map(|(name, oldest)| {
        let told = facts.versions.get(*name).map(String::as_str).unwrap_or_default();
        // A tool that does not tell its version is used by other people's scripts, too.
        let old = version(told).is_some_and(|version| version < *oldest);
        old.then(|| format!("{name} {told}"))
    });
    let missing = &facts.missing_tools;
    let mut wrong: Vec<String> = too_old.collect();
    if !missing.is_empty() {
        wrong.insert(0, format!("without {}", missing.join(", ")));
    }
    let names: Vec<_> = TOOLS.iter().map(|tool| tool.name).collect();
    let oldest = OLDEST.iter().map(|(name, [major, minor])| match minor {
        0 => format!("{name} {major}"),
        minor => format!("{name} {major}.{minor}"),
    });
    let oldest: Vec<_> = oldest.collect();
    let expected = format!("tools {}; at least {}", names.join(", "), oldest.join(", "));
    let found = if wrong.is_empty() { versions(facts) } else { wrong.join("; ") };
    let finding = Finding::check("host.tools", "PRE-8", wrong.is_empty(), expected, found);
    if missing.is_empty() {
        return finding.fix("upgrade the operating system of this node");
    }
    let packages = missing.iter().map(|name| package(name, &facts.installer));
    let mut packages: Vec<_> = packages.collect();
    packages.dedup();
    let installer = if facts.installer.is_empty() { "apt-get" } else { &facts.installer };
    finding.fix(format!("{installer} install {}", packages.join(" ")))
}

fn versions(facts: &HostFacts) -> String {
    let told = facts.versions.iter().filter(|(_, version)| !version.is_empty());
    let told: Vec<_> = told.map(|(name, version)| format!("{name} {version}")).collect();
    if told.is_empty() { "all".to_owned() } else { format!("all; {}", told.join(", ")) }
}

fn package(name: &str, installer: &str) -> String {
    let tool = TOOLS.iter().find(|tool| tool.name == name);
    let rpm = ["dnf", "yum", "zypper"].contains(&installer);
    tool.map_or(name, |tool| if rpm { tool.rpm } else { tool.deb }).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollup_model::Severity;

    fn facts(installer: &str, missing: &[&str], systemd: &str) -> HostFacts {
        HostFacts {
            installer: installer.to_owned(),
            missing_tools: missing.iter().map(|tool| (*tool).to_owned()).collect(),
            versions: [("bash".to_owned(), "5.2.15(1)".to_owned()), ("systemd".to_owned(), systemd.to_owned())].into(),
            ..HostFacts::default()
        }
    }

    #[test]
    fn a_missing_tool_names_the_package_it_comes_in_pre_8() {
        let finding = finding(&facts("dnf", &["ss", "zstd"], "252"));
        assert_eq!(finding.found, "without ss, zstd");
        assert_eq!(finding.fix.as_deref(), Some("dnf install iproute zstd"));
        let deb = super::finding(&facts("apt-get", &["flock", "runuser"], "252"));
        assert_eq!(deb.fix.as_deref(), Some("apt-get install util-linux"));
    }

    #[test]
    fn a_tool_that_is_too_old_is_an_error_and_one_of_unknown_age_is_not_pre_8() {
        assert_eq!(finding(&facts("dnf", &[], "219")).found, "systemd 219");
        assert_eq!(finding(&facts("dnf", &[], "240")).severity, Severity::Ok);
        assert_eq!(finding(&facts("dnf", &[], "")).severity, Severity::Ok);
        assert_eq!(version("4.2.46(2)-release"), Some([4, 2]));
    }
}
