use super::*;
use crate::{inventory, playbook};

/// Two actions: one that looks and one that changes.
struct Two;

impl Known for Two {
    fn names(&self) -> Vec<String> {
        vec!["pair.look".to_owned(), "service.stop".to_owned()]
    }
    fn impact(&self, uses: &str) -> Option<Impact> {
        match uses {
            "pair.look" => Some(Impact::Observe),
            "service.stop" => Some(Impact::Change),
            _ => None,
        }
    }
    fn resolve(&self, _: &str, with: &Map<String, Value>, _: &Target, _: &Site<'_>) -> Result<Resolution, String> {
        if with.contains_key("wrong") {
            return Err("unknown argument `wrong`".to_owned());
        }
        Ok(Resolution { with: with.clone(), why: None, undo: "start again".to_owned() })
    }
}

const INVENTORY: &str = r#"
cluster = { name = "orders" }
nodes = [{ name = "node-a", host = "10.0.0.1" }, { name = "node-b", host = "10.0.0.2" }]
vip = { address = "10.0.0.9" }
database = { engine = "postgresql", data_dir = "/d", unit = "p.service", name = "o" }
service = { units = ["o.service"] }
"#;

const PLAYBOOK: &str = r#"
format = 1
name = "t"
title = "test"
[[phase]]
id = "check"
title = "check"
[[phase.step]]
id = "pair.look"
title = "look"
on = "pair"
uses = "pair.look"
policy = { verify_within = "limit:health", stable_checks = "limit:soak_checks" }
[[phase]]
id = "stop"
title = "stop"
limit = "limit:node"
[[phase.step]]
id = "service.stop"
title = "stop"
on = "original-standby"
uses = "service.stop"
"#;

fn compiled(playbook: &str) -> Result<Plan, Vec<Diagnostic>> {
    let inventory = inventory::load(INVENTORY).unwrap();
    let node = |name: &str| NodeName::new(name).unwrap();
    let facts = Facts {
        bindings: [(Role::OriginalPrimary, node("node-b")), (Role::OriginalStandby, node("node-a"))].into(),
        ..Facts::default()
    };
    let site = Site { inventory: &inventory, release: None, facts: &facts };
    let identity = Identity::new("2026-11-20T09:15:00Z".parse().unwrap(), "ab12").unwrap();
    compile(&playbook::load(playbook).unwrap(), &site, &BTreeMap::new(), &Two, &identity)
}

#[test]
fn roles_are_bound_to_node_names_and_limits_are_taken_from_the_inventory() {
    let plan = compiled(PLAYBOOK).unwrap();
    assert_eq!(plan.run.as_str(), "20261120-091500-ab12");
    assert_eq!(plan.backup_set, "backup_20261120_091500");
    let ids: Vec<_> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["pair.look", "service.stop@node-a"]);
    assert_eq!(plan.steps[0].policy.verify_within, Span::secs(30));
    assert_eq!(plan.steps[0].policy.stable_checks, 3);
    assert_eq!(plan.phases[1].limit, Some(Span::secs(900)));
}

