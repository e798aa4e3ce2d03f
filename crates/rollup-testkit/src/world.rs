//! The state of a simulated pair as plain data, and what must hold in it at every moment.
//!
//! Knows what commands do by their id. It must not know plans or the engine: the one thing it is told about a run is
//! which steps are in progress, because a switchover may have no writer for a moment and nobody else may.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use rollup_model::{Event, Inventory, NodeName, Release, RunId};
use serde::Serialize;

use crate::{
    call::{Answer, Call},
    database::Database,
    desk::Desk,
    facts,
    service::Service,
    sets::Sets,
    staging::Staging,
    sync::ConfigSync,
    vrrp::Keepalived,
};

/// Something that changed the world. An act that found its aim reached leaves none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Effect {
    /// What, for example `migration.applied`.
    pub name: &'static str,
    /// Where.
    pub node: NodeName,
    /// To what: a unit, a file, a version.
    pub key: String,
}

/// How the world misbehaves, for tests.
#[derive(Debug, Clone, Default)]
pub struct Knobs {
    /// No election ever moves the address.
    pub vip_never_moves: bool,
    /// Nodes whose services never answer well after a start.
    pub never_healthy: BTreeSet<NodeName>,
    /// How often systemd must restart a unit after each start, five seconds apart.
    pub flaps: u32,
    /// How many more starts of units fail.
    pub failing_starts: u32,
    /// How long a job takes, where not the usual.
    pub job_takes: Option<Duration>,
    /// What becomes of the next change of roles that openGauss's tools ask for.
    pub switching: Switching,
    /// Directories cannot be renamed at once: while a job works, a copy of the database lies beside it.
    pub slow_renames: bool,
    /// How many more tries of a migration do not get their locks.
    pub blocked_migrations: u32,
}

/// What becomes of a change of roles that openGauss's tools ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Switching {
    /// Both servers change within a moment.
    #[default]
    Prompt,
    /// They do, but after so long and a little more.
    Late(Duration),
    /// The old primary steps down, and the other one never takes over.
    Half,
    /// Nobody does anything.
    Ignored,
}

/// Stages of a way back in which the service is up while there is no standby yet.
const ALONE: [&str; 2] = ["start", "rebuild"];

/// Stages of a way back in which the service is stopped, since its database goes.
const OUTAGE: [&str; 5] = ["stop", "files", "database", "address", "start"];

/// Steps that change which database writes.
const CHANGES_ROLES: [&str; 3] = ["db.switchover", "db.writer", "db.original"];

/// One machine.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub(crate) desk: Desk,
    pub(crate) staging: Staging,
    pub(crate) sets: Sets,
    pub(crate) service: Service,
    pub(crate) keepalived: Keepalived,
    pub(crate) database: Database,
    pub(crate) sync: ConfigSync,
    pub(crate) notes: BTreeMap<String, String>,
}

/// Something that comes true by itself.
#[derive(Debug)]
pub(crate) enum Later {
    /// A command that was under way when its sender went.
    Call(Call),
    /// This machine is up again.
    Boots,
    /// A job's work ends.
    JobEnds(String),
    /// This machine has heard lower adverts for long enough; the number names the reload after which it listened.
    TakesAddress(u64),
    /// This machine has heard a higher advert.
    DropsAddress,
    /// This standby has replayed up to here.
    Replays(u64),
    /// This primary is a standby now.
    StepsDown,
    /// This standby becomes the primary, or gives up.
    TakesOver(bool),
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// How it misbehaves.
    pub knobs: Knobs,
    /// Every change, in order.
    pub effects: Vec<Effect>,
    /// Moments at which something was not as it must be.
    pub breaches: Vec<String>,
    pub(crate) inventory: Inventory,
    pub(crate) release: Release,
    pub(crate) machines: BTreeMap<NodeName, Machine>,
    pub(crate) now: Duration,
    in_progress: BTreeSet<String>,
    /// A stage of a way back in which nobody is served, and nothing writes, has begun; until both are so again.
    outage: bool,
    /// The stage that began last is such a one.
    in_outage: bool,
    /// The stage that began last is one in which commits must not wait for a standby.
    alone: bool,
    /// The run before this one left no writer; until there is one again.
    orphaned: bool,
    /// Since when nothing writes.
    silent_since: Option<Duration>,
    /// The longest time without a writer.
    pub longest_silence: Duration,
    pub(crate) later: Vec<(Duration, NodeName, Later)>,
    /// Which effects the first command brought about that was under way when its sender went.
    pub(crate) late: Option<std::ops::Range<usize>>,
    /// Machines that boot.
    pub(crate) down: BTreeSet<NodeName>,
    /// Until when the pair may be without what a machine that went down had.
    pub(crate) excused_until: Duration,
    /// Until when nobody need have the address, since its owner was made to give it up.
    pub(crate) gap_until: Duration,
}

