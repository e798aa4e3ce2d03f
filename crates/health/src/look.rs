//! The look of a node at itself: the questions of the definition, asked without ssh, all at once, each within its limit.
//!
//! One process is started for a look (`systemctl show`, for all units together); the rest is `/proc` and sockets. It must
//! not know what is good.

use std::{
    fs,
    io::{self, BufRead, BufReader, ErrorKind},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    process::Command,
};

use crate::{
    definition::Questions,
    facts::{self, DatabaseAnswer, GREETING, HealthFacts, PROPERTIES, Process, UnitFacts, UrlFacts, too_late},
    http,
};

/// Waits for an answer; `None`: it did not come in time.
pub(crate) async fn within<T>(limit: Duration, question: impl Future<Output = T>) -> Option<T> {
    #[expect(clippy::disallowed_methods, reason = "a look of a node at itself has no Cmd; this is its deadline")]
    tokio::time::timeout(limit, question).await.ok()
}

/// Asks this machine everything. Takes hardly longer than the limit, whatever hangs.
pub(crate) async fn look(questions: &Questions) -> Result<HealthFacts> {
    let limit = questions.limit;
    let (units, machine, database, urls) = tokio::join!(
        units(questions),
        within(limit, tokio::task::spawn_blocking(machine)),
        within(limit, database(questions.database)),
        futures_util::future::join_all(questions.urls.iter().map(|url| ask(url, limit))),
    );
    let (uptime, listening) = machine.with_context(|| format!("/proc: {}", too_late(limit)))???;
    let main = units.iter().find(|unit| unit.name == questions.keepalived).map(|unit| unit.main_pid);
    let processes = tokio::task::spawn_blocking(move || main.map(processes).unwrap_or_default());
    let keepalived = within(limit, processes).await.with_context(|| format!("/proc: {}", too_late(limit)))??;
    Ok(HealthFacts { uptime, units, listening, database: database.unwrap_or(DatabaseAnswer::Silent), keepalived, urls })
}

async fn units(questions: &Questions) -> Vec<UnitFacts> {
    let mut command = Command::new("systemctl");
    command.args(["show", "-p", PROPERTIES, "--"]).args(&questions.units).env("LC_ALL", "C");
    let asked = async {
        let output = command.kill_on_drop(true).output().await.context("cannot run systemctl")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("systemctl failed"));
        }
        facts::units(&questions.units, &String::from_utf8_lossy(&output.stdout))
    };
    let answer = within(questions.limit, asked).await;
    match answer.unwrap_or_else(|| bail!(too_late(questions.limit))) {
        Ok(units) => units,
        Err(error) => questions.units.iter().map(|name| UnitFacts::unknown(name, &format!("{error:#}"))).collect(),
    }
}

/// Uptime and ports that listen.
fn machine() -> Result<(Duration, Vec<u16>)> {
    let mut ports = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // A machine without IPv6 has no such table.
        let Ok(file) = fs::File::open(table) else { continue };
        for line in BufReader::new(file).lines().skip(1) {
            // Sockets that listen come first: the thousands behind them are never read.
            let Some(port) = facts::listening(&line?)? else { break };
            ports.push(port);
        }
    }
    Ok((facts::uptime(&fs::read_to_string("/proc/uptime")?)?, ports))
}

/// A process and its children, as far as they are still there.
fn processes(main: u32) -> Vec<Process> {
    if main == 0 {
        return Vec::new();
    }
    let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap_or_default();
    let pids = [main.to_string()].into_iter().chain(children.split_whitespace().map(str::to_owned));
    let stats = pids.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    stats.filter_map(|stat| Process::read(&stat).ok()).collect()
}

/// The same question, asked where it leaves no trace: a server with TLS logs a client that goes away after `S`, which
/// over a socket in the file system is never the answer. Through the port where that socket cannot be reached.
async fn database(port: u16) -> DatabaseAnswer {
    let path = tokio::task::spawn_blocking(move || socket_of(port)).await.ok().flatten();
    let asked = async {
        let near = match path {
            Some(path) => UnixStream::connect(path).await.ok(),
            None => None,
        };
        match near {
            Some(stream) => greet(stream).await,
            None => greet(TcpStream::connect(("127.0.0.1", port)).await?).await,
        }
    };
    match asked.await {
        Ok(answer) => answer,
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => DatabaseAnswer::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => DatabaseAnswer::Closed,
            _ => DatabaseAnswer::Other(error.to_string()),
        },
    }
}

async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<DatabaseAnswer> {
    stream.write_all(&GREETING).await?;
    let mut first = [0; 300];
    let length = stream.read(&mut first).await?;
    Ok(DatabaseAnswer::of(first.get(..length).unwrap_or_default()))
}

/// The socket in the file system that a server of the PostgreSQL family has beside its port, wherever it keeps it.
fn socket_of(port: u16) -> Option<String> {
    let table = fs::read_to_string("/proc/net/unix").ok()?;
    let name = format!("/.s.PGSQL.{port}");
    let found = table.lines().find(|line| line.ends_with(&name))?;
    found.split_whitespace().last().map(str::to_owned)
}

async fn ask(url: &str, limit: Duration) -> UrlFacts {
    let (status, body) = match http::request(url, None, limit).await {
        Ok(answer) => (answer.status, answer.body),
        Err(error) => (0, format!("{error:#}")),
    };
    UrlFacts { url: url.to_owned(), status, body: facts::words(&body) }
}
