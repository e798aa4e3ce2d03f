//! `rollup`: what was typed → what it means. Wiring, signals and exit codes; everything else lives in the crates below.

mod audit;
mod backups;
mod cli;
mod commands;
mod confirm;
mod exit;
mod finalize;
mod health;
mod init;
mod lint;
mod packages;
mod planning;
mod precheck;
mod running;
mod screen;
mod sets;
mod show;
mod site;
mod store;
mod typed;
mod vip;
mod way_back;

use std::process::ExitCode;

use clap::Parser;
use rollup_model::event::Operator;

use crate::{cli::Cli, exit::Exit, screen::Screen};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` are no errors; a closed pipe is no error either.
            let code = if error.use_stderr() { exit::USAGE } else { exit::DONE };
            let _closed = error.print();
            return ExitCode::from(code);
        }
    };
    log(cli.global.verbose);
    let screen = Screen::new(&cli.global);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&screen, &error.into()),
    };
    let ended = runtime.block_on(commands::run(&cli, &screen));
    // A blocked read of a file must not hold up an operator who detached.
    runtime.shutdown_background();
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(exit) => report(&screen, &exit),
    }
}

fn report(screen: &Screen, exit: &Exit) -> ExitCode {
    let hint = exit.hint.as_ref().map(|hint| format!("\nhint: {}", screen.typed(hint))).unwrap_or_default();
    let page = exit.page.as_ref().map(|page| format!("{}\n\n", page.trim_end())).unwrap_or_default();
    screen.tell(&format!("{page}error: {}{hint}", causes(&exit.error)));
    ExitCode::from(exit.code)
}

/// What happened, outermost first; a cause that the layer above has already named is not said twice.
fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(&format!(": {cause}"));
        }
    }
    text
}

/// The debug log, only when asked for by `-vv` or `ROLLUP_LOG`.
fn log(verbose: u8) {
    let filter = match (std::env::var("ROLLUP_LOG"), verbose) {
        (Ok(filter), _) => filter,
        (Err(_), 2..) => "debug".to_owned(),
        _ => return,
    };
    let filter = tracing_subscriber::EnvFilter::new(filter);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

/// Who types this, and where.
pub(crate) fn operator() -> Operator {
    let names = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let named = names.into_iter().find(|name| !name.is_empty());
    let user = named.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Operator { user, host, pid: std::process::id(), version: env!("CARGO_PKG_VERSION").to_owned() }
}
