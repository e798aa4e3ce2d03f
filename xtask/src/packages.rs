//! `cargo xtask packages`: builds every version of the example service. How belongs to `rollup-lab`.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directory of the packages [default: target/packages of this workspace].
    #[arg(long)]
    out: Option<PathBuf>,
    /// The JDK that compiles the Java service [default: the one of the search path].
    #[arg(long, env = "JAVA_HOME")]
    java_home: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let out = arguments.out.clone().unwrap_or_else(|| workspace.join("target/packages"));
    let note = |text: &str| {
        // Progress is for people; nobody is left to read it when standard error is closed.
        let _closed = writeln!(io::stderr(), "{text}");
    };
    let mut stdout = io::stdout().lock();
    for built in rollup_lab::packages::build_all(&out, arguments.java_home.as_deref(), &note)? {
        writeln!(stdout, "{}", built.archive.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
