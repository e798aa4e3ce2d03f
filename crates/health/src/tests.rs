//! The definition and the text it is read from, without a machine.

use std::time::Duration;

use rollup_engine::Subject;
use rollup_model::{Inventory, NodeName, Severity};

use crate::{
    DatabaseAnswer, HealthFacts, HealthSubject, checks, definition,
    facts::{self, Process},
    problems,
};

/// As the probe prints it on Debian 12; the sockets are those of a Java service (IPv6) and a Python one.
const TEXT: &str = r#"
socket    0: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1
socket    1: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0 0 0
unit orders-api.service LoadState=loaded ActiveState=active SubState=running UnitFileState=enabled NRestarts=0 MainPID=70 ActiveEnterTimestampMonotonic=90000000 | 
unit postgresql.service LoadState=loaded ActiveState=active SubState=running UnitFileState=enabled NRestarts=1 MainPID=80 ActiveEnterTimestampMonotonic=50000000 | 
unit keepalived.service LoadState=loaded ActiveState=active SubState=running UnitFileState=enabled NRestarts=0 MainPID=812 ActiveEnterTimestampMonotonic=50000000 | 
keepalived 812 (keepalived) S 1 812 812 0 -1 4194560 1029
keepalived 815 (keepalived) S 812 812 812 0 -1 4194624 2
database answered S
url http://127.0.0.1:8080/health 200 {"status":"UP","node":"a"}
uptime 100.00
"#;

pub(crate) fn inventory() -> Inventory {
    rollup_model::inventory::load(
        "cluster={name='o'}\nnodes=[{name='a',host='1'},{name='b',host='2'}]\nvip={address='10.0.0.9'}\n\
         database={engine='postgresql',data_dir='/d',unit='postgresql.service',name='o'}\n\
         service={units=['orders-api.service'],ports=[8080,8081],health_urls=['http://127.0.0.1:8080/health']}\n",
    )
    .unwrap()
}

fn node() -> NodeName {
    NodeName::new("a").unwrap()
}

fn read(text: &str) -> HealthFacts {
    HealthSubject.parse(text, &inventory()).unwrap()
}

/// Every bad part: which kind, and its reason.
fn bad(facts: &HealthFacts) -> Vec<(String, String)> {
    let found = problems(&inventory(), &node(), facts, "UPG-6").into_iter();
    found.filter(|finding| finding.severity == Severity::Error).map(|finding| (finding.id, finding.found)).collect()
}

fn pair(id: &str, found: &str) -> (String, String) {
    (id.to_owned(), found.to_owned())
}

#[test]
fn a_healthy_node_is_asked_for_everything_and_all_of_it_is_good_hlt_1() {
    let checks = checks(&inventory(), &read(TEXT));
    let names: Vec<_> = checks.iter().map(|check| (check.name.as_str(), check.ok)).collect();
    assert_eq!(
        names,
        [
            ("unit orders-api.service", true),
            ("port 8080", true),
            ("port 8081", true),
            ("http://127.0.0.1:8080/health", true),
            ("unit postgresql.service", true),
            ("database on port 5432", true),
            ("unit keepalived.service", true),
        ]
    );
}

#[test]
fn an_unhealthy_node_says_what_is_wrong_in_its_own_words_upg_6() {
    let text = TEXT
        .replace("0100007F:1F91", "0100007F:1F92")
        .replace(
            "ActiveState=active SubState=running UnitFileState=enabled NRestarts=0 MainPID=70",
            "ActiveState=failed SubState=failed UnitFileState=enabled NRestarts=3 MainPID=0",
        )
        .replace("=90000000 | ", "=90000000 | Caused by: no key")
        .replace("200 {\"status\":\"UP\",\"node\":\"a\"}", "503 {\"status\":\"starting\"}");
    assert_eq!(
        bad(&read(&text)),
        [
            pair("health.unit", "failed (failed): Caused by: no key"),
            pair("health.port", "nothing listens"),
            pair("health.url", "HTTP 503 {\"status\":\"starting\"}"),
        ]
    );
    let missing = TEXT.replace(
        "LoadState=loaded ActiveState=active SubState=running UnitFileState=enabled NRestarts=0 MainPID=70",
        "LoadState=not-found ActiveState=inactive SubState=dead UnitFileState= NRestarts=0 MainPID=0",
    );
    assert_eq!(bad(&read(&missing)), [pair("health.unit", "inactive (dead), there is no such unit")]);
    let refused = TEXT.replace("200 {\"status\":\"UP\",\"node\":\"a\"}", "000 curl: (7) Failed to connect");
    assert_eq!(bad(&read(&refused)), [pair("health.url", "curl: (7) Failed to connect")]);
}

#[test]
fn a_unit_that_systemd_restarts_is_healthy_only_after_it_has_run_for_a_while_upg_6() {
    // The soak of the inventory: three looks in thirty seconds.
    let restarted = |moment: &str| {
        let old = "NRestarts=0 MainPID=70 ActiveEnterTimestampMonotonic=90000000";
        bad(&read(&TEXT.replace(old, &format!("NRestarts=2 MainPID=70 ActiveEnterTimestampMonotonic={moment}"))))
    };
    let found = "active (running), restarted by systemd 2 times, the last time 9.9s ago";
    assert_eq!(restarted("90100000"), [pair("health.unit", found)]);
    assert_eq!(restarted("90000000"), []);
    // One that somebody started a moment ago has not been restarted.
    let started = TEXT.replace(
        "MainPID=70 ActiveEnterTimestampMonotonic=90000000",
        "MainPID=70 ActiveEnterTimestampMonotonic=99000000",
    );
    assert_eq!(bad(&read(&started)), []);
}

