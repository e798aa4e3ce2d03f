//! What priorities alone can do.

use super::*;

#[test]
fn the_distance_between_the_nodes_is_mirrored() {
    assert_eq!(change(&Node::backup(100), &Node::owner(110)), set_to("node-b", 120));
    assert_eq!(change(&Node::backup(100), &Node::owner(100)), set_to("node-b", 101));
    assert_eq!(change(&Node::backup(90), &Node::owner(200)), set_to("node-b", 254), "never above 254");
    // What tracked checks add stays added, so that a failing one still counts as much as before.
    assert_eq!(change(&Node::backup(90).weighted(20), &Node::owner(100).weighted(20)), set_to("node-b", 110));
    assert_eq!(change(&Node::backup(100).weighted(-20), &Node::owner(110)), set_to("node-b", 160));
}

#[test]
fn going_back_removes_the_override_so_priorities_do_not_climb() {
    let (raised, first) = (Node::owner(100).overridden(120), Node::backup(110));
    assert_eq!(change(&first, &raised), taken_out("node-a"));
    // Cut off between the new file and the reload: the daemon still has what the file no longer says.
    let unloaded = Node::owner(120).with(|facts| facts.configured.as_mut().unwrap().priority = Some(100));
    assert_eq!(change(&first, &unloaded), taken_out("node-a"));
}

#[test]
fn nopreempt_is_overcome_on_the_target_and_only_there() {
    let target = Node::backup(100).nopreempt();
    assert_eq!(change(&target, &Node::owner(110).nopreempt()), set_to("node-b", 120));
    // Higher already, and only held back: the priority stays as it is.
    assert_eq!(change(&Node::backup(110).nopreempt(), &Node::owner(100)), set_to("node-b", 110));
    // Lowering the owner would do nothing.
    let stuck = decided(&Node::backup(100).nopreempt(), &Node::owner(254));
    let Err(Refused::NoWay { tried, .. }) = &stuck else { panic!("{stuck:?}") };
    assert!(matches!(tried[..], [(_, Reason::NoRoom { from: 100, owner: 254, .. })]), "{stuck:?}");
}

#[test]
fn an_owner_without_room_above_it_is_lowered() {
    assert_eq!(change(&Node::backup(100), &Node::owner(254)), set_to("node-a", 1));
    assert_eq!(change(&Node::backup(200), &Node::owner(255)), set_to("node-a", 145));
}

#[test]
fn a_move_that_is_under_way_is_waited_for() {
    let way = decided(&Node::backup(100).overridden(120), &Node::owner(110)).unwrap().unwrap();
    assert_eq!((way.edit, way.expected), (None, Span::millis(3531)));
    // In the file but not in the daemon: the same edit again, which then only reloads.
    let unloaded = Node::backup(100).with(|facts| facts.override_priority = Some(120));
    assert_eq!(change(&unloaded, &Node::owner(110)), set_to("node-b", 120));
}

#[test]
fn a_vip_in_place_is_done_only_when_nothing_will_take_it_away() {
    let here = Node::owner(120);
    assert_eq!(change(&here, &Node::backup(110)), None);
    assert_eq!(change(&Node::owner(100), &Node::backup(110).nopreempt()), None);
    // A failed move left its override on the other node: it would come true later by itself.
    assert_eq!(change(&Node::owner(110), &Node::backup(100).overridden(120)), taken_out("node-a"));
    let unloaded = Node::backup(100).with(|facts| facts.override_priority = Some(120));
    assert_eq!(change(&Node::owner(110), &unloaded), taken_out("node-a"));
    // Nothing of ours, but the other node wins by configuration.
    assert_eq!(change(&Node::owner(100), &Node::backup(110)), set_to("node-b", 120));
}

#[test]
fn an_override_that_is_no_longer_needed_is_removed_after_the_move() {
    let settle = taken_out("node-b");
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
        "no way to move the VIP to node-b: priority: the VIP would move after 30531ms, but the limit `vip_switch` is 30s \
         (3 adverts of 10s, preempt_delay 0s)"
    );
    // Removing the owner's override would leave the target's own delay; raising it does not.
    let delayed = Node::backup(110).with(|facts| facts.running.as_mut().unwrap().preempt_delay = Span::secs(60));
    assert_eq!(change(&delayed, &Node::owner(100).overridden(120)), set_to("node-b", 130));
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
    assert_eq!(
        both,
        "no way to move the VIP to node-b: priority: the configuration of node-b cannot be changed safely: line 3: a \
         definition with a brace"
    );
    assert_eq!(change(&locked(Node::backup(100)), &Node::owner(110)), set_to("node-a", 90), "the other file");
}
