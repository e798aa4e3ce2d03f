//! Facts from what `probe.sh` prints. Pure.
//!
//! A server counts as answering only when `gs_ctl query` was let in, names one of the two parts that a pair has, and the
//! server says nothing of being on its way from one to the other. Everything else is a server that nobody can be sure of:
//! it is waited for, and nothing is done beside it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    DatabaseFacts, DatabaseRole, Lsn,
    engine::Progress,
    facts::{
        Applied, AppliedKind, Checkpoint, Gauss, Login, Manager, Receiver, Server, Settings, Transaction, Walsender,
    },
    gauss::{
        cm::{self, CmQuery},
        query::{self, Online, Query},
        version,
        words::{DbState, Role},
    },
    shared,
};

/// What a tool ended with, and what it printed.
type Said = (i32, String);

/// The probe's lines, by what they are about.
#[derive(Default)]
struct Raw<'a> {
    values: BTreeMap<&'a str, &'a str>,
    left: Vec<String>,
    lacks: Vec<&'a str>,
    control: Vec<&'a str>,
    tools: BTreeMap<&'a str, Said>,
    /// Whether all questions were answered, and the answers.
    sql: Option<(bool, String)>,
}

impl<'a> Raw<'a> {
    fn read(text: &'a str) -> Result<Self> {
        let mut raw = Self::default();
        let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
        while let Some(line) = lines.next() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let mut block = || {
                let mut said = String::new();
                while let Some(line) = lines.next_if(|line| line.starts_with('|')) {
                    said.push_str(line.strip_prefix("| ").unwrap_or_default());
                    said.push('\n');
                }
                said
            };
            match key {
                "unit" | "size-kb" | "relaxed" | "last-mode" | "checkpoint-age" | "manager" | "remote" => {
                    raw.values.insert(key, value);
                }
                "left" => raw.left.push(value.to_owned()),
                "lacks" => raw.lacks.push(value),
                "control" => raw.control.push(value),
                "tool" => {
                    let (name, status) = value.split_once(' ').context("expected `tool NAME STATUS`")?;
                    let status = status.parse().with_context(|| format!("expected an exit status, found {line:?}"))?;
                    raw.tools.insert(name, (status, block()));
                }
                "sql" => raw.sql = Some((value == "yes", block())),
                _ => bail!("unknown line {line:?}"),
            }
        }
        Ok(raw)
    }

    fn value(&self, key: &str) -> &'a str {
        self.values.get(key).copied().unwrap_or_default()
    }
}

/// Reads what `probe.sh` prints.
pub(super) fn facts(text: &str) -> Result<DatabaseFacts> {
    let raw = Raw::read(text)?;
    ensure!(!raw.control.is_empty(), "expected what pg_controldata says of the data directory, found nothing");
    let (status, said) = raw.tools.get("query").context("expected what `gs_ctl query` says, found nothing")?;
    let query = query::read(*status, said);
    let (answers, problem) = match &raw.sql {
        Some((true, rows)) => (Some(Answers::read(rows)), None),
        Some((false, said)) => (None, Some(shared::plain(said))),
        None => (None, None),
    };
    let (online, unsure) = part(&query);
    let server = match (online, &answers) {
        (Some((role, online)), Some(answers)) => Some(server(role, online, answers, &raw)?),
        _ => None,
    };
    // It was let in, but its own answers are missing.
    let unsure = match (online, &server) {
        (Some(_), None) => Some(problem.unwrap_or_else(|| "gsql was not let in".to_owned())),
        _ => unsure,
    };
    let is_standby = server.as_ref().map_or(raw.value("last-mode") == "standby", |at| at.role == DatabaseRole::Standby);
    let remotes: Vec<String> = raw.value("remote").split_whitespace().map(str::to_owned).collect();
    Ok(DatabaseFacts {
        unit: raw.value("unit").to_owned(),
        data_bytes: raw.value("size-kb").parse::<u64>().ok().map(|kb| kb * 1024),
        standby_signal: is_standby,
        relaxed: raw.values.get("relaxed").map(|before| (*before).to_owned()),
        leftovers: raw.left.clone(),
        control: shared::control(&raw.control),
        silent: if server.is_some() { None } else { unsure },
        login_here: Some(match raw.lacks.is_empty() {
            true => Login::Works,
            false => Login::Fails(format!("the owner's environment has no {}", raw.lacks.join(", "))),
        }),
        // Both ends of the replication are in each node's settings.
        login_peer: server.as_ref().filter(|at| at.role == DatabaseRole::Primary).map(|_| match remotes.is_empty() {
            true => Login::Fails("no replconninfo in postgresql.conf names another server".to_owned()),
            false => Login::Works,
        }),
        history: answers.as_ref().and_then(Answers::history).transpose()?,
        gauss: Some(Gauss {
            manager: match raw.value("manager") {
                "absent" => Manager::Absent,
                "running" => Manager::Running,
                "stopped" => Manager::Stopped,
                other => bail!("expected a manager that is absent, running or stopped, found {other:?}"),
            },
            paxos: matches!(query, Query::Paxos(_)) || answers.as_ref().is_some_and(|a| a.is_on("enable_dcf")),
            upgrade_mode: answers.as_ref().and_then(|answers| answers.setting("upgrade_mode")?.parse().ok()),
            most_available_sync: answers
                .as_ref()
                .and_then(|answers| answers.setting("most_available_sync").map(|value| value == "on")),
            remotes,
            instances: raw.tools.get("cm").map(instances).unwrap_or_default(),
        }),
        server,
    })
}

