//! What the tools print, with the exit status it came with and what it means; for tests.

use super::Tool;

/// The data directory in them.
pub(super) const DIR: &str = "/opt/huawei/install/data/dn";

/// One text.
#[derive(Debug)]
pub(super) struct Fixture {
    /// Its file's name.
    pub(super) name: &'static str,
    /// The exit status that it comes with.
    pub(super) status: i32,
    /// The tool that it shows itself to be of.
    pub(super) tool: Option<Tool>,
    /// The verdict's name.
    pub(super) verdict: &'static str,
    /// What was printed.
    pub(super) text: &'static str,
}

macro_rules! fixtures {
    ($($name:literal $status:literal $tool:expr, $verdict:literal;)+) => {
        /// All of them.
        pub(super) const ALL: &[Fixture] = &[$(Fixture {
            name: $name,
            status: $status,
            tool: $tool,
            verdict: $verdict,
            text: include_str!(concat!("fixtures/", $name, ".txt")),
        }),+];
    };
}

fixtures! {
    "F01_query_primary" 0 Some(Tool::Query), "online";
    "F01b_query_primary_alone" 0 Some(Tool::Query), "online";
    "F01c_query_primary_two_standbys" 0 Some(Tool::Query), "online";
    "F02_query_standby" 0 Some(Tool::Query), "online";
    "F02b_query_standby_with_cascade" 0 Some(Tool::Query), "online";
    "F02c_query_cascade" 0 Some(Tool::Query), "online";
    "F02d_query_pending" 0 Some(Tool::Query), "online";
    "F02e_query_normal_mode" 0 Some(Tool::Query), "online";
    "F02f_query_old_capitals" 0 Some(Tool::Query), "online";
    "F03_query_standby_need_repair" 0 Some(Tool::Query), "online";
    "F03b_query_standby_connecting" 0 Some(Tool::Query), "online";
    "F04_query_down" 1 Some(Tool::Query), "down";
    "F04b_query_stale_pid" 1 Some(Tool::Query), "down";
    "F04c_query_foreign_pid" 1 Some(Tool::Query), "down";
    "F04d_query_no_state_file" 1 Some(Tool::Query), "offline";
    "F05_query_offline" 0 Some(Tool::Query), "offline";
    "F05b_query_offline_access_denied" 0 Some(Tool::Query), "offline";
    "F05c_query_sql_failed_rc0" 0 Some(Tool::Query), "sql-failed";
    "F05d_query_paxos" 0 Some(Tool::Query), "paxos";
    "F06_querybuild_building" 0 Some(Tool::QueryBuild), "building";
    "F06b_querybuild_failed" 0 Some(Tool::QueryBuild), "failed";
    "F06c_querybuild_completed" 0 Some(Tool::QueryBuild), "completed";
    "F06d_querybuild_incremental_unknown_end" 0 Some(Tool::QueryBuild), "building";
    "F07_switchover_ok" 0 Some(Tool::Switchover), "completed";
    "F07b_switchover_already_primary" 0 Some(Tool::Switchover), "completed";
    "F07c_switchover_not_a_standby" 1 Some(Tool::Switchover), "refused";
    "F07d_switchover_other_tool" 1 Some(Tool::Switchover), "other-tool-runs";
    "F07e_switchover_no_server" 1 Some(Tool::Switchover), "refused";
    "F07f_switchover_smart_refused" 1 Some(Tool::Switchover), "refused";
    "F08_switchover_timeout_v6" 0 Some(Tool::Switchover), "timed-out";
    "F08b_switchover_timeout_v5" 0 Some(Tool::Switchover), "timed-out";
    "F08c_failover_ok" 0 Some(Tool::Failover), "completed";
    "F08d_failover_failed" 1 Some(Tool::Failover), "failed";
    "F09_build_full_ok" 0 Some(Tool::Build), "completed";
    "F09b_build_full_failed" 1 Some(Tool::Build), "failed";
    "F09c_start_ok" 0 Some(Tool::Start), "started";
    "F09d_start_already_running_rc0" 0 Some(Tool::Start), "already-running";
    "F09e_stop_ok" 0 Some(Tool::Stop), "stopped";
    "F09f_start_still_starting_rc0" 0 Some(Tool::Start), "still-starting";
    "F09g_start_other_tool_rc0" 0 Some(Tool::Start), "other-tool-runs";
    "F09h_start_failed" 1 Some(Tool::Start), "failed";
    "F09i_start_no_answer" 1 Some(Tool::Start), "failed";
    "F09j_tool_lock" 1 None, "";
    "F09k_stop_not_running" 1 Some(Tool::Stop), "not-running";
    "F09l_stop_still_running" 1 Some(Tool::Stop), "still-running";
    "F09m_restart_ok" 0 Some(Tool::Restart), "restarted";
    "F09n_restart_was_down" 0 Some(Tool::Restart), "started";
    "F09o_restart_old_one_stays" 0 Some(Tool::Restart), "unknown";
    "F09p_restart_refused_rc0" 0 Some(Tool::Restart), "refused";
    "F09q_build_full_ok_v2" 0 Some(Tool::Build), "completed";
    "F09r_build_refused_primary" 1 Some(Tool::Build), "refused-runs-as";
    "F09s_build_failed_midway" 1 Some(Tool::Build), "failed";
    "F09t_build_not_started" 1 Some(Tool::Build), "not-started";
    "F09u_build_incremental_ok" 0 Some(Tool::Build), "completed";
    "F09v_build_auto_falls_back" 0 Some(Tool::Build), "completed";
    "F09w_build_other_tool" 1 Some(Tool::Build), "other-tool-runs";
    "F09x_guc_ok" 0 Some(Tool::Guc), "done";
    "F09y_guc_failed" 1 Some(Tool::Guc), "failed";
    "F09z_guc_no_instance_rc0" 0 Some(Tool::Guc), "no-instance";
    "F10_gs_om_status_detail_normal" 0 Some(Tool::OmStatus), "cluster";
    "F10b_gs_om_status_detail_degraded" 0 Some(Tool::OmStatus), "cluster";
    "F10c_gs_om_status_detail_down" 0 Some(Tool::OmStatus), "cluster";
    "F10d_gs_om_status_one_line_v2" 0 Some(Tool::OmStatus), "cluster";
    "F10e_gs_om_status_summary" 0 Some(Tool::OmStatus), "summary";
    "F10f_gs_om_status_no_az_header_runs_together" 0 Some(Tool::OmStatus), "cluster";
    "F10g_gs_om_error" 1 None, "";
    "F10h_gs_om_cascade_and_promoting" 0 Some(Tool::OmStatus), "cluster";
    "F10i_refreshconf_ok" 0 Some(Tool::OmRefresh), "generated";
    "F10j_refreshconf_one_node" 0 Some(Tool::OmRefresh), "not-needed";
    "F10k_refreshconf_failed" 1 Some(Tool::OmRefresh), "failed";
    "F11_cm_query_Cv_normal" 0 Some(Tool::CmQuery), "cluster";
    "F11b_cm_query_Cvw_building" 0 Some(Tool::CmQuery), "cluster";
    "F11c_cm_query_switched" 0 Some(Tool::CmQuery), "cluster";
    "F11d_cm_unreachable_rc255" 255 Some(Tool::CmQuery), "unreachable";
    "F11e_cm_switchover_ok" 0 Some(Tool::CmSwitchover), "completed";
    "F11f_cm_query_etcd" 0 Some(Tool::CmQuery), "cluster";
    "F11g_cm_query_pausing" 0 Some(Tool::CmQuery), "cluster";
    "F11h_cm_query_Cvidp_with_resource" 0 Some(Tool::CmQuery), "cluster";
    "F11i_cm_unreachable_after_section_rc255" 255 Some(Tool::CmQuery), "unreachable";
    "F11j_cm_switchover_incomplete_rc0" 0 Some(Tool::CmSwitchover), "incomplete";
    "F11k_cm_switchover_timeout_rc253" 253 Some(Tool::CmSwitchover), "in-doubt";
    "F11l_cm_switchover_most_available" 255 Some(Tool::CmSwitchover), "most-available-sync";
    "F11m_cm_switchover_role_rc255" 255 Some(Tool::CmSwitchover), "refused";
    "F11n_cm_switchover_not_now_rc253" 253 Some(Tool::CmSwitchover), "in-doubt";
    "F11o_cm_switchover_candidate_rc255" 255 Some(Tool::CmSwitchover), "in-doubt";
    "F11p_cm_stop_instance_ok" 0 Some(Tool::CmStop), "done";
    "F11q_cm_stop_instance_timeout" 255 Some(Tool::CmStop), "in-doubt";
    "F11r_cm_stop_cluster_partly_rc0" 0 Some(Tool::CmStop), "partly";
    "F11s_cm_start_instance_ok" 0 Some(Tool::CmStart), "done";
    "F11t_cm_start_instance_timeout" 255 Some(Tool::CmStart), "in-doubt";
    "F11u_cm_build_ok" 0 Some(Tool::CmBuild), "done";
    "F11v_cm_build_timeout_rc253" 253 Some(Tool::CmBuild), "in-doubt";
    "F11w_cm_build_failed" 255 Some(Tool::CmBuild), "refused";
    "F11x_cm_pause_ok" 0 Some(Tool::CmPause), "done";
    "F11y_cm_resume_ok" 0 Some(Tool::CmResume), "done";
    "F11z_cm_pause_refused" 255 None, "";
    "F12_gs_dump_ok_v6" 0 Some(Tool::Dump), "dumped";
    "F12b_gs_dump_standby_rc1" 1 Some(Tool::Dump), "refused-on-standby";
    "F12c_gs_restore_with_errors_rc1" 1 Some(Tool::RestoreDump), "with-errors";
    "F12d_probackup_show_json_v6" 0 Some(Tool::Show), "catalogue";
    "F12e_probackup_show_json_v5" 0 Some(Tool::Show), "catalogue";
    "F12f_gsql_lock_timeout_stderr" 3 Some(Tool::Sql), "errors";
    "F12g_probackup_backup_ok" 0 Some(Tool::TakeBackup), "completed";
    "F12h_probackup_backup_standby_not_validated" 0 Some(Tool::TakeBackup), "completed";
    "F12i_probackup_backup_failed" 1 Some(Tool::TakeBackup), "failed";
    "F12j_probackup_validate_ok" 0 Some(Tool::Validate), "valid";
    "F12k_probackup_validate_corrupt" 1 Some(Tool::Validate), "corrupt";
    "F12l_probackup_validate_all_corrupt" 1 Some(Tool::Validate), "corrupt";
    "F12m_probackup_validate_skipped_rc0" 0 Some(Tool::Validate), "skipped";
    "F12n_probackup_restore_ok" 0 Some(Tool::RestoreBackup), "completed";
    "F12o_probackup_restore_not_empty" 1 Some(Tool::RestoreBackup), "not-empty";
    "F12p_gs_dump_file_exists_rc0" 0 Some(Tool::Dump), "file-exists";
    "F12q_gs_dump_ok_v2" 0 Some(Tool::Dump), "dumped";
    "F12r_gs_restore_ok" 0 Some(Tool::RestoreDump), "restored";
    "F12s_basebackup_ok" 0 Some(Tool::BaseBackup), "completed";
    "F12t_basebackup_not_empty" 1 Some(Tool::BaseBackup), "not-empty";
    "F12u_gsql_read_only_c" 0 Some(Tool::Sql), "errors";
    "F12v_gsql_connect_failed" 2 Some(Tool::Sql), "errors";
    "F12w_gsql_statement_timeout" 3 Some(Tool::Sql), "errors";
    "F12x_gsql_verbose_waiter" 3 Some(Tool::Sql), "errors";
    "F12y_gsql_lost" 2 Some(Tool::Sql), "errors";
    "F12z_gsql_disk_full" 3 Some(Tool::Sql), "errors";
    "F13_version_tool" 0 Some(Tool::Version), "version";
    "F13b_version_tool_gaussdb" 0 Some(Tool::Version), "version";
    "F13c_version_server_v5" 0 Some(Tool::Version), "version";
    "F13d_version_server_v1" 0 Some(Tool::Version), "version";
    "F13e_version_server_gaussdb_507" 0 Some(Tool::Version), "version";
}

/// The status and the text of one.
pub(super) fn fixture(name: &str) -> (i32, &'static str) {
    let found = ALL.iter().find(|fixture| fixture.name == name).unwrap();
    (found.status, found.text)
}

/// The text alone.
pub(super) fn text(name: &str) -> &'static str {
    fixture(name).1
}
