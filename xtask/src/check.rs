//! `cargo xtask ci | test | soak`: what a developer runs, and what the landing runs.

use std::{
    path::Path,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rollup_lab::Places;

use crate::crash::Extent;

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
    let lints = ["clippy", "--workspace", "--all-targets", "--quiet", "--features", FEATURES, "--", "-D", "warnings"];
    cargo(&root, "lints", &lints)?;
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
    crate::step("tests of the crates");
    let mut tests = Command::new(crate::cargo());
    let status = seeded(&mut tests, soak).current_dir(&root).args(["test", "--workspace", "--quiet"]).status();
    ensure!(status.context("cannot run cargo")?.success(), "`cargo test --workspace` failed");
    servers()?;
    // Real servers mostly wait, the crash matrix only computes; what the labs need is made meanwhile.
    let panicked = || anyhow::anyhow!("a part of the tests panicked");
    let (crashed, real, image) = std::thread::scope(|scope| {
        let real = REAL.map(|(what, words)| scope.spawn(|| aside(&root, what, words, soak)));
        let image = scope.spawn(|| rollup_lab::prepare_image(&Places::from_environment(), &crate::say));
        crate::step("crash points of the simulated pair");
        let crashed = crate::crash::visit(if soak { Extent::Long } else { Extent::Brief });
        let real: Vec<_> = real.into_iter().map(|real| real.join().unwrap_or_else(|_| Err(panicked()))).collect();
        (crashed, real, image.join().unwrap_or_else(|_| Err(panicked())))
    });
    ensure!(crashed? == ExitCode::SUCCESS, "the crash matrix has wrong points");
    real.into_iter().collect::<Result<()>>()?;
    image?;
    lab_test(&LabTest { filter: Vec::new(), soak, list: false })?;
    crate::say(&format!("everything passed in {} s", began.elapsed().as_secs()));
    Ok(ExitCode::SUCCESS)
}

/// What else there is to lint: tests that need more than a compiler.
const FEATURES: &str = "backup/real-files,gaussdb/real-pair,keepalived/real-daemon,package/real-minisign";

/// Tests that need real servers, programs or root's rights, and no lab.
const REAL: [(&str, &[&str]); 4] = [
    (
        "keepalived's own reading of its configuration",
        &["--package", "keepalived", "--features", "real-daemon", "--lib", "real::"],
    ),
    (
        "two real PostgreSQL servers",
        &["--package", "gaussdb", "--features", "real-pair", "--lib", "--", "--test-threads=1"],
    ),
    (
        "Debian's minisign",
        &["--package", "package", "--features", "real-minisign", "--test", "format", "minisign_itself"],
    ),
    ("backup sets on real files", &["--package", "backup", "--features", "real-files", "--lib"]),
];

/// Random tests see the same cases every time, since a landing is not the place to find what nobody has changed. The soak
/// looks further.
fn seeded(command: &mut Command, soak: bool) -> &mut Command {
    if soak { command } else { command.env("PROPTEST_RNG_SEED", "20261129") }
}

/// Runs tests beside something else; what they say is told when they have ended.
fn aside(root: &Path, what: &str, words: &[&str], soak: bool) -> Result<()> {
    let began = Instant::now();
    let mut command = Command::new(crate::cargo());
    seeded(&mut command, soak).current_dir(root).args(["test", "--quiet"]).args(words);
    let output = command.output().context("cannot run cargo")?;
    crate::step(&format!("{what} ({} s)", began.elapsed().as_secs()));
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    said.iter().filter(|text| !text.is_empty()).for_each(|text| crate::say(text));
    ensure!(output.status.success(), "{what}: `cargo test {}` failed", words.join(" "));
    Ok(())
}

/// The servers that tests start by themselves; Debian's default cluster is not wanted, and keepalived does not start
/// without a configuration.
fn servers() -> Result<()> {
    let there = ["/usr/lib/postgresql/15/bin/initdb", "/usr/sbin/keepalived", "/usr/bin/minisign"];
    if there.iter().all(|program| Path::new(program).exists()) {
        return Ok(());
    }
    crate::step("installing postgresql-15, keepalived and minisign");
    std::fs::create_dir_all("/etc/postgresql-common")?;
    let config = Path::new("/etc/postgresql-common/createcluster.conf");
    if !config.exists() {
        std::fs::write(config, "create_main_cluster = false\n")?;
    }
    let install = ["install", "-q", "-y", "--no-install-recommends", "postgresql-15", "keepalived", "minisign"];
    for words in [&["update", "-q"][..], &install] {
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
