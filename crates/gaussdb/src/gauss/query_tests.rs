//! What gs_ctl says of a server, read from fixtures.

use super::{
    fixtures::{fixture, text},
    query::*,
    words::{DbState, Detail, PeerRole, Role, SenderState, SyncState, Word},
};
use crate::Lsn;

fn of(name: &str) -> Query {
    let (status, text) = fixture(name);
    read(status, text)
}

fn online(name: &str) -> Online {
    let Query::Online(online) = of(name) else { panic!("{name}") };
    *online
}

#[test]
fn a_primary_is_read_with_everyone_who_receives_from_it_db_1() {
    let one = online("F01_query_primary");
    assert!(one.is_well_primary() && !one.is_well_standby());
    assert_eq!((one.static_connections, one.repair(), &one.receiver), (Some(1), None, &None));
    let all = Some(Lsn(0x0400_0148));
    let locations = Locations {
        sender_sent: all,
        sender_write: all,
        sender_flush: all,
        sender_replay: all,
        receiver_received: all,
        receiver_write: all,
        receiver_flush: all,
        receiver_replay: all,
    };
    let sender = Sender {
        sender_pid: Some(15464),
        peer_role: Word::Known(PeerRole::Standby),
        peer_state: Word::Known(DbState::Normal),
        state: Word::Known(SenderState::Streaming),
        locations,
        sync_percent: Some(100),
        sync_state: Word::Known(SyncState::Sync),
        sync_priority: Some(1),
        sync_most_available: Some(false),
        channel: "192.0.2.11:15401-->192.0.2.12:35446".to_owned(),
    };
    assert_eq!(one.senders, [sender]);

    let two = online("F01c_query_primary_two_standbys");
    let states: Vec<_> = two.senders.iter().map(|one| (one.state.to_string(), one.sync_percent)).collect();
    assert_eq!(states, [("Streaming".to_owned(), Some(100)), ("Catchup".to_owned(), Some(78))]);
    assert_eq!(two.senders[0].locations.receiver_replay.unwrap().to_string(), "1/2EFFF0A8");
    assert_eq!(two.senders[1].sync_most_available, Some(true));
    assert!(online("F01b_query_primary_alone").senders.is_empty());
}

#[test]
fn every_other_part_that_a_server_plays_is_read_db_1() {
    let standby = online("F02_query_standby");
    assert!(standby.is_well_standby() && standby.senders.is_empty());
    let receiver = standby.receiver.unwrap();
    assert_eq!((receiver.receiver_pid, receiver.sync_percent), (Some(15424), Some(100)));
    assert_eq!(receiver.locations.receiver_replay, Some(Lsn(0x0400_0148)));

    let both = online("F02b_query_standby_with_cascade");
    assert!(both.is_well_standby() && both.senders[0].peer_role.is(PeerRole::CascadeStandby));
    let cascade = online("F02c_query_cascade");
    assert_eq!(cascade.local_role, Role::CascadeStandby);
    assert!(!cascade.is_well_standby() && cascade.receiver.is_some_and(|from| from.peer_role.is(PeerRole::Standby)));
    let pending = online("F02d_query_pending");
    assert_eq!((pending.local_role, pending.detail), (Role::Pending, Word::Known(Detail::Disconnected)));
    assert_eq!(online("F02e_query_normal_mode").local_role, Role::Normal);
    assert!(online("F02f_query_old_capitals").is_well_standby());
}

#[test]
fn a_standby_that_needs_repair_says_whether_it_passes_db_1() {
    assert_eq!(online("F03_query_standby_need_repair").repair(), Some(Repair::Rebuild));
    assert_eq!(online("F03b_query_standby_connecting").repair(), Some(Repair::Wait));
    for (detail, repair) in [
        ("Disconnected", Repair::Wait),
        ("System id not matched", Repair::Rebuild),
        ("Timeline not matched", Repair::Rebuild),
        ("Version not matched", Repair::Rebuild),
        ("Mode not matched", Repair::Look),
        ("Disk on fire", Repair::Look),
    ] {
        let text = text("F03_query_standby_need_repair").replace("WAL segment removed", detail);
        let Query::Online(online) = read(0, &text) else { panic!("{detail}") };
        assert_eq!(online.repair(), Some(repair), "{detail}");
    }
}

