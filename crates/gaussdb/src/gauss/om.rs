//! `gs_om`: the state of the cluster, and the refresh of its configuration after a switchover.
//!
//! Source: `gs_om`, `OmImplOLAP.py`, `DbClusterInfo.py` and `ErrorCode.py` of openGauss-OM. There is no `gs_om -t switch` in
//! openGauss.

use serde::Serialize;

use super::{
    cluster::{self, Cluster, ClusterState},
    text::{Said, Shown},
    words::Word,
};

/// What `gs_om -t status` found. Its exit status is 0 whatever the state is.
///
/// Without CM it asks `gs_ctl query` on every node and keeps one word of each role, also where that answer came from the
/// state file (see [`Query::Offline`](super::query::Query::Offline)): an overview for people, no proof of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// With `--detail`.
    Cluster(Box<Cluster>),
    /// Without it: the verdict alone.
    Summary(Word<ClusterState>),
    /// It failed.
    Failed(GaussError),
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// What became of `gs_om -t refreshconf`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refresh {
    /// The roles of now are what the cluster starts with from now on.
    Generated,
    /// There is nothing to write: one node, or a cluster that streams to another one.
    NotNeeded,
    /// It failed.
    Failed(GaussError),
    /// None of these, and what was printed.
    Unknown(Shown),
}

/// An error of the management tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GaussError {
    /// For example `GAUSS-50105`.
    pub code: String,
    /// What was printed.
    pub said: Shown,
}

/// Reads what `gs_om -t status [--detail]` printed. `status`: its exit status.
pub fn read_status(status: i32, text: &str) -> Status {
    let said = Said::of(text);
    if let Some(error) = error(&said, text) {
        return Status::Failed(error);
    }
    let summary = || said.after("cluster_state ").and_then(|rest| rest.trim().strip_prefix(':'));
    match (status, cluster::read(&said)) {
        (0, Some(cluster)) => Status::Cluster(Box::new(cluster)),
        // A detailed answer names no cluster, so one that was cut off is no summary.
        (0, None) if said.begins("cluster_name ") => match summary() {
            Some(state) => Status::Summary(Word::of(state)),
            None => Status::Unknown(Shown::of(text)),
        },
        _ => Status::Unknown(Shown::of(text)),
    }
}

/// Reads what `gs_om -t refreshconf` printed. `status`: its exit status.
pub fn read_refreshconf(status: i32, text: &str) -> Refresh {
    const NOT_NEEDED: [&str; 2] = [
        "No need to generate dynamic configuration file for one node.",
        "Streaming disaster cluster do not need to generate dynamic configuration.",
    ];
    let said = Said::of(text);
    if let Some(error) = error(&said, text) {
        return Refresh::Failed(error);
    }
    if status == 0 && said.says("Successfully generated dynamic configuration file.") {
        return Refresh::Generated;
    }
    if status == 0 && NOT_NEEDED.iter().any(|line| said.says(line)) {
        return Refresh::NotNeeded;
    }
    Refresh::Unknown(Shown::of(text))
}

