//! The other ways, and which of them is chosen (VIP-1).

use VipStrategy::{Fault, Link as DownLink, Priority, Stop, TrackFile};

use super::*;

const ALL: [VipStrategy; 5] = [TrackFile, Priority, Fault, DownLink, Stop];
const DEFAULT: [VipStrategy; 4] = [TrackFile, Priority, Fault, DownLink];

impl Node {
    /// Tracks `/run/rollup.prio` with this weight.
    fn tracking(self, weight: i32) -> Self {
        self.with(|facts| {
            let weights = BTreeMap::from([("VI_1".to_owned(), weight)]);
            facts.tracker = Some(Tracker { file: "/run/rollup.prio".to_owned(), value: 0, weights, volatile: true });
        })
    }
    /// Has this value in the tracked file, and the daemon knows.
    fn tracked(self, value: i32) -> Self {
        self.with(|facts| {
            let tracker = facts.tracker.as_mut().unwrap();
            tracker.value = value;
            let (adds, fails) = (tracker.adds("VI_1"), tracker.fails("VI_1", value));
            let running = facts.running.as_mut().unwrap();
            running.effective_priority = u8::try_from(i32::from(running.base_priority) + adds).unwrap();
            running.state = if fails { State::Fault } else { running.state };
        })
    }
    /// Tracks the interface `rollup0`.
    fn linked(self) -> Self {
        let weights = BTreeMap::from([("VI_1".to_owned(), 0)]);
        self.with(|facts| facts.link = Some(Link { up: true, in_use: false, weights }))
    }
    fn locked(self) -> Self {
        self.with(|facts| facts.refusal = Some("line 3: quotes that cannot be read safely".to_owned()))
    }
    fn version(self, version: &str) -> Self {
        self.with(|facts| facts.version = Some(version.to_owned()))
    }
    fn interval(self, interval: Span) -> Self {
        self.with(|facts| facts.running.as_mut().unwrap().advert_interval = interval)
    }
    fn delayed(self, delay: Span) -> Self {
        self.with(|facts| facts.running.as_mut().unwrap().preempt_delay = delay)
    }
    /// A second instance in the same sync group, with the same priorities.
    fn grouped(self) -> Self {
        self.with(|facts| {
            facts.group = Some("G".to_owned());
            let mut running = facts.running.clone().unwrap();
            (running.instance, running.virtual_router_id) = ("VI_2".to_owned(), Some(52));
            let (configured, override_priority) = (facts.configured.clone(), facts.override_priority);
            facts.others.push(Member {
                name: "VI_2".to_owned(),
                configured,
                override_priority,
                running: Some(running),
            });
        })
    }
}

fn chosen(ways: &[VipStrategy], target: &Node, other: &Node) -> Result<Move, String> {
    match by(ways, target, other) {
        Ok(way) => Ok(way.expect("the VIP is not there yet")),
        Err(refused) => Err(refused.to_string()),
    }
}

fn strategy(ways: &[VipStrategy], target: &Node, other: &Node) -> Option<VipStrategy> {
    chosen(ways, target, other).unwrap().strategy
}

#[test]
fn the_first_way_of_the_inventory_that_is_proved_is_taken() {
    let (b, a) = (|| Node::backup(100), || Node::owner(110));
    let slow = |node: Node| node.interval(Span::secs(10));
    let nothing = "nothing but the named way";
    for (case, ways, target, other, wanted) in [
        ("plain pair", &DEFAULT[..], b(), a(), Priority),
        ("nopreempt on both", &DEFAULT, b().nopreempt(), a().nopreempt(), Priority),
        ("nopreempt on the target", &DEFAULT, b().nopreempt(), a(), Priority),
        ("nopreempt on the owner", &DEFAULT, b(), a().nopreempt(), Priority),
        ("tracker", &DEFAULT, b().tracking(1), a().tracking(1), TrackFile),
        ("tracker, order of the inventory", &[Priority, TrackFile], b().tracking(1), a(), Priority),
        ("tracker and nopreempt", &DEFAULT, b().tracking(1).nopreempt(), a().tracking(1).nopreempt(), Priority),
        ("tracker, nopreempt, locked", &DEFAULT, b().tracking(1).nopreempt().locked(), a().tracking(1), Fault),
        ("tracker without a weight: a failure at most", &DEFAULT, b().tracking(0), a().tracking(0), Priority),
        ("tracker of the owner alone", &[Fault], b(), a().tracking(0), Fault),
        ("preempt_delay under the limit", &DEFAULT, b().tracking(1).delayed(Span::secs(5)), a(), TrackFile),
        ("preempt_delay over it", &DEFAULT, b().tracking(1).delayed(Span::secs(60)), a(), Priority),
        ("advert_int 10 and a tracker", &DEFAULT, slow(b()), slow(a().tracking(1)), Fault),
        ("advert_int 10 and a link", &DEFAULT, slow(b()), slow(a().linked()), DownLink),
        ("advert_int 10 and nothing", &ALL, slow(b()), slow(a()), Stop),
        ("locked with a link, nopreempt", &DEFAULT, b().locked(), a().locked().linked().nopreempt(), DownLink),
        ("locked with a tracker", &DEFAULT, b().locked().tracking(1), a().locked(), TrackFile),
        ("1.3.5", &ALL, b().version("1.3.5"), a().version("1.3.5"), Stop),
        ("owner 255", &DEFAULT, Node::backup(200), Node::owner(255), Priority),
        (nothing, &[Stop], b(), a(), Stop),
    ] {
        assert_eq!(strategy(ways, &target, &other), Some(wanted), "{case}");
    }
}