#[test]
fn a_server_that_does_not_run_is_down_by_text_and_status_db_1() {
    assert_eq!(of("F04_query_down"), Query::Down(Down::NoPidFile));
    assert_eq!(of("F04b_query_stale_pid"), Query::Down(Down::StalePid(4711)));
    assert_eq!(of("F04c_query_foreign_pid"), Query::Down(Down::ForeignPid));
    for name in ["F04_query_down", "F04b_query_stale_pid", "F04c_query_foreign_pid"] {
        let Query::Unknown(_) = read(0, text(name)) else { panic!("{name} with status 0") };
    }
    // The next message follows on the line of the one without a line break.
    let noisy = format!("{}[2024-05-14 10:21:07.312][20811][][gs_ctl]: bye\n", text("F04b_query_stale_pid"));
    assert_eq!(read(1, &noisy), Query::Down(Down::StalePid(4711)));
    assert_eq!(of("F09j_tool_lock"), Query::OtherToolRuns);
    let Query::Unknown(said) = read(1, " cannot be run as root\n") else { panic!() };
    assert_eq!(said.as_str(), "cannot be run as root");
}

#[test]
fn the_view_of_the_state_file_is_no_servers_answer_db_1() {
    let Query::Offline(Some(last)) = of("F05_query_offline") else { panic!() };
    assert_eq!((last.last_role, last.last_db_state), (Role::Standby, DbState::Starting));
    let why = "could not connect to server: Connection refused\n\
               Is the server running on host \"192.0.2.12\" and accepting\n\
               TCP/IP connections on port 15401?";
    assert_eq!(last.why.as_str(), why);
    // It may even say that a primary is well.
    let Query::Offline(Some(last)) = of("F05b_query_offline_access_denied") else { panic!() };
    assert_eq!((last.last_role, last.why.as_str()), (Role::Primary, "Access denied"));
    assert_eq!(of("F04d_query_no_state_file"), Query::Offline(None));
    let Query::SqlFailed(_) = of("F05c_query_sql_failed_rc0") else { panic!() };
    assert_eq!(of("F05d_query_paxos"), Query::Paxos(Role::Primary));
}

#[test]
fn a_question_that_failed_is_not_an_empty_answer_db_1() {
    let whole = text("F01b_query_primary_alone");
    let failed = whole.replacen("No information ", "[2024-05-14 10:21:07.312][20811][][gs_ctl]: exc_sql failed.", 1);
    let Query::SqlFailed(_) = read(0, &failed) else { panic!() };
}

#[test]
fn words_that_no_version_prints_where_they_decide_are_refused_db_1() {
    let whole = text("F01_query_primary");
    for (from, to) in [
        ("local_role                     : Primary\n\tstatic", "local_role                     : Leader\n\tstatic"),
        ("db_state                       : Normal", "db_state                       : Fine"),
        ("0/4000148", "four"),
        ("100%", "100"),
        (" Senders info:       \n", ""),
        ("peer_role", "peer_roll"),
        ("No information ", ""),
        (" Receiver info:", " HA state:"),
    ] {
        let Query::Unknown(_) = read(0, &whole.replace(from, to)) else { panic!("{from:?} to {to:?}") };
    }
    // What is not told is not refused: without administrator's rights the positions are empty.
    let Query::Online(blind) = read(0, &whole.replace("0/4000148", "")) else { panic!() };
    assert_eq!(blind.senders[0].locations.receiver_replay, None);
}

#[test]
fn an_answer_that_is_cut_off_is_never_a_smaller_answer_db_1() {
    for name in ["F01_query_primary", "F01c_query_primary_two_standbys", "F02b_query_standby_with_cascade"] {
        let whole = online(name);
        let text = text(name);
        for end in 0..text.len() {
            match read(0, &text[..end]) {
                Query::Online(cut) => {
                    assert_eq!((cut.local_role, cut.db_state), (whole.local_role, whole.db_state), "{name} to {end}");
                    assert_eq!(cut.senders, whole.senders, "{name} to {end}");
                    assert_eq!(cut.receiver.is_some(), whole.receiver.is_some(), "{name} to {end}");
                }
                Query::Unknown(_) => {}
                other => panic!("{name} to {end}: {other:?}"),
            }
        }
    }
}