#[test]
fn a_unit_started_anew_between_two_good_looks_is_seen_upg_6() {
    let (inventory, node) = (inventory(), node());
    let now = read(TEXT);
    let restarted = |before: &HealthFacts| {
        let found = definition::restarted(&inventory, &node, before, &now, "UPG-6").into_iter();
        found.map(|finding| (finding.id, finding.found)).collect::<Vec<_>>()
    };
    assert_eq!(restarted(&now), []);
    let was = |from: &str, to: &str| read(&TEXT.replace(from, to));
    let before = was("=90000000", "=20000000");
    assert_eq!(restarted(&before), [pair("health.unit", "started anew 10s ago, while it was watched")]);
    let before =
        was("MainPID=80 ActiveEnterTimestampMonotonic=50000000", "MainPID=9 ActiveEnterTimestampMonotonic=4000000");
    assert_eq!(restarted(&before), [pair("health.database", "started anew 50s ago, while it was watched")]);
    // It was down at the look before: that look was bad, and said so.
    let before = was(
        "ActiveState=active SubState=running UnitFileState=enabled NRestarts=0 MainPID=70",
        "ActiveState=inactive SubState=dead UnitFileState=enabled NRestarts=0 MainPID=0",
    );
    assert_eq!(restarted(&before), []);
}

#[test]
fn a_database_that_accepts_and_does_not_answer_is_not_healthy_hlt_1() {
    let answers = |words: &str| bad(&read(&TEXT.replace("answered S", words)));
    assert_eq!(answers("answered N"), []);
    assert_eq!(answers("silent"), [pair("health.database", "no answer within 2s")]);
    assert_eq!(answers("refused"), [pair("health.database", "connection refused")]);
    assert_eq!(answers("answered "), [pair("health.database", "connection closed without an answer")]);
    assert_eq!(answers("answered EFATAL"), [pair("health.database", "an unknown answer: EFATAL")]);
    assert_eq!(DatabaseAnswer::of(b"HTTP/1.1 400\r\n\0x"), DatabaseAnswer::Other("HTTP/1.1 400 x".to_owned()));
}

#[test]
fn keepalived_is_its_processes_and_not_only_what_systemd_calls_it_hlt_1() {
    let replaced = |from: &str, to: &str| bad(&read(&TEXT.replace(from, to)));
    assert_eq!(
        replaced("815 (keepalived) S", "815 (keepalived) T"),
        [pair("health.keepalived", "active (running), but process 815 is stopped and sends no adverts")]
    );
    assert_eq!(
        replaced("815 (keepalived) S", "815 (keepalived) Z"),
        [pair("health.keepalived", "active (running), but process 815 is dead")]
    );
    let none: String =
        TEXT.lines().filter(|line| !line.starts_with("keepalived ")).map(|line| format!("{line}\n")).collect();
    assert_eq!(bad(&read(&none)), [pair("health.keepalived", "active (running), but it has no process")]);
    let odd = Process::read("7 (a) b) R) T 1 2").unwrap();
    assert_eq!((odd.pid, odd.state), (7, 'T'), "a name may hold anything");
}

#[test]
fn what_systemd_does_not_say_in_time_is_not_healthy_hlt_1() {
    let line = TEXT.lines().find(|line| line.starts_with("unit orders")).unwrap();
    let text = TEXT.replace(line, "unit orders-api.service unknown | ");
    assert_eq!(bad(&read(&text)), [pair("health.unit", "unknown: no answer within 2s")]);
    let text = TEXT.replace(line, "unit orders-api.service unknown | Failed to connect to bus");
    assert_eq!(bad(&read(&text)), [pair("health.unit", "unknown: Failed to connect to bus")]);
}

#[test]
fn only_what_is_about_the_service_can_be_accepted_upg_8() {
    let ids = ["health.unit", "health.port", "health.url", "health.database", "health.keepalived", "vip.split"];
    assert_eq!(ids.map(definition::acceptable), [true, true, true, false, false, false]);
}

#[test]
fn what_systemctl_prints_on_the_node_reads_like_what_the_probe_prints_hlt_1() {
    // As systemd 252 prints it: in an order of its own, a blank line between units.
    let shown = "MainPID=70\nNRestarts=2\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n\
                 ActiveEnterTimestampMonotonic=90000000\n\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n\
                 UnitFileState=\nActiveEnterTimestampMonotonic=0\n";
    let names = ["a.service".to_owned(), "b.target".to_owned()];
    let units = facts::units(&names, shown).unwrap();
    assert_eq!((units[0].restarts, units[0].main_pid, units[0].since), (2, 70, Duration::from_secs(90)));
    assert_eq!((units[1].load.as_str(), units[1].active.as_str()), ("not-found", "inactive"));
    assert!(facts::units(&names[..1], shown).is_err(), "more units than were asked for");
}

#[test]
fn text_that_is_no_health_report_is_an_error() {
    for text in ["", "bash: ss: command not found\n", "uptime x\n"] {
        assert!(HealthSubject.parse(text, &inventory()).is_err(), "{text:?}");
    }
    for (from, to) in [
        ("answered S", "perhaps"),
        ("0100007F:1F91", "0100007F"),
        ("MainPID=70 ActiveEnterTimestampMonotonic=90000000", "MainPID=70"),
        ("unit orders-api.service", "unit orders-other.service"),
        ("812 (keepalived) S", "keepalived"),
        ("health 200", "health OK"),
        ("uptime 100.00", ""),
        ("database answered S", ""),
    ] {
        assert!(HealthSubject.parse(&TEXT.replacen(from, to, 1), &inventory()).is_err(), "{to:?}");
    }
}