#[test]
fn where_no_way_is_proved_each_says_why_not() {
    let (b, a) = (|| Node::backup(100), || Node::owner(110));
    let slow = |node: Node| node.interval(Span::secs(10));
    for (case, target, other, said) in [
        ("advert_int 10", slow(b()), slow(a()), "priority: the VIP would move after 30531ms"),
        ("advert_int 10", slow(b()), slow(a()), "track-file: keepalived on node-b tracks no file `rollup`"),
        ("advert_int 10", slow(b()), slow(a()), "fault: keepalived on node-a tracks no file `rollup`"),
        ("no link", slow(b()), slow(a()), "link: rollup0 on node-a is not tracked by keepalived"),
        ("1.3.5", b().version("1.3.5"), a(), "priority: keepalived 1.3.5 on node-b leaves the VIP on no node for 2s"),
        ("no version", b(), a().with(|facts| facts.version = None), "keepalived of an unknown version on node-a"),
        ("locked", b().locked(), a().locked().linked(), "link: node-a would take the VIP back with 110 against 100"),
        (
            "locked",
            b().locked(),
            a().locked(),
            "priority: the configuration of node-b cannot be changed safely: line 3",
        ),
        ("nopreempt", b().tracking(1).nopreempt().locked(), a(), "track-file: node-b runs with nopreempt"),
        (
            "255",
            Node::backup(100).nopreempt(),
            Node::owner(255).linked(),
            "link: node-a would take the VIP back with 255",
        ),
    ] {
        let found = chosen(&DEFAULT, &target, &other).unwrap_err();
        assert!(found.contains(said), "{case}: expected `{said}` in: {found}");
    }
    let lasting = a().tracking(1).with(|facts| facts.tracker.as_mut().unwrap().volatile = false);
    let found = chosen(&[Fault], &b(), &lasting).unwrap_err();
    assert!(found.contains("would outlive a reboot"), "{found}");
    for (change, said) in [
        ((|link: &mut Link| link.up = false) as fn(&mut Link), "is not up"),
        (|link| link.in_use = true, "could cut connections"),
        (|link| link.weights.clear(), "is not tracked by the instance"),
        (|link| link.weights.values_mut().for_each(|weight| *weight = -30), "is tracked with a weight"),
    ] {
        let found = chosen(&[DownLink], &b(), &a().linked().with(|facts| change(facts.link.as_mut().unwrap())));
        assert!(found.as_ref().is_err_and(|found| found.contains(said)), "expected `{said}` in {found:?}");
    }
}

#[test]
fn a_tracked_file_raises_by_its_weight_to_the_mirrored_distance() {
    let value = |weight: i32, target: &Node, other: &Node| {
        let way = chosen(&[TrackFile], target, other).unwrap();
        assert_eq!(way.gap, Span::secs(0), "make before break, weight {weight}");
        match way.edit.unwrap().how {
            How::Track(value) => value,
            other => panic!("{other:?}"),
        }
    };
    for (weight, wanted) in [(1, 20), (2, 10), (3, 7), (-1, -20), (-3, -7), (20, 1)] {
        let target = Node::backup(100).tracking(weight);
        let found = value(weight, &target, &Node::owner(110));
        assert_eq!(found, wanted, "weight {weight}");
        assert!(target.0.tracker.as_ref().unwrap().would_add("VI_1", found) >= 20);
    }
    // A lower value of ours that is there already counts for nothing.
    assert_eq!(value(1, &Node::backup(100).tracking(1).tracked(5), &Node::owner(110)), 20);
    let never = Node::backup(100).tracking(1);
    assert!(chosen(&[TrackFile], &never, &Node::owner(254)).unwrap_err().contains("no priority from 1 to 254"));
}

