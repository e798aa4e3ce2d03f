use rollup_engine::{Action, Stage};
use rollup_model::{Facts, NodeName, Severity, Undo};
use serde_json::json;

use super::*;
use crate::{SyncFreeze, SyncRefreeze, SyncThaw};

/// What nodes with systemd 252 answered: in normal times, and frozen with a file changed by hand on the other node.
const SOURCE: &str = include_str!("fixtures/source.txt");
const OTHER: &str = include_str!("fixtures/other.txt");
const SOURCE_FROZEN: &str = include_str!("fixtures/source-frozen.txt");
const OTHER_FROZEN: &str = include_str!("fixtures/other-frozen.txt");

const FILE: &str = "/etc/orders/shared/limits.conf";

fn inventory(source: &str) -> Inventory {
    serde_json::from_value(json!({
        "cluster": { "name": "test" },
        "nodes": [{ "name": "node-a", "host": "a" }, { "name": "node-b", "host": "b" }],
        "vip": { "address": "10.78.0.100" },
        "database": { "engine": "postgresql", "data_dir": "/d", "unit": "d", "name": "n" },
        "service": { "units": ["u.service"] },
        "sync": { "unit": "s.service", "timer": "s.timer", "paths": ["/etc/orders/shared"], "source": source },
    }))
    .unwrap()
}

fn errors(a: &SyncFacts, b: &SyncFacts, source: &str, stage: Stage) -> Vec<String> {
    let (inventory, mut all) = (inventory(source), Facts::default());
    for (node, facts, vip_here) in [("node-a", a, true), ("node-b", b, false)] {
        let subjects = all.nodes.entry(NodeName::new(node).unwrap()).or_default();
        subjects.insert("sync".to_owned(), serde_json::to_value(facts).unwrap());
        subjects.insert("keepalived".to_owned(), json!({ "vip_here": vip_here }));
    }
    let found = SyncSubject.findings(&FindingCx { inventory: &inventory, release: None, facts: &all, stage });
    found.iter().filter(|finding| finding.severity == Severity::Error).map(Finding::line).collect()
}

#[test]
fn the_state_of_the_job_is_read_from_what_a_real_node_answers() {
    let source = parse(SOURCE).unwrap();
    assert!(source.present && source.thawed() && source.unit.good(), "{source:?}");
    assert_eq!(source.timer, TimerFacts { enabled: true, active: true });
    assert!(source.unit.started.unwrap().ends_with(" UTC") && source.unit.started_micros > 0);
    assert_eq!((source.listing.count, source.listing.files.len()), (3, 3));
    let file = &source.listing.files[FILE];
    assert_eq!((file.mode.as_str(), file.content.len()), ("640", 64));
    assert_eq!(parse(OTHER).unwrap().timer, TimerFacts { enabled: false, active: false });
}

#[test]
fn a_frozen_node_is_frozen_by_one_run_and_remembers_its_timer() {
    let frozen = parse(SOURCE_FROZEN).unwrap();
    let run = frozen.frozen.as_ref().unwrap().run.clone();
    assert!(frozen.frozen_by(&run) && !frozen.frozen_by("another") && !frozen.thawed());
    assert_eq!(frozen.timer, TimerFacts { enabled: true, active: false });
    assert_eq!(frozen.timer_without_freeze(), TimerFacts { enabled: true, active: true });
    // Cut off before the files were listed: not complete.
    let start = SOURCE_FROZEN.find("[frozen]").unwrap();
    let end = SOURCE_FROZEN.find("[now]").unwrap();
    let cut = parse(&format!("{}{}", &SOURCE_FROZEN[..start], &SOURCE_FROZEN[end..])).unwrap();
    assert!(!cut.frozen_by(&run) && !cut.thawed());
}

#[test]
fn what_was_changed_by_hand_during_the_freeze_is_named_upg_1() {
    let frozen = parse(OTHER_FROZEN).unwrap();
    let then = frozen.frozen.unwrap().listing.unwrap();
    assert_eq!(then.differences(&frozen.listing), [format!("{FILE} other content")]);
    assert_eq!(then.differences(&then.clone()), Vec::<String>::new());
    // What the package itself placed is no drift, nor are directories it placed files below.
    for placed in [FILE, "/etc/orders/shared"] {
        assert_eq!(then.without(&[placed]).differences(&frozen.listing.without(&[placed])), Vec::<String>::new());
    }
    assert_eq!(then.without(&["/etc/orders/sha"]).differences(&frozen.listing.without(&["/etc/orders/sha"])).len(), 1);
}

#[test]
fn two_lists_differ_by_content_mode_and_presence() {
    let list = |lines: &[&str], digest: &str| {
        let head = [format!("count={}", lines.len()), format!("digest={digest}")];
        let all: Vec<&str> = head.iter().map(String::as_str).chain(lines.iter().copied()).collect();
        Listing::parse(&all).unwrap()
    };
    let a = list(&["file\t644\t1\t/x/a b", "file\t600\t2\t/x/only", "link\t../t\t0\t/x/l"], "1");
    let b = list(&["file\t640\t1\t/x/a b", "file\t600\t2\t/x/new", "link\t../u\t0\t/x/l"], "2");
    let expected = ["/x/a b mode 640 instead of 644", "/x/l other content", "/x/new added", "/x/only missing"];
    assert_eq!(a.differences(&b), expected);
    let many = Listing { count: 9000, digest: "3".to_owned(), files: Default::default() };
    assert_eq!(a.differences(&many), ["3 files, 9000 files, not the same"]);
}

