//! `gs_ctl build`: what became of it. It makes a standby anew from its primary.
//!
//! Source: `pg_ctl.cpp` (`do_build`, `do_actual_build`, `do_incremental_build`) and `pg_rewind.cpp` of openGauss-server. Of
//! the many lines in between only the last ones are the same in all versions, so only these are read.

use serde::Serialize;

use super::{
    control::{self, Start},
    text::{Said, Shown},
    words::{Role, Word},
};

/// What became of `gs_ctl build`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Build {
    /// The data was copied and the server runs. Ask it: it may still be catching up.
    Completed,
    /// The data was copied, and the server does not run yet: the tool was told so (`-q`), it is still starting, or its
    /// start failed.
    NotStarted(Shown),
    /// It failed.
    Failed(FailedBuild),
    /// The server here runs, in this part, and the tool refused: it would have wiped the data. **Only a running primary is
    /// protected so**; a stopped one is wiped.
    RefusedRunsAs(Word<Role>),
    /// Another tool works here; nothing was done.
    OtherToolRuns,
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// How a build failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailedBuild {
    /// The copy had begun: **the old data is gone or partly gone**. Otherwise the tool does not say that it was touched.
    pub begun: bool,
    /// What was printed.
    pub said: Shown,
}

/// How a line of the tool ends the copy.
#[derive(PartialEq)]
enum End {
    Copied,
    Failed,
}

/// Reads what `gs_ctl build -D DIR` printed, of any mode. `status`: its exit status.
pub fn read(status: i32, text: &str) -> Build {
    let said = Said::of(text);
    if said.other_tool_runs(status) {
        return Build::OtherToolRuns;
    }
    let refused =
        said.after("The local server run as ").and_then(|rest| rest.strip_suffix(",build cannot be executed."));
    if let Some(role) = refused.filter(|_| status == 1) {
        return Build::RefusedRunsAs(Word::of(role));
    }
    // An automatic build tries three times and then another way: the last word counts.
    match (said.trimmed().rev().find_map(end), status) {
        (Some(End::Failed), 1..) => {
            let begun = said.says("connected to server success, build started.")
                || said.says("clear old target dir success")
                || said.says("execute file map success");
            Build::Failed(FailedBuild { begun, said: Shown::of(text) })
        }
        (Some(End::Copied), _) => match control::started(status, &said, text) {
            Start::Started => Build::Completed,
            Start::StillStarting | Start::Failed(_) => Build::NotStarted(Shown::of(text)),
            _ if status == 0 && !said.begins("waiting for server to start") => Build::NotStarted(Shown::of(text)),
            _ => Build::Unknown(Shown::of(text)),
        },
        _ => Build::Unknown(Shown::of(text)),
    }
}

fn end(line: &str) -> Option<End> {
    // Up to 2.x there is no mode before it, later the mode's name already holds the word `build`.
    let copied = |line: &str| line.contains("build completed(") && line.ends_with(").");
    let rewound = |line: &str| line.starts_with("dn ") && line.ends_with("incremental build completed.");
    let failed = |line: &str| line.contains("build failed(") && line.ends_with(").");
    if copied(line) || rewound(line) {
        Some(End::Copied)
    } else if failed(line) || line == "inc build failed." || line.starts_with("inc build failed due to ") {
        Some(End::Failed)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauss::fixtures::{fixture, text};

    fn of(name: &str) -> Build {
        let (status, text) = fixture(name);
        read(status, text)
    }

    #[test]
    fn a_build_is_completed_when_its_server_runs_in_every_version_and_mode_db_1() {
        let names =
            ["F09_build_full_ok", "F09q_build_full_ok_v2", "F09u_build_incremental_ok", "F09v_build_auto_falls_back"];
        for name in names {
            assert_eq!(of(name), Build::Completed, "{name}");
            let Build::Unknown(_) = read(1, text(name)) else { panic!("{name} with status 1") };
        }
        let Build::NotStarted(said) = of("F09t_build_not_started") else { panic!() };
        assert!(said.as_str().contains("could not start server"));
        let (quiet, _) = text("F09_build_full_ok").split_once("waiting for server to start").unwrap();
        let Build::NotStarted(_) = read(0, quiet) else { panic!("with -q") };
    }

    #[test]
    fn a_failed_build_says_whether_the_old_data_is_gone_db_1() {
        let begun = |name| match of(name) {
            Build::Failed(failed) => failed.begun,
            other => panic!("{name}: {other:?}"),
        };
        assert!(!begun("F09b_build_full_failed"));
        assert!(begun("F09s_build_failed_midway"));
    }

    #[test]
    fn a_running_primary_is_not_built_db_1() {
        assert_eq!(of("F09r_build_refused_primary"), Build::RefusedRunsAs(Word::Known(Role::Primary)));
        assert_eq!(of("F09w_build_other_tool"), Build::OtherToolRuns);
    }

    #[test]
    fn a_copy_that_says_both_failed_and_completed_is_not_completed_db_1() {
        // The mode that copies only keys prints the second line after the first.
        let both = "copy secure files build failed(/d).\ncopy secure files build build completed(/d).\n";
        let Build::Unknown(_) = read(1, both) else { panic!() };
    }
}
