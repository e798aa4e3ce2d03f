//! `cargo xtask fuzz`: the fuzz targets, of keepalived's configuration and of packages, on the stable toolchain.
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

/// What is fuzzed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Target {
    /// keepalived's configuration.
    Conf,
    /// The archive of a package.
    Archive,
}

impl Target {
    /// Where the fuzz crate is, its program, and what the fuzzer is told beside its time.
    fn parts(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Conf => ("crates/keepalived/fuzz", "conf", &["-dict=conf.dict", "-max_len=4096"]),
            Self::Archive => ("crates/package/fuzz", "archive", &["-max_len=32768"]),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to fuzz.
    #[arg(value_enum, default_value_t = Target::Conf)]
    target: Target,
    /// How long to search.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only this input: a file that an earlier search found.
    #[arg(long)]
    input: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = crate::workspace();
    let (of, name, words) = arguments.target.parts();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("fuzz");
    let program = build(&root.join(of), &target, name)?;
    let mut command = Command::new(program);
    command.current_dir(root.join(of));
    if let Some(input) = &arguments.input {
        command.arg(fs::canonicalize(input).with_context(|| format!("cannot find {}", input.display()))?);
        return Ok(if command.status()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let (corpus, found) = (target.join("corpus").join(name), target.join("found"));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    crate::step(&format!("searching for {} s", arguments.seconds));
    let output = command
        .arg(&corpus)
        .arg(format!("seeds/{name}"))
        .args(words)
        .args(["-timeout=10", "-print_final_stats=1"])
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
fn build(of: &Path, target: &Path, name: &str) -> Result<PathBuf> {
    crate::step("building the fuzz target");
    // Named, so that build scripts, which are for the host, get no counters.
    let host = host()?;
    let status = Command::new(crate::cargo())
        .current_dir(of)
        .env("RUSTFLAGS", INSTRUMENTED)
        .args(["build", "--quiet", "--release", "--locked", "--target", &host, "--target-dir"])
        .arg(target)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the fuzz target cannot be built\nhint: libFuzzer is C++; apt-get install g++");
    Ok(target.join(host).join("release").join(name))
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("expected `rustc -vV` to name the host")?.to_owned())
}
