//! Plans on the pair: steps in a line each, run by the engine itself, and packages for them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use rollup_engine::{Action, Cx, End, Engine as Runs, Options, Recorder, Registry, State, Stop, journal::Journal};
use rollup_model::{
    Event, Record, Release, RunState, Sink,
    compile::{Identity, Site},
    event::Operator,
    plan::Impact,
    release::{DownMigration, Migration, MigrationPhase},
};

use super::rig::Rig;

static RUNS: AtomicU32 = AtomicU32::new(0);

impl Rig {
    /// Runs these steps (`place action argument=value`) as one plan; returns its end and what was written down.
    pub(super) async fn run(&self, steps: &str, release: Option<Release>) -> (End, String) {
        let number = RUNS.fetch_add(1, Ordering::SeqCst);
        let identity = Identity::new(jiff::Timestamp::now(), &format!("t{number}")).unwrap();
        self.run_as(&identity, steps, release).await
    }

    /// The same for a run that was there before: what it left is its own.
    pub(super) async fn run_as(&self, identity: &Identity, steps: &str, release: Option<Release>) -> (End, String) {
        let mut registry = Registry::default();
        crate::register(&mut registry);
        registry.action::<Look>("test.look", Impact::Observe);
        let mut text = "format = 1\nname = \"t\"\ntitle = \"t\"\n[[phase]]\nid = \"p\"\ntitle = \"p\"\n".to_owned();
        // A plan must look before it changes anything.
        for (number, line) in
            ["pair test.look"].into_iter().chain(steps.lines()).filter(|line| !line.is_empty()).enumerate()
        {
            let words: Vec<_> = line.split(' ').collect();
            let (on, uses) = (words[0], words[1]);
            text.push_str(&format!(
                "[[phase.step]]\nid = \"db.s{number}\"\ntitle = \"x\"\non = \"{on}\"\nuses = \"{uses}\"\n"
            ));
            if let Some((key, value)) = words.get(2).and_then(|word| word.split_once('=')) {
                let value = if value.starts_with('[') { value.to_owned() } else { format!("\"{value}\"") };
                text.push_str(&format!("with = {{ {key} = {value} }}\n"));
            }
        }
        let playbook = rollup_model::playbook::load(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        let facts = self.facts().await;
        let site = Site { inventory: self.inventory, release: release.as_ref(), facts: &facts };
        let versions = self.inventory.node_names().map(|node| (node.clone(), "1.0.0".to_owned())).collect();
        let plan = rollup_model::compile(&playbook, &site, &versions, &registry, identity)
            .unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::create(&directory.path().join("run"), &plan).unwrap();
        let seen = Seen::default();
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(seen.clone())];
        let recorder = Recorder::new(journal, RunState::default(), &plan.run, self.hosts.clone(), sinks).unwrap();
        let engine = Runs {
            registry: Arc::new(registry),
            hosts: self.hosts.clone(),
            recorder: Arc::new(recorder),
            stop: Stop::default(),
        };
        let by: Operator =
            serde_json::from_value(serde_json::json!({ "user": "t", "host": "t", "pid": 1, "version": "0" })).unwrap();
        let end = engine.start(&plan, by, &Options::default()).await.unwrap();
        let lines = seen.0.lock().unwrap().join("\n");
        (end, lines)
    }

    pub(super) async fn finishes(&self, steps: &str) {
        let (end, report) = self.run(steps, None).await;
        assert!(matches!(end, End::Finished), "{report}");
        assert_eq!(self.problems().await, [""; 0]);
    }

    /// Runs the steps of a run to their good end, and returns what was written down.
    pub(super) async fn done(&self, identity: &Identity, steps: &str) -> String {
        let (end, report) = self.run_as(identity, steps, None).await;
        assert!(matches!(end, End::Finished), "{steps}\n{report}");
        report
    }

    /// Takes a backup on this node and returns the name of its set.
    pub(super) async fn back_up(&self, node: &str) -> String {
        let (end, report) = self.run(&format!("{node} db.backup"), None).await;
        assert!(matches!(end, End::Finished), "{report}");
        self.shell(node, "ls -t /tmp/rollup-pair/backup | head -n 1")
    }
}

#[derive(serde::Deserialize)]
struct Look {}

#[async_trait::async_trait]
impl Action for Look {
    async fn check(&self, _cx: &Cx<'_>) -> anyhow::Result<State> {
        Ok(State::done())
    }
}

/// Keeps what a display would show.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Sink for Seen {
    fn event(&mut self, record: &Record) -> std::io::Result<()> {
        let line = match &record.event {
            Event::StepFinished { step, outcome, evidence, millis } => {
                format!("{step} {outcome:?} {millis} ms {evidence}")
            }
            Event::StepFailed { step, error, .. } => format!("{step} failed: {error}"),
            Event::StepRetried { step, attempt, error, pause_ms } => {
                format!("{step} retried {attempt} in {pause_ms} ms: {}", error.replace('\n', " "))
            }
            Event::StepProgress { doing, .. } => format!("  {doing}"),
            _ => return Ok(()),
        };
        self.0.lock().unwrap().push(line);
        Ok(())
    }
}

/// A run with its own name.
pub(super) fn identity(tail: &str) -> Identity {
    Identity::new(jiff::Timestamp::now(), tail).unwrap()
}

/// A package with these expand migrations, each with the statements that take it back.
pub(super) fn release_with_way_back(migrations: &[(&str, &str, Option<&str>)]) -> Release {
    let forward: Vec<_> = migrations.iter().map(|(version, sql, _)| (*version, *sql)).collect();
    let mut release = release(&forward);
    for (migration, (version, _, down)) in release.migrations.iter_mut().zip(migrations) {
        migration.down = down.map(|sql| DownMigration {
            name: format!("U{version}__x.sql"),
            sha256: String::new(),
            sql: sql.to_owned(),
        });
    }
    release
}

/// A package with these expand migrations.
pub(super) fn release(migrations: &[(&str, &str)]) -> Release {
    let migrations = migrations.iter().map(|(version, sql)| Migration {
        version: (*version).to_owned(),
        name: format!("V{version}__x.sql"),
        phase: MigrationPhase::Expand,
        sha256: format!("{:064x}", sql.len()),
        sql: (*sql).to_owned(),
        down: None,
    });
    let empty = serde_json::json!({
        "name": "orders", "version": "2.0.0", "from_versions": [], "architecture": "any", "archive": "x",
        "archive_size": 0, "archive_sha256": "", "unpacked_size": 0, "components": [], "migrations": [], "hooks": []
    });
    let release: Release = serde_json::from_value(empty).unwrap();
    Release { migrations: migrations.collect(), ..release }
}
