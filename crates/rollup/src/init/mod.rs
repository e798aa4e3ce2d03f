//! `rollup init`: looks at two nodes and writes the inventory of what is there, with a question where that is not known.
//!
//! Owns this one command. Nothing secret is read, nothing on the nodes is changed, and no file is overwritten unasked.

mod draft;
mod parse;
mod probe;
mod render;
mod target;
mod template;

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use rollup_model::inventory::{self, Ssh};
use rollup_remote::{Host, ReadOnly};
use serde_json::json;

use crate::{
    exit::{self, Ended, Exit},
    screen::Screen,
    site,
    typed::quoted_option,
};
use draft::{Asked, Draft};
use parse::Seen;
use render::{Question, Written};
use target::Target;

/// What `rollup init` is told.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A node, as ssh reaches it
    #[arg(value_name = "[USER@]HOST[:PORT]")]
    first: Target,
    /// The other node
    #[arg(value_name = "[USER@]HOST[:PORT]")]
    second: Target,
    /// The file to write; `-` prints it
    #[arg(long, short = 'o', value_name = "FILE", default_value = "rollup.toml")]
    output: PathBuf,
    /// Name of the pair [default: what names of units or hosts have in common]
    #[arg(long)]
    name: Option<String>,
    /// Overwrite a file that is there
    #[arg(long)]
    force: bool,
    /// An ssh_config for jump hosts, ciphers and whatever differs between the nodes
    #[arg(long, short = 'F', value_name = "FILE")]
    ssh_config: Option<PathBuf>,
    /// Private key file
    #[arg(long, value_name = "FILE")]
    identity_file: Option<PathBuf>,
    /// Host keys; strict, nothing is ever added
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<PathBuf>,
}

impl Arguments {
    fn prints(&self) -> bool {
        self.output.as_os_str() == "-"
    }

    /// What was typed, to be typed again with `--force`.
    fn forced(&self) -> String {
        let output = match self.output.as_os_str() == "rollup.toml" {
            true => String::new(),
            false => quoted_option("-o", Some(&self.output)),
        };
        let config = quoted_option("-F", self.ssh_config.as_deref());
        let identity = quoted_option("--identity-file", self.identity_file.as_deref());
        let known = quoted_option("--known-hosts", self.known_hosts.as_deref());
        let name = quoted_option("--name", self.name.as_deref().map(Path::new));
        format!("rollup init --force{output}{name}{config}{identity}{known} {} {}", self.first, self.second)
    }
}

/// Runs `rollup init`.
pub(crate) async fn init(arguments: &Arguments, screen: &Screen) -> Ended {
    let asked = asked(arguments)?;
    if !arguments.prints() && arguments.output.exists() && !arguments.force {
        return Err(exists(arguments));
    }
    let waiting = screen.waiting("looking at both nodes");
    let [first, second] = [0, 1].map(|node| look(&asked, node));
    let (first, second) = tokio::join!(first, second);
    drop(waiting);
    let (first, second) = match (first, second) {
        (Ok(first), Ok(second)) => (first, second),
        // Both are told at once; the hint of one holds for most pairs of errors.
        (Err(first), Err(second)) => return Err(first.page(format!("error: {:#}", second.error))),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
    };
    if first.is_one_with(&second) {
        let [one, other] = &asked.hosts;
        let error = format!("expected two machines; {one} and {other} both lead to {}", first.hostname);
        return Err(Exit::usage(error).hint("name each node by the address that stays on it, not by the VIP"));
    }
    let draft = draft::draft(&asked, [&first, &second]);
    let found = format!("by `rollup init` on {}", jiff::Timestamp::now().strftime("%Y-%m-%d"));
    let written = render::render(&draft, &found)?;
    if arguments.prints() && !screen.json() {
        screen.data(&written.text)?;
    } else if !arguments.prints() {
        write(arguments, &written.text)?;
    }
    tell(arguments, &draft, &written, screen)
}

/// The ssh keys of the inventory: file names as they hold from anywhere, one user and one port for both.
fn asked(arguments: &Arguments) -> Result<Asked, Exit> {
    let Arguments { first, second, .. } = arguments;
    if first.host == second.host {
        let error = format!("expected two nodes, found {} twice", first.host);
        return Err(Exit::usage(error).hint("each node has an address of its own, which is not the VIP"));
    }
    if (&first.user, first.port) != (&second.user, second.port) {
        return Err(Exit::usage("expected one user and one port for both nodes: an inventory has one for all")
            .hint("put what differs into an ssh_config and name that: -F FILE"));
    }
    let file = |option: &str, file: &Option<PathBuf>| {
        let Some(file) = file else { return Ok(None) };
        if !file.is_file() {
            let error = format!("{option}: there is no file {}", file.display());
            return Err(Exit::usage(error).hint("file names are meant from the present directory"));
        }
        Ok(Some(std::path::absolute(file)?.display().to_string()))
    };
    let ssh = Ssh {
        user: first.user.clone(),
        port: first.port,
        identity_file: file("--identity-file", &arguments.identity_file)?,
        known_hosts: file("--known-hosts", &arguments.known_hosts)?,
        config_file: file("--ssh-config", &arguments.ssh_config)?,
        ..Ssh::default()
    };
    Ok(Asked { name: arguments.name.clone(), ssh, hosts: [first.host.clone(), second.host.clone()] })
}

