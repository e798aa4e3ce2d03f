//! A made-up pair, a made-up plan and made-up runs of it; the gallery and the tests look at the same ones.

use std::{collections::BTreeMap, error::Error};

use rollup_model::{
    Event, Facts, Finding, Impact, Known, NodeName, Outcome, Plan, Record, Release, Resolution, Role, RunState,
    Severity, Step, StepId, Target, Undo, compile,
    compile::{Identity, Site},
    event::{MeterTotals, Operator, Side, SideTotals, StopReason},
    inventory, playbook,
    rollback::rollback_plan,
};
use rollup_ui::pages::{Ending, HealthCheck, HealthLook, HealthRow, Locked, Names, Next, Serving};
use serde_json::{Map, Value, json};

pub(crate) type Fallible<T> = Result<T, Box<dyn Error>>;

const INVENTORY: &str = r#"
cluster = { name = "orders" }
nodes = [{ name = "node-a", host = "10.0.0.1" }, { name = "node-b", host = "10.0.0.2" }]
vip = { address = "10.0.0.9" }
database = { engine = "postgresql", data_dir = "/d", unit = "p.service", name = "o" }
service = { units = ["o.service"] }
meter = { read_url = "http://10.0.0.9/orders", write_url = "http://10.0.0.9/orders" }
"#;

/// Actions by name, with what they cost and how they are taken back.
const ACTIONS: [(&str, Impact, &str); 11] = [
    ("precheck.run", Impact::Observe, "not needed: it only looks"),
    ("backup.files", Impact::Change, "not needed: the set is kept"),
    ("backup.verify", Impact::Change, "not needed: the set is kept"),
    ("db.migrate", Impact::Change, "not needed: the old version tolerates expand migrations"),
    ("service.stop", Impact::Change, "service.start"),
    ("package.hook", Impact::Change, "not needed: what hooks write is restored with the files"),
    ("service.install", Impact::Change, "service.restore set=\"backup_20261120_031204\""),
    ("service.start", Impact::Change, "service.stop"),
    ("health.healthy", Impact::Observe, "not needed: it only looks"),
    ("vip.move", Impact::Interrupt, "vip.move to=\"node-a\""),
    ("db.switchover", Impact::Interrupt, "db.switchover to=\"node-a\""),
];

struct Actions;

impl Known for Actions {
    fn names(&self) -> Vec<String> {
        ACTIONS.iter().map(|(name, ..)| (*name).to_owned()).collect()
    }
    fn impact(&self, uses: &str) -> Option<Impact> {
        let known = ACTIONS.iter().find(|(name, ..)| *name == uses);
        known.map(|(_, impact, _)| *impact).or((uses == "audit.record").then_some(Impact::Change))
    }
    fn resolve(&self, uses: &str, with: &Map<String, Value>, _: &Target, _: &Site<'_>) -> Result<Resolution, String> {
        let undo =
            ACTIONS.iter().find(|(name, ..)| *name == uses).map_or("impossible: it is a record", |known| known.2);
        let why = (uses == "vip.move").then(|| "nopreempt is not set, so priorities are swapped".to_owned());
        Ok(Resolution { with: with.clone(), why, undo: undo.to_owned() })
    }
}

pub(crate) fn node(name: &str) -> Fallible<NodeName> {
    Ok(NodeName::new(name)?)
}

pub(crate) fn plan() -> Fallible<Plan> {
    let said = |problems: Vec<_>| format!("{problems:?}");
    let inventory = inventory::load(INVENTORY).map_err(said)?;
    let playbook = playbook::load(include_str!("playbook.toml")).map_err(said)?;
    let facts = Facts {
        bindings: [(Role::OriginalPrimary, node("node-a")?), (Role::OriginalStandby, node("node-b")?)].into(),
        ..Facts::default()
    };
    let release: Release = serde_json::from_value(json!({
        "name": "orders", "version": "2.0.0", "from_versions": [], "architecture": "any",
        "archive": "orders-2.0.0.tar.zst", "archive_size": 1, "archive_sha256": "00", "unpacked_size": 1,
        "components": [], "migrations": [], "hooks": []
    }))?;
    let site = Site { inventory: &inventory, release: Some(&release), facts: &facts };
    let versions: BTreeMap<NodeName, String> =
        [(node("node-a")?, "1.0.0".to_owned()), (node("node-b")?, "1.0.0".to_owned())].into();
    let identity = Identity::new("2026-11-20T03:12:04Z".parse()?, "ab12")?;
    Ok(compile(&playbook, &site, &versions, &Actions, &identity).map_err(said)?)
}

