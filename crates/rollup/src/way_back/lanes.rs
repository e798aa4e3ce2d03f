//! What can become of the database on the way back, which of it the plan takes, and what a restore costs.

use gaussdb::{BackupRecord, DatabaseFacts};
use rollup_model::{Lane, NodeName, RunId};
use rollup_ui::pages::{LaneRow, PriceRow};

use super::Ground;
use crate::{
    cli::RollbackArguments,
    exit::{self, Exit},
    sets::Found,
    site::Site,
};

/// Every lane, the one that is taken, and the price of a restore.
pub(crate) struct Lanes {
    /// The one that is taken.
    pub(crate) taken: Lane,
    /// All of them.
    pub(crate) rows: Vec<LaneRow>,
    /// What a restore would cost, where there is a backup to restore.
    pub(crate) price: Option<PriceRow>,
}

/// Decides. `restore` is never taken unless it was asked for by name.
pub(crate) fn lanes(site: &Site, ground: &Ground, found: &Found, asked: &RollbackArguments) -> Result<Lanes, Exit> {
    let wanted = asked.lane.map(Lane::from);
    if asked.node.is_some() {
        if let Some(lane) = wanted.filter(|lane| *lane != Lane::Keep) {
            let error = format!("one node alone never touches the shared database, so `--lane {lane}` does not fit");
            let hint = format!("rollup rollback --backup {} --lane {lane}", found.manifest.set);
            return Err(Exit::usage(error).hint(hint));
        }
        return Ok(Lanes { taken: Lane::Keep, rows: Vec::new(), price: None });
    }
    let (keep, down) = (keep(ground, found), down(ground, found));
    let (restore, price) = restore(site, ground, found);
    let taken = wanted.or(keep.is_ok().then_some(Lane::Keep));
    let judged = [(Lane::Keep, keep), (Lane::Down, down), (Lane::Restore, restore)];
    let rows: Vec<_> = judged
        .into_iter()
        .map(|(lane, said)| LaneRow {
            lane,
            taken: Some(lane) == taken,
            possible: said.is_ok(),
            why: said.unwrap_or_else(|why| why),
        })
        .collect();
    let of = |lane: Lane| rows.iter().find(|row| row.lane == lane).filter(|row| row.possible);
    match taken {
        Some(lane) if of(lane).is_some() => Ok(Lanes { taken: lane, rows, price }),
        _ => Err(impossible(taken, &rows, found.manifest.set.as_str())),
    }
}

fn impossible(taken: Option<Lane>, rows: &[LaneRow], set: &str) -> Exit {
    let mut page: Vec<_> = rows
        .iter()
        .map(|row| format!("  {:<9} {}: {}", row.lane, if row.possible { "possible" } else { "impossible" }, row.why))
        .collect();
    page.insert(0, "what can become of the database:".to_owned());
    let error = match taken {
        Some(lane) => format!("lane `{lane}` is impossible; nothing was changed"),
        None => "the database cannot stay as it is, and a restore is never taken unless asked for; nothing was changed"
            .to_owned(),
    };
    let possible = rows.iter().find(|row| row.possible);
    let hint = possible.map_or_else(
        || "rollup backup list".to_owned(),
        |row| format!("rollup rollback --backup {set} --lane {} --dry-run", row.lane),
    );
    Exit::new(exit::BLOCKED, error).page(page.join("\n")).hint(hint)
}

/// The facts of a database that has answered, the primary's before the standby's.
fn database(ground: &Ground) -> Option<DatabaseFacts> {
    let facts = |node: &NodeName| ground.examined.facts.get::<DatabaseFacts>(node, "database");
    let other = ground.examined.facts.nodes.keys().find_map(|node| facts(node).filter(|it| it.server.is_some()));
    ground.writer.as_ref().and_then(facts).or(other)
}

/// Names of what ran in the database since the set was taken, by phase.
fn since(ground: &Ground, found: &Found, phase: &str) -> Vec<String> {
    let history = database(ground).and_then(|facts| facts.history).unwrap_or_default();
    let rows = history.iter().filter(|row| row.phase == phase && found.is_since(row.run.as_deref()));
    rows.map(|row| row.name.clone()).collect()
}

/// The runs whose schema changes came since the set was taken, by the database's own word.
pub(super) fn reverts(ground: &Ground, found: &Found) -> Vec<RunId> {
    let history = database(ground).and_then(|facts| facts.history).unwrap_or_default();
    found.runs_since(&history)
}

fn keep(ground: &Ground, found: &Found) -> Result<String, String> {
    if let Some(turned) = &ground.turned {
        return Err(format!("{turned}, so the schema is older than the set"));
    }
    let contract = since(ground, found, "contract");
    if !contract.is_empty() {
        return Err(format!("{} ran, which the old version does not tolerate", contract.join(", ")));
    }
    let expand = since(ground, found, "expand");
    Ok(match expand.is_empty() {
        true => "nothing was changed in the schema; nothing is lost".to_owned(),
        false => format!("{} stays, which the old version tolerates; nothing is lost", expand.join(", ")),
    })
}

fn down(ground: &Ground, found: &Found) -> Result<String, String> {
    if let Some(turned) = &ground.turned {
        return Err(format!("{turned}, so the schema is older than the set"));
    }
    let contract = since(ground, found, "contract");
    if !contract.is_empty() {
        return Err(format!("{} ran, and nothing leads back from it", contract.join(", ")));
    }
    if since(ground, found, "expand").is_empty() {
        return Err("no schema change is to be taken back".to_owned());
    }
    let Some(facts) = database(ground) else { return Err("no database answers".to_owned()) };
    let runs = reverts(ground, found);
    let names = gaussdb::revertible(facts.history.as_deref(), ground.release.as_ref(), &runs)?;
    Ok(format!("{} is taken back on the primary; what is in what it added is lost", names.join(", ")))
}

fn restore(site: &Site, ground: &Ground, found: &Found) -> (Result<String, String>, Option<PriceRow>) {
    let manifest = &found.manifest;
    let Some(part) = &manifest.database else { return (Err("the set holds no database".to_owned()), None) };
    let record: BackupRecord = match serde_json::from_value(part.record.clone()) {
        Ok(record) => record,
        Err(error) => return (Err(format!("the set's record of the database cannot be read: {error}")), None),
    };
    if let Some(facts) = database(ground)
        && let Some(here) = facts.system_identifier()
        && here != record.system_identifier
    {
        let why = format!("the backup is of another database: expected {here}, found {}", record.system_identifier);
        return (Err(why), None);
    }
    let now = jiff::Timestamp::now();
    let facts: Vec<_> = site
        .inventory
        .node_names()
        .filter_map(|node| ground.examined.facts.get::<DatabaseFacts>(node, "database"))
        .collect();
    let price = gaussdb::price(&record, &facts, now);
    let row = PriceRow {
        since: record.taken_at,
        until: now,
        minutes: price.minutes,
        from_lsn: record.end_lsn.to_string(),
        to_lsn: price.current_lsn.map(|lsn| lsn.to_string()),
        wal_bytes: price.wal_bytes,
        transactions: price.transactions,
        last_commit_kept: record.last_commit,
        last_commit: price.last_commit,
        seconds: price.seconds,
        interruption_seconds: price.interruption_seconds,
    };
    let minutes = if row.minutes == 1 { "minute".to_owned() } else { format!("{} minutes", row.minutes) };
    let why = format!("the full backup comes back; everything written in the last {minutes} is lost");
    (Ok(why), Some(row))
}