#[test]
fn a_push_raises_the_new_owner_to_254_first_so_that_the_gap_is_a_few_milliseconds() {
    let way = chosen(&[Fault], &Node::backup(100).nopreempt(), &Node::owner(110).tracking(1)).unwrap();
    assert_eq!(way.edit, Some(overriding("node-b", &[("VI_1", 254)])));
    let by = By::Fault { file: "/run/rollup.prio".to_owned(), value: -254 };
    assert_eq!((way.push, way.gap), (Some(Push { node: name("node-a"), by }), Span::millis(7)));
    let tracked = chosen(&[Fault], &Node::backup(100).tracking(1), &Node::owner(110).tracking(-1)).unwrap();
    assert_eq!(tracked.edit.unwrap().how, How::Track(154), "no reload where a tracked file does it");
    assert_eq!(tracked.push.unwrap().by, By::Fault { file: "/run/rollup.prio".to_owned(), value: 254 });
    // Nothing can raise it, but the old owner never takes back: measured 610 ms.
    let plain = chosen(&[DownLink], &Node::backup(100).locked(), &Node::owner(110).nopreempt().linked()).unwrap();
    assert_eq!((plain.edit, plain.gap), (None, Span::millis(609)));
    // The part of the interval in VRRPv3, and another advert before 2.0.
    let quick = Node::backup(100).with(|facts| {
        let running = facts.running.as_mut().unwrap();
        (running.advert_interval, running.version) = (Span::millis(300), 3);
    });
    assert_eq!(chosen(&[Stop], &quick, &Node::owner(110)).unwrap().gap, Span::millis(2));
    let old = chosen(&[Stop], &Node::backup(100).version("1.3.5"), &Node::owner(110).version("1.3.5")).unwrap();
    assert_eq!(old.gap, Span::millis(1007), "measured: 1010 ms");
}

#[test]
fn the_raise_of_a_push_goes_down_to_the_mirrored_distance_after_it() {
    let change = |target: &Node, other: &Node| by(&DEFAULT, target, other).unwrap().map(|way| way.edit.unwrap().how);
    let mirrored = How::Override(BTreeMap::from([("VI_1".to_owned(), 120)]));
    assert_eq!(change(&Node::owner(100).overridden(254), &Node::backup(110)), Some(mirrored));
    assert_eq!(change(&Node::owner(100).tracking(1).tracked(154), &Node::backup(110)), Some(How::Track(20)));
    assert_eq!(change(&Node::owner(100).tracking(1).tracked(20), &Node::backup(110)), None);
    // With nopreempt on the other node nothing of it is needed at all.
    let plain = Node::backup(110).nopreempt();
    assert_eq!(change(&Node::owner(100).tracking(1).tracked(154), &plain), Some(How::TakeOut));
    assert_eq!(change(&Node::owner(100).overridden(254), &plain), Some(How::TakeOut));
    // No room for a distance: it stays.
    assert_eq!(change(&Node::owner(10).overridden(254), &Node::backup(200)), None);
}

#[test]
fn going_back_takes_the_value_out_of_the_tracked_file() {
    let way = chosen(&DEFAULT, &Node::backup(110), &Node::owner(100).tracking(1).tracked(20)).unwrap();
    assert_eq!(way.edit, Some(Edit { node: name("node-a"), how: How::TakeOut }));
    assert_eq!((way.strategy, way.expected), (None, Span::millis(3570)));
}