/// `[GAUSS-50105] : Cannot run …`.
fn error(said: &Said<'_>, text: &str) -> Option<GaussError> {
    let code = said.trimmed().find_map(|line| {
        let (_, rest) = line.split_once("[GAUSS-")?;
        let (digits, _) = rest.split_once(']')?;
        (digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
    })?;
    Some(GaussError { code: format!("GAUSS-{code}"), said: Shown::of(text) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauss::{
        cluster::{Configured, Instance, InstanceRole, InstanceState},
        fixtures::{DIR, fixture, text},
    };

    fn cluster(name: &str) -> Cluster {
        let (status, text) = fixture(name);
        let Status::Cluster(cluster) = read_status(status, text) else { panic!("{name}") };
        *cluster
    }

    fn states(name: &str) -> Vec<String> {
        let said = |one: &Instance| format!("{} {} {:?}", one.role, one.state, one.detail.as_deref().unwrap_or("-"));
        cluster(name).instances.iter().map(said).collect()
    }

    #[test]
    fn every_layout_of_the_status_gives_the_same_two_servers_db_1() {
        let detail = cluster("F10_gs_om_status_detail_normal");
        assert!(detail.cluster_state.is(ClusterState::Normal) && !detail.distributed && !detail.pausing);
        assert_eq!((detail.redistributing, detail.balanced), (Some(false), None));
        let first = Instance {
            az: Some("AZ1".to_owned()),
            node_id: 1,
            node_name: "db1".to_owned(),
            ip: Some("192.0.2.11".to_owned()),
            port: Some(15400),
            instance_id: 6001,
            data_dir: Some(DIR.to_owned()),
            configured: Configured::Primary,
            role: Word::Known(InstanceRole::Primary),
            state: Word::Known(InstanceState::Normal),
            detail: None,
        };
        assert_eq!(detail.instances[0], first);
        assert!(detail.instances[0].is_well_primary() && detail.instances[1].is_well_standby());

        let together = cluster("F10f_gs_om_status_no_az_header_runs_together");
        assert_eq!(together.instances[0], Instance { az: None, ..first.clone() });
        let old = cluster("F10d_gs_om_status_one_line_v2");
        assert_eq!(old.instances[0], Instance { az: None, port: None, ..first });
        assert_eq!(old.instances[1].instance_id, 6002);
    }

    #[test]
    fn states_of_several_words_and_shortened_ones_are_read_db_1() {
        assert_eq!(
            states("F10b_gs_om_status_detail_degraded"),
            ["Primary Normal \"-\"", "Standby Need repair \"WAL\""]
        );
        assert_eq!(
            states("F10c_gs_om_status_detail_down"),
            ["Down Manually stopped \"-\"", "Standby Need repair \"Disconnected\""]
        );
        assert_eq!(
            states("F10h_gs_om_cascade_and_promoting"),
            ["Standby Wait promoting \"-\"", "Main Standby Normal \"-\"", "Cascade Standby Normal \"-\""]
        );
    }

    #[test]
    fn a_status_that_is_cut_off_or_odd_is_not_read_db_1() {
        let whole = text("F10_gs_om_status_detail_normal");
        for cut in ["Primary Normal\n", "AZ1 1", "[  Datanode State", "cluster_state"] {
            let (before, _) = whole.split_once(cut).unwrap();
            let Status::Unknown(_) = read_status(0, before) else { panic!("cut before {cut}") };
        }
        for (from, to) in [("P Primary", "Primary"), ("15400      6001", "99999      6001"), ("6001", "six")] {
            let Status::Unknown(_) = read_status(0, &whole.replace(from, to)) else { panic!("{from}") };
        }
        let strange = whole.replace("P Primary Normal", "P Leader Fine");
        let Status::Cluster(cluster) = read_status(0, &strange) else { panic!() };
        assert!(!cluster.instances[0].is_well_primary());
        let Status::Unknown(_) = read_status(1, whole) else { panic!("with status 1") };
    }

    #[test]
    fn the_summary_and_errors_of_the_management_tool_are_read_db_1() {
        let (status, summary) = fixture("F10e_gs_om_status_summary");
        assert_eq!(read_status(status, summary), Status::Summary(Word::Known(ClusterState::Normal)));
        let (status, failed) = fixture("F10g_gs_om_error");
        let Status::Failed(error) = read_status(status, failed) else { panic!() };
        assert_eq!(error.code, "GAUSS-50105");
    }

    #[test]
    fn a_refreshed_configuration_is_told_by_its_last_line_db_1() {
        let of = |name| {
            let (status, text) = fixture(name);
            read_refreshconf(status, text)
        };
        assert_eq!(of("F10i_refreshconf_ok"), Refresh::Generated);
        assert_eq!(of("F10j_refreshconf_one_node"), Refresh::NotNeeded);
        let Refresh::Failed(error) = of("F10k_refreshconf_failed") else { panic!() };
        assert_eq!(error.code, "GAUSS-50205");
        let Refresh::Unknown(_) = read_refreshconf(0, "Generating dynamic configuration file for all nodes.\n") else {
            panic!("without a last line")
        };
    }
}