#[test]
fn all_is_one_group_and_each_is_one_after_another() {
    let all = compiled(&PLAYBOOK.replace("original-standby", "all")).unwrap();
    assert_eq!(all.batches().iter().map(|b| b.len()).collect::<Vec<_>>(), [1, 2]);
    let each = compiled(&PLAYBOOK.replace("original-standby", "each")).unwrap();
    assert_eq!(each.batches().iter().map(|b| b.len()).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn every_mistake_is_reported_with_a_suggestion() {
    let text = PLAYBOOK
        .replace("uses = \"service.stop\"", "uses = \"servce.stop\"")
        .replace("limit:node", "limit:nodes")
        .replace("on = \"pair\"", "on = \"pear\"");
    let problems = compiled(&text).unwrap_err();
    let page: String = problems.iter().map(|p| format!("{} | {:?}\n", p.message, p.hint)).collect();
    assert_eq!(problems.len(), 3, "{page}");
    for word in ["did you mean `service.stop`", "limit:node`", "did you mean `pair`"] {
        assert!(page.contains(word), "{word} in {page}");
    }
}

#[test]
fn a_plan_that_changes_before_it_looks_is_refused() {
    let text =
        PLAYBOOK.replace("id = \"pair.look\"", "id = \"x\"").replace("uses = \"pair.look\"", "uses = \"service.stop\"");
    assert!(compiled(&text).unwrap_err()[0].message.contains("before anything was checked"));
}

#[test]
fn the_digest_tells_what_a_plan_does_and_not_when_it_was_made() {
    let one = compiled(PLAYBOOK).unwrap();
    let mut two = one.clone();
    two.run = RunId::new("other").unwrap();
    two.backup_set = "backup_20270101_000000".to_owned();
    assert_eq!(one.digest(), two.digest());
    two.steps[1].policy.attempts = 2;
    assert_ne!(one.digest(), two.digest());
    let stored: Plan = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
    assert_eq!(stored, one);
    assert_eq!(stored.digest(), one.digest());
}

mod life {
    use super::*;
    use crate::{
        RunState,
        event::{Event, Outcome, Record},
        fold::StepState,
        rollback::{RollbackRefused, Undo, rollback_plan},
    };

    fn fold(events: Vec<Event>) -> RunState {
        let at: jiff::Timestamp = "2026-11-20T09:15:00Z".parse().unwrap();
        let records: Vec<_> = (1..).zip(events).map(|(seq, event)| Record { seq, at, event }).collect();
        RunState::fold(&records)
    }

    fn started(step: &crate::StepId, before: u32) -> Event {
        Event::StepStarted { step: step.clone(), before: before.into() }
    }

    fn finished(step: &crate::StepId, outcome: Outcome) -> Event {
        Event::StepFinished { step: step.clone(), outcome, evidence: Value::Null, millis: 1 }
    }

    #[test]
    fn a_step_begun_and_not_ended_is_in_doubt_and_keeps_its_first_before() {
        let step = compiled(PLAYBOOK).unwrap().steps[1].id.clone();
        let state = fold(vec![started(&step, 1), started(&step, 2)]);
        assert_eq!(state.get(&step), StepState::InDoubt);
        assert_eq!(state.before(&step), Some(&Value::from(1)));
        let state = fold(vec![started(&step, 1), finished(&step, Outcome::FoundDone)]);
        assert_eq!(state.steps[&step].outcome, Some(Outcome::Applied), "found done after a crash is our change");
    }

    #[test]
    fn the_way_back_skips_what_was_not_ours_and_takes_what_is_in_doubt() {
        let plan = compiled(&PLAYBOOK.replace("original-standby", "each")).unwrap();
        let identity = Identity::new("2026-11-21T00:00:00Z".parse().unwrap(), "cd34").unwrap();
        let undo = |step: &Step, before: &Value| {
            assert_eq!(before, &Value::from(7), "{}", step.id);
            Undo::Action(ActionRef { uses: "service.stop".to_owned(), with: Map::new() })
        };
        let (first, second) = (&plan.steps[1].id, &plan.steps[2].id);
        let state = fold(vec![finished(first, Outcome::FoundDone), started(second, 7)]);
        let back = rollback_plan(&plan, &state, &identity, &undo).unwrap();
        assert_eq!(back.steps.iter().map(|s| &s.id).collect::<Vec<_>>(), [second]);
        assert_eq!(back.backup_set, plan.backup_set, "the way back uses the set the run made");
        let nothing = fold(vec![finished(first, Outcome::FoundDone)]);
        assert_eq!(rollback_plan(&plan, &nothing, &identity, &undo), Err(RollbackRefused::NothingChanged));
    }

    #[test]
    fn there_is_no_way_back_past_a_point_of_no_return() {
        let mut plan = compiled(PLAYBOOK).unwrap();
        plan.steps[1].impact = Impact::PointOfNoReturn;
        let identity = Identity::new("2026-11-21T00:00:00Z".parse().unwrap(), "cd34").unwrap();
        let state = fold(vec![started(&plan.steps[1].id, 7)]);
        let undo = |_: &Step, _: &Value| Undo::NotNeeded { why: "x".to_owned() };
        assert!(matches!(rollback_plan(&plan, &state, &identity, &undo), Err(RollbackRefused::Impossible { .. })));
    }
}
