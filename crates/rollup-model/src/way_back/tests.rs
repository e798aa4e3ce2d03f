use super::*;

const PLAYBOOK: &str = include_str!("../../../../playbooks/rollback.toml");

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

/// node-a was the primary when the set was taken. After a finished upgrade both nodes differ and node-b serves.
fn after_the_upgrade() -> WayBack {
    WayBack {
        set: "backup_20261120_091500".to_owned(),
        runs: vec!["20261120-091500-ab12".parse().unwrap()],
        reverts: vec!["20261120-091500-ab12".parse().unwrap()],
        original_primary: node("node-a"),
        serving: node("node-b"),
        writer: Some(node("node-b")),
        moves_database: true,
        differing: [node("node-a"), node("node-b")].into(),
        lane: Lane::Keep,
        only: None,
    }
}

fn stages(back: &WayBack) -> String {
    let idle = if back.serving == node("node-a") { node("node-b") } else { node("node-a") };
    let shaped = back.shape(&crate::playbook::load(PLAYBOOK).unwrap(), &idle);
    shaped.phase.iter().map(|phase| phase.id.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_state_an_upgrade_can_leave_needs_its_own_stages_rb_1_fail_2() {
    let back = after_the_upgrade();
    let frame = |inner: &str| format!("check bring safety freeze {inner} finish record");
    assert_eq!(
        stages(&back),
        frame("hold writer idle over serving settle"),
        "a finished upgrade, a failed second node"
    );

    let first = WayBack { serving: node("node-a"), writer: Some(node("node-a")), ..back.clone() };
    let first = WayBack { differing: [node("node-b")].into(), ..first };
    assert_eq!(stages(&first), frame("hold idle settle"), "a failed first node");

    let moved = WayBack { writer: Some(node("node-a")), differing: [node("node-b")].into(), ..back.clone() };
    assert_eq!(stages(&moved), frame("hold over serving settle"), "the VIP has moved, the database has not");

    let between = WayBack { writer: None, ..moved.clone() };
    assert_eq!(stages(&between), frame("hold writer over serving settle"), "neither database writes");

    let by_hand = WayBack { serving: node("node-a"), writer: Some(node("node-a")), ..back.clone() };
    assert_eq!(
        stages(&by_hand),
        frame("hold writer idle over serving back settle"),
        "somebody moved the VIP back by hand"
    );

    let done = WayBack { serving: node("node-a"), differing: BTreeSet::new(), ..back };
    assert_eq!(stages(&done), frame("settle"), "a way back that was broken off at its end");
}

#[test]
fn each_lane_has_its_own_stages_rb_1() {
    let back = after_the_upgrade();
    let down = WayBack { lane: Lane::Down, ..back.clone() };
    assert_eq!(stages(&down), "check bring safety freeze hold writer idle over serving settle down finish record");
    let restore = WayBack { lane: Lane::Restore, ..back.clone() };
    let expected = "check bring safety unpack freeze stop files database address start rebuild finish discard record";
    assert_eq!(stages(&restore), expected);
    let only = WayBack { only: Some(node("node-a")), ..back };
    assert_eq!(stages(&only), "check bring safety freeze node record", "the shared database is never touched (RB-2)");
}

#[test]
fn the_database_is_in_the_safety_set_only_where_the_lane_touches_it() {
    let has = |back: &WayBack| {
        let shaped = back.shape(&crate::playbook::load(PLAYBOOK).unwrap(), &node("node-a"));
        shaped.phase.iter().flat_map(|phase| &phase.step).any(|step| step.uses == "db.backup")
    };
    let back = after_the_upgrade();
    let lane = |lane| WayBack { lane, ..back.clone() };
    assert_eq!(Lane::ALL.map(|it| has(&lane(it))), [false, true, true]);
    assert!(!has(&WayBack { only: Some(node("node-a")), ..lane(Lane::Restore) }));
}

#[test]
fn what_is_known_only_now_is_filled_in() {
    let back = WayBack { lane: Lane::Down, ..after_the_upgrade() };
    let shaped = back.shape(&crate::playbook::load(PLAYBOOK).unwrap(), &node("node-a"));
    let steps: Vec<_> = shaped.phase.iter().flat_map(|phase| &phase.step).collect();
    let with = |uses: &str| &steps.iter().find(|step| step.uses == uses).unwrap().with;
    assert_eq!(with("backup.restore")["set"], "backup_20261120_091500");
    assert_eq!(with("db.revert")["runs"], json!(["20261120-091500-ab12"]));
    assert_eq!((&with("backup.whole")["database"], &with("backup.whole")["node"]), (&json!(false), &Value::Null));
    let one = WayBack { only: Some(node("node-b")), lane: Lane::Keep, ..back };
    let shaped = one.shape(&crate::playbook::load(PLAYBOOK).unwrap(), &node("node-a"));
    let on = |uses: &str| {
        let mut steps = shaped.phase.iter().flat_map(|phase| &phase.step);
        steps.find(|step| step.uses == uses).unwrap().on.clone()
    };
    assert_eq!((on("backup.bring"), on("backup.files")), ("target".to_owned(), "all".to_owned()));
    assert_eq!(on("sync.freeze"), "all", "two versions must not copy configuration to each other");
}

#[test]
fn a_lane_is_read_by_its_name() {
    assert_eq!(Lane::ALL.map(|lane| lane.to_string().parse::<Lane>()), Lane::ALL.map(Ok));
    assert!("drop".parse::<Lane>().unwrap_err().contains("expected keep, down or restore"));
}