impl World {
    /// A healthy pair with the old version, the first node primary.
    pub fn new(inventory: &Inventory, release: &Release) -> Self {
        let names: Vec<_> = inventory.node_names().cloned().collect();
        let machine = |(index, name): (usize, &NodeName)| {
            let primary = index == 0;
            let machine = Machine {
                desk: Desk::default(),
                staging: Staging::default(),
                sets: Sets::with_old_one(&inventory.backup.dir),
                service: Service::new(inventory, release),
                keepalived: Keepalived::new(inventory, primary),
                database: Database::new(inventory.database.engine, primary),
                sync: ConfigSync::new(primary),
                notes: BTreeMap::new(),
            };
            (name.clone(), machine)
        };
        Self {
            knobs: Knobs::default(),
            effects: Vec::new(),
            breaches: Vec::new(),
            inventory: inventory.clone(),
            release: release.clone(),
            machines: names.iter().enumerate().map(machine).collect(),
            now: Duration::ZERO,
            in_progress: BTreeSet::new(),
            outage: false,
            in_outage: false,
            alone: false,
            orphaned: false,
            silent_since: None,
            longest_silence: Duration::ZERO,
            later: Vec::new(),
            late: None,
            down: BTreeSet::new(),
            excused_until: Duration::ZERO,
            gap_until: Duration::ZERO,
        }
    }

    #[expect(clippy::expect_used, reason = "every node of the inventory has a machine from the start")]
    pub(crate) fn machine(&mut self, node: &NodeName) -> &mut Machine {
        self.machines.get_mut(node).expect("a machine for every node")
    }

    #[expect(clippy::expect_used, reason = "every node of the inventory has a machine from the start")]
    pub(crate) fn at(&self, node: &NodeName) -> &Machine {
        self.machines.get(node).expect("a machine for every node")
    }

    #[expect(clippy::expect_used, reason = "the simulated pair has two nodes")]
    pub(crate) fn peer(&self, node: &NodeName) -> NodeName {
        self.machines.keys().find(|other| *other != node).expect("a second node").clone()
    }

    /// Remembers that something changed.
    pub(crate) fn changed(&mut self, name: &'static str, node: &NodeName, key: impl Into<String>) {
        self.effects.push(Effect { name, node: node.clone(), key: key.into() });
    }

    /// Lets something come true after a while.
    pub(crate) fn schedule(&mut self, after: Duration, node: &NodeName, what: Later) {
        self.later.push((self.now + after, node.clone(), what));
    }

    pub(crate) fn run_later(&mut self, after: Duration, node: &NodeName, call: Call) {
        self.schedule(after, node, Later::Call(call));
    }

    /// Whether a command of an earlier process is still at work on a machine.
    pub(crate) fn busy(&self, node: &NodeName) -> bool {
        self.watches(node) || self.later.iter().any(|(_, on, what)| on == node && matches!(what, Later::Call(_)))
    }