/// The way back from a run of the plan.
pub(crate) fn way_back(plan: &Plan, state: &RunState) -> Fallible<Plan> {
    let identity = Identity::new("2026-11-20T04:00:00Z".parse()?, "cd34")?;
    let undo = |step: &Step, _: &Value| match step.undo.starts_with("not needed") {
        true => Undo::NotNeeded { why: String::new() },
        false => Undo::Action(step.action.clone()),
    };
    Ok(rollback_plan(plan, state, &identity, &undo)?)
}

pub(crate) fn operator() -> Operator {
    Operator { user: "li".to_owned(), host: "bastion".to_owned(), pid: 4242, version: "0.1.0".to_owned() }
}

/// How a made-up run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    Success,
    /// The soak on the standby fails.
    Failure,
    /// The process dies while the files are replaced.
    Killed,
    /// The operator pauses before the cutover.
    Paused,
    /// The first check says no.
    Blocked,
}

/// Records of a run, with the moments in which they happen.
struct Story {
    records: Vec<Record>,
    seq: u64,
    at: jiff::Timestamp,
}

impl Story {
    fn tell(&mut self, millis: u64, event: Event) -> Fallible<()> {
        self.at += std::time::Duration::from_millis(millis);
        let is_kept = event.is_kept();
        self.seq += u64::from(is_kept);
        self.records.push(Record { seq: if is_kept { self.seq } else { 0 }, at: self.at, event });
        Ok(())
    }

    fn begin(&mut self, step: &Step) -> Fallible<()> {
        match step.impact {
            Impact::Observe => Ok(()),
            _ => self.tell(0, Event::StepStarted { step: step.id.clone(), before: json!({}) }),
        }
    }

    fn progress(&mut self, millis: u64, step: &StepId, doing: &str) -> Fallible<()> {
        self.tell(millis, Event::StepProgress { step: step.clone(), doing: doing.to_owned() })
    }

    fn end(&mut self, step: &Step, outcome: Outcome, millis: u64) -> Fallible<()> {
        self.tell(500, Event::StepFinished { step: step.id.clone(), outcome, evidence: Value::Null, millis })
    }
}

pub(crate) fn findings() -> Fallible<Vec<Finding>> {
    let (a, b) = (node("node-a")?, node("node-b")?);
    Ok(vec![
        Finding::check("ssh.login", "PRE-1", true, "login without a password", "root in 41ms").on(&a),
        Finding::check("ssh.login", "PRE-1", true, "login without a password", "root in 38ms").on(&b),
        Finding::check("disk.space", "PRE-7", false, "2.0 GiB free on /var", "1.1 GiB free").on(&a).only_warn(),
        Finding::check(
            "database.replication",
            "PRE-4",
            false,
            "replication streaming from node-a, replayed to within 16 MiB",
            "state \"catchup\", 212 MiB behind & <growing>",
        )
        .on(&b)
        .fix("rollup db status --node node-b"),
        Finding {
            severity: Severity::Waived,
            waived: Some("started by hand until T-7 is done, until 2026-12-31".to_owned()),
            ..Finding::check("service.enabled", "PRE-6", false, "orders-api.service enabled", "disabled").on(&b)
        },
        Finding::check("vip.owner", "PRE-2", true, "one owner", "node-a"),
    ])
}

