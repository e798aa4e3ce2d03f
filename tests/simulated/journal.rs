//! The journal on disk and its copies on the nodes.

use std::io::Write;

use rollup_engine::{journal::Journal, journal::JournalError};
use rollup_model::Event;
use rollup_testkit::Ended;

use crate::support::{finished, node, pause_before, records, run};

#[tokio::test(start_paused = true)]
async fn a_torn_last_line_is_dropped_and_cut_off_before_anything_is_appended() {
    let run = run();
    pause_before(&run, "standby").await;
    let whole = run.journal().unwrap();
    let path = run.dir().join("journal.jsonl");
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(br#"{"seq":99,"at":"2026-03-01T1"#).unwrap();
    drop(file);
    finished(&run.live().await);
    let journal = run.journal().unwrap();
    assert!(journal.starts_with(&whole));
    assert_eq!(run.records().unwrap().len(), journal.iter().filter(|byte| **byte == b'\n').count());
}

#[tokio::test(start_paused = true)]
async fn damage_in_the_middle_stops_with_file_and_line_and_changes_nothing() {
    let run = run();
    pause_before(&run, "standby").await;
    let path = run.dir().join("journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines[2] = lines[2].replacen("precheck", "prechekc", 1);
    assert_ne!(lines[2], text.lines().nth(2).unwrap());
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let before = run.sim.sent().len();
    let Ended::Failed(error) = run.live().await else { panic!("expected an error") };
    let expected = format!("{}:3: its sum", path.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert_eq!(run.sim.sent().len(), before, "no node was asked anything");
}

#[tokio::test(start_paused = true)]
async fn another_plan_than_the_one_the_run_began_with_is_refused() {
    let run = run();
    pause_before(&run, "standby").await;
    let path = run.dir().join("plan.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"attempts\": 3", "\"attempts\": 4", 1)).unwrap();
    let error = Journal::open(&run.dir()).unwrap_err();
    assert!(matches!(error, JournalError::PlanChanged { .. }), "{error}");
    std::fs::write(&path, text).unwrap();
    finished(&run.live().await);
}

#[tokio::test(start_paused = true)]
async fn plan_and_journal_are_on_both_nodes_at_the_end_as_they_are_here_fail_3() {
    let run = run();
    finished(&run.live().await);
    let (journal, plan) = (run.journal().unwrap(), std::fs::read(run.dir().join("plan.json")).unwrap());
    let world = run.sim.world();
    for name in ["node-a", "node-b"] {
        assert_eq!(world.copy_of(&node(name), &run.scenario.plan.run, "journal.jsonl").unwrap(), journal);
        assert_eq!(world.copy_of(&node(name), &run.scenario.plan.run, "plan.json").unwrap(), plan);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_takes_no_copy_is_noted_once_and_caught_up_later() {
    let run = run();
    run.sim.make_deaf(&node("node-b"), "journal.");
    pause_before(&run, "cutover").await;
    let notes = || records(&run, |event| matches!(event, Event::Note { .. }));
    assert_eq!(notes().len(), 1);
    assert!(matches!(&notes()[0].event, Event::Note { node: Some(at), .. } if *at == node("node-b")));
    run.sim.heal();
    finished(&run.live().await);
    assert_eq!(notes().len(), 1);
    assert_eq!(
        run.sim.world().copy_of(&node("node-b"), &run.scenario.plan.run, "journal.jsonl").unwrap(),
        run.journal().unwrap()
    );
}
