//! The upgraded service on a machine: files in their places, systemd units, answers of its health URL.

use std::{collections::BTreeMap, time::Duration};

use rollup_model::{Inventory, NodeName, Release};
use serde::{Deserialize, Serialize};

use crate::{
    call::{Answer, Call, Failed},
    world::World,
};

/// From the start of a unit to the first good answer.
const WARM_UP: Duration = Duration::from_millis(1500);

/// How long a flapping unit runs each time.
const FLAPS_AFTER: Duration = Duration::from_secs(5);

/// The end of the name of a file that the old version does not have.
pub(crate) const NEW_FILE: &str = "new.py";

/// What the root key holds before a run.
const OLD_KEY: &str = "SECRET of the old version";

/// The upgraded service on a machine.
#[derive(Debug, Serialize)]
pub(crate) struct Service {
    pub(crate) files: BTreeMap<String, Placed>,
    /// What the root key holds, in words: a hook makes a new one.
    pub(crate) root_key: String,
    pub(crate) units: BTreeMap<String, Unit>,
    /// Stopped by a run, and not started by it again.
    marked: bool,
}

/// A file in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) sha256: String,
    pub(crate) mode: String,
    pub(crate) owner: String,
    pub(crate) group: String,
}

/// A systemd unit.
#[derive(Debug, Serialize)]
pub(crate) struct Unit {
    pub(crate) active: bool,
    /// When it was started; `None`: long ago.
    #[serde(skip)]
    since: Option<Duration>,
    /// The root key that it read at its start: a unit that runs with another one is wrong.
    root_key: String,
}

fn config() -> Placed {
    let text = str::to_owned;
    Placed { sha256: "0c".repeat(32), mode: text("640"), owner: text("root"), group: text("orders") }
}

impl Service {
    /// The old version, running.
    pub(crate) fn new(inventory: &Inventory, release: &Release) -> Self {
        let old = |c: &rollup_model::release::Component| Placed {
            sha256: "0d".repeat(32),
            mode: c.mode.trim_start_matches('0').to_owned(),
            owner: c.owner.clone(),
            group: c.group.clone(),
        };
        let units = inventory.service.units.iter();
        // What is new in a version was not there before; configuration is nobody's component.
        let known = release.components.iter().filter(|c| !c.source.ends_with(NEW_FILE));
        let mut files: BTreeMap<_, _> = known.map(|c| (c.destination.clone(), old(c))).collect();
        files.extend(inventory.service.config.iter().map(|dir| (format!("{dir}/app.conf"), config())));
        Self {
            files,
            root_key: OLD_KEY.to_owned(),
            units: units
                .map(|unit| (unit.clone(), Unit { active: true, since: None, root_key: OLD_KEY.to_owned() }))
                .collect(),
            marked: false,
        }
    }
}

impl World {
    /// How often systemd has restarted a unit by itself, and when it did so last or the unit was started; zero: long ago.
    pub(crate) fn restarts(&self, unit: &Unit) -> (u32, Duration) {
        let Some(since) = unit.since else { return (0, Duration::ZERO) };
        let lives = self.now.saturating_sub(since).as_secs() / FLAPS_AFTER.as_secs();
        let restarts = u32::try_from(lives).unwrap_or(u32::MAX).min(self.knobs.flaps);
        (restarts, since + FLAPS_AFTER * restarts)
    }

    pub(crate) fn service(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        Some(match call.id.as_str() {
            "files.look" => Ok(self.look_at_files(node, &call.text())),
            "files.install" => self.install(node, call),
            "units.look" => {
                let line = |unit: &String| {
                    let active = self.at(node).service.units.get(unit).is_some_and(|unit| unit.active);
                    if active { format!("{unit} active 2\n") } else { format!("{unit} inactive 0\n") }
                };
                let mark = if self.at(node).service.marked { "marked\n" } else { "" };
                Ok(call.args.iter().map(line).collect::<String>() + mark)
            }
            "units.stop" => {
                self.machine(node).service.marked = true;
                self.stop(node, &call.args);
                Ok(String::new())
            }
            "units.start" => self.start(node, &call.args),
            _ => return None,
        })
    }

    fn stop(&mut self, node: &NodeName, units: &[String]) {
        for name in units {
            let unit = self.machine(node).service.units.get_mut(name);
            if unit.is_some_and(|unit| std::mem::replace(&mut unit.active, false)) {
                self.changed("unit.stopped", node, name);
            }
        }
    }

