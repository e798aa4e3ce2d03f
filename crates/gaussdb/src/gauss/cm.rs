//! `cm_ctl`: the cluster as CM sees it, and what became of what CM was asked to do.
//!
//! Source: `src/cm_ctl/ctl_*.cpp` of CM. Its exit status of -1 is 255 to a shell, -3 is 253.

use serde::Serialize;

use super::{
    cluster::{self, Cluster},
    text::{Said, Shown},
};

/// What `cm_ctl query -Cv` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CmQuery {
    /// The cluster.
    Cluster(Box<Cluster>),
    /// No CM server answers. The section of CM servers can stand before that.
    Unreachable,
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// What became of `cm_ctl switchover`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CmSwitchover {
    /// The server that was named is the primary.
    Completed,
    /// Some instance did not change, and CM's words for it; **exit status 0**.
    Incomplete(Shown),
    /// CM was asked, gave up waiting or met something in between; it may still go on.
    InDoubt(Shown),
    /// The database waits for no standby while `most_available_sync` is on, so CM (6.0.0 and later) does not switch.
    MostAvailableSync,
    /// CM refused, and why; nothing was asked of the database.
    Refused(Shown),
    /// No CM server answers; nothing was asked.
    Unreachable,
    /// None of these, and what was printed. In doubt.
    Unknown(Shown),
}

/// What became of `cm_ctl stop`, `start`, `build`, `pause` or `resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is so.
    Done,
    /// It is so for a part of the cluster; **exit status 0**.
    Partly,
    /// CM gave up waiting; it goes on in the background.
    InDoubt(Shown),
    /// CM refused or failed, and why.
    Refused(Shown),
    /// No CM server answers.
    Unreachable,
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// Reads what `cm_ctl query -Cv` printed, with or without `-w`, `-i`, `-d`, `-p`. `status`: its exit status.
pub fn read_query(status: i32, text: &str) -> CmQuery {
    let said = Said::of(text);
    if unreachable(&said) {
        return CmQuery::Unreachable;
    }
    match (status, cluster::read(&said)) {
        (0, Some(cluster)) => CmQuery::Cluster(Box::new(cluster)),
        _ => CmQuery::Unknown(Shown::of(text)),
    }
}

/// Reads what `cm_ctl switchover -n NODE -D DIR` printed. `status`: its exit status.
pub fn read_switchover(status: i32, text: &str) -> CmSwitchover {
    const IN_DOUBT: [&str; 5] = [
        "switchover command timeout!",
        "failed to do switch-over",
        // With the next status: it was asked, and the cluster was found in another state afterwards.
        "Can not switchover right now.!",
        // Without advice behind it: an instance is pending in the middle.
        "can not do switchover at current role.",
        "failed to notify switchover finished.",
    ];
    const REFUSED: [&str; 9] = [
        "can not do switchover, another command",
        "can not do switchover at current role,",
        "Can not switchover right now.!",
        "disable switchover in recovery mode.",
        "can't find the ",
        "can not get datanode information.",
        "node_id specified is illegal",
        "data path specified is illegal",
        "current user is the root user",
    ];
    let said = Said::of(text);
    let shown = || Shown::of(text);
    let asked = status == 253 || !message(&said, "Can not switchover right now.!");
    if unreachable(&said) {
        return CmSwitchover::Unreachable;
    }
    if refuses(status) && message(&said, "primary dn most_available_sync is on") {
        return CmSwitchover::MostAvailableSync;
    }
    if asked && IN_DOUBT.iter().any(|start| message(&said, start)) {
        return CmSwitchover::InDoubt(shown());
    }
    if message(&said, "switchover incomplete.") {
        return CmSwitchover::Incomplete(shown());
    }
    match status {
        0 if message(&said, "switchover successfully.") => CmSwitchover::Completed,
        _ if refuses(status) && REFUSED.iter().any(|start| message(&said, start)) => CmSwitchover::Refused(shown()),
        _ => CmSwitchover::Unknown(shown()),
    }
}

