//! `gs_ctl start`, `stop` and `restart`: what became of it.
//!
//! Source: `pg_ctl.cpp` (`do_start`, `test_postmaster_connection`, `do_stop`, `do_restart`) of openGauss-server.

use serde::Serialize;

use super::text::{Said, Shown};

/// What became of `gs_ctl start`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The server runs. It is said of one that needs repair or catches up, too: ask it.
    Started,
    /// A server runs already, **in whatever mode it was started**; exit status 0.
    AlreadyRunning,
    /// The tool gave up waiting, or was told not to wait; exit status 0.
    StillStarting,
    /// The tool gave up.
    Failed(FailedStart),
    /// Another gs_ctl works on this data directory, or another tool holds the lock; **exit status 0 or 1**.
    OtherToolRuns,
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// How a start failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailedStart {
    /// The server's process ended. Otherwise it did not answer in time **and may still live**.
    pub process_ended: bool,
    /// What was printed.
    pub said: Shown,
}

/// What became of `gs_ctl stop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// It ran and was stopped.
    Stopped,
    /// There is no pid file or no such process: nothing to stop. The exit status is 1, or 0 with `-m immediate`.
    NotRunning,
    /// It did not stop in time, or the tool was told not to wait.
    StillRunning,
    /// Another tool holds the lock; try again.
    OtherToolRuns,
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// What became of `gs_ctl restart`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It was stopped and started.
    Restarted,
    /// It was not running and was started.
    Started,
    /// The tool gave up waiting; exit status 0.
    StillStarting,
    /// The tool refused: a single-user server runs; **exit status 0**.
    Refused,
    /// The start failed.
    Failed(FailedStart),
    /// Another gs_ctl works on this data directory, or another tool holds the lock; **exit status 0 or 1**.
    OtherToolRuns,
    /// None of these, and what was printed. So it is when the old server did not stop, since the tool then goes on and
    /// may report the old one as started.
    Unknown(Shown),
}

/// Reads what `gs_ctl start -D DIR -M ROLE` printed. `status`: its exit status.
pub fn read_start(status: i32, text: &str) -> Start {
    let said = Said::of(text);
    if said.other_tool_runs(status) {
        return Start::OtherToolRuns;
    }
    if status == 0 && said.begins("another server might be running") {
        return Start::AlreadyRunning;
    }
    started(status, &said, text)
}

/// The end of a start, which restart and build have too.
pub(super) fn started(status: i32, said: &Said<'_>, text: &str) -> Start {
    const GAVE_UP: [&str; 2] = ["could not start server", "could not wait for server because of misconfiguration"];
    if GAVE_UP.iter().any(|line| said.begins(line)) {
        let ended = said.trimmed().any(|line| line.starts_with("waitpid ") && line.contains(" failed, exitstatus is "));
        return Start::Failed(FailedStart { process_ended: ended, said: Shown::of(text) });
    }
    if status == 0 && (said.says("server is still starting up") || said.says("server starting")) {
        return Start::StillStarting;
    }
    if status == 0 && said.in_brackets("server started ", "").is_some() {
        return Start::Started;
    }
    Start::Unknown(Shown::of(text))
}

/// Reads what `gs_ctl stop -D DIR -m fast` printed. `status`: its exit status.
pub fn read_stop(status: i32, text: &str) -> Stop {
    let said = Said::of(text);
    if said.other_tool_runs(status) {
        return Stop::OtherToolRuns;
    }
    let still = said.in_brackets("server does not shut down ", "").is_some() || said.says("server shutting down");
    if still {
        return Stop::StillRunning;
    }
    if status == 0 && said.says("server stopped") {
        return Stop::Stopped;
    }
    let no_pid_file =
        said.trimmed().any(|line| line.starts_with("PID file \"") && line.ends_with("\" does not exist."));
    // The process that the pid file names is gone; the tool words it as a server that it may not signal.
    let no_process = said.begins("cannot stop server; ") && said.holding(&["No such process"]).is_some();
    if matches!(status, 0 | 1) && (no_pid_file || no_process) {
        return Stop::NotRunning;
    }
    Stop::Unknown(Shown::of(text))
}

