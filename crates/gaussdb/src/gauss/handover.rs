//! `gs_ctl switchover` and `failover`: what became of it.
//!
//! Source: `pg_ctl.cpp` (`do_switchover`, `do_failover`) of openGauss-server.

use serde::Serialize;

use super::text::{Said, Shown, leading_number};

/// What became of `gs_ctl switchover`, which is asked of the standby to promote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switchover {
    /// This server says it is the primary. Ask both nodes: the other one may still be stepping down.
    Completed(Completed),
    /// In doubt: the tool gave up, **with exit status 0**, and the servers go on. Never ask again before both nodes have
    /// said what they are.
    TimedOut {
        /// How long it waited.
        seconds: u64,
    },
    /// The tool refused before it asked the server, and why.
    Refused(Shown),
    /// Another tool works here; nothing was asked.
    OtherToolRuns,
    /// None of these, and what was printed. In doubt.
    Unknown(Shown),
}

/// A completed switchover or failover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Completed {
    /// The data directory of the server that is the primary.
    pub data_dir: String,
    /// It was the primary before: nothing was done.
    pub was_so: bool,
}

/// What became of `gs_ctl failover`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failover {
    /// This server says it is the primary.
    Completed(Completed),
    /// In doubt: the server was asked, and was not the primary when the tool gave up.
    Failed(Shown),
    /// The tool refused before it asked the server, and why.
    Refused(Shown),
    /// Another tool works here; nothing was asked.
    OtherToolRuns,
    /// None of these, and what was printed. In doubt.
    Unknown(Shown),
}

impl Switchover {
    /// Whether the servers may be changing roles now or later.
    pub fn in_doubt(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Unknown(_))
    }
}

/// What the tool says when it has not asked the server.
const REFUSALS: [&str; 11] = [
    "PID file \"",
    "cannot switchover server",
    "cannot failover server",
    "datanode does not support smart or immediate switchover",
    "unrecognized shutdown mode",
    "Failover is not supported in dcf mode",
    "could not create switchover signal file",
    "could not create failover signal file",
    "fail to open file",
    "could not open file successfully",
    "no database directory specified",
];

fn refusal(said: &Said<'_>) -> Option<Shown> {
    let refused = |line: &&str| REFUSALS.iter().any(|start| line.starts_with(start));
    said.trimmed().find(refused).map(Shown::of)
}

/// Reads what `gs_ctl switchover -D DIR` printed. `status`: its exit status.
pub fn read_switchover(status: i32, text: &str) -> Switchover {
    let said = Said::of(text);
    if let Some(seconds) = said.after("switchover timeout after ").and_then(leading_number) {
        return Switchover::TimedOut { seconds };
    }
    if said.other_tool_runs(status) {
        return Switchover::OtherToolRuns;
    }
    let asked = said.begins("waiting for server to switchover") || said.begins("server starting switchover");
    match (status, said.in_brackets("switchover completed ", ""), refusal(&said)) {
        (0, Some(dir), _) => Switchover::Completed(Completed { data_dir: dir.to_owned(), was_so: !asked }),
        (1, None, Some(why)) if !asked => Switchover::Refused(why),
        _ => Switchover::Unknown(Shown::of(text)),
    }
}

/// Reads what `gs_ctl failover -D DIR` printed. `status`: its exit status.
pub fn read_failover(status: i32, text: &str) -> Failover {
    let said = Said::of(text);
    if said.begins("failover timeout after ") || said.in_brackets("failover failed ", "").is_some() {
        return Failover::Failed(Shown::of(text));
    }
    if said.other_tool_runs(status) {
        return Failover::OtherToolRuns;
    }
    let asked = said.begins("waiting for server to failover") || said.begins("server starting failover");
    match (status, said.in_brackets("failover completed ", ""), refusal(&said)) {
        (0, Some(dir), _) => Failover::Completed(Completed { data_dir: dir.to_owned(), was_so: !asked }),
        (1, None, Some(why)) if !asked => Failover::Refused(why),
        _ => Failover::Unknown(Shown::of(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauss::fixtures::{DIR, fixture, text};

    fn of(name: &str) -> Switchover {
        let (status, text) = fixture(name);
        read_switchover(status, text)
    }

    #[test]
    fn a_switchover_is_completed_only_where_the_tool_says_so_and_ends_with_0_db_1() {
        let done = |was_so| Switchover::Completed(Completed { data_dir: DIR.to_owned(), was_so });
        assert_eq!(of("F07_switchover_ok"), done(false));
        assert_eq!(of("F07b_switchover_already_primary"), done(true));
        assert!(read_switchover(1, text("F07_switchover_ok")).in_doubt());
        assert!(read_switchover(0, "").in_doubt());
    }

    #[test]
    fn a_switchover_that_timed_out_with_status_0_is_in_doubt_db_1() {
        for name in ["F08_switchover_timeout_v6", "F08b_switchover_timeout_v5"] {
            for status in [0, 1] {
                assert_eq!(read_switchover(status, text(name)), Switchover::TimedOut { seconds: 10 }, "{name}");
            }
        }
        // Cut off by a limit of ours, after the server was asked.
        let cut = text("F07_switchover_ok").split("[2024-05-14 10:30:11").next().unwrap();
        assert!(read_switchover(124, cut).in_doubt());
    }

    #[test]
    fn a_refused_switchover_asked_nothing_of_the_server_db_1() {
        let refused = |name| match of(name) {
            Switchover::Refused(why) => why.to_string(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(
            refused("F07c_switchover_not_a_standby"),
            "cannot switchover server; server is not in standby or cascade standby mode"
        );
        assert!(refused("F07e_switchover_no_server").starts_with("PID file"));
        assert!(refused("F07f_switchover_smart_refused").starts_with("datanode does not support smart"));
        assert_eq!(of("F07d_switchover_other_tool"), Switchover::OtherToolRuns);
        // The same words with status 0 are not what the tool does.
        assert!(read_switchover(0, text("F07c_switchover_not_a_standby")).in_doubt());
    }

    #[test]
    fn a_failover_that_gave_up_is_in_doubt_db_1() {
        let (status, ok) = fixture("F08c_failover_ok");
        assert_eq!(
            read_failover(status, ok),
            Failover::Completed(Completed { data_dir: DIR.to_owned(), was_so: false })
        );
        for status in [0, 1] {
            let Failover::Failed(said) = read_failover(status, text("F08d_failover_failed")) else { panic!() };
            assert!(said.as_str().contains("failover timeout after 10 seconds"));
        }
    }
}
