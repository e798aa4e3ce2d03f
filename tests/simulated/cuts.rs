//! The crash matrix itself: it is good for the built-in upgrade, and it finds what is broken on purpose.

use rollup_engine::Registry;
use rollup_model::{Plan, Role, inventory::DistributeFrom, plan::Impact};
use rollup_testkit::{
    BearsNoSecondRun, ChecksTheWrongThing, Matrix, Note, Range, Scenario, StopsTheWrongNode, run_all,
};

/// One change after one look, so that every point is visited in no time.
const SHORT: &str = r#"
format = 1
name = "short"
title = "one change"

[[phase]]
id = "only"
title = "one change"

[[phase.step]]
id = "precheck.run"
title = "look"
on = "pair"
uses = "precheck.run"

[[phase.step]]
id = "audit.record"
title = "change"
on = "original-standby"
uses = "audit.record"
policy = { attempts = 2 }
"#;

fn short(replace: impl FnOnce(&mut Registry)) -> anyhow::Result<Matrix> {
    run_all(&Scenario::of(SHORT, replace).unwrap(), &Range::forward(1, 1))
}

#[test]
fn a_cut_anywhere_in_an_upgrade_or_its_rollback_is_survived_fail_3() {
    // Some commands of each kind here; `cargo xtask crash` visits them all.
    let range = Range { reboots: 37, ..Range::sample(37) };
    let matrix = run_all(&Scenario::built_in().unwrap(), &range).unwrap();
    assert!(matrix.points() > 100, "{} points", matrix.points());
    assert_eq!(matrix.groups.len(), 12, "{:?}", matrix.groups);
    let wrong: Vec<_> = matrix.wrong.iter().map(ToString::to_string).collect();
    assert_eq!(wrong, [""; 0]);
}

/// Nothing but the package on its way.
const STAGED: &str = r#"
format = 1
name = "staged"
title = "a package on its way"

[[phase]]
id = "prepare"
title = "stage it"

[[phase.step]]
id = "precheck.run"
title = "look"
on = "pair"
uses = "precheck.run"

[[phase.step]]
id = "package.distribute"
title = "stage it"
on = "all"
uses = "package.distribute"
policy = { attempts = 3 }
"#;

#[test]
fn one_node_that_fetches_a_package_from_the_other_survives_every_cut_pkg_3() {
    let fetching = |plan: &mut Plan| plan.inventory.package.distribute = DistributeFrom::Peer;
    let lying_there = |plan: &mut Plan| {
        let node = plan.bound(Role::OriginalPrimary).cloned();
        if let Some(release) = &mut plan.release {
            release.archive_node = node;
        }
    };
    for change in [&fetching as &dyn Fn(&mut Plan), &lying_there] {
        let scenario = Scenario::of(STAGED, |_| {}).unwrap().replan(change);
        let matrix = run_all(&scenario, &Range { reboots: 1, ..Range::forward(1, 1) }).unwrap();
        assert!(matrix.points() > 40, "{} points", matrix.points());
        let wrong: Vec<_> = matrix.wrong.iter().map(ToString::to_string).collect();
        assert_eq!(wrong, [""; 0]);
    }
}

#[test]
fn an_action_that_is_right_has_no_wrong_point() {
    let matrix = short(|registry| registry.action::<Note>("audit.record", Impact::Change)).unwrap();
    let wrong: Vec<_> = matrix.wrong.iter().map(ToString::to_string).collect();
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn a_change_that_is_not_seen_by_its_own_check_is_found_to_be_done_twice() {
    let matrix = short(|registry| registry.action::<ChecksTheWrongThing>("audit.record", Impact::Change)).unwrap();
    let twice = matrix.wrong.iter().filter(|wrong| wrong.to_string().contains("expected 1 times, found 2"));
    assert!(twice.count() >= 2, "{:?}", matrix.wrong);
}

#[test]
fn a_change_that_does_not_bear_its_own_traces_is_found_not_to_finish() {
    let matrix = short(|registry| registry.action::<BearsNoSecondRun>("audit.record", Impact::Change)).unwrap();
    assert!(matrix.wrong.iter().any(|wrong| wrong.to_string().contains("not finished")), "{:?}", matrix.wrong);
}

#[test]
fn a_change_that_takes_the_service_away_is_found_even_without_a_cut() {
    let error = short(|registry| registry.action::<StopsTheWrongNode>("audit.record", Impact::Change)).unwrap_err();
    assert!(error.to_string().contains("nobody serves behind the address"), "{error}");
}