    /// Lets everything come true that is due by then, in order.
    pub(crate) fn advance(&mut self, now: Duration) {
        while let Some(next) = self.later.iter().enumerate().min_by_key(|(_, (due, ..))| *due).map(|(index, _)| index) {
            if self.later[next].0 > now {
                break;
            }
            let (due, node, what) = self.later.remove(next);
            self.now = self.now.max(due);
            let what = match what {
                Later::Call(call) => {
                    let before = self.effects.len();
                    let _unheard = self.run(&node, &call);
                    self.late.get_or_insert(before..self.effects.len());
                    continue;
                }
                what => what,
            };
            self.come_true(&node, &what);
            self.inspect(&format!("{what:?} on {node}"));
        }
        self.now = self.now.max(now);
    }

    fn come_true(&mut self, node: &NodeName, what: &Later) {
        match what {
            Later::Call(_) => {}
            Later::Boots => self.boots(node),
            Later::JobEnds(unit) => self.job_ends(node, unit),
            Later::TakesAddress(reload) => self.takes_address(node, *reload),
            Later::DropsAddress => self.drops_address(node),
            Later::Replays(position) => self.replays(node, *position),
            Later::StepsDown => self.steps_down(node),
            Later::TakesOver(comes_to_its_end) => self.takes_over(node, *comes_to_its_end),
        }
    }

    /// Runs one command to its end.
    pub(crate) fn run(&mut self, node: &NodeName, call: &Call) -> Answer {
        let answer = self.dispatch(node, call);
        self.look_for_secrets(node, call);
        self.inspect(&format!("`{}` on {node}", call.id));
        answer
    }

    /// The arm of each command. A new action needs a new arm: an unknown id is a mistake of the test, not an answer.
    pub(crate) fn dispatch(&mut self, node: &NodeName, call: &Call) -> Answer {
        let subject = call.id.split('.').next().unwrap_or_default();
        let answer = match subject {
            "node" | "lock" | "journal" | "job" => self.desk(node, call),
            "facts" => Some(facts::gather(self, node, call)),
            "package" => self.staging(node, call),
            "backup" => self.backup(node, call),
            "files" | "units" => self.service(node, call),
            "vip" | "keepalived" => self.vrrp(node, call),
            "db" | "database" => self.database(node, call),
            "sync" => self.sync(node, call),
            "note" => self.note(node, call),
            _ => None,
        };
        #[expect(clippy::panic, reason = "a command without an arm is a mistake of the test")]
        answer.unwrap_or_else(|| panic!("the simulated pair has no arm for `{}` {:?}", call.id, call.args))
    }

