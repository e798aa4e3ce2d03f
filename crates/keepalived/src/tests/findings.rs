//! What follows from the facts of both nodes.

use rollup_engine::{FindingCx, Stage};
use rollup_model::{Facts, Finding, Severity};

use super::*;

fn findings(a: &KeepalivedFacts, b: &KeepalivedFacts, stage: Stage) -> Vec<Finding> {
    let (inventory, mut all) = (inventory(), Facts::default());
    for (node, facts) in [("node-a", a), ("node-b", b)] {
        let value = serde_json::to_value(facts).unwrap();
        all.nodes.entry(name(node)).or_default().insert("keepalived".to_owned(), value);
    }
    KeepalivedSubject.findings(&FindingCx { inventory: &inventory, release: None, facts: &all, stage })
}

fn errors(a: &Node, b: &Node) -> Vec<String> {
    let found = findings(&a.0, &b.0, Stage::Fresh);
    found.iter().filter(|f| f.severity == Severity::Error).map(Finding::line).collect()
}

#[test]
fn a_healthy_pair_passes_with_a_proof_that_the_vip_can_move() {
    let found = findings(&facts(OWNER), &facts(BACKUP), Stage::Fresh);
    assert!(found.iter().all(|finding| finding.severity == Severity::Ok), "{found:#?}");
    let proof = found.iter().find(|finding| finding.id == "vip.proof").unwrap();
    assert_eq!(
        proof.found,
        "priority: raise node-b from 100 to 120: 120 against 110; elected after 3531ms, the new owner takes it before the \
         old one lets go; holds: 120 against 110; undo: the override of node-b is taken out, byte for byte"
    );
    let after = findings(&facts(BACKUP_AFTER), &facts(OWNER_AFTER), Stage::Fresh);
    assert!(after.iter().all(|finding| finding.severity == Severity::Ok), "{after:#?}");
}

#[test]
fn split_brain_and_a_lost_vip_are_errors_at_any_moment() {
    for (a, b, said) in [
        (Node::owner(110), Node::owner(100), "split brain: 10.79.0.100 on node-a and node-b"),
        (Node::backup(110), Node::backup(100), "10.79.0.100 on no node"),
    ] {
        let found = findings(&a.0, &b.0, Stage::Resumed);
        let [owner] = &found[..] else { panic!("{found:?}") };
        assert_eq!((owner.id.as_str(), owner.severity, owner.found.as_str()), ("vip.owner", Severity::Error, said));
        assert!(owner.fix.is_some() && !errors(&a, &b).is_empty());
    }
}

/// The findings about adverts before the first change, when the backup counted like this.
fn heard(before: u64, after: u64, errors: u64) -> Vec<Finding> {
    watched(Stage::Fresh, before, after, |running| running.errors += errors)
}

/// The findings about adverts when the backup counted like this, twice, and this came of it.
fn watched(stage: Stage, before: u64, after: u64, change: impl FnOnce(&mut Running)) -> Vec<Finding> {
    let (inventory, mut all) = (inventory(), Facts::default());
    for (node, facts) in [("node-a", facts(OWNER)), ("node-b", facts(BACKUP))] {
        let value = serde_json::to_value(facts).unwrap();
        all.nodes.entry(name(node)).or_default().insert("keepalived".to_owned(), value);
    }
    let first = Running { adverts_received: Some(before), errors: 3, ..facts(BACKUP).running.unwrap() };
    let mut second = Running { adverts_received: Some(after), ..first.clone() };
    change(&mut second);
    let seen = AdvertsFacts { first: vec![first], second: vec![second], waited: Some("2.2".to_owned()) };
    all.nodes.get_mut(&name("node-b")).unwrap().insert("adverts".to_owned(), serde_json::to_value(seen).unwrap());
    Adverts.findings(&FindingCx { inventory: &inventory, release: None, facts: &all, stage })
}

#[test]
fn a_move_under_way_stops_no_resume_but_a_fresh_look_pre_2_vip_5() {
    let said = |stage, before, after, change: fn(&mut Running)| {
        let [finding] = &watched(stage, before, after, change)[..] else { panic!() };
        (finding.severity, finding.found.clone())
    };
    let took_over = |running: &mut Running| (running.state, running.master_priority) = (State::Master, Some(0));
    let about_to = |running: &mut Running| running.master_priority = Some(0);
    let deaf = |_: &mut Running| {};
    let refuses = |running: &mut Running| running.errors += 2;
    for (stage, severity) in [(Stage::Resumed, Severity::Ok), (Stage::Fresh, Severity::Error)] {
        assert_eq!(said(stage, 7, 8, took_over), (severity, "BACKUP became MASTER while it was watched".to_owned()));
        assert_eq!(said(stage, 7, 9, about_to), (severity, "2 heard in 2.2 s, the last with priority 0".to_owned()));
        assert_eq!(said(stage, 7, 7, deaf).0, Severity::Error);
        assert_eq!(said(stage, 7, 9, refuses).0, Severity::Error);
    }
}

