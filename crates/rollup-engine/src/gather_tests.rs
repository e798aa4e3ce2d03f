use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// Finds something wrong this often, then no more.
struct Bad(AtomicU32);

impl Bad {
    fn times(times: u32) -> Arc<dyn AnySubject> {
        Arc::new(Self(AtomicU32::new(times)))
    }
}

impl Subject for Bad {
    type Facts = ();
    fn name(&self) -> &'static str {
        "bad"
    }
    fn probe(&self, _: &Inventory, _: &Node) -> Option<Probe> {
        None
    }
    fn parse(&self, _: &str, _: &Inventory) -> Result<()> {
        Ok(())
    }
    fn findings(&self, _: &FindingCx<'_>) -> Vec<Finding> {
        let bad = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        vec![Finding::check("bad.luck", "PRE-8", !bad, "luck", "none")]
    }
    fn checks(&self) -> &'static [Check] {
        const { &[Check::new("bad.luck", "PRE-8", "luck")] }
    }
}

/// With a waiver that holds until 20 November.
fn inventory() -> Inventory {
    rollup_model::inventory::load(
        "cluster={name='o'}\nnodes=[{name='a',host='1'},{name='b',host='2'}]\nvip={address='10.0.0.9'}\n\
         database={engine='postgresql',data_dir='/d',unit='p.service',name='o'}\nservice={units=['o.service']}\n\
         waivers=[{check='bad.luck',reason='T-7',until='2026-11-20'}]\n",
    )
    .unwrap()
}

/// What stops a run on this day.
fn errors(stage: Stage, day: &str) -> Vec<String> {
    let moment = Moment { stage, day: day.parse().unwrap() };
    let examined = judge(&[Bad::times(1)], Examined::default(), &inventory(), None, moment);
    examined.errors().into_iter().map(|finding| finding.id).collect()
}

#[test]
fn a_waived_finding_stops_nothing_until_its_waiver_has_run_out_pre_10() {
    assert_eq!(errors(Stage::Fresh, "2026-11-20"), [""; 0]);
    assert_eq!(errors(Stage::Fresh, "2026-11-21"), ["bad.luck", "waiver.expired"]);
    // A way back is not stopped by a waiver, only by what it waived.
    assert_eq!(errors(Stage::Resumed, "2026-11-21"), ["bad.luck"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_for_a_moment_stops_no_run_that_goes_on_fail_3() {
    for (times, left) in [(0, 0), (1, 0), (2, 1), (9, 1)] {
        let moment = Moment { stage: Stage::Resumed, day: "2026-11-21".parse().unwrap() };
        let examined = examine_settled(&[Bad::times(times)], &Hosts::new(), &inventory(), None, moment).await;
        assert_eq!(examined.errors().len(), left, "wrong {times} times");
    }
}

#[test]
fn a_finding_without_a_declared_check_is_found_out_pre_10() {
    let finding = |id: &str| Finding::check(id, "PRE-2", false, "", "");
    assert_eq!(undeclared(&[], &[finding("host.reachable"), finding("waiver.expired")]), None);
    assert_eq!(undeclared(&[], &[finding("host.reachable"), finding("host.made-up")]), Some("host.made-up"));
}

#[test]
fn a_section_that_imitates_a_mark_stays_one_section() {
    let text = "@m-1 begin a\nx\n@rollup end\n\n@m-1 end\n@m-1 begin b\n\n@m-1 end\n";
    let found = sections(text, "@m-1");
    assert_eq!(found["a"], "x\n@rollup end\n");
    assert_eq!(found["b"], "");
}