    /// Follows which steps are in progress.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::RunStarted { .. } => {
                // What another run left half-way is for this one to end, under other names.
                self.orphaned = self.writers().is_empty();
                self.in_progress.clear();
            }
            Event::PhaseStarted { phase } => {
                self.in_outage = OUTAGE.contains(&phase.as_str());
                self.outage |= self.in_outage;
                self.alone = ALONE.contains(&phase.as_str());
            }
            Event::StepStarted { step, .. } => {
                self.in_progress.insert(step.to_string());
            }
            // A step that failed half-way is still half-way, unless it was taken back.
            Event::StepFinished { step, .. } | Event::StepFailed { step, undone: true, .. } => {
                self.in_progress.remove(step.as_str());
            }
            _ => {}
        }
    }

    /// The root key goes in by standard input alone, and lies in no set and no journal (BAK-2).
    fn look_for_secrets(&mut self, node: &NodeName, call: &Call) {
        let key = self.at(node).service.root_key.as_str();
        let told = call.args.iter().any(|arg| arg.contains(key));
        if told || (call.id != "backup.put-key" && String::from_utf8_lossy(&call.input).contains(key)) {
            self.breaches.push(format!("`{}` on {node} carries the root key in the clear", call.id));
        }
    }

    pub(crate) fn steps_in_progress(&self) -> String {
        let steps: Vec<_> = self.in_progress.iter().map(String::as_str).collect();
        steps.join(" ")
    }

    /// What must hold at every moment: one holder of the address (two while one takes it over from the other), who
    /// serves; one writer (none only while a switchover is in progress); no copy of configuration between versions. In
    /// the stages of a way back in which the service is stopped nobody need serve or write; two writers never are.
    pub(crate) fn inspect(&mut self, after: &str) {
        // What a machine without power takes along is not the run's doing; two of a kind never are excused.
        let excused = self.now < self.excused_until;
        let switching =
            self.orphaned || self.in_progress.iter().any(|step| CHANGES_ROLES.iter().any(|id| step.starts_with(id)));
        let names = |wanted: &dyn Fn(&NodeName) -> bool| -> Vec<NodeName> {
            self.machines.keys().filter(|node| wanted(node)).cloned().collect()
        };
        let holders = names(&|node| self.at(node).keepalived.holds());
        let writers = names(&|node| self.at(node).database.writes());
        let serving = names(&|node| self.at(node).keepalived.holds() && self.serves(node));
        if writers.is_empty() {
            self.silent_since.get_or_insert(self.now);
        } else if let Some(since) = self.silent_since.take() {
            self.longest_silence = self.longest_silence.max(self.now - since);
        }
        self.orphaned &= writers.is_empty();
        self.outage &= self.in_outage || writers.is_empty() || serving.is_empty();
        let outage = self.outage;
        let copying = names(&|node| self.at(node).sync.copies());
        let versions: BTreeSet<_> = self.machines.keys().map(|node| self.version(node)).collect();
        let mixed = versions.len() > 1;
        let handing_over = self.machines.values().any(|machine| machine.keepalived.hands_over());
        let hanging = self.alone && !outage && !excused && writers.iter().any(|node| self.commits_hang(node));
        let mut complain = |text: String| {
            if !self.breaches.iter().any(|breach| breach.ends_with(&text)) {
                self.breaches.push(format!("after {after}: {text}"));
            }
        };
        let handed_on = self.now <= self.gap_until && holders.is_empty();
        if (holders.is_empty() && !excused && !handed_on) || (holders.len() > 1 && !handing_over) {
            complain(format!("{} holders of the address", holders.len()));
        }
        if writers.len() > 1 {
            complain(format!("{} databases write", writers.len()));
        }
        if writers.is_empty() && !switching && !excused && !outage {
            complain("no database writes outside db.switchover".to_owned());
        }
        if mixed && !copying.is_empty() {
            complain("configuration is copied between two versions".to_owned());
        }
        if hanging {
            complain("commits wait for a standby that is not there".to_owned());
        }
        if serving.is_empty() && !excused && !outage && !handed_on {
            complain("nobody serves behind the address".to_owned());
        }
    }

    /// The world without what differs from one good run to the next (times, attempts, copies of journals).
    pub fn settled(&self) -> serde_json::Value {
        serde_json::to_value(&self.machines).unwrap_or_default()
    }

    /// Who holds the address.
    pub fn holders(&self) -> Vec<NodeName> {
        self.machines.iter().filter(|(_, machine)| machine.keepalived.holds()).map(|(node, _)| node.clone()).collect()
    }

    /// Which databases write.
    pub fn writers(&self) -> Vec<NodeName> {
        self.machines.iter().filter(|(_, machine)| machine.database.writes()).map(|(node, _)| node.clone()).collect()
    }

    /// Names of the migrations that the database of a machine knows.
    pub fn migrations(&self, node: &NodeName) -> Vec<&str> {
        self.at(node).database.migrations()
    }

    /// How often an effect came about.
    pub fn times(&self, name: &str) -> usize {
        self.effects.iter().filter(|effect| effect.name == name).count()
    }

    /// A file of a run's copy on a machine, for example `journal.jsonl`.
    pub fn copy_of(&self, node: &NodeName, run: &RunId, file: &str) -> Option<Vec<u8>> {
        self.at(node).desk.copies.get(&format!("{run}/{file}")).cloned()
    }

    /// The run that holds a machine's lock.
    pub fn locked_by(&self, node: &NodeName) -> Option<&str> {
        self.at(node).desk.lock.as_ref().map(|(run, _)| run.as_str())
    }
}
