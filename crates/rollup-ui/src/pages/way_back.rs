//! The way back before it begins: what it leads to, what becomes of the database, and what that costs.

use jiff::Timestamp;
use rollup_model::{Lane, NodeName, RunId};
use serde::Serialize;

use crate::{Style, human, layout::Page, style::Paint};

const COLUMN: usize = 14;

/// One lane, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneRow {
    /// The lane.
    pub lane: Lane,
    /// The plan takes it.
    pub taken: bool,
    /// It could be taken.
    pub possible: bool,
    /// Why it is taken, what it costs, or why it is impossible.
    pub why: String,
}

/// What a restore of the database loses and takes. Bytes and seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PriceRow {
    /// When the backup was taken: all that was acknowledged later is lost.
    pub since: Timestamp,
    /// Until when data is lost: now.
    pub until: Timestamp,
    /// That time in minutes, rounded up: what is typed to accept it.
    pub minutes: u64,
    /// Where the backup ends in the log.
    pub from_lsn: String,
    /// Where the primary writes now.
    pub to_lsn: Option<String>,
    /// Log written since the backup.
    pub wal_bytes: Option<u64>,
    /// Transactions since the backup.
    pub transactions: Option<u64>,
    /// The last commit that the backup holds, where the server tells.
    pub last_commit_kept: Option<Timestamp>,
    /// The last commit there is, where the server tells.
    pub last_commit: Option<Timestamp>,
    /// How long the whole way back takes, estimated from how long the backup took.
    pub seconds: u64,
    /// How long clients wait of it.
    pub interruption_seconds: u64,
}

/// Everything that is shown before somebody says yes.
#[derive(Debug, Clone, Serialize)]
pub struct WayBackPage {
    /// The set.
    pub set: String,
    /// When it was taken.
    pub created: Timestamp,
    /// For what: `upgrade`, `manual` or `safety`.
    pub purpose: String,
    /// The runs that are taken back.
    pub runs: Vec<RunId>,
    /// Node, version now, version in the set.
    pub versions: Vec<(NodeName, String, String)>,
    /// What there is to know beyond that.
    pub notes: Vec<String>,
    /// Every lane; none for one node.
    pub lanes: Vec<LaneRow>,
    /// The price, where a restore is possible.
    pub price: Option<PriceRow>,
}

/// The page.
pub fn way_back_page(back: &WayBackPage, now: Timestamp, style: &Style) -> String {
    let mut page = Page::new(style);
    page.text(0, Paint::Strong, &format!("the way back to {}", back.set));
    page.blank();
    let age = human::duration(human::millis_between(back.created, now));
    let taken = format!("{}, {age} ago ({})", human::stamp(back.created, style), back.purpose);
    page.entry(2, COLUMN, "taken", Paint::Plain, &taken);
    for (node, from, to) in &back.versions {
        let text = if from == to { format!("{from} as in the set") } else { format!("{from} {} {to}", style.arrow()) };
        page.entry(2, COLUMN, node.as_str(), Paint::Plain, &text);
    }
    for run in &back.runs {
        page.entry(2, COLUMN, "takes back", Paint::Plain, &format!("run {run}"));
    }
    for note in &back.notes {
        page.entry(2, COLUMN, "note", Paint::Caution, note);
    }
    if !back.lanes.is_empty() {
        page.head("database");
    }
    for row in &back.lanes {
        let (word, paint) = match (row.taken, row.possible) {
            (true, _) => ("taken", Paint::Strong),
            (false, true) => ("possible", Paint::Plain),
            (false, false) => ("impossible", Paint::Dim),
        };
        page.entry(2, COLUMN, &row.lane.to_string(), paint, &format!("{word}: {}", row.why));
    }
    if let (Some(price), true) = (&back.price, back.lanes.iter().any(|row| row.taken && row.lane == Lane::Restore)) {
        price_of(&mut page, price, style);
    }
    page.finish()
}

fn price_of(page: &mut Page<'_>, price: &PriceRow, style: &Style) {
    page.head("price: everything written since the backup is lost");
    let minutes = human::count(usize::try_from(price.minutes).unwrap_or(usize::MAX), "minute");
    let from = human::stamp(price.since, style);
    page.entry(2, COLUMN, "data of", Paint::Bad, &format!("{minutes}, from {from} until now"));
    let to = price.to_lsn.as_deref().unwrap_or("unknown: no primary answers");
    let bytes = price.wal_bytes.map(|bytes| format!(", {} of log", human::bytes(bytes))).unwrap_or_default();
    page.entry(2, COLUMN, "log", Paint::Plain, &format!("{} {} {to}{bytes}", price.from_lsn, style.arrow()));
    let transactions = price.transactions.map_or_else(|| "not told by the server".to_owned(), |n| n.to_string());
    page.entry(2, COLUMN, "transactions", Paint::Plain, &transactions);
    let stamp =
        |at: Option<Timestamp>| at.map_or_else(|| "not told by the server".to_owned(), |at| human::stamp(at, style));
    page.entry(2, COLUMN, "last commit", Paint::Plain, &format!("kept {}", stamp(price.last_commit_kept)));
    page.entry(2, COLUMN, "", Paint::Plain, &format!("lost {}", stamp(price.last_commit)));
    let time = |seconds: u64| human::duration(seconds.saturating_mul(1000));
    page.entry(2, COLUMN, "time", Paint::Plain, &format!("about {} in all", time(price.seconds)));
    let wait = format!("about {} without service", time(price.interruption_seconds));
    page.entry(2, COLUMN, "interruption", Paint::Caution, &wait);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(lane: Lane) -> WayBackPage {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let row =
            |it, why: &str| LaneRow { lane: it, taken: it == lane, possible: it != Lane::Down, why: why.to_owned() };
        WayBackPage {
            set: "backup_20261120_091500".to_owned(),
            created: at("2026-11-20T09:15:00Z"),
            purpose: "upgrade".to_owned(),
            runs: vec!["20261120-091500-ab12".parse().unwrap()],
            versions: vec![("node-a".parse().unwrap(), "2.0.0".to_owned(), "1.0.0".to_owned())],
            notes: Vec::new(),
            lanes: vec![row(Lane::Keep, "k"), row(Lane::Down, "no U file for V2.0.0"), row(Lane::Restore, "r")],
            price: Some(PriceRow {
                since: at("2026-11-20T09:15:10Z"),
                until: at("2026-11-20T09:42:00Z"),
                minutes: 27,
                from_lsn: "0/3000100".to_owned(),
                to_lsn: Some("0/5000100".to_owned()),
                wal_bytes: Some(33_554_432),
                transactions: Some(4711),
                last_commit_kept: Some(at("2026-11-20T09:15:09Z")),
                last_commit: None,
                seconds: 90,
                interruption_seconds: 20,
            }),
        }
    }

    #[test]
    fn the_price_is_shown_where_it_is_paid_and_only_there_rb_1() {
        let style = Style { width: 80, color: false, unicode: false, zone: jiff::tz::TimeZone::UTC };
        let now = "2026-11-20T09:42:00Z".parse().unwrap();
        let text = way_back_page(&page(Lane::Restore), now, &style);
        for said in
            ["27 minutes", "0/3000100 -> 0/5000100, 32.0 MiB of log", "4711", "impossible: no U file for V2.0.0"]
        {
            assert!(text.contains(said), "{said} in\n{text}");
        }
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(!way_back_page(&page(Lane::Keep), now, &style).contains("minutes"));
    }
}
