//! Running programs of the host: argv only, and errors that carry what the program said.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

/// A command from words.
pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// A command in process and mount namespaces of its own, which ends with us, and takes everything it started with it.
///
/// A build that outlived its killed parent would write into the next one.
pub(crate) fn contained() -> Command {
    let unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    command("setpriv", ["--pdeathsig", "KILL"].into_iter().chain(unshare))
}

/// Runs a command without input; its standard output when it succeeded.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    checked(command, None)
}

/// Runs a command with a text as input; its standard output when it succeeded.
pub(crate) fn feed(command: &mut Command, input: &str) -> Result<String> {
    checked(command, Some(input))
}

/// Runs a command whose failure says only "there was nothing to do".
pub(crate) fn attempt(command: &mut Command) -> bool {
    output(command, None).is_ok_and(|output| output.status.success())
}

/// Runs a command to its end, whatever the end is.
pub(crate) fn output(command: &mut Command, input: Option<&str>) -> Result<Output> {
    let shown = show(command);
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        // A program that ends before it has read everything says why in its own words below.
        let _closed_early = pipe.write_all(input.as_bytes());
    }
    child.wait_with_output().with_context(|| format!("cannot wait for `{shown}`"))
}

fn checked(command: &mut Command, input: Option<&str>) -> Result<String> {
    let output = output(command, input)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", show(command), output.status, last_lines(&said, 20));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The end of a text, where programs say what went wrong.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn show(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
