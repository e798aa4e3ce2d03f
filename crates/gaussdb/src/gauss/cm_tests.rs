//! What CM says, read from fixtures.

use super::{
    cluster::{ClusterState, InstanceRole, InstanceState, Resource},
    cm::*,
    fixtures::{DIR, fixture, text},
};

fn cluster(name: &str) -> super::cluster::Cluster {
    let (status, text) = fixture(name);
    let CmQuery::Cluster(cluster) = read_query(status, text) else { panic!("{name}") };
    *cluster
}

fn switchover(name: &str) -> CmSwitchover {
    let (status, text) = fixture(name);
    read_switchover(status, text)
}

#[test]
fn both_layouts_of_the_overview_are_read_db_1() {
    let normal = cluster("F11_cm_query_Cv_normal");
    assert!(normal.cluster_state.is(ClusterState::Normal) && !normal.pausing && !normal.distributed);
    assert_eq!((normal.balanced, normal.redistributing), (Some(true), Some(false)));
    let servers: Vec<_> = normal.cm_servers.iter().map(|one| (one.node_id, one.state.as_str())).collect();
    assert_eq!(servers, [(1, "Primary"), (2, "Standby")]);
    assert!(normal.instances[0].is_well_primary() && normal.instances[1].is_well_standby());
    assert_eq!((normal.instances[1].port, &normal.instances[1].data_dir), (None, &None));

    let building = cluster("F11b_cm_query_Cvw_building");
    assert!(building.cluster_state.is(ClusterState::Degraded));
    assert!(building.instances[1].state.is(InstanceState::Building));
    assert_eq!(building.instances[1].detail.as_deref(), Some("42%"));

    let switched = cluster("F11c_cm_query_switched");
    assert_eq!(switched.balanced, Some(false));
    assert!(switched.instances[0].is_well_standby() && switched.instances[1].is_well_primary());
}

#[test]
fn every_section_of_the_overview_is_read_db_1() {
    let etcd = cluster("F11f_cm_query_etcd");
    let members: Vec<_> = etcd.etcd.iter().map(|one| (one.instance_id, one.state.as_str())).collect();
    assert_eq!(members, [(7001, "StateLeader"), (7002, "StateFollower"), (7003, "Down")]);

    let pausing = cluster("F11g_cm_query_pausing");
    assert!(pausing.pausing);
    assert!(pausing.instances[1].role.is(InstanceRole::Down));
    assert!(pausing.instances[1].state.is(InstanceState::ManuallyStopped));

    let all = cluster("F11h_cm_query_Cvidp_with_resource");
    let vip = |instance_id, state: &str| Resource { name: "vip_az1".to_owned(), instance_id, state: state.to_owned() };
    assert_eq!(all.resources, [vip(20001, "OnLine"), vip(20002, "OffLine")]);
    assert_eq!(all.cm_servers[1].instance_id, 2);
    let second = &all.instances[1];
    assert_eq!((second.instance_id, second.port, second.data_dir.as_deref()), (6002, Some(15400), Some(DIR)));
    assert!(second.role.is(InstanceRole::CascadeStandby));
    assert_eq!(second.detail.as_deref(), Some("System id not matched"));

    let gtm = text("F11_cm_query_Cv_normal").replace("[  Datanode", "[     GTM State     ]\n\n[  Datanode");
    let CmQuery::Cluster(distributed) = read_query(0, &gtm) else { panic!() };
    assert!(distributed.distributed);
}

#[test]
fn a_manager_that_does_not_answer_is_unreachable_also_behind_a_section_db_1() {
    for name in ["F11d_cm_unreachable_rc255", "F11i_cm_unreachable_after_section_rc255"] {
        let (status, text) = fixture(name);
        assert_eq!(read_query(status, text), CmQuery::Unreachable, "{name}");
        assert_eq!(read_switchover(status, text), CmSwitchover::Unreachable, "{name}");
        assert_eq!(read_stop(status, text), Outcome::Unreachable, "{name}");
    }
    let CmQuery::Unknown(_) = read_query(255, text("F11_cm_query_Cv_normal")) else { panic!("with status 255") };
}