#[test]
fn a_node_that_a_push_kept_down_is_let_go_whichever_way_the_vip_went() {
    let run = || rollup_model::RunId::new("20260301-100000-ab12").unwrap();
    let down = |node: Node, by: &str| {
        node.with(|facts| facts.pushed = Some(Pushed { run: run(), by: by.to_owned(), what: "rollup0".to_owned() }))
    };
    let let_go = |node: &str| Some(Edit { node: name(node), how: How::TakeOut });
    // The VIP has moved, the old owner is still down.
    let settled = by(&DEFAULT, &Node::owner(120), &down(Node::backup(110), "link")).unwrap().unwrap();
    assert_eq!((settled.edit, settled.expected), (let_go("node-a"), Span::secs(0)));
    // It would take the VIP back: raise first, then let go.
    let first = by(&DEFAULT, &Node::owner(100), &down(Node::backup(110), "link")).unwrap().unwrap();
    assert_eq!(first.edit, Some(overriding("node-b", &[("VI_1", 120)])));
    // The other way round: the target is the one that is down.
    let down = down(Node::backup(110).with(|f| f.running.as_mut().unwrap().state = State::Fault), "link");
    assert_eq!(by(&DEFAULT, &down, &Node::owner(120)).unwrap().unwrap().edit, let_go("node-b"));
    let failed = Node::backup(110).tracking(1).tracked(-254);
    assert_eq!(by(&DEFAULT, &failed, &Node::owner(120)).unwrap().unwrap().edit, let_go("node-b"));
}

#[test]
fn all_members_of_a_sync_group_are_changed_together() {
    let both = overriding("node-b", &[("VI_1", 120), ("VI_2", 120)]);
    let (b, a) = (Node::backup(100).grouped(), Node::owner(110).grouped());
    assert_eq!(chosen(&DEFAULT, &b, &a).unwrap().edit, Some(both.clone()));
    // One member alone that is higher leaves the group stuck: both again, however it came about.
    let half = Node::backup(100).grouped().with(|facts| {
        facts.override_priority = Some(120);
        let running = facts.running.as_mut().unwrap();
        (running.base_priority, running.effective_priority) = (120, 120);
    });
    assert_eq!(chosen(&DEFAULT, &half, &a).unwrap().edit, Some(both));
    assert_eq!(by(&DEFAULT, &Node::owner(110).grouped(), &half).unwrap().unwrap().edit.unwrap().how, How::TakeOut);
    // A tracker inside an instance of a group has no weight: it can only fail.
    let inside = Node::backup(100).grouped().tracking(0);
    assert_eq!(strategy(&DEFAULT, &inside, &Node::owner(110).grouped().tracking(0)), Some(Priority));
    assert_eq!(
        strategy(&[TrackFile, Fault], &Node::backup(100).grouped(), &Node::owner(110).grouped().tracking(0)),
        Some(Fault)
    );
    // A tracker of the group counts for each member.
    let group = |node: Node| {
        node.grouped().tracking(2).with(|facts| {
            facts.tracker.as_mut().unwrap().weights.insert("VI_2".to_owned(), 2);
        })
    };
    let way = chosen(&DEFAULT, &group(Node::backup(100)), &group(Node::owner(110))).unwrap();
    assert_eq!((way.strategy, way.edit.unwrap().how), (Some(TrackFile), How::Track(10)));
    // One that has a weight for a single member does not move the group.
    let single = chosen(&[TrackFile], &Node::backup(100).tracking(1).grouped(), &a).unwrap_err();
    assert!(single.contains("no weight for VI_2"), "{single}");
    let unpaired = chosen(&DEFAULT, &Node::backup(100), &a).unwrap_err();
    assert!(unpaired.contains("VI_2 on node-a moves together with the VIP"), "{unpaired}");
}

#[test]
fn where_the_vip_rests_without_anything_of_ours_is_known_before_it_is_taken_out() {
    let (a, b) = (name("node-a"), name("node-b"));
    let rests = |here: &Node, there: &Node| {
        rests_at(Side { node: &b, facts: &here.0 }, Side { node: &a, facts: &there.0 }).map(ToString::to_string)
    };
    let raised = Node::owner(100).overridden(120);
    assert_eq!(rests(&raised, &Node::backup(110)).as_deref(), Some("node-a"));
    assert_eq!(rests(&raised, &Node::backup(110).nopreempt()).as_deref(), Some("node-b"));
    assert_eq!(rests(&Node::owner(120), &Node::backup(110)).as_deref(), Some("node-b"));
    assert_eq!(rests(&Node::owner(100).tracking(1).tracked(20), &Node::backup(110)).as_deref(), Some("node-a"));
    assert_eq!(
        rests(&Node::owner(100), &Node::backup(120).overridden(90)).as_deref(),
        Some("node-a"),
        "it was lowered"
    );
    let unknown = raised.with(|facts| facts.configured.as_mut().unwrap().priority = None);
    assert_eq!(rests(&unknown, &Node::backup(110)), None);
}
