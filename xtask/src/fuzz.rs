//! `cargo xtask fuzz`: the fuzz target of keepalived's configuration, on the stable toolchain.
//!
//! libFuzzer needs counters in the code, which stable `-C` options put there; what needs nightly is the sanitizers, and
//! safe code gains nothing from them. So neither nightly nor cargo-fuzz is needed, though it would find its layout here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Counters for each branch and for each comparison.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg=fuzzing";

/// Where the fuzz crate is.
const CRATE: &str = "crates/keepalived/fuzz";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long to search.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only this input: a file that an earlier search found.
    #[arg(long)]
    input: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = crate::workspace();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("fuzz");
    let program = build(&root, &target)?;
    let mut command = Command::new(program);
    command.current_dir(root.join(CRATE));
    if let Some(input) = &arguments.input {
        command.arg(fs::canonicalize(input).with_context(|| format!("cannot find {}", input.display()))?);
        return Ok(if command.status()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let (corpus, found) = (target.join("corpus"), target.join("found"));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    crate::step(&format!("searching for {} s", arguments.seconds));
    let output = command
        .arg(&corpus)
        .args(["seeds/conf", "-dict=conf.dict", "-max_len=4096", "-timeout=10", "-print_final_stats=1"])
        .arg(format!("-max_total_time={}", arguments.seconds))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .stdout(Stdio::null())
        .output()
        .context("cannot run the fuzz target")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let last: Vec<&str> = said.lines().rev().take(60).collect();
        last.iter().rev().for_each(|line| crate::say(line));
        crate::say("hint: cargo xtask fuzz --input FILE runs the one that was found again");
        return Ok(ExitCode::FAILURE);
    }
    let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let runs = runs.with_context(|| format!("expected statistics, found: {said}"))?.trim();
    let inputs = fs::read_dir(&corpus)?.count();
    crate::say(&format!("fuzz: {runs} runs in {} s, nothing found; {inputs} inputs kept", arguments.seconds));
    Ok(ExitCode::SUCCESS)
}

/// Builds the target and says where it is.
fn build(root: &Path, target: &Path) -> Result<PathBuf> {
    crate::step("building the fuzz target");
    // Named, so that build scripts, which are for the host, get no counters.
    let host = host()?;
    let status = Command::new(crate::cargo())
        .current_dir(root.join(CRATE))
        .env("RUSTFLAGS", INSTRUMENTED)
        .args(["build", "--quiet", "--release", "--locked", "--target", &host, "--target-dir"])
        .arg(target)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the fuzz target cannot be built\nhint: libFuzzer is C++; apt-get install g++");
    Ok(target.join(host).join("release/conf"))
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("expected `rustc -vV` to name the host")?.to_owned())
}