#[test]
fn a_switchover_of_the_manager_that_is_incomplete_with_status_0_is_no_success_db_1() {
    assert_eq!(switchover("F11e_cm_switchover_ok"), CmSwitchover::Completed);
    let CmSwitchover::Incomplete(said) = switchover("F11j_cm_switchover_incomplete_rc0") else { panic!() };
    assert!(said.as_str().ends_with("only find 1 dn"));
    let CmSwitchover::Unknown(_) = read_switchover(255, text("F11e_cm_switchover_ok")) else { panic!("with 255") };
    let CmSwitchover::Unknown(_) = read_switchover(0, "......\n") else { panic!("with status 0 alone") };
    // The words of another program, or of a path, are not CM's.
    let CmSwitchover::Unknown(_) = read_switchover(0, "echo: switchover successfully.\n") else { panic!() };
}

#[test]
fn a_switchover_that_was_asked_for_and_not_seen_to_its_end_is_in_doubt_db_1() {
    let names =
        ["F11k_cm_switchover_timeout_rc253", "F11n_cm_switchover_not_now_rc253", "F11o_cm_switchover_candidate_rc255"];
    for name in names {
        let CmSwitchover::InDoubt(_) = switchover(name) else { panic!("{name}") };
    }
    // The same words before it was asked for have another status.
    let CmSwitchover::Refused(_) = read_switchover(255, text("F11n_cm_switchover_not_now_rc253")) else { panic!() };
}

#[test]
fn the_manager_refuses_while_commits_wait_for_no_standby_db_1() {
    assert_eq!(switchover("F11l_cm_switchover_most_available"), CmSwitchover::MostAvailableSync);
    let CmSwitchover::Refused(_) = switchover("F11m_cm_switchover_role_rc255") else { panic!() };
}

#[test]
fn the_other_verbs_of_the_manager_are_told_by_their_last_word_db_1() {
    let of = |name, read: fn(i32, &str) -> Outcome| {
        let (status, text) = fixture(name);
        read(status, text)
    };
    assert_eq!(of("F11p_cm_stop_instance_ok", read_stop), Outcome::Done);
    assert_eq!(of("F11r_cm_stop_cluster_partly_rc0", read_stop), Outcome::Partly);
    assert_eq!(of("F11s_cm_start_instance_ok", read_start), Outcome::Done);
    assert_eq!(of("F11u_cm_build_ok", read_build), Outcome::Done);
    assert_eq!(of("F11x_cm_pause_ok", read_pause), Outcome::Done);
    assert_eq!(of("F11y_cm_resume_ok", read_resume), Outcome::Done);
    for (name, read) in [
        ("F11q_cm_stop_instance_timeout", read_stop as fn(i32, &str) -> Outcome),
        ("F11t_cm_start_instance_timeout", read_start),
        ("F11v_cm_build_timeout_rc253", read_build),
    ] {
        let Outcome::InDoubt(_) = of(name, read) else { panic!("{name}") };
    }
    for (name, read) in
        [("F11w_cm_build_failed", read_build as fn(i32, &str) -> Outcome), ("F11z_cm_pause_refused", read_pause)]
    {
        let Outcome::Refused(_) = of(name, read) else { panic!("{name}") };
    }
    // One verb's success is not another's.
    let Outcome::Unknown(_) = of("F11p_cm_stop_instance_ok", read_start) else { panic!("stopped is not started") };
    let Outcome::Unknown(_) = of("F11x_cm_pause_ok", read_resume) else { panic!("paused is not resumed") };
    let Outcome::Unknown(_) = read_stop(255, text("F11p_cm_stop_instance_ok")) else { panic!("with status 255") };
    // A stop that was tried again, and then worked.
    let again = format!("{}....\ncm_ctl: stop cluster successfully.\n", text("F11q_cm_stop_instance_timeout"));
    assert_eq!(read_stop(0, &again), Outcome::Done);
}
