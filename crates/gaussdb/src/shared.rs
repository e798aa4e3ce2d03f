//! What the scripts of every engine print alike, and its pure parsers.

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use rollup_model::Span;

use crate::{
    Lsn, Write,
    engine::{At, Change, Reversal},
    facts::{AppliedKind, Control},
    history,
    place::{Kind, Places, Unpacked},
};

/// What `migrate.sh` takes behind the server's own arguments.
pub(crate) fn change_words(at: At<'_>, change: &Change<'_>) -> [String; 9] {
    let migration = change.migration;
    let kind = match change.kind {
        AppliedKind::Baseline => "baseline",
        AppliedKind::Applied | AppliedKind::Partial => "applied",
    };
    let [owner, lock, statement] = limits(at);
    [
        owner,
        lock,
        statement,
        migration.version.clone(),
        migration.name.clone(),
        migration.sha256.clone(),
        history::phase_name(migration.phase).to_owned(),
        change.run.to_owned(),
        kind.to_owned(),
    ]
}

/// What of a migration is run: of one that is adopted, nothing.
pub(crate) fn statements<'a>(change: &Change<'a>) -> &'a str {
    match change.kind {
        AppliedKind::Applied | AppliedKind::Partial => without_mark(&change.migration.sql),
        AppliedKind::Baseline => "",
    }
}

/// What `revert.sh` takes behind the server's own arguments.
pub(crate) fn reversal_words(at: At<'_>, reversal: &Reversal<'_>) -> [String; 7] {
    let row = reversal.row;
    let [owner, lock, statement] = limits(at);
    let run = row.run.clone().unwrap_or_default();
    [owner, lock, statement, row.version.clone(), row.phase.clone(), run, reversal.down.name.clone()]
}

/// Who owns what is made, how long a statement may wait for a lock, and how long it may take, both in milliseconds.
fn limits(at: At<'_>) -> [String; 3] {
    let limits = &at.inventory.limits;
    let millis = |span: Span| span.duration().as_millis().to_string();
    let owner = at.database().owner.as_deref().unwrap_or("none");
    [owner.to_owned(), millis(limits.lock_timeout), millis(limits.migration)]
}

/// Without the mark that some editors put before a text.
pub(crate) fn without_mark(sql: &str) -> &str {
    sql.trim_start_matches('\u{feff}')
}

/// Reads what `position.sh` prints; `None`: the server is no primary.
pub(crate) fn position(text: &str) -> Result<Option<Lsn>> {
    match text.trim().split_once(' ') {
        Some(("primary", lsn)) => Ok(Some(lsn.parse()?)),
        None if text.trim() == "standby" => Ok(None),
        _ => bail!("expected `primary LSN` or `standby`, found {text:?}"),
    }
}

/// A record as a script prints it; nothing: there is none.
pub(crate) fn record<T: DeserializeOwned>(text: &str) -> Result<Option<T>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(text).with_context(|| format!("expected one JSON object, found {text:?}"))?))
}

/// Reads what `write.sh` prints.
pub(crate) fn write(text: &str) -> Result<Write> {
    Ok(match text.trim().strip_prefix("write ") {
        Some("works") => Write::Works,
        Some("standby") => Write::Standby,
        Some("stopped") => Write::Stopped,
        Some(said) if said.starts_with("fails ") => Write::Fails(plain(&said["fails ".len()..])),
        _ => bail!("expected what became of a write, found {text:?}"),
    })
}

/// `None`: there is no data directory, or it is not one of ours.
pub(crate) fn control(lines: &[&str]) -> Option<Control> {
    let get = |name: &str| lines.iter().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()));
    Some(Control {
        state: get("Database cluster state")?.to_owned(),
        system_identifier: get("Database system identifier")?.to_owned(),
        checkpoint: get("Latest checkpoint location")?.parse().ok()?,
        timeline: get("Latest checkpoint's TimeLineID")?.parse().ok()?,
    })
}

/// Reads what `place-look.sh` prints.
pub(crate) fn places(text: &str) -> Result<Places> {
    let words = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.with_context(|| format!("expected a line `{key} …`, found {text:?}"))
    };
    let run = |text: &str| (text != "-").then(|| text.to_owned());
    let flag = |key: &str| match words(key)? {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => bail!("expected `{key} yes` or `{key} no`, found `{key} {other}`"),
    };
    let (kind, made_for) = words("data")?.split_once(' ').context("expected a kind and a run for `data`")?;
    let kind = match kind {
        "plain" => Kind::Plain,
        "link" => Kind::Link,
        "mount-point" => Kind::MountPoint,
        "absent" => Kind::Absent,
        other => bail!("unknown kind of a data directory: `{other}`"),
    };
    let (part, new_for) = words("new")?.split_once(' ').context("expected a part and a run for `new`")?;
    let new = match part {
        "absent" => None,
        "primary" => Some(Unpacked { standby: false, run: run(new_for) }),
        "standby" => Some(Unpacked { standby: true, run: run(new_for) }),
        other => bail!("unknown part of a new data directory: `{other}`"),
    };
    Ok(Places { kind, run: run(made_for), new, old: flag("old")?, scrap: flag("scrap")? })
}

/// What a client said, without its own prefixes.
pub(crate) fn plain(said: &str) -> String {
    let said = said.trim();
    let line = said.lines().find(|line| line.contains("ERROR:") || line.contains("FATAL:")).unwrap_or(said);
    let at = line.find("ERROR:").or_else(|| line.find("FATAL:")).unwrap_or(0);
    line[at..].split_whitespace().collect::<Vec<_>>().join(" ")
}
