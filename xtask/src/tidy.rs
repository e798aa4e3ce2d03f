//! `cargo xtask tidy`: holds the crates against the picture in `docs/architecture.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Who may depend on whom: the arrows of the picture. Development dependencies count too, except on the crates of
/// [`FOR_TESTS`].
const MAY: &[(&str, &[&str])] = &[
    ("rollup-model", &[]),
    ("rollup-remote", &[]),
    ("sql-lint", &[]),
    ("rollup-engine", &["rollup-model", "rollup-remote"]),
    ("precheck", DOMAIN),
    ("backup", DOMAIN),
    ("keepalived", DOMAIN),
    ("rsync-ctl", DOMAIN),
    ("gaussdb", &["rollup-model", "rollup-remote", "rollup-engine", "sql-lint"]),
    ("health", DOMAIN),
    ("package", DOMAIN),
    ("service", DOMAIN),
    ("rollup-ui", &["rollup-model"]),
    (
        "rollup",
        &[
            "rollup-model",
            "rollup-remote",
            "rollup-engine",
            "rollup-ui",
            "precheck",
            "backup",
            "keepalived",
            "rsync-ctl",
            "gaussdb",
            "health",
            "package",
            "service",
            "sql-lint",
        ],
    ),
    (
        "rollup-testkit",
        &[
            "rollup-model",
            "rollup-remote",
            "rollup-engine",
            "precheck",
            "backup",
            "keepalived",
            "rsync-ctl",
            "gaussdb",
            "health",
            "package",
            "service",
        ],
    ),
    ("rollup-lab", &["rollup-model", "package"]),
    ("xtask", &["rollup-lab", "rollup-testkit"]),
];

/// What every domain crate may use; never another domain crate: order between them is data in the plan.
const DOMAIN: &[&str] = &["rollup-model", "rollup-remote", "rollup-engine"];

/// What tests of any crate may use.
const FOR_TESTS: &[&str] = &["rollup-lab", "rollup-testkit"];

/// Files longer than this are hard to find one's way in.
const LONGEST_FILE: usize = 500;

pub(crate) fn run() -> Result<ExitCode> {
    let root = crate::workspace();
    let mut problems = edges(&root)?;
    problems.extend(manifests(&root)?);
    problems.extend(long_files(&root)?);
    ensure!(problems.is_empty(), "{}\nhint: docs/architecture.md, section 2", problems.join("\n"));
    crate::say("tidy: crates, manifests and file lengths are as docs/architecture.md says");
    Ok(ExitCode::SUCCESS)
}

fn edges(root: &Path) -> Result<Vec<String>> {
    let output = Command::new(crate::cargo())
        .current_dir(root)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("expected packages")?;
    let ours: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let may: BTreeMap<&str, &[&str]> = MAY.iter().copied().collect();
    let mut problems = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = may.get(name) else {
            problems.push(format!("crate `{name}` is not in the picture"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = dependency["name"].as_str().unwrap_or_default();
            let for_tests = dependency["kind"] == "dev" && FOR_TESTS.contains(&target);
            if ours.contains(target) && !allowed.contains(&target) && !for_tests {
                problems.push(format!("`{name}` depends on `{target}`, which is not in the picture"));
            }
        }
        let folder = Path::new(package["manifest_path"].as_str().unwrap_or_default()).parent();
        if folder.and_then(Path::file_name).is_some_and(|folder| folder != name) {
            problems.push(format!("crate `{name}` lives in a folder of another name"));
        }
    }
    Ok(problems)
}

/// Versions and lints belong to the workspace manifest.
fn manifests(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let path = entry?.path().join("Cargo.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let place = path.strip_prefix(root).unwrap_or(&path).display();
        if !text.contains("[lints]\nworkspace = true") {
            problems.push(format!("{place}: expected `[lints] workspace = true`"));
        }
        for (number, line) in (1..).zip(text.lines()) {
            if line.contains("version = \"") {
                problems.push(format!("{place}:{number}: versions belong to the workspace manifest"));
            }
        }
    }
    Ok(problems)
}

fn long_files(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git").current_dir(root).args(["ls-files", "*.rs"]).output().context("cannot run git")?;
    let mut problems = Vec::new();
    for file in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue };
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            problems.push(format!("{file}: {lines} lines; split it (the limit is {LONGEST_FILE})"));
        }
    }
    Ok(problems)
}
