//! Says as one JSON object what a captured output of an openGauss or GaussDB tool means.
//!
//! ```sh
//! cargo run -p gaussdb --example parse -- FILE [--status N] [--tool NAME]
//! ```
//!
//! `FILE` is `-` for standard input. `N` is the exit status that the tool ended with, 0 where it is not given. Without
//! `NAME`, for example `gs_ctl start`, the tool is recognised by its text.
//!
//! Exit status 0: the text means something. 1: it does not, or nobody knows what; 2: wrong usage, or no such file.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use gaussdb::gauss::{Reading, Tool, recognise};
use serde::Serialize;

const USAGE: &str = "parse FILE [--status N] [--tool NAME]";

/// What is printed.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    reading: Reading,
    status: i32,
}

/// What ends the program without an answer: its exit status, what happened, and what to type next.
struct Failure(u8, String, String);

fn main() -> io::Result<ExitCode> {
    let (code, problem) = match answer(std::env::args().skip(1)) {
        Ok(answer) => {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &answer)?;
            writeln!(out)?;
            match answer.reading.unknown() {
                None => return Ok(ExitCode::SUCCESS),
                Some(_) => (1, "this text of the tool means nothing that is known".to_owned()),
            }
        }
        Err(Failure(code, what, hint)) => (code, format!("{what}\nhint: {hint}")),
    };
    writeln!(io::stderr(), "error: {problem}")?;
    Ok(ExitCode::from(code))
}

fn answer(arguments: impl Iterator<Item = String>) -> Result<Answer, Failure> {
    let usage = |what: String| Failure(2, what, USAGE.to_owned());
    let (mut file, mut status, mut tool) = (None, 0, None);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--status" => {
                let text = arguments.next().unwrap_or_default();
                status = text.parse().map_err(|_| usage(format!("expected an exit status, found `{text}`")))?;
            }
            "--tool" => {
                let name = arguments.next().unwrap_or_default();
                let found = Tool::ALL.iter().copied().find(|tool| tool.name() == name);
                let names = || Tool::ALL.iter().map(|tool| tool.name()).collect::<Vec<_>>().join(", ");
                tool = Some(found.ok_or_else(|| usage(format!("expected one of {}, found `{name}`", names())))?);
            }
            _ if file.is_none() => file = Some(argument),
            _ => return Err(usage(format!("unexpected argument `{argument}`"))),
        }
    }
    let file = file.ok_or_else(|| usage("expected a file".to_owned()))?;
    let text = read(&file).map_err(|error| Failure(2, format!("cannot read {file}: {error}"), USAGE.to_owned()))?;
    let tool = tool.or_else(|| recognise(&text)).ok_or_else(|| {
        let hint = format!("where you know the tool, name it: parse {file} --tool \"gs_ctl start\"");
        Failure(1, "expected the output of an openGauss or GaussDB tool, found other text".to_owned(), hint)
    })?;
    Ok(Answer { reading: tool.read(status, &text), status })
}

/// Bytes that are not UTF-8 are replaced, as they are in what comes from a node.
fn read(file: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    match file {
        "-" => io::stdin().lock().read_to_end(&mut bytes)?,
        file => std::fs::File::open(file)?.read_to_end(&mut bytes)?,
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
