//! `cargo xtask ci | test | soak`: what a developer runs, and what the landing runs.

use std::{
    path::Path,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::Args;

/// What to leave in or out of the lab's scenarios.
#[derive(Debug, Args)]
pub(crate) struct LabTest {
    /// Only scenarios whose name contains one of these.
    filter: Vec<String>,
    /// The long matrices too.
    #[arg(long)]
    soak: bool,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
}

/// Format, lints, the dependency picture: everything that needs no machine.
pub(crate) fn lint() -> Result<ExitCode> {
    let root = crate::workspace();
    cargo(&root, "format", &["fmt", "--all", "--check"])?;
    cargo(&root, "lints", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    crate::tidy::run()?;
    if Command::new(crate::cargo()).args(["deny", "--version"]).output().is_ok_and(|output| output.status.success()) {
        cargo(&root, "licences, bans and sources", &["deny", "check", "bans", "licenses", "sources"])?;
    } else {
        crate::say("LEFT OUT: cargo deny (cargo install cargo-deny)");
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything: lints, all tests without a lab, the crash matrix, and the lab's scenarios.
pub(crate) fn test(soak: bool) -> Result<ExitCode> {
    let root = crate::workspace();
    let began = Instant::now();
    rollup_lab::prepare_host(&crate::say)?;
    lint()?;
    cargo(&root, "tests of the crates", &["test", "--workspace", "--quiet"])?;
    postgresql()?;
    cargo(
        &root,
        "two real PostgreSQL servers",
        &["test", "--quiet", "--package", "gaussdb", "--features", "real-pair", "--lib", "--", "--test-threads=1"],
    )?;
    cargo(
        &root,
        "backup sets on real files",
        &["test", "--quiet", "--package", "backup", "--features", "real-files", "--lib"],
    )?;
    crate::step("crash points of the simulated pair");
    ensure!(crate::crash::run(soak)? == ExitCode::SUCCESS, "the crash matrix has wrong points");
    lab_test(&LabTest { filter: Vec::new(), soak, list: false })?;
    crate::say(&format!("everything passed in {} s", began.elapsed().as_secs()));
    Ok(ExitCode::SUCCESS)
}

/// The servers that the database's own tests start by themselves; Debian's default cluster is not wanted.
fn postgresql() -> Result<()> {
    if Path::new("/usr/lib/postgresql/15/bin/initdb").exists() {
        return Ok(());
    }
    crate::step("installing postgresql-15");
    std::fs::create_dir_all("/etc/postgresql-common")?;
    let config = Path::new("/etc/postgresql-common/createcluster.conf");
    if !config.exists() {
        std::fs::write(config, "create_main_cluster = false\n")?;
    }
    for words in [&["update", "-q"][..], &["install", "-q", "-y", "--no-install-recommends", "postgresql-15"]] {
        let status = Command::new("apt-get").args(words).env("DEBIAN_FRONTEND", "noninteractive").status()?;
        ensure!(status.success(), "`apt-get {}` failed", words.join(" "));
    }
    Ok(())
}

/// The scenarios on real machines.
pub(crate) fn lab_test(arguments: &LabTest) -> Result<ExitCode> {
    let root = crate::workspace();
    crate::step("scenarios on real machines");
    rollup_lab::prepare_host(&crate::say)?;
    let mut command = Command::new(crate::cargo());
    command.current_dir(&root).args(["test", "--quiet", "--package", "rollup", "--test", "lab", "--"]);
    command.args(&arguments.filter).env("ROLLUP_LAB_TESTS", "1").env("ROLLUP_XTASK", std::env::current_exe()?);
    if arguments.soak {
        command.arg("--soak");
    }
    if arguments.list {
        command.arg("--list");
    }
    ensure!(command.status().context("cannot run cargo")?.success(), "scenarios on real machines failed");
    Ok(ExitCode::SUCCESS)
}

fn cargo(root: &Path, what: &str, words: &[&str]) -> Result<()> {
    crate::step(what);
    let status = Command::new(crate::cargo()).current_dir(root).args(words).status().context("cannot run cargo")?;
    ensure!(status.success(), "{what}: `cargo {}` failed", words.join(" "));
    Ok(())
}