/// The records of a run that takes this course.
pub(crate) fn run(plan: &Plan, course: Course) -> Fallible<Vec<Record>> {
    let mut story = Story { records: Vec::new(), seq: 0, at: plan.created };
    story
        .tell(0, Event::RunStarted { format: 1, run: plan.run.clone(), plan_digest: plan.digest(), by: operator() })?;
    let mut phase = None;
    for batch in plan.batches() {
        if phase != Some(&batch[0].phase) {
            if course == Course::Paused && batch[0].phase.as_str() == "cutover" {
                story.tell(100, Event::RunStopped { reason: StopReason::Pause })?;
                return Ok(story.records);
            }
            phase = Some(&batch[0].phase);
            story.tell(100, Event::PhaseStarted { phase: batch[0].phase.clone() })?;
        }
        for step in batch {
            story.begin(step)?;
        }
        for step in batch {
            if happens(&mut story, step, course)? {
                return Ok(story.records);
            }
        }
    }
    let millis = story.at.duration_since(plan.created).as_millis();
    story.tell(100, Event::RunFinished { millis: u64::try_from(millis)? })?;
    Ok(story.records)
}

/// What happens while one step runs; true when the run ends with it.
fn happens(story: &mut Story, step: &Step, course: Course) -> Fallible<bool> {
    let id = &step.id;
    let outcome = if step.impact == Impact::Observe { Outcome::Observed } else { Outcome::Applied };
    match (id.base(), course) {
        ("precheck.run", Course::Blocked) => {
            let error = "`precheck.run` may not go on: node-b database.replication: expected replication streaming from \
                         node-a, replayed to within 16 MiB, found state \"catchup\", 212 MiB behind & <growing>";
            let event = Event::StepFailed {
                step: id.clone(),
                error: error.to_owned(),
                findings: findings()?,
                undone: false,
                millis: 2_100,
            };
            story.tell(2_100, event)?;
            story.tell(0, Event::RunStopped { reason: StopReason::Blocked })?;
            return Ok(true);
        }
        ("backup.files", _) => {
            story.progress(900, id, "orders.jar, 41 of 180 MiB")?;
            story.progress(900, id, "orders.jar, 120 of 180 MiB")?;
        }
        ("db.migrate", _) => {
            let error = "V2.0.0__add_note.sql: canceling statement due to lock timeout".to_owned();
            story.tell(3_000, Event::StepRetried { step: id.clone(), attempt: 1, error, pause_ms: 2_000 })?;
            story.begin(step)?;
            let text = "the copy of the journal on node-b was 2 records behind and has caught up".to_owned();
            story.tell(200, Event::Note { node: Some(NodeName::new("node-b")?), text })?;
        }
        ("hook.pre-install", _) => {
            story.records.pop();
            story.seq -= 1;
            story.end(step, Outcome::FoundDone, 90)?;
            return Ok(false);
        }
        ("service.install", Course::Killed) => return Ok(true),
        ("health.soak", _) => {
            story.progress(10_000, id, "good 1 of 3")?;
            if course == Course::Failure {
                let finding = Finding::check("health.http", "HLT-1", false, "HTTP 200", "HTTP 503 {\"db\":\"down\"}")
                    .on(&NodeName::new("node-b")?)
                    .fix("journalctl -u o.service -n 50");
                let event = Event::StepFailed {
                    step: id.clone(),
                    error: format!("not reached within 15m: {}", finding.line()),
                    findings: vec![finding],
                    undone: false,
                    millis: 900_000,
                };
                story.tell(890_000, event)?;
                story.tell(0, Event::RunStopped { reason: StopReason::Failed })?;
                return Ok(true);
            }
            story.progress(10_000, id, "good 2 of 3")?;
        }
        ("vip.move", _) => outage(story, id, Side::Write, 400)?,
        ("db.switchover", _) => {
            outage(story, id, Side::Write, 1_800)?;
            outage(story, id, Side::Read, 300)?;
        }
        _ => {}
    }
    story.end(step, outcome, 1_240)?;
    Ok(false)
}

