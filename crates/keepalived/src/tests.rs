use rollup_engine::{FindingCx, Stage, Subject};
use rollup_model::{Facts, Finding, Inventory, NodeName, Severity, Span};

use crate::*;

/// What nodes with keepalived 2.2.7 answered: before a move, after it, and with `nopreempt`.
const OWNER: &str = include_str!("fixtures/owner.txt");
const BACKUP: &str = include_str!("fixtures/backup.txt");
const OWNER_AFTER: &str = include_str!("fixtures/owner-after-move.txt");
const BACKUP_AFTER: &str = include_str!("fixtures/backup-after-move.txt");
const BACKUP_NOPREEMPT: &str = include_str!("fixtures/backup-nopreempt.txt");

const LIMIT: Span = Span::secs(30);

fn inventory() -> Inventory {
    serde_json::from_value(serde_json::json!({
        "cluster": { "name": "test" },
        "nodes": [{ "name": "node-a", "host": "a" }, { "name": "node-b", "host": "b" }],
        "vip": { "address": "10.79.0.100" },
        "database": { "engine": "postgresql", "data_dir": "/d", "unit": "d", "name": "n" },
        "service": { "units": ["u.service"] },
    }))
    .unwrap()
}

fn facts(text: &str) -> KeepalivedFacts {
    KeepalivedSubject.parse(text, &inventory()).unwrap()
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// Facts of a node with these priorities, otherwise as a real one answered.
struct Node(KeepalivedFacts);

impl Node {
    fn owner(priority: u8) -> Self {
        Self(facts(OWNER)).with(|facts| set(facts, priority))
    }
    fn backup(priority: u8) -> Self {
        Self(facts(BACKUP)).with(|facts| set(facts, priority))
    }
    fn with(mut self, change: impl FnOnce(&mut KeepalivedFacts)) -> Self {
        change(&mut self.0);
        self
    }
    /// `nopreempt` in the file and, without an override, in the daemon.
    fn nopreempt(self) -> Self {
        self.with(|facts| {
            facts.configured.as_mut().unwrap().nopreempt = true;
            facts.running.as_mut().unwrap().nopreempt = true;
        })
    }
    fn overridden(self, priority: u8) -> Self {
        self.with(|facts| {
            facts.override_priority = Some(priority);
            let running = facts.running.as_mut().unwrap();
            (running.base_priority, running.effective_priority, running.nopreempt) = (priority, priority, false);
        })
    }
    /// What tracked checks add now.
    fn weighted(self, weight: i16) -> Self {
        self.with(|facts| {
            let running = facts.running.as_mut().unwrap();
            running.effective_priority = u8::try_from(i16::from(running.base_priority) + weight).unwrap();
        })
    }
}

fn set(facts: &mut KeepalivedFacts, priority: u8) {
    facts.configured.as_mut().unwrap().priority = Some(priority);
    let running = facts.running.as_mut().unwrap();
    (running.base_priority, running.effective_priority) = (priority, priority);
}

/// Moves to `node-b`; `node-a` is the other.
fn decided(target: &Node, other: &Node) -> Result<Option<Move>, Refused> {
    let (b, a) = (name("node-b"), name("node-a"));
    decide(Side { node: &b, facts: &target.0 }, Side { node: &a, facts: &other.0 }, LIMIT)
}

fn change(target: &Node, other: &Node) -> Option<Change> {
    decided(target, other).unwrap().map(|way| way.change)
}

fn raise(node: &str, priority: Option<u8>) -> Option<Change> {
    Some(Change::Raise { node: name(node), priority })
}

fn lower(node: &str, priority: Option<u8>) -> Option<Change> {
    Some(Change::Lower { node: name(node), priority })
}

#[test]
fn facts_are_read_from_what_a_real_node_answers() {
    let owner = facts(OWNER);
    assert!(owner.active && owner.vip_here && owner.refusal.is_none(), "{owner:?}");
    assert_eq!((owner.version.as_deref(), owner.test_status), (Some("2.2.7"), Some(0)));
    assert_eq!((owner.instance.as_deref(), owner.vip_interface.as_deref()), (Some("VI_1"), Some("eth0")));
    assert_eq!(owner.summary(), "MASTER, VIP on eth0, priority 110");
    let backup = facts(BACKUP);
    assert_eq!(backup.summary(), "BACKUP, no VIP, priority 100");
    assert!(backup.running.unwrap().adverts_received > Some(0));
    assert_eq!(facts(BACKUP_NOPREEMPT).summary(), "BACKUP, no VIP, priority 100, nopreempt");
    let raised = facts(OWNER_AFTER);
    assert_eq!(raised.override_priority, Some(120));
    assert_eq!(raised.configured.as_ref().unwrap().priority, Some(100), "what the operator configured");
    assert_eq!(raised.summary(), "MASTER, VIP on eth0, priority 120, override 120 by rollup");
}

#[test]
fn no_password_reaches_the_facts_or_even_the_answer_of_the_node() {
    for text in [OWNER, BACKUP, OWNER_AFTER] {
        let hex = rollup_model::plan::hex(b"orders51");
        assert!(!text.contains("orders51") && !text.contains(&hex));
        assert!(!serde_json::to_string(&facts(text)).unwrap().contains("orders51"));
    }
}

#[test]
fn a_cut_off_answer_is_an_error_and_a_silent_daemon_is_a_fact() {
    let cut = OWNER.replace("\nend\n", "\n");
    assert!(KeepalivedSubject.parse(&cut, &inventory()).is_err());
    let silent: String = OWNER
        .lines()
        .map(|line| if line.starts_with("dump=") { "dump=\n".to_owned() } else { format!("{line}\n") })
        .collect();
    let silent = facts(&silent);
    assert_eq!((silent.running.as_ref(), silent.instance.as_deref()), (None, Some("VI_1")));
    assert_eq!(silent.summary(), "state unknown, VIP on eth0");
}

#[test]
fn the_newer_form_of_the_dump_is_read_too() {
    let list = OWNER.lines().find_map(|line| line.strip_prefix("dump=")).unwrap();
    let object = format!("{{\"vrrp\":{list}}}");
    assert_eq!(dump::parse(&object), dump::parse(list));
    assert!(dump::parse(list).is_some());
    assert_eq!((dump::parse("{}"), dump::parse("[{}]"), dump::parse("Usage:")), (None, None, None));
}

#[test]
fn a_daemon_that_reads_another_file_is_not_edited() {
    let other = OWNER.replace("reads=/etc/keepalived/keepalived.conf", "reads=/etc/ha.conf");
    let refusal = facts(&other).refusal.unwrap();
    assert_eq!(refusal, "the daemon reads /etc/ha.conf, not /etc/keepalived/keepalived.conf");
}

#[test]
fn the_distance_between_the_nodes_is_mirrored() {
    assert_eq!(change(&Node::backup(100), &Node::owner(110)), raise("node-b", Some(120)));
    assert_eq!(change(&Node::backup(100), &Node::owner(100)), raise("node-b", Some(101)));
    assert_eq!(change(&Node::backup(90), &Node::owner(200)), raise("node-b", Some(254)), "never above 254");
    // What tracked checks add stays added, so that a failing one still counts as much as before.
    assert_eq!(change(&Node::backup(90).weighted(20), &Node::owner(100).weighted(20)), raise("node-b", Some(110)));
    assert_eq!(change(&Node::backup(100).weighted(-20), &Node::owner(110)), raise("node-b", Some(160)));
}

#[test]
fn going_back_removes_the_override_so_priorities_do_not_climb() {
    let (raised, first) = (Node::owner(100).overridden(120), Node::backup(110));
    assert_eq!(change(&first, &raised), lower("node-a", None));
    // Cut off between the new file and the reload: the daemon still has what the file no longer says.
    let unloaded = Node::owner(120).with(|facts| facts.configured.as_mut().unwrap().priority = Some(100));
    assert_eq!(change(&first, &unloaded), lower("node-a", None));
}

#[test]
fn nopreempt_is_overcome_on_the_target_and_only_there() {
    let target = Node::backup(100).nopreempt();
    assert_eq!(change(&target, &Node::owner(110).nopreempt()), raise("node-b", Some(120)));
    // Higher already, and only held back: the priority stays as it is.
    assert_eq!(change(&Node::backup(110).nopreempt(), &Node::owner(100)), raise("node-b", Some(110)));
    // Lowering the owner would do nothing.
    let stuck = decided(&Node::backup(100).nopreempt(), &Node::owner(254));
    assert!(matches!(stuck, Err(Refused::NoRoom { from: 100, owner: 254, .. })), "{stuck:?}");
}

#[test]
fn an_owner_without_room_above_it_is_lowered() {
    assert_eq!(change(&Node::backup(100), &Node::owner(254)), lower("node-a", Some(1)));
    assert_eq!(change(&Node::backup(200), &Node::owner(255)), lower("node-a", Some(145)));
}

#[test]
fn a_move_that_is_under_way_is_waited_for() {
    let way = decided(&Node::backup(100).overridden(120), &Node::owner(110)).unwrap().unwrap();
    assert_eq!((way.change, way.expected), (Change::Wait, Span::millis(3531)));
    // In the file but not in the daemon: the same edit again, which then only reloads.
    let unloaded = Node::backup(100).with(|facts| facts.override_priority = Some(120));
    assert_eq!(change(&unloaded, &Node::owner(110)), raise("node-b", Some(120)));
}

#[test]
fn a_vip_in_place_is_done_only_when_nothing_will_take_it_away() {
    let here = Node::owner(120);
    assert_eq!(change(&here, &Node::backup(110)), None);
    assert_eq!(change(&Node::owner(100), &Node::backup(110).nopreempt()), None);
    // A failed move left its override on the other node: it would come true later by itself.
    assert_eq!(change(&Node::owner(110), &Node::backup(100).overridden(120)), lower("node-a", None));
    let unloaded = Node::backup(100).with(|facts| facts.override_priority = Some(120));
    assert_eq!(change(&Node::owner(110), &unloaded), lower("node-a", None));
    // Nothing of ours, but the other node wins by configuration.
    assert_eq!(change(&Node::owner(100), &Node::backup(110)), raise("node-b", Some(120)));
}

#[test]
fn an_override_that_is_no_longer_needed_is_removed_after_the_move() {
    let settle = Some(Change::Settle { node: name("node-b") });
    assert_eq!(change(&Node::owner(100).nopreempt().overridden(120), &Node::backup(110).nopreempt()), settle);
    assert_eq!(change(&Node::owner(120).overridden(130), &Node::backup(110)), settle);
    assert_eq!(change(&Node::owner(100).overridden(120), &Node::backup(110)), None, "needed to keep the VIP");
}

#[test]
fn the_time_until_the_move_is_known_before_and_held_against_the_limit() {
    let with = |interval: Span, version| {
        move |facts: &mut KeepalivedFacts| {
            let running = facts.running.as_mut().unwrap();
            (running.advert_interval, running.version) = (interval, version);
        }
    };
    let expected = |interval, version| {
        let way = decided(&Node::backup(100).with(with(interval, version)), &Node::owner(110));
        way.map(|way| way.unwrap().expected)
    };
    // Measured on real nodes: 3.58 s, 1.10 s, 0.39 s.
    assert_eq!(expected(Span::secs(1), 2), Ok(Span::millis(3531)));
    assert_eq!(expected(Span::millis(300), 3), Ok(Span::millis(1059)));
    assert_eq!(expected(Span::millis(100), 3), Ok(Span::millis(353)));
    let slow = expected(Span::secs(10), 2).unwrap_err().to_string();
    assert_eq!(
        slow,
        "the VIP would move after 30531ms, but the limit `vip_switch` is 30s (3 adverts of 10s, preempt_delay 0s)"
    );
    // Removing the owner's override would leave the target's own delay; raising it does not.
    let delayed = Node::backup(110).with(|facts| facts.running.as_mut().unwrap().preempt_delay = Span::secs(60));
    assert_eq!(change(&delayed, &Node::owner(100).overridden(120)), raise("node-b", Some(130)));
}

#[test]
fn what_cannot_be_moved_is_refused_with_the_reason() {
    let refused = |target: &Node, other: &Node| decided(target, other).unwrap_err().to_string();
    assert_eq!(refused(&Node::owner(1), &Node::owner(2)), "split brain: both node-b and node-a have the VIP");
    assert_eq!(refused(&Node::backup(1), &Node::backup(2)), "neither node-b nor node-a has the VIP");
    let stopped = Node::owner(110).with(|facts| facts.active = false);
    assert_eq!(refused(&Node::backup(100), &stopped), "keepalived is not active on node-a");
    let silent = Node::backup(100).with(|facts| facts.running = None);
    assert!(refused(&silent, &Node::owner(110)).starts_with("keepalived on node-b does not tell its priority"));
    let fault = Node::backup(100).with(|facts| facts.running.as_mut().unwrap().state = State::Fault);
    assert_eq!(refused(&fault, &Node::owner(110)), "keepalived on node-b is in state FAULT");
    let locked = |node: Node| node.with(|facts| facts.refusal = Some("line 3: a definition with a brace".to_owned()));
    let both = refused(&locked(Node::backup(100)), &locked(Node::owner(110)));
    assert_eq!(both, "the configuration of node-b cannot be changed safely: line 3: a definition with a brace");
    assert_eq!(change(&locked(Node::backup(100)), &Node::owner(110)), lower("node-a", Some(90)), "the other file");
}

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
    assert_eq!(proof.found, "raise node-b from 100 to 120: 120 against 110, after 3531ms");
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

#[test]
fn a_pair_that_does_not_hear_each_other_fails_pre_2_before_anything_moves() {
    let deaf = Node::backup(100).with(|facts| {
        let running = facts.running.as_mut().unwrap();
        (running.adverts_received, running.master_priority) = (Some(0), Some(0));
    });
    let errors = errors(&Node::owner(110), &deaf);
    assert!(errors.iter().any(|line| line.starts_with("node-b vip.adverts")), "{errors:?}");
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