    fn look_at_files(&self, node: &NodeName, paths: &str) -> String {
        let files = &self.at(node).service.files;
        let line = |path: &str| match files.get(path) {
            Some(Placed { sha256, mode, owner, group }) => format!("{sha256} {mode} {owner} {group} {path}\n"),
            None => format!("absent - - - {path}\n"),
        };
        paths.lines().map(line).collect()
    }

    /// Takes orders as the script does: `place`, `remove` and `record`, tabs between words.
    fn install(&mut self, node: &NodeName, call: &Call) -> Answer {
        if self.at(node).service.marked {
            self.stop(node, call.args.get(2..).unwrap_or_default());
        }
        let mut record = String::new();
        for line in call.text().lines() {
            let words: Vec<_> = line.split('\t').collect();
            let (source, destination, new) = match words[..] {
                ["place", source, destination, owner, group, mode, sha256, _] => {
                    let mode = mode.trim_start_matches('0').to_owned();
                    let (owner, group) = (owner.to_owned(), group.to_owned());
                    (source, destination, Placed { sha256: sha256.to_owned(), mode, owner, group })
                }
                ["record", line] => {
                    record += &format!("{line}\n");
                    continue;
                }
                _ => return Err(Failed::saying(1, format!("not an order: {line}"))),
            };
            if !self.at(node).staging.has(call.arg(0), source, &new.sha256) {
                return Err(Failed::saying(1, format!("cp: cannot stat {}/{source}", call.arg(0))));
            }
            if self.at(node).service.units.values().any(|unit| unit.active) {
                self.breaches.push(format!("{destination} was replaced on {node} under a running unit"));
            }
            self.put(node, destination, new);
        }
        let root = || "root".to_owned();
        let sha256 = rollup_model::plan::hex(&<sha2::Sha256 as sha2::Digest>::digest(record));
        self.put(node, call.arg(1), Placed { sha256, mode: "644".to_owned(), owner: root(), group: root() });
        Ok(String::new())
    }

    fn put(&mut self, node: &NodeName, destination: &str, new: Placed) {
        let old = self.machine(node).service.files.insert(destination.to_owned(), new.clone());
        if old.as_ref() != Some(&new) {
            self.changed("file.placed", node, destination);
        }
    }

    pub(crate) fn units_die(&mut self, node: &NodeName) {
        self.machine(node).service.units.values_mut().for_each(|unit| unit.active = false);
    }

    /// Every unit is enabled.
    pub(crate) fn units_boot(&mut self, node: &NodeName) {
        let since = Some(self.now);
        let service = &mut self.machine(node).service;
        for unit in service.units.values_mut() {
            (unit.active, unit.since, unit.root_key) = (true, since, service.root_key.clone());
        }
    }

    fn start(&mut self, node: &NodeName, units: &[String]) -> Answer {
        if self.knobs.failing_starts > 0 {
            self.knobs.failing_starts -= 1;
            return Err(Failed::saying(1, "Job failed. See \"journalctl -xe\"."));
        }
        if self.at(node).service.marked {
            self.stop(node, units);
        }
        for name in units {
            let now = self.now;
            let service = &mut self.machine(node).service;
            let Some(unit) = service.units.get_mut(name) else {
                return Err(Failed::saying(5, format!("Unit {name} not found.")));
            };
            if !std::mem::replace(&mut unit.active, true) {
                (unit.since, unit.root_key) = (Some(now), service.root_key.clone());
                self.changed("unit.started", node, name);
            }
        }
        self.machine(node).service.marked = false;
        Ok(String::new())
    }

    /// Runs a hook of the package. The one hook there is makes a new root key.
    pub(crate) fn run_hook(&mut self, node: &NodeName, hook: &str, version: &str) {
        self.machine(node).service.root_key = format!("SECRET of {version}");
        self.changed("hook.ran", node, hook);
        if !self.steps_in_progress().contains(&format!("hook.post-install@{node}")) {
            self.breaches.push(format!("hook {hook} ran on {node} although its step was not in progress"));
        }
    }

    /// The version whose files lie in their places.
    pub(crate) fn version(&self, node: &NodeName) -> &str {
        let files = &self.at(node).service.files;
        let placed = |c: &rollup_model::release::Component| {
            files.get(&c.destination).is_some_and(|file| file.sha256 == c.sha256)
        };
        if self.release.components.iter().all(placed) { &self.release.version } else { "1.0.0" }
    }

    /// Whether the health URL answers well.
    pub(crate) fn serves(&self, node: &NodeName) -> bool {
        let machine = self.at(node);
        let warm = |unit: &Unit| unit.active && unit.since.is_none_or(|since| self.now >= since + WARM_UP);
        let broken = self.knobs.never_healthy.contains(node) && self.version(node) == self.release.version;
        machine.service.units.values().all(warm) && !broken
    }
}