/// Which part a server surely plays; else, when there may be one, what is known of it.
fn part(query: &Query) -> (Option<(DatabaseRole, &Online)>, Option<String>) {
    let unsure = |said: String| (None, Some(said));
    let online = match query {
        Query::Online(online) => online,
        Query::Down(_) => return (None, None),
        Query::Offline(Some(last)) => return unsure(format!("it lets nobody in: {}", last.why)),
        Query::Offline(None) => return unsure("it lets nobody in".to_owned()),
        Query::SqlFailed(said) | Query::Unknown(said) => return unsure(format!("gs_ctl said `{said}`")),
        Query::Paxos(role) => return unsure(format!("{role}, replicated by DCF")),
        Query::OtherToolRuns => return unsure("another gs_ctl works on it".to_owned()),
    };
    let role = match online.local_role {
        Role::Primary => DatabaseRole::Primary,
        Role::Standby => DatabaseRole::Standby,
        other => return unsure(format!("it runs as `{other}`")),
    };
    let state = online.db_state;
    let settled = match role {
        DatabaseRole::Primary => state == DbState::Normal,
        DatabaseRole::Standby => {
            matches!(state, DbState::Normal | DbState::Catchup | DbState::NeedRepair | DbState::Starting)
        }
    };
    if settled { (Some((role, online)), None) } else { unsure(format!("{}, {state}", online.local_role)) }
}

/// The answers to the probe's questions, each a row with its name first.
struct Answers<'a>(Vec<Vec<&'a str>>);

impl<'a> Answers<'a> {
    fn read(rows: &'a str) -> Self {
        Self(rows.lines().map(|row| row.split('\t').collect()).collect())
    }

    fn row(&self, name: &str) -> Option<&[&'a str]> {
        self.0.iter().find(|row| row.first() == Some(&name)).and_then(|row| row.get(1..))
    }

    /// The one value of a row, when there is one.
    fn one(&self, name: &str) -> Option<&'a str> {
        self.row(name)?.first().copied().filter(|value| !value.is_empty())
    }

    fn lsn(&self, name: &str) -> Result<Option<Lsn>> {
        Ok(self.one(name).map(str::parse).transpose()?)
    }

    fn setting(&self, name: &str) -> Option<&'a str> {
        let row = self.0.iter().find(|row| row.first() == Some(&"setting") && row.get(1) == Some(&name))?;
        row.get(2).copied()
    }

    fn is_on(&self, name: &str) -> bool {
        self.setting(name) == Some("on")
    }

    /// `None`: there is no history.
    fn history(&self) -> Option<Result<Vec<Applied>>> {
        (self.one("history-kept") == Some("1")).then(|| {
            let rows = self.0.iter().filter(|row| row.first() == Some(&"applied"));
            rows.map(|row| match row[1..] {
                [version, phase, name, checksum, kind, run] => Ok(Applied {
                    version: version.to_owned(),
                    phase: phase.to_owned(),
                    name: name.to_owned(),
                    checksum: checksum.to_owned(),
                    kind: match kind {
                        "applied" => AppliedKind::Applied,
                        "baseline" => AppliedKind::Baseline,
                        "partial" => AppliedKind::Partial,
                        other => bail!("unknown kind of a migration: `{other}`"),
                    },
                    run: (!run.is_empty()).then(|| run.to_owned()),
                }),
                _ => bail!("expected a row of the history, found {row:?}"),
            })
            .collect()
        })
    }
}