#[test]
fn a_backup_that_hears_the_owner_now_passes_pre_2() {
    let [finding] = &heard(7, 9, 0)[..] else { panic!() };
    assert_eq!(
        (finding.severity, finding.found.as_str()),
        (Severity::Ok, "2 heard in 2.2 s, the last with priority 110")
    );
}

#[test]
fn a_backup_that_heard_once_but_not_now_fails_pre_2_before_anything_moves() {
    let [finding] = &heard(7, 7, 0)[..] else { panic!() };
    assert_eq!((finding.id.as_str(), finding.severity), ("vip.adverts", Severity::Error));
    assert!(finding.found.starts_with("0 heard") && finding.fix.is_some(), "{finding:?}");
    let [refused] = &heard(7, 9, 2)[..] else { panic!() };
    assert!(refused.severity == Severity::Error && refused.found.contains("2 refused"), "{refused:?}");
}

#[test]
fn the_two_looks_are_read_from_what_a_node_answers() {
    let dump = BACKUP.lines().find_map(|line| line.strip_prefix("dump=")).unwrap();
    let read = |text: &str| Adverts.parse(text, &inventory());
    let both = read(&format!("first={dump}\nwaited=2.2\nsecond={dump}\nend\n")).unwrap();
    assert_eq!((both.first.len(), &both.first, both.waited.as_deref()), (1, &both.second, Some("2.2")));
    assert!(read("first=\nend\n").unwrap().first.is_empty());
    assert!(read("first=").is_err());
}

#[test]
fn what_an_earlier_move_left_is_told_from_what_holds_the_vip() {
    let leftover = |a: &Node, b: &Node| {
        let found = findings(&a.0, &b.0, Stage::Fresh).into_iter().filter(|found| found.id == "vip.leftover");
        found.map(|found| (found.severity, found.found, found.fix)).collect::<Vec<_>>()
    };
    let clean = leftover(&Node::owner(110), &Node::backup(100));
    assert!(clean.iter().all(|(severity, found, _)| *severity == Severity::Ok && found == "nothing"), "{clean:?}");
    // After an upgrade of a pair that preempts: it stays until the VIP goes back.
    let held = leftover(&Node::backup(110), &Node::owner(100).overridden(120));
    assert!(held.iter().any(|(s, found, _)| *s == Severity::Ok && found.contains("holds the VIP")), "{held:?}");
    let unneeded = leftover(&Node::owner(120).overridden(130), &Node::backup(110));
    assert!(unneeded.iter().any(|(s, _, fix)| *s == Severity::Warning && fix.as_deref() == Some("rollup vip restore")));
    let down = Node::backup(100).with(|facts| {
        let run = rollup_model::RunId::new("20260301-100000-ab12").unwrap();
        facts.pushed = Some(Pushed { run, by: "fault".to_owned(), what: "/run/rollup.prio".to_owned() });
    });
    let down = leftover(&Node::owner(110), &down);
    assert!(down.iter().any(|(s, found, _)| *s == Severity::Error && found.contains("not let go")), "{down:?}");
}

#[test]
fn settings_that_must_agree_are_compared() {
    let other = Node::backup(100).with(|facts| {
        let running = facts.running.as_mut().unwrap();
        (running.virtual_router_id, running.advert_interval) = (Some(52), Span::secs(2));
    });
    let errors = errors(&Node::owner(110), &other).join("\n");
    assert!(errors.contains("found 51 on node-a, 52 on node-b"), "{errors}");
    assert!(errors.contains("found 1s on node-a, 2s on node-b"), "{errors}");
}

#[test]
fn a_file_that_was_changed_but_never_loaded_is_found_before_our_reload_would_load_it() {
    let edited = Node::backup(100).with(|facts| facts.configured.as_mut().unwrap().priority = Some(150));
    let errors = errors(&Node::owner(110), &edited).join("\n");
    assert!(errors.contains("keepalived.loaded") && errors.contains("150 in the file, 100 in the daemon"), "{errors}");
}

#[test]
fn the_owner_is_the_one_node_with_the_address() {
    let owner = |a: &Node, b: &Node| {
        let mut all = Facts::default();
        for (node, facts) in [("node-a", a), ("node-b", b)] {
            let value = serde_json::to_value(&facts.0).unwrap();
            all.nodes.entry(name(node)).or_default().insert("keepalived".to_owned(), value);
        }
        vip_owner(&all, &inventory()).map(String::from)
    };
    assert_eq!(owner(&Node::backup(1), &Node::owner(2)).as_deref(), Some("node-b"));
    assert_eq!(owner(&Node::owner(1), &Node::owner(2)), None);
    assert_eq!(owner(&Node::backup(1), &Node::backup(2)), None);
    assert_eq!(vip_owner(&Facts::default(), &inventory()), None);
}
