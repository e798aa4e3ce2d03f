//! What holds for all parsers: every fixture, misleading exit statuses, and texts that nobody wrote.

use proptest::prelude::*;

use super::{
    fixtures::{ALL, Fixture, fixture},
    *,
};

/// The verdict's name, as the JSON has it.
fn verdict(reading: &Reading) -> String {
    let json = serde_json::to_value(reading).unwrap();
    match &json["verdict"] {
        serde_json::Value::String(name) => name.clone(),
        serde_json::Value::Object(fields) => fields.keys().next().unwrap().clone(),
        other => panic!("{other}"),
    }
}

fn read(fixture: &Fixture) -> Option<Reading> {
    Some(fixture.tool?.read(fixture.status, fixture.text))
}

#[test]
fn every_fixture_is_recognised_and_means_what_it_should_db_1() {
    for fixture in ALL {
        assert_eq!(recognise(fixture.text), fixture.tool, "{}", fixture.name);
        let Some(reading) = read(fixture) else { continue };
        assert_eq!(verdict(&reading), fixture.verdict, "{}: {reading:?}", fixture.name);
        assert_eq!(reading.unknown().is_some(), fixture.verdict == "unknown", "{}", fixture.name);
        assert_eq!(Some(reading.tool()), fixture.tool);
    }
    // Each tool has one, and no file is forgotten.
    for tool in Tool::ALL {
        assert!(ALL.iter().any(|fixture| fixture.tool == Some(*tool)), "{}", tool.name());
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/gauss/fixtures");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.filter_map(|name| name.strip_suffix(".txt").map(str::to_owned)).collect();
    files.sort();
    let mut names: Vec<_> = ALL.iter().map(|fixture| fixture.name).collect();
    names.sort_unstable();
    assert_eq!(files, names);
}

#[test]
fn an_exit_status_that_misleads_is_not_believed_db_1() {
    for (tool, name, misleading, right) in [
        (Tool::Switchover, "F08_switchover_timeout_v6", 0, "timed-out"),
        (Tool::Switchover, "F08b_switchover_timeout_v5", 0, "timed-out"),
        (Tool::Start, "F09d_start_already_running_rc0", 0, "already-running"),
        (Tool::Start, "F09f_start_still_starting_rc0", 0, "still-starting"),
        (Tool::Start, "F09g_start_other_tool_rc0", 0, "other-tool-runs"),
        (Tool::Restart, "F09p_restart_refused_rc0", 0, "refused"),
        (Tool::Restart, "F09o_restart_old_one_stays", 0, "unknown"),
        (Tool::Stop, "F09k_stop_not_running", 1, "not-running"),
        (Tool::Query, "F05_query_offline", 0, "offline"),
        (Tool::Query, "F05b_query_offline_access_denied", 0, "offline"),
        (Tool::Query, "F05c_query_sql_failed_rc0", 0, "sql-failed"),
        (Tool::QueryBuild, "F06b_querybuild_failed", 0, "failed"),
        (Tool::Guc, "F09z_guc_no_instance_rc0", 0, "no-instance"),
        (Tool::OmStatus, "F10c_gs_om_status_detail_down", 0, "cluster"),
        (Tool::CmSwitchover, "F11j_cm_switchover_incomplete_rc0", 0, "incomplete"),
        (Tool::CmSwitchover, "F11k_cm_switchover_timeout_rc253", 253, "in-doubt"),
        (Tool::CmStop, "F11r_cm_stop_cluster_partly_rc0", 0, "partly"),
        (Tool::Validate, "F12m_probackup_validate_skipped_rc0", 0, "skipped"),
        (Tool::Dump, "F12p_gs_dump_file_exists_rc0", 0, "file-exists"),
        (Tool::RestoreDump, "F12c_gs_restore_with_errors_rc1", 1, "with-errors"),
        (Tool::Sql, "F12u_gsql_read_only_c", 0, "errors"),
    ] {
        let (status, text) = fixture(name);
        assert_eq!(status, misleading, "{name}");
        assert_eq!(verdict(&tool.read(status, text)), right, "{name}");
    }
}

/// Verdicts that somebody would go on from.
const SUCCESSES: [&str; 23] = [
    "online",
    "down",
    "completed",
    "started",
    "stopped",
    "not-running",
    "restarted",
    "already-running",
    "building",
    "done",
    "cluster",
    "summary",
    "generated",
    "not-needed",
    "catalogue",
    "valid",
    "dumped",
    "restored",
    "version",
    "refused",
    "refused-runs-as",
    "most-available-sync",
    "other-tool-runs",
];

#[test]
fn no_exit_status_alone_makes_a_verdict_db_1() {
    for tool in Tool::ALL {
        for status in [0, 1, 2, 3, 127, 253, 255, -1] {
            for text in ["", "\n", "\r\n", "done\n", "OK\n", "success", "bash: gs_ctl: command not found\n"] {
                let reading = tool.read(status, text);
                // gsql has no word for a statement that worked; its reading says so.
                let quiet = *tool == Tool::Sql && status == 0 && verdict(&reading) == "no-error";
                assert!(reading.unknown().is_some() || quiet, "{} {status} {text:?}: {reading:?}", tool.name());
            }
        }
    }
}

#[test]
fn a_verdict_to_go_on_from_needs_an_exit_status_of_its_own_db_1() {
    for fixture in ALL {
        let Some(tool) = fixture.tool else { continue };
        let with = |status: i32| verdict(&tool.read(status, fixture.text));
        // Ended by a limit of ours, by a signal, or by a shell: none of the tools' own.
        for status in [2, 124, 127, 137] {
            let verdict = with(status);
            assert!(!SUCCESSES.contains(&verdict.as_str()), "{} with {status}: {verdict}", fixture.name);
        }
        // What refuses may have either status, and changes nothing in either case.
        let either = ["other-tool-runs", "refused", "not-running"].contains(&fixture.verdict);
        if fixture.status == 0 && !either {
            assert!(!SUCCESSES.contains(&with(1).as_str()), "{} with 1", fixture.name);
        }
    }
}

#[test]
fn text_of_one_tool_is_no_success_of_another_db_1() {
    let family = |tool: Tool| tool.name().split(' ').next().unwrap_or_default();
    for fixture in ALL {
        let Some(own) = fixture.tool else { continue };
        for tool in Tool::ALL.iter().filter(|tool| family(own) != family(**tool)) {
            let verdict = verdict(&tool.read(fixture.status, fixture.text));
            // The overview of gs_om and of CM is one format, a lock is the same for every tool, and gsql says nothing of
            // success.
            let shared = verdict == "cluster" && fixture.verdict == "cluster";
            let silent = verdict == "other-tool-runs" || *tool == Tool::Sql;
            let success = SUCCESSES.contains(&verdict.as_str());
            assert!(shared || silent || !success, "{} read as {}: {verdict}", fixture.name, tool.name());
        }
    }
}

/// What tools of other versions may print in between, one line each.
const NOISE: [&str; 6] = [
    "LOG:  database system is ready to accept connections",
    "gs_ctl: log file count 51, exceeds 50, remove the oldest ones",
    "gs_ctl: remove log file /var/log/omm/bin/gs_ctl/gs_ctl-1.log successfully, remain 50 files",
    "[2024-05-14 10:21:07.400][20811][dn_6001][gs_ctl]: a line of a version to come",
    "\tnew_field                      : 7",
    "new_key         : Maybe",
];

/// Whether a line between the others may change what is carried as text: what a person is shown, and nothing else.
fn carries_text(verdict: &str) -> bool {
    [
        "offline",
        "sql-failed",
        "failed",
        "not-started",
        "unknown",
        "incomplete",
        "in-doubt",
        "refused",
        "corrupt",
        "skipped",
        "errors",
    ]
    .contains(&verdict)
}

fn any_fixture() -> impl Strategy<Value = &'static Fixture> {
    let with_tool: Vec<&'static Fixture> = ALL.iter().filter(|fixture| fixture.tool.is_some()).collect();
    prop::sample::select(with_tool)
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn carriage_returns_and_a_missing_last_line_break_change_nothing_db_1(fixture in any_fixture(), cut in any::<bool>()) {
        let mut text = fixture.text.replace('\n', "\r\n");
        if cut {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        prop_assert_eq!(recognise(&text), fixture.tool);
        prop_assert_eq!(fixture.tool.map(|tool| tool.read(fixture.status, &text)), read(fixture));
    }

    #[test]
    fn rows_and_lines_of_other_versions_change_no_verdict_db_1(
        fixture in any_fixture(),
        noise in prop::sample::select(NOISE.as_slice()),
        at in any::<prop::sample::Index>(),
    ) {
        let mut lines: Vec<&str> = fixture.text.lines().collect();
        // A document is one text.
        let at = if fixture.tool == Some(Tool::Show) { 0 } else { at.index(lines.len() + 1) };
        lines.insert(at, noise);
        let text = lines.join("\n") + "\n";
        let (Some(tool), Some(before)) = (fixture.tool, read(fixture)) else { return Ok(()) };
        let after = tool.read(fixture.status, &text);
        prop_assert_eq!(verdict(&after), fixture.verdict, "{}", &text);
        if !carries_text(fixture.verdict) {
            prop_assert_eq!(after, before, "{}", &text);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic_db_1(bytes in prop::collection::vec(any::<u8>(), 0..400), status in -2..260) {
        let text = String::from_utf8_lossy(&bytes);
        recognise(&text);
        for tool in Tool::ALL {
            tool.read(status, &text);
        }
    }

    #[test]
    fn pieces_of_real_texts_in_any_order_are_read_without_a_panic_db_1(
        pieces in prop::collection::vec((any_fixture(), any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..5),
        status in prop_oneof![Just(0), Just(1), Just(253), Just(255)],
    ) {
        let piece = |(fixture, from, to): &(&Fixture, prop::sample::Index, prop::sample::Index)| {
            let (from, to) = (from.index(fixture.text.len() + 1), to.index(fixture.text.len() + 1));
            fixture.text.get(from.min(to)..from.max(to)).unwrap_or_default()
        };
        let text: String = pieces.iter().map(piece).collect();
        recognise(&text);
        for tool in Tool::ALL {
            // A text is in the JSON of every reading, so writing it is part of reading it.
            serde_json::to_string(&tool.read(status, &text)).unwrap();
        }
    }
}