#[test]
fn a_cut_off_or_unknown_answer_is_an_error() {
    assert!(parse(&SOURCE.replace("[end]", "")).is_err());
    assert!(parse(&SOURCE.replace("count=3", "count=many")).is_err());
    assert!(parse(&SOURCE.replace("file\t640", "what\t640")).is_err());
    assert!(parse(&SOURCE_FROZEN.replace("\"since\"", "\"when\"")).is_err());
}

#[test]
fn the_timer_runs_on_the_source_and_nowhere_else_pre_5() {
    let (source, other) = (parse(SOURCE).unwrap(), parse(OTHER).unwrap());
    assert_eq!(errors(&source, &other, "primary", Stage::Fresh), Vec::<String>::new());
    assert_eq!(errors(&other, &source, "standby", Stage::Fresh), Vec::<String>::new());
    let wrong = errors(&other, &source, "primary", Stage::Fresh).join("\n");
    assert!(wrong.contains("node-a sync.timer: expected the timer enabled and active, found not enabled"), "{wrong}");
    assert!(wrong.contains("node-b sync.timer: expected the timer not enabled"), "{wrong}");
}

#[test]
fn a_failed_last_run_and_a_strange_freeze_stop_a_fresh_run_but_not_a_resumed_one() {
    let mut failed = parse(SOURCE).unwrap();
    (failed.unit.result, failed.unit.status) = ("exit-code".to_owned(), 23);
    let other = parse(OTHER).unwrap();
    let found = errors(&failed, &other, "primary", Stage::Fresh).join("\n");
    assert!(
        found.contains("sync.last: expected a good last run, at most a day ago, found exit-code with status 23"),
        "{found}"
    );
    let frozen = parse(SOURCE_FROZEN).unwrap();
    let found = errors(&frozen, &other, "primary", Stage::Fresh).join("\n");
    assert!(found.contains("sync.frozen: expected a config sync that nobody froze, found frozen by run"), "{found}");
    assert_eq!(errors(&frozen, &other, "primary", Stage::Resumed), Vec::<String>::new());
}

#[test]
fn a_last_run_of_long_ago_is_worth_a_warning_and_a_cron_job_beside_the_timer_is_an_error_pre_5() {
    let (mut source, other) = (parse(SOURCE).unwrap(), parse(OTHER).unwrap());
    source.unit.age_s = Some(25 * 3600);
    let inventory = inventory("primary");
    let sync = inventory.sync.as_ref().unwrap();
    let last = crate::findings::last_run(sync, &inventory.nodes[0].name, &source);
    assert_eq!(last.severity, rollup_model::Severity::Warning);
    assert!(last.found.ends_with(", 25h ago"), "{}", last.found);

    let text = SOURCE.replace("[cron]\n", "[cron]\n/etc/cron.d/copy:3\n").replace("[timer]", "AgeSeconds=7\n[timer]");
    let source = parse(&text).unwrap();
    assert_eq!(source.unit.age_s, Some(7));
    let found = errors(&source, &other, "primary", Stage::Fresh).join("\n");
    assert!(
        found.contains("sync.cron: expected no cron job that copies the same paths, found /etc/cron.d/copy:3"),
        "{found}"
    );
}

#[test]
fn without_a_config_sync_nothing_is_asked_and_nothing_found() {
    let mut inventory = inventory("primary");
    inventory.sync = None;
    assert!(SyncSubject.probe(&inventory, &inventory.nodes[0]).is_none());
    let facts = Facts::default();
    let cx = FindingCx { inventory: &inventory, release: None, facts: &facts, stage: Stage::Fresh };
    assert!(SyncSubject.findings(&cx).is_empty());
}

#[test]
fn a_thaw_is_taken_back_by_freezing_again_and_a_freeze_by_the_timer_as_it_was_rb_1() {
    let undo = |action: &dyn Action, before: serde_json::Value| match action.undo(&before) {
        Undo::Action(action) => (action.uses, serde_json::Value::Object(action.with)),
        other => panic!("expected an action, found {other:?}"),
    };
    let thaw = SyncThaw { primary: "original-standby".to_owned() };
    let refreeze = ("sync.refreeze".to_owned(), json!({}));
    assert_eq!(undo(&thaw, json!({ "frozen": true, "primary": "node-a" })), refreeze);
    assert_eq!(undo(&thaw, serde_json::Value::Null), refreeze, "as a plan is printed");
    let turned = undo(&thaw, json!({ "frozen": false, "primary": "node-a" }));
    assert_eq!(turned, ("sync.thaw".to_owned(), json!({ "primary": "node-a" })));
    let timer = json!({ "timer_enabled": true, "timer_active": true });
    assert_eq!(undo(&SyncFreeze {}, timer.clone()), ("sync.unfreeze".to_owned(), timer));
    assert!(matches!(SyncRefreeze {}.undo(&json!({})), Undo::NotNeeded { .. }));
}