/// Reads what `gs_ctl restart -D DIR` printed. `status`: its exit status.
pub fn read_restart(status: i32, text: &str) -> Restart {
    let said = Said::of(text);
    if said.other_tool_runs(status) {
        return Restart::OtherToolRuns;
    }
    if matches!(status, 0 | 1) && said.begins("cannot restart server; ") {
        return Restart::Refused;
    }
    let old_one_stayed = said.begins("server does not shut down")
        || said.begins("could not send stop signal")
        || said.begins("postmaster.pid is delete, while the prcoess is still alive");
    match started(status, &said, text) {
        Start::Failed(failed) => Restart::Failed(failed),
        Start::StillStarting if !old_one_stayed => Restart::StillStarting,
        Start::Started if !old_one_stayed && said.says("server stopped") => Restart::Restarted,
        Start::Started if !old_one_stayed && said.says("starting server anyway") => Restart::Started,
        _ => Restart::Unknown(Shown::of(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauss::fixtures::{fixture, text};

    fn start(name: &str) -> Start {
        let (status, text) = fixture(name);
        read_start(status, text)
    }

    fn stop(name: &str) -> Stop {
        let (status, text) = fixture(name);
        read_stop(status, text)
    }

    fn restart(name: &str) -> Restart {
        let (status, text) = fixture(name);
        read_restart(status, text)
    }

    #[test]
    fn a_start_is_told_by_its_text_since_four_ends_have_status_0_db_1() {
        assert_eq!(start("F09c_start_ok"), Start::Started);
        assert_eq!(start("F09d_start_already_running_rc0"), Start::AlreadyRunning);
        assert_eq!(start("F09f_start_still_starting_rc0"), Start::StillStarting);
        assert_eq!(start("F09g_start_other_tool_rc0"), Start::OtherToolRuns);
        assert_eq!(start("F09j_tool_lock"), Start::OtherToolRuns);
        let Start::Unknown(_) = read_start(1, text("F09c_start_ok")) else { panic!("started with status 1") };
    }

    #[test]
    fn a_failed_start_says_whether_the_process_can_still_live_db_1() {
        let Start::Failed(FailedStart { process_ended: true, said }) = start("F09h_start_failed") else { panic!() };
        assert!(said.as_str().contains("waitpid 30140 failed, exitstatus is 256"));
        let Start::Failed(FailedStart { process_ended: false, .. }) = start("F09i_start_no_answer") else { panic!() };
    }

    #[test]
    fn a_server_that_was_not_running_is_stopped_db_1() {
        assert_eq!(stop("F09e_stop_ok"), Stop::Stopped);
        assert_eq!(stop("F09k_stop_not_running"), Stop::NotRunning);
        assert_eq!(stop("F09l_stop_still_running"), Stop::StillRunning);
        let gone = "[2024-05-14 10:40:00.500][1][][gs_ctl]:  cannot stop server; single-user server is running \
                    (PID: 812)  No such process\n";
        assert_eq!((read_stop(0, gone), read_stop(1, gone)), (Stop::NotRunning, Stop::NotRunning));
        let refused = gone.replace("No such process", "Operation not permitted");
        let Stop::Unknown(_) = read_stop(1, &refused) else { panic!("a signal that may not be sent") };
    }

    #[test]
    fn a_restart_does_not_believe_that_the_old_server_is_the_new_one_db_1() {
        assert_eq!(restart("F09m_restart_ok"), Restart::Restarted);
        assert_eq!(restart("F09n_restart_was_down"), Restart::Started);
        assert_eq!(restart("F09p_restart_refused_rc0"), Restart::Refused);
        let Restart::Unknown(said) = restart("F09o_restart_old_one_stays") else { panic!() };
        assert!(said.as_str().contains("server does not shut down"));
    }
}
