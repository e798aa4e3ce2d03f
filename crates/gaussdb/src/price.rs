//! What a way back to a full backup costs. Pure.

use jiff::Timestamp;

use crate::{BackupRecord, DatabaseFacts, Lsn};

/// How long the pair is without a database: a stop with little left to write, two renames, a start without recovery.
/// What takes long, unpacking and verifying, comes before. Seconds.
const EXCHANGE: u64 = 20;

/// What a way back to a full backup costs. It is never less than what is really lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Up to where the log is known now.
    pub current_lsn: Option<Lsn>,
    /// Bytes of log written since the backup ended.
    pub wal_bytes: Option<u64>,
    /// Transactions since the backup, at most: there are some that wrote nothing worth keeping.
    pub transactions: Option<u64>,
    /// The last commit there is, where a server tells.
    pub last_commit: Option<Timestamp>,
    /// The first moment whose writes may be lost: the last commit that the backup surely holds, else when it was taken.
    pub since: Timestamp,
    /// The last one: the last commit there is, else now.
    pub until: Timestamp,
    /// From when the backup was taken until now, in minutes, rounded up: what was written then is lost.
    pub minutes: u64,
    /// Estimate of the whole way back in seconds, from what the backup took: it is unpacked and verified here, and
    /// copied once more to the standby.
    pub seconds: u64,
    /// Estimate of the time without a database, in seconds.
    pub interruption_seconds: u64,
}

/// What a way back to this backup costs now. `nodes`: facts of every node that answered; the one that knows most
/// counts.
pub fn price(record: &BackupRecord, nodes: &[DatabaseFacts], now: Timestamp) -> Price {
    let servers = || nodes.iter().filter_map(|facts| facts.server.as_ref());
    let current_lsn = nodes.iter().filter_map(DatabaseFacts::newest_lsn).max();
    let next_xid = servers().filter_map(|server| server.next_xid).max();
    let last_commit = servers().filter_map(|server| server.last_commit).max();
    let since = record.last_commit.map_or(record.taken_at, |commit| commit.min(record.taken_at));
    let elapsed = u64::try_from(now.duration_since(record.taken_at).as_secs()).unwrap_or_default();
    Price {
        current_lsn,
        wal_bytes: current_lsn.map(|lsn| lsn.lead_over(record.end_lsn)),
        transactions: next_xid.map(|next| next.saturating_sub(record.next_xid)),
        last_commit,
        since,
        until: last_commit.unwrap_or(now).max(since),
        minutes: elapsed.div_ceil(60).max(1),
        seconds: 2 * record.seconds.max(1) + EXCHANGE,
        interruption_seconds: EXCHANGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{primary, standby, stopped};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn record() -> BackupRecord {
        BackupRecord {
            engine: "postgresql".to_owned(),
            version: "15.20".to_owned(),
            method: "pg_basebackup".to_owned(),
            system_identifier: "7".to_owned(),
            timeline: 1,
            start_lsn: Lsn(0x0200_0028),
            end_lsn: Lsn(0x0300_0000),
            next_xid: 700,
            last_commit: Some(at("2026-11-20T09:14:50Z")),
            taken_at: at("2026-11-20T09:15:00Z"),
            data_bytes: 4096,
            bytes: 1024,
            seconds: 30,
        }
    }

    fn knowing(mut facts: DatabaseFacts, next_xid: u64, last_commit: Option<&str>) -> DatabaseFacts {
        let server = facts.server.as_mut().unwrap();
        (server.next_xid, server.last_commit) = (Some(next_xid), last_commit.map(at));
        facts
    }

    #[test]
    fn the_price_is_what_the_node_that_knows_most_says_rb_3() {
        let nodes = [knowing(primary(), 771, None), knowing(standby(), 769, Some("2026-11-20T09:20:01Z"))];
        let price = price(&record(), &nodes, at("2026-11-20T09:20:30Z"));
        assert_eq!(price.current_lsn, Some(Lsn(0x0301_6000)));
        assert_eq!((price.wal_bytes, price.transactions), (Some(0x1_6000), Some(71)));
        assert_eq!((price.since, price.until), (at("2026-11-20T09:14:50Z"), at("2026-11-20T09:20:01Z")));
        assert_eq!((price.minutes, price.seconds), (6, 80));
    }

    #[test]
    fn what_no_server_tells_is_unknown_and_never_nothing_rb_3() {
        let now = at("2026-11-20T09:15:10Z");
        // The control file is the one source of a stopped server.
        let down = price(&record(), &[stopped("shut down")], now);
        assert_eq!((down.wal_bytes, down.transactions, down.last_commit), (Some(0), None, None));
        assert_eq!((down.until, down.minutes), (now, 1));
        let unknown = BackupRecord { last_commit: None, ..record() };
        let nobody = price(&unknown, &[], now);
        assert_eq!((nobody.current_lsn, nobody.wal_bytes), (None, None));
        assert_eq!(nobody.since, unknown.taken_at);
        // A clock that is behind takes nothing back.
        let behind = price(&record(), &[], at("2026-11-20T09:00:00Z"));
        assert!(behind.minutes == 1 && behind.until >= behind.since, "{behind:?}");
    }
}