/// One round trip.
async fn look(asked: &Asked, node: usize) -> Result<Seen, Exit> {
    let host = &asked.hosts[node];
    let connection = site::connect(&asked.ssh, host, host)?;
    let answer = ReadOnly::new(&connection as &dyn Host).exec(&probe::look()).await;
    let output = answer.map_err(|error| target::refused(&asked.ssh, host, error))?;
    parse::parse(&output.stdout).map_err(|error| error.context(host.clone()).into())
}

fn exists(arguments: &Arguments) -> Exit {
    Exit::usage(format!("{} is there already; nothing was changed", arguments.output.display()))
        .hint(format!("{}   # or write another one: -o FILE", arguments.forced()))
}

/// Puts the file in its place as a whole, and only where none is unless that was asked for.
fn write(arguments: &Arguments, text: &str) -> Result<(), Exit> {
    let file = &arguments.output;
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = |error: std::io::Error| Exit::usage(format!("cannot write {}: {error}", file.display()));
    // The usual mode of a new file; the process's mask takes away from it.
    let mode = std::fs::Permissions::from_mode(0o666);
    let mut new = tempfile::Builder::new().permissions(mode).tempfile_in(directory).map_err(cannot)?;
    new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(cannot)?;
    let placed = if arguments.force { new.persist(file) } else { new.persist_noclobber(file) };
    match placed {
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(arguments)),
        Err(error) => Err(cannot(error.error)),
        Ok(_) => Ok(()),
    }
}

/// Says what was found, what is odd, what is still asked, and what to type next.
fn tell(arguments: &Arguments, draft: &Draft, written: &Written, screen: &Screen) -> Ended {
    let file = arguments.output.display().to_string();
    let Written { text, questions } = written;
    if screen.json() {
        let asked = |question: &Question| json!({ "line": question.line, "question": question.text, "blocking": question.blocking });
        let document = json!({
            "file": if arguments.prints() { None } else { Some(&file) },
            "text": text,
            "questions": questions.iter().map(asked).collect::<Vec<_>>(),
            "differences": draft.differences,
        });
        screen.data(&serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?)?;
        return Ok(exit::DONE);
    }
    let width = screen.err().width;
    let mut page: Vec<String> = Vec::new();
    for machine in &draft.nodes {
        page.push(format!("{}: {}", machine.name, machine.found));
    }
    for difference in &draft.differences {
        page.extend(indented(&format!("warning: {difference}"), width, 0));
    }
    let open = questions.iter().filter(|question| question.blocking).count();
    page.push(String::new());
    let name = if arguments.prints() { "the inventory" } else { &file };
    page.push(match questions.len() {
        0 => format!("{name} has no question left"),
        1 => format!("{name} has 1 question left"),
        count => format!("{name} has {count} questions left"),
    });
    for question in questions {
        // The rest of it stands in the file.
        let short = question.text.split_inclusive(['?', '.']).next().unwrap_or_default();
        let must = if question.blocking { "must be answered: " } else { "" };
        page.extend(indented(&format!("  line {}, {}: {must}{short}", question.line, question.key), width, 4));
    }
    let problems = if open == 0 { inventory::load(text).err() } else { None };
    if let Some(problems) = problems {
        let refused = site::diagnosed(&arguments.output, text, &problems, screen.color());
        page.extend([String::new(), refused.page.unwrap_or_default()]);
    }
    if !arguments.prints() {
        let inventory = match file == "rollup.toml" && std::env::var_os("ROLLUP_INVENTORY").is_none() {
            true => String::new(),
            false => quoted_option("-i", Some(&arguments.output)),
        };
        page.extend([String::new(), format!("next: rollup{inventory} precheck")]);
    }
    screen.tell(&page.join("\n"));
    Ok(exit::DONE)
}

/// Text in lines that fit, all but the first set in.
fn indented(text: &str, width: usize, by: usize) -> Vec<String> {
    let lead = text.len() - text.trim_start().len();
    let parts = render::wrap(text, width.saturating_sub(by.max(lead)));
    let lines = parts.into_iter().enumerate();
    lines.map(|(number, part)| format!("{}{part}", " ".repeat(if number == 0 { lead } else { by }))).collect()
}