/// Reads what `cm_ctl stop` printed: of an instance, a node, a zone or the cluster. `status`: its exit status.
pub fn read_stop(status: i32, text: &str) -> Outcome {
    const DONE: [&str; 5] = [
        "stop instance successfully.",
        "stop relation instance successfully.",
        "stop node successfully.",
        "stop availability zone successfully.",
        "stop cluster successfully.",
    ];
    outcome(status, text, &DONE)
}

/// Reads what `cm_ctl start` printed. `status`: its exit status.
pub fn read_start(status: i32, text: &str) -> Outcome {
    const DONE: [&str; 5] = [
        "start instance successfully.",
        "start relation datanodes successfully",
        "start node successfully.",
        "start availability zone successfully.",
        "start cluster successfully.",
    ];
    outcome(status, text, &DONE)
}

/// Reads what `cm_ctl build -n NODE -D DIR` printed. `status`: its exit status.
///
/// Without `-f` CM does **nothing and says the same** where the instance is a standby and normal.
pub fn read_build(status: i32, text: &str) -> Outcome {
    outcome(status, text, &["build successfully."])
}

/// Reads what `cm_ctl pause` printed. `status`: its exit status.
pub fn read_pause(status: i32, text: &str) -> Outcome {
    outcome(status, text, &["The cluster has been paused."])
}

/// Reads what `cm_ctl resume` printed. `status`: its exit status.
pub fn read_resume(status: i32, text: &str) -> Outcome {
    outcome(status, text, &["The cluster has been resumed."])
}

/// What the verbs have in common.
fn outcome(status: i32, text: &str, done: &[&str]) -> Outcome {
    const REFUSED: [&str; 17] = [
        "another command",
        "can not build at current role.",
        "can not build, primary term is invalid.",
        "build failed, ",
        "disable do build in recovery mode.",
        "in shared storage mode",
        "start cluster failed!",
        "node_id specified is illegal",
        "data path specified is illegal",
        "can't find the ",
        "can not get datanode information.",
        "current user is the root user",
        "Currently, this operation can only be performed on the entire cluster.",
        "The ssh trust relationship may be abnormal",
        "Failed to pause the cluster",
        "Failed to resume the cluster",
        "the instance(node:",
    ];
    let said = Said::of(text);
    let shown = || Shown::of(text);
    // `stop instance failed in (10)s!`, `build command timeout!`
    let gave_up =
        |line: &str| line.ends_with(")s!") && line.contains(" failed in (") || line.ends_with(" command timeout!");
    if unreachable(&said) {
        return Outcome::Unreachable;
    }
    let last = messages(&said).rev().find_map(|line| {
        if done.iter().any(|start| line.starts_with(start)) {
            Some(Outcome::Done)
        } else if line.ends_with(" partly successfully.") {
            Some(Outcome::Partly)
        } else if gave_up(line) {
            Some(Outcome::InDoubt(shown()))
        } else if REFUSED.iter().any(|start| line.starts_with(start)) {
            Some(Outcome::Refused(shown()))
        } else {
            None
        }
    });
    match (last, status) {
        (Some(outcome @ (Outcome::Done | Outcome::Partly)), 0) => outcome,
        (Some(outcome @ Outcome::InDoubt(_)), _) => outcome,
        (Some(outcome @ Outcome::Refused(_)), _) if refuses(status) => outcome,
        _ => Outcome::Unknown(shown()),
    }
}

/// The exit status with which the tool refuses: 255, and 1 to root.
fn refuses(status: i32) -> bool {
    matches!(status, 1 | 255)
}

/// What the tool says in its own name.
fn messages<'a>(said: &'a Said<'a>) -> impl DoubleEndedIterator<Item = &'a str> {
    said.trimmed().filter_map(|line| line.trim_start_matches('.').strip_prefix("cm_ctl: ")).map(str::trim)
}

fn message(said: &Said<'_>, start: &str) -> bool {
    messages(said).any(|line| line.starts_with(start))
}

fn unreachable(said: &Said<'_>) -> bool {
    let cannot =
        |line: &str| line.starts_with("can't connect to cm_server") || line.contains("to cm_server, connect fail");
    messages(said).any(cannot)
}
