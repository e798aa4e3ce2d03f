//! What is known of a node's health, and the text it is read from.
//!
//! The probe over ssh and the server on the node hand over the same raw words (`systemctl show`, `/proc`, the first byte
//! of the database): they are read here and nowhere else, so that the two cannot differ. It must not know what is good.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// The properties that `systemctl show` is asked for, as one `-p`.
pub(crate) const PROPERTIES: &str =
    "LoadState,ActiveState,SubState,UnitFileState,NRestarts,MainPID,ActiveEnterTimestampMonotonic";

/// The first packet of a client of the PostgreSQL family that asks whether the server speaks TLS: length 8, code
/// 80877103. A process of the server must read it and answer `S` or `N`, which a frozen one, whose kernel still accepts,
/// cannot. No user, no password, no session.
pub(crate) const GREETING: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What is known of a node's health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthFacts {
    /// How long the machine was up when it was looked at: what the moments in [`UnitFacts::since`] are held against.
    pub uptime: Duration,
    /// The service's units, then those of database and keepalived.
    pub units: Vec<UnitFacts>,
    /// Ports on which a TCP socket listens, on any address.
    pub listening: Vec<u16>,
    /// What the database's port answered.
    pub database: DatabaseAnswer,
    /// keepalived's main process and its children.
    pub keepalived: Vec<Process>,
    /// Answers of the health URLs.
    pub urls: Vec<UrlFacts>,
}

impl HealthFacts {
    /// Whether every unit of the service is active.
    pub fn units_active(&self, inventory: &rollup_model::Inventory) -> bool {
        inventory.service.units.iter().all(|name| self.unit(name).is_some_and(|unit| unit.active == "active"))
    }

    pub(crate) fn unit(&self, name: &str) -> Option<&UnitFacts> {
        self.units.iter().find(|unit| unit.name == name)
    }
}

/// One systemd unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// Its name, as it was asked for.
    pub name: String,
    /// `loaded`, `not-found` …
    pub load: String,
    /// `active`, `failed`, `activating` …; `unknown` when systemd did not answer.
    pub active: String,
    /// `running`, `auto-restart` …
    pub sub: String,
    /// `enabled`, `disabled`, `static` …
    pub enabled: String,
    /// How often systemd has restarted it by itself since somebody started it.
    pub restarts: u32,
    /// Its main process; 0: none.
    pub main_pid: u32,
    /// The uptime at which it became active last; zero: never.
    pub since: Duration,
    /// The last line of its log when it is not active, or why nothing is known.
    pub last_words: String,
}

/// What the database's port answered to a question that needs no session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseAnswer {
    /// A process of the server has answered.
    Answered,
    /// Nothing listens.
    Refused,
    /// The connection was closed without an answer.
    Closed,
    /// Nothing came in time, whether the connection was accepted or not.
    Silent,
    /// Something else: its first words.
    Other(String),
}

/// A process, from `/proc/PID/stat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// `S`, `R`, `T` (stopped), `Z` …
    pub state: char,
}

/// One answer of a health URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlFacts {
    /// The URL.
    pub url: String,
    /// HTTP status; 0: no answer.
    pub status: u16,
    /// The first 300 characters of the body, or why there was no answer.
    pub body: String,
}

/// How much of somebody else's words is kept.
const WORDS: usize = 300;

/// Somebody else's words on one line, not too many.
pub(crate) fn words(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    one_line.chars().filter(|c| !c.is_control()).take(WORDS).collect()
}

/// What came too late, as every reason says it.
pub(crate) fn too_late(limit: Duration) -> String {
    format!("no answer within {}", seconds(limit))
}

/// Seconds as people say them: `2s`, `0.5s`.
pub(crate) fn seconds(length: Duration) -> String {
    let tenths = length.as_millis() / 100;
    if tenths.is_multiple_of(10) { format!("{}s", tenths / 10) } else { format!("{}.{}s", tenths / 10, tenths % 10) }
}

impl UnitFacts {
    /// A unit that nothing is known of.
    pub(crate) fn unknown(name: &str, why: &str) -> Self {
        Self {
            name: name.to_owned(),
            load: String::new(),
            active: "unknown".to_owned(),
            sub: String::new(),
            enabled: String::new(),
            restarts: 0,
            main_pid: 0,
            since: Duration::ZERO,
            last_words: words(why),
        }
    }

    /// Reads `Key=Value` words, as `systemctl show` prints them for one unit.
    pub(crate) fn read(name: &str, properties: &str, last_words: &str) -> Result<Self> {
        let get = |key: &str| {
            let found = properties.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            found.with_context(|| format!("expected {key} of {name}, found `{properties}`"))
        };
        let number = |key: &str| {
            let text = get(key)?;
            text.parse().with_context(|| format!("expected a number as {key} of {name}, found `{text}`"))
        };
        let small = |key: &str| Ok::<_, anyhow::Error>(u32::try_from(number(key)?)?);
        Ok(Self {
            name: name.to_owned(),
            load: get("LoadState")?.to_owned(),
            active: get("ActiveState")?.to_owned(),
            sub: get("SubState")?.to_owned(),
            enabled: get("UnitFileState")?.to_owned(),
            // Targets, mounts and sockets have neither restarts nor processes.
            restarts: small("NRestarts").unwrap_or(0),
            main_pid: small("MainPID").unwrap_or(0),
            since: Duration::from_micros(number("ActiveEnterTimestampMonotonic")?),
            last_words: words(last_words),
        })
    }
}