fn server(role: DatabaseRole, online: &Online, answers: &Answers<'_>, raw: &Raw<'_>) -> Result<Server> {
    let text = answers.one("version").context("the server did not say its version")?;
    let version = version::read(0, text);
    let version = version.version().map(|version| version.version.clone());
    let control =
        |name: &str| raw.control.iter().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()));
    let timeline = control("Latest checkpoint's TimeLineID").and_then(|timeline| timeline.parse().ok());
    let redo = control("Latest checkpoint's REDO location").and_then(|redo| redo.parse().ok());
    let receives = online.receiver.as_ref().filter(|_| matches!(online.db_state, DbState::Normal | DbState::Catchup));
    let prepared = answers.row("prepared").and_then(|row| match row {
        [age, who, what, ..] => Some(Transaction {
            age_s: age.parse().ok()?,
            pid: None,
            who: (*who).to_owned(),
            what: format!("prepared: {what}"),
        }),
        _ => None,
    });
    let oldest = answers.row("oldest").and_then(|row| match row {
        [age, pid, who, what @ ..] => Some(Transaction {
            age_s: age.parse().ok()?,
            // Where sessions share threads a number is longer than a process's.
            pid: pid.parse().ok(),
            who: (*who).to_owned(),
            what: what.join(" "),
        }),
        _ => None,
    });
    let text_of = |name: &str| answers.setting(name).unwrap_or_default().to_owned();
    Ok(Server {
        role,
        version: version.with_context(|| format!("expected openGauss or GaussDB, found `{text}`"))?,
        timeline: timeline.context("the control file names no timeline")?,
        current_lsn: if role == DatabaseRole::Primary { answers.lsn("current")? } else { None },
        receive_lsn: answers.lsn("received")?,
        replay_lsn: if role == DatabaseRole::Standby { answers.lsn("replayed")? } else { None },
        next_xid: answers.one("next-xid").and_then(|xid| xid.parse().ok()),
        last_commit: answers.one("last-commit").and_then(|at| at.parse().ok()),
        checkpoint: Checkpoint {
            redo_lsn: redo.context("the control file names no checkpoint")?,
            // A clock that is behind makes nothing older.
            age_s: raw.value("checkpoint-age").parse::<i64>().map(|age| age.max(0).unsigned_abs()).unwrap_or(u64::MAX),
        },
        walsenders: online.senders.iter().map(walsender).collect(),
        receiver: receives.map(|receiver| Receiver {
            status: "streaming".to_owned(),
            sender_host: far_end(&receiver.channel, "<--").map(|(host, _)| host),
            sender_port: far_end(&receiver.channel, "<--").map(|(_, port)| port),
        }),
        upstream: raw.value("remote").split_whitespace().next().map(str::to_owned),
        settings: Settings {
            wal_level: text_of("wal_level"),
            max_wal_senders: text_of("max_wal_senders").parse().unwrap_or_default(),
            synchronous_standby_names: text_of("synchronous_standby_names"),
            synchronous_commit: text_of("synchronous_commit"),
            read_only: answers.is_on("default_transaction_read_only"),
        },
        oldest_transaction: [oldest, prepared].into_iter().flatten().max_by_key(|transaction| transaction.age_s),
        // The products make and keep those of their standbys themselves.
        slots: Vec::new(),
        tablespaces: answers.one("tablespaces").and_then(|count| count.parse().ok()).unwrap_or_default(),
        replay_paused: answers.one("paused") == Some("t"),
        apply_delay_ms: answers
            .setting("recovery_min_apply_delay")
            .and_then(|delay| delay.parse().ok())
            .unwrap_or_default(),
    })
}

fn walsender(sender: &query::Sender) -> Walsender {
    let far = far_end(&sender.channel, "-->").map(|(host, _)| host);
    Walsender {
        application_name: far.clone().unwrap_or_default(),
        client_addr: far,
        state: sender.state.to_string().to_lowercase(),
        sync_state: sender.sync_state.to_string().to_lowercase(),
        sent_lsn: sender.locations.sender_sent,
        flush_lsn: sender.locations.receiver_flush,
        replay_lsn: sender.locations.receiver_replay,
    }
}

/// The other end of a channel such as `10.0.0.1:5433-->10.0.0.2:41000`.
fn far_end(channel: &str, arrow: &str) -> Option<(String, u16)> {
    let (host, port) = channel.split_once(arrow)?.1.trim().rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// What the manager says of each server; nothing when it does not answer.
fn instances((status, said): &Said) -> Vec<String> {
    let CmQuery::Cluster(cluster) = cm::read_query(*status, said) else { return Vec::new() };
    cluster.instances.iter().map(|at| format!("{} {} {}", at.instance_id, at.role, at.state)).collect()
}

/// Reads what `replayed.sh` prints.
pub(super) fn progress(text: &str) -> Result<Progress> {
    let at = text.lines().find_map(|line| line.strip_prefix("at ")).context("expected a line `at …`")?.trim();
    let (standby, replay_lsn) = match at {
        "primary" => (false, None),
        "" => (true, None),
        lsn => (true, Some(lsn.parse()?)),
    };
    let (head, said) = text
        .split_once("tool query ")
        .and_then(|(_, rest)| rest.split_once('\n'))
        .with_context(|| format!("expected what `gs_ctl query` says, found {text:?}"))?;
    let said: String = said.lines().map(|line| format!("{}\n", line.strip_prefix("| ").unwrap_or_default())).collect();
    let query = query::read(head.trim().parse().context("expected an exit status")?, &said);
    let receives =
        matches!(&query, Query::Online(online) if online.is_well_standby() || online.db_state == DbState::Catchup);
    Ok(Progress { standby, replay_lsn, receiver: receives.then(|| "streaming".to_owned()) })
}
