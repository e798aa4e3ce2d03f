//! `gs_ctl querybuild`: how far a build of this server is, by the tool's own files.
//!
//! Source: `pg_ctl.cpp` (`do_build_query`, `display_build_query`) of openGauss-server.

use serde::Serialize;

use super::{
    sections::{self, Block},
    text::{Said, Shown},
    words::{Role, Vocabulary},
};

/// What `gs_ctl querybuild` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueryBuild {
    /// A build is under way.
    Building(Progress),
    /// No build is under way, and the last one ended well, **or there never was one**.
    Completed(Role),
    /// The last build failed or died; the exit status can be 0.
    Failed(Role),
    /// Another tool holds the lock; ask again.
    OtherToolRuns,
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    /// Everything is copied, not only what differs.
    pub full: bool,
    /// Copied so far, in bytes, as exact as two decimals of the tool's unit are.
    pub synchronized: Option<u64>,
    /// The tool's estimate of all there is, in bytes.
    pub estimated_total: Option<u64>,
    /// In percent.
    pub percent: u8,
    /// The tool's estimate of the time that is left, in seconds; `None`: it has none.
    pub remaining_s: Option<u64>,
}

const KEYS: [&str; 9] = [
    "local_role",
    "static_connections",
    "db_state",
    "sync_mode",
    "build_mode",
    "data_synchronized",
    "estimated_total_data",
    "process_schedule",
    "estimated_remaining_time",
];

/// Reads what `gs_ctl querybuild -D DIR` printed. `status`: its exit status.
pub fn read(status: i32, text: &str) -> QueryBuild {
    let said = Said::of(text);
    if said.other_tool_runs(status) {
        return QueryBuild::OtherToolRuns;
    }
    answered(status, &said).unwrap_or_else(|| QueryBuild::Unknown(Shown::of(text)))
}

fn answered(status: i32, said: &Said<'_>) -> Option<QueryBuild> {
    let sections = sections::read(said, &KEYS)?;
    let block = |title: &str| match sections.iter().find(|section| section.title == title)?.blocks.as_slice() {
        [block] => Some(block),
        _ => None,
    };
    let ha = block("ha state")?;
    let role = Role::of(ha.get("local_role")?)?;
    match (ha.get("db_state")?.to_ascii_lowercase().as_str(), status) {
        ("build failed", _) => Some(QueryBuild::Failed(role)),
        ("build completed", 0) => Some(QueryBuild::Completed(role)),
        ("building", 0) => progress(block("build state")?).map(QueryBuild::Building),
        _ => None,
    }
}

fn progress(block: &Block) -> Option<Progress> {
    Some(Progress {
        full: match block.get("build_mode")?.to_ascii_lowercase().as_str() {
            "full" => true,
            "incremental" => false,
            _ => return None,
        },
        synchronized: block.get("data_synchronized").and_then(bytes),
        estimated_total: block.get("estimated_total_data").and_then(bytes),
        percent: block.get("process_schedule")?.strip_suffix('%')?.parse().ok()?,
        remaining_s: block.get("estimated_remaining_time").and_then(seconds),
    })
}

/// `301.25MB`. Two decimals and integers alone: no figure of a floating point type is needed.
fn bytes(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let (whole, hundredths) = number.trim().split_once('.').unwrap_or((number.trim(), "00"));
    if hundredths.len() != 2 {
        return None;
    }
    let power = ["kb", "mb", "gb", "tb"].iter().position(|known| unit.eq_ignore_ascii_case(known))?;
    let factor = 1024u64.checked_pow(u32::try_from(power).ok()? + 1)?;
    let hundredths = whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths.parse().ok()?)?;
    hundredths.checked_mul(factor).map(|bytes| bytes / 100)
}

/// `00:01:12`; the tool prints `--:--:--` when it cannot tell.
fn seconds(text: &str) -> Option<u64> {
    let parts = text.split(':').map(|part| part.parse::<u64>().ok()).collect::<Option<Vec<_>>>()?;
    let [hours, minutes, seconds] = parts.as_slice() else { return None };
    hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(*seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauss::fixtures::{fixture, text};

    fn of(name: &str) -> QueryBuild {
        let (status, text) = fixture(name);
        read(status, text)
    }

    #[test]
    fn a_build_is_read_with_its_progress_db_1() {
        let full = Progress {
            full: true,
            synchronized: Some(315_883_520),
            estimated_total: Some(1_202_590_842),
            percent: 26,
            remaining_s: Some(72),
        };
        assert_eq!(of("F06_querybuild_building"), QueryBuild::Building(full));
        let incremental = Progress {
            full: false,
            synchronized: Some(512 * 1024),
            estimated_total: Some(2 * 1024 * 1024),
            percent: 25,
            remaining_s: None,
        };
        assert_eq!(of("F06d_querybuild_incremental_unknown_end"), QueryBuild::Building(incremental));
    }

    #[test]
    fn a_failed_build_is_failed_whatever_the_status_says_db_1() {
        for status in [0, 1, 255] {
            assert_eq!(read(status, text("F06b_querybuild_failed")), QueryBuild::Failed(Role::Unknown), "{status}");
        }
        assert_eq!(of("F06c_querybuild_completed"), QueryBuild::Completed(Role::Standby));
        let QueryBuild::Unknown(_) = read(1, text("F06c_querybuild_completed")) else { panic!("a status of 1") };
    }

    #[test]
    fn what_is_not_in_the_tools_units_is_not_guessed_db_1() {
        for bad in ["", "MB", "1.5MB", "1.00XB", "-1.00MB", "99999999999999999999.00TB", "1.00é"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
        for bad in ["", "--:--:--", "1:2", "99999999999999999999:00:00", "5124095576030431:00:00:00"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