/// Reads what `systemctl show` printed for all units, in the order in which they were asked for.
pub(crate) fn units(names: &[String], text: &str) -> Result<Vec<UnitFacts>> {
    let blocks: Vec<_> = text.split("\n\n").filter(|block| !block.trim().is_empty()).collect();
    ensure!(blocks.len() == names.len(), "expected {} units, found {} in `{text}`", names.len(), blocks.len());
    names.iter().zip(blocks).map(|(name, block)| UnitFacts::read(name, block, "")).collect()
}

impl DatabaseAnswer {
    /// What the first bytes say that came back; none: the connection was closed.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match bytes.first() {
            None => Self::Closed,
            Some(b'S' | b'N') => Self::Answered,
            Some(_) => {
                let printable = bytes.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { ' ' });
                Self::Other(words(&printable.collect::<String>()))
            }
        }
    }

    fn read(text: &str) -> Result<Self> {
        Ok(match text.split_once(' ').unwrap_or((text, "")) {
            ("answered", bytes) => Self::of(bytes.as_bytes()),
            ("refused", _) => Self::Refused,
            ("silent", _) => Self::Silent,
            _ => bail!("expected answered, refused or silent, found `database {text}`"),
        })
    }
}

impl Process {
    /// Reads `/proc/PID/stat`: the name in its second field may hold anything, so the state follows the last `)`.
    pub(crate) fn read(stat: &str) -> Result<Self> {
        let read = || {
            let pid = stat.split_whitespace().next()?.parse().ok()?;
            let state = stat.rsplit_once(')')?.1.split_whitespace().next()?.chars().next()?;
            Some(Self { pid, state })
        };
        read().with_context(|| format!("expected the stat of a process, found `{stat}`"))
    }
}

/// Reads the port of a socket that listens from a line of `/proc/net/tcp`: `0: 0100007F:1F90 00000000:0000 0A …`.
/// `None`: the socket does not listen.
pub(crate) fn listening(line: &str) -> Result<Option<u16>> {
    let mut fields = line.split_whitespace();
    let (local, state) = (fields.nth(1), fields.nth(1));
    let port = local.and_then(|local| u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok());
    match (port, state) {
        (Some(port), Some("0A")) => Ok(Some(port)),
        (Some(_), Some(_)) => Ok(None),
        _ => bail!("expected a line of /proc/net/tcp, found `{line}`"),
    }
}

/// Reads `/proc/uptime`.
pub(crate) fn uptime(text: &str) -> Result<Duration> {
    let seconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    let uptime = seconds.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    uptime.with_context(|| format!("expected an uptime in seconds, found `{text}`"))
}

/// Reads what the probe printed. `limit`: how long it waited for each answer.
pub(crate) fn read(text: &str, limit: Duration) -> Result<HealthFacts> {
    let (mut up, mut database) = (None, None);
    let (mut units, mut ports, mut keepalived, mut urls) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("uptime", rest) => up = Some(uptime(rest)?),
            ("unit", rest) => {
                let read = |rest: &str| {
                    let (properties, last) = rest.split_once('|')?;
                    let (name, properties) = properties.split_once(' ')?;
                    Some((name.to_owned(), properties.to_owned(), last.to_owned()))
                };
                let (name, properties, last) =
                    read(rest).with_context(|| format!("expected `NAME … | TEXT`, found `{rest}`"))?;
                units.push(match properties.trim() {
                    "unknown" if last.trim().is_empty() => UnitFacts::unknown(&name, &too_late(limit)),
                    "unknown" => UnitFacts::unknown(&name, &last),
                    properties => UnitFacts::read(&name, properties, &last)?,
                });
            }
            ("socket", rest) => ports.extend(listening(rest)?),
            ("database", rest) => database = Some(DatabaseAnswer::read(rest)?),
            ("keepalived", rest) => keepalived.push(Process::read(rest)?),
            ("url", rest) => {
                let mut parts = rest.splitn(3, ' ');
                let (url, status) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let status = status.parse().with_context(|| format!("expected an HTTP status, found `{rest}`"))?;
                urls.push(UrlFacts { url: url.to_owned(), status, body: words(parts.next().unwrap_or_default()) });
            }
            _ => bail!("expected uptime, unit, socket, database, keepalived or url, found `{line}`"),
        }
    }
    Ok(HealthFacts {
        uptime: up.context("expected a line `uptime …`, found none")?,
        units,
        listening: ports,
        database: database.context("expected a line `database …`, found none")?,
        keepalived,
        urls,
    })
}