fn outage(story: &mut Story, step: &StepId, side: Side, millis: u64) -> Fallible<()> {
    let since = story.at;
    story.tell(millis, Event::Outage { side, since, millis, during: Some(step.clone()) })?;
    let down = |wanted: Side| -> u64 {
        story
            .records
            .iter()
            .filter_map(|record| match &record.event {
                Event::Outage { side, millis, .. } if *side == wanted => Some(*millis),
                _ => None,
            })
            .sum()
    };
    let side = |wanted: Side| SideTotals { sent: 900, failed: 4, longest_gap_millis: 0, down_millis: down(wanted) };
    let totals = MeterTotals { read: side(Side::Read), write: side(Side::Write) };
    story.tell(50, Event::Meter(totals))
}

/// What a last page needs beside the run.
pub(crate) struct End {
    serving: Serving,
    next: Vec<Next>,
}

impl End {
    pub(crate) fn ending<'a>(
        &'a self,
        plan: &'a Plan,
        state: &'a RunState,
        names: &'a Names,
        stopped: Option<StopReason>,
        exit_code: u8,
    ) -> Ending<'a> {
        Ending { plan, state, stopped, exit_code, names, serving: &self.serving, next: &self.next }
    }
}

pub(crate) fn end_of(plan: &Plan, course: Course) -> Fallible<End> {
    let run = &plan.run;
    let place = Some(node(if course == Course::Success { "node-b" } else { "node-a" })?);
    let next = match course {
        Course::Success => vec![
            Next::new("rollup health", "ask both nodes"),
            Next::new(format!("rollup rollback --backup {}", plan.backup_set), "go back to 1.0.0"),
        ],
        Course::Blocked => vec![Next::new("rollup precheck", "check again")],
        _ => vec![
            Next::new(format!("rollup resume {run}"), "go on where it stopped"),
            Next::new(format!("rollup rollback --run {run}"), "take back what this run changed, newest first"),
            Next::new(format!("rollup status {run}"), "look at this run again"),
        ],
    };
    Ok(End {
        serving: Serving {
            service: place.as_ref().map(|node| format!("healthy on {node}")),
            vip: place.clone(),
            db_primary: place.filter(|_| course != Course::Killed),
        },
        next,
    })
}

pub(crate) struct Lock {
    node: NodeName,
    step: StepId,
}

impl Lock {
    pub(crate) fn locked<'a>(&'a self, plan: &'a Plan, by: &'a Operator) -> Locked<'a> {
        Locked { node: &self.node, run: &plan.run, by, step: Some(&self.step), since: plan.created }
    }
}

pub(crate) fn lock() -> Fallible<Lock> {
    Ok(Lock { node: node("node-a")?, step: StepId::new("db.migrate@node-a")? })
}

pub(crate) fn health() -> Fallible<HealthLook> {
    let check = |id: &str, name: &str, ok, detail: &str| {
        let text = str::to_owned;
        HealthCheck { id: text(id), name: text(name), ok, detail: text(detail), since: None }
    };
    let unit = || check("health.unit", "unit o.service", true, "active (running)");
    let late = "no answer within 2s";
    let good =
        HealthRow { node: node("node-a")?, checks: vec![unit(), check("health.port", "port 8080", true, "listening")] };
    let url = "http://127.0.0.1:8080/health";
    let bad = check("health.url", url, false, "HTTP 503 {\"status\":\"DOWN\",\"database\":\"refused\"}");
    let checks = vec![unit(), bad, check("health.database", "database on port 5432", false, late)];
    let at = "2026-11-20T03:12:04Z".parse::<jiff::Timestamp>()?;
    Ok(HealthLook::new(at, vec![good, HealthRow { node: node("node-b")?, checks }]))
}

/// The look a second later: the URL is well again, the database has not answered for a second more.
pub(crate) fn health_later() -> Fallible<HealthLook> {
    let before = health()?;
    let mut look = before.clone();
    look.at += std::time::Duration::from_secs(1);
    for check in look.nodes.iter_mut().flat_map(|row| &mut row.checks).filter(|check| check.id == "health.url") {
        (check.ok, check.detail) = (true, "HTTP 200".to_owned());
    }
    Ok(HealthLook::new(look.at, look.nodes).after(&before))
}

pub(crate) fn values() -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![pair("owner", "node-a"), pair("priorities", "node-a 150, node-b 100"), pair("advertised every", "1s")]
}
