//! Backup sets on a machine: files with real content, so that sums, sizes and ciphertext are what they would be.
//!
//! Where a real archive holds files, the one here holds what the world knows of them, as JSON. Nobody but the commands
//! of this module looks into it, and they prove its checksum before, as the scripts do.

mod files;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use backup::{Manifest, Sealed};
use rollup_model::{NodeName, plan::hex};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    call::{Answer, Call, Failed},
    world::World,
};

/// The set of an earlier run. Nothing but its name and its state matters.
const OLD_SET: &str = "backup_20260101_000000";

/// One file of a set.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    bytes: Vec<u8>,
    /// Grows with every change of any file: tells one that was mended since.
    changed: u64,
}

/// Everything below the backup directory of a machine, by path.
#[derive(Debug, Default)]
pub(crate) struct Sets {
    files: BTreeMap<String, Kept>,
    changes: u64,
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// One line of `sums`.
fn sum(name: &str, bytes: &[u8]) -> String {
    format!("{} {} {name}\n", sha256(bytes), bytes.len())
}

impl Sets {
    /// One verified set of an earlier run.
    pub(crate) fn with_old_one(dir: &str) -> Self {
        let mut sets = Self::default();
        sets.put(format!("{dir}/{OLD_SET}/manifest.json"), b"{\n  \"state\": \"verified\"\n}".to_vec());
        sets
    }

    /// What a file holds.
    pub(crate) fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(|kept| kept.bytes.as_slice())
    }

    /// Puts a file in its place. Returns whether that changed anything.
    pub(crate) fn put(&mut self, path: String, bytes: Vec<u8>) -> bool {
        self.changes += 1;
        let kept = Kept { bytes, changed: self.changes };
        let old = self.files.insert(path, kept.clone());
        old.is_none_or(|old| old.bytes != kept.bytes)
    }

    /// A file's content is no longer what it was, although nobody wrote it.
    pub(crate) fn damage(&mut self, path: &str) {
        if let Some(kept) = self.files.get_mut(path) {
            kept.bytes.reverse();
        }
    }

    /// A file, or everything below a directory, is gone. Returns whether there was anything.
    pub(crate) fn remove(&mut self, path: &str) -> bool {
        let before = self.files.len();
        self.files.retain(|name, _| name != path && !below(name, path));
        self.files.len() < before
    }

    /// Files below a directory, with their names there.
    fn below<'s>(&'s self, dir: &'s str) -> impl Iterator<Item = (&'s str, &'s Kept)> {
        self.files.iter().filter_map(move |(path, kept)| Some((path.strip_prefix(dir)?.strip_prefix('/')?, kept)))
    }

    /// Names of the sets in a directory, oldest first.
    fn names<'s>(&'s self, dir: &'s str) -> BTreeSet<&'s str> {
        self.below(dir).filter_map(|(path, _)| path.split_once('/')).map(|(set, _)| set).collect()
    }

    /// What `manifest.json` says under this name; nothing: there is none.
    fn said(&self, set_dir: &str, name: &str) -> Option<Value> {
        serde_json::from_slice::<Value>(self.get(&format!("{set_dir}/manifest.json"))?).ok()?.get(name).cloned()
    }

    /// A set's manifest, when it can be trusted.
    pub(crate) fn manifest(&self, set_dir: &str) -> Option<Manifest> {
        Manifest::read(self.get(&format!("{set_dir}/manifest.json"))?).ok()
    }

    /// `set NAME STATE HOLD` for each set.
    pub(crate) fn list(&self, dir: &str) -> String {
        let line = |set: &str| {
            let set_dir = format!("{dir}/{set}");
            let state = self.said(&set_dir, "state").and_then(|state| state.as_str().map(str::to_owned));
            let hold = self.get(&format!("{set_dir}/hold.json")).map(String::from_utf8_lossy);
            let hold = hold.map_or("-".to_owned(), |hold| hold.replace('\n', ""));
            format!("set {set} {} {hold}\n", state.unwrap_or("incomplete".to_owned()))
        };
        self.names(dir).into_iter().map(line).collect()
    }
}

fn below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

/// What two good runs leave alike: not ciphertext, times, and what the database's position makes of its archive.
impl Serialize for Sets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = |(path, kept): (&String, &Kept)| {
            let folder = path.rsplit('/').nth(1).unwrap_or_default();
            let value = match path.rsplit('/').next().unwrap_or_default() {
                "manifest.json" => {
                    let manifest: Value = serde_json::from_slice(&kept.bytes).unwrap_or_default();
                    let said = |name: &str| manifest.get(name).cloned().unwrap_or_default();
                    json!(["state", "purpose", "run", "copies"].map(said))
                }
                "hold.json" => json!(String::from_utf8_lossy(&kept.bytes)),
                name if name.ends_with(".age") || name.contains("key-sums") || name.starts_with("drill-") => {
                    json!(true)
                }
                _ if folder == "database" => json!(true),
                _ => json!(sha256(&kept.bytes)),
            };
            (path.clone(), value)
        };
        self.files.iter().map(shown).collect::<BTreeMap<_, _>>().serialize(serializer)
    }
}

impl World {
    pub(crate) fn backup(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        let dir = call.arg(0).to_owned();
        let sets = &self.at(node).sets;
        let done = || Ok(String::new());
        Some(match call.id.as_str() {
            "backup.read" => {
                let line =
                    |name: &String| Some(backup::listed(name, "root:root", "600", sets.get(&format!("{dir}/{name}"))?));
                Ok(call.args.iter().skip(1).filter_map(line).collect())
            }
            "backup.write" => {
                self.write_small(node, &dir, call.arg(1), call.input.clone());
                done()
            }
            "backup.stat" => {
                let parts = sets.below(&dir).filter(|(name, _)| name.split('/').count() == 2);
                Ok(parts.map(|(name, kept)| format!("{} {name}\n", kept.bytes.len())).collect())
            }
            "backup.send" => match sets.get(&format!("{dir}/{}", call.arg(1))) {
                Some(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
                None => Err(Failed::saying(1, "cat: No such file or directory")),
            },
            "backup.receive" => self.receive_part(node, &dir, call),
            "backup.check-parts" => {
                let said = |[name, size, sha]: [&str; 3]| match sets.get(&format!("{dir}/{name}")) {
                    None => format!("missing {name}\n"),
                    Some(bytes) if bytes.len().to_string() != size => {
                        format!("damaged {name} its size is {}, expected {size}\n", bytes.len())
                    }
                    Some(bytes) if sha != "-" && sha256(bytes) != sha => {
                        format!("damaged {name} its checksum is another\n")
                    }
                    Some(_) => format!("whole {name}\n"),
                };
                Ok(call.groups(1).map(said).collect())
            }
            "backup.verify" => {
                let report = report::make(sets, &dir, call);
                let file = format!("{dir}/damaged");
                match report.is_empty() {
                    true => drop(self.machine(node).sets.remove(&file)),
                    false => drop(self.machine(node).sets.put(file, report.into_bytes())),
                }
                done()
            }
            "backup.damaged" => Ok(report::read(sets, &dir, call.arg(1))),
            "backup.list" => Ok(sets.list(&dir)),
            "backup.remove" => {
                for name in call.args.iter().skip(1) {
                    if self.machine(node).sets.remove(&format!("{dir}/{name}")) {
                        self.changed("backup.removed", node, name);
                    }
                }
                done()
            }
            "backup.unhold" => {
                if self.machine(node).sets.remove(&format!("{dir}/hold.json")) {
                    self.changed("backup.released", node, name_of(&dir));
                }
                done()
            }
            _ => return self.set_files(node, call),
        })
    }

    /// A small file of a set. A manifest that says what it said before, at another time, is no change.
    fn write_small(&mut self, node: &NodeName, dir: &str, name: &str, bytes: Vec<u8>) {
        let sets = &mut self.machine(node).sets;
        let before = sets.said(dir, "state");
        let changed = sets.put(format!("{dir}/{name}"), bytes);
        let after = sets.said(dir, "state");
        match name {
            "manifest.json" if before != after => {
                let state = after.as_ref().and_then(Value::as_str).unwrap_or_default();
                self.changed("backup.described", node, format!("{} {state}", name_of(dir)));
            }
            "hold.json" if changed => {
                let hold = self.hold_of(node, name_of(dir)).unwrap_or_default();
                self.changed("backup.held", node, format!("{} {hold}", name_of(dir)));
            }
            name if changed && name.starts_with("drill-") => self.changed("backup.drilled", node, name_of(dir)),
            _ => {}
        }
    }

    /// `$1` set directory, `$2` name, `$3` size, `$4` SHA-256; stdin: the content.
    fn receive_part(&mut self, node: &NodeName, dir: &str, call: &Call) -> Answer {
        let (size, sha) = (call.input.len().to_string(), sha256(&call.input));
        if size != call.arg(2) || sha != call.arg(3) {
            return Err(Failed::saying(9, format!("{} arrived damaged", call.arg(1))));
        }
        if self.machine(node).sets.put(format!("{dir}/{}", call.arg(1)), call.input.clone()) {
            self.changed("backup.copied", node, format!("{} {}", name_of(dir), call.arg(1)));
        }
        Ok(String::new())
    }

    /// A set's manifest, the furthest of those on the machines.
    pub fn manifest(&self, set: &str) -> Option<Manifest> {
        let dir = format!("{}/{set}", self.inventory.backup.dir);
        let all = self.machines.values().filter_map(|machine| machine.sets.manifest(&dir));
        all.max_by_key(|manifest| manifest.verified_at)
    }

    /// Hold of a set on a machine, as it lies there.
    pub fn hold_of(&self, node: &NodeName, set: &str) -> Option<String> {
        let path = format!("{}/{set}/hold.json", self.inventory.backup.dir);
        self.at(node).sets.get(&path).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// Names of the sets on a machine, oldest first.
    pub fn sets_of(&self, node: &NodeName) -> Vec<String> {
        self.at(node).sets.names(&self.inventory.backup.dir).into_iter().map(str::to_owned).collect()
    }

    /// A file of a set is damaged on a machine, so that only a reading back can tell.
    pub fn damage(&mut self, node: &NodeName, set: &str, name: &str) {
        let path = format!("{}/{set}/{name}", self.inventory.backup.dir);
        self.machine(node).sets.damage(&path);
    }

    /// A file, or a folder, of a set is gone from a machine.
    pub fn lose(&mut self, node: &NodeName, set: &str, name: &str) {
        let path = format!("{}/{set}/{name}", self.inventory.backup.dir);
        self.machine(node).sets.remove(&path);
    }

    /// What is wrong with the verified sets: each has one manifest, and each part is whole where it was taken and where
    /// a copy is said to be.
    pub fn set_problems(&self) -> Vec<String> {
        let dir = &self.inventory.backup.dir;
        let all: BTreeSet<_> = self.machines.values().flat_map(|machine| machine.sets.names(dir)).collect();
        let mut problems = Vec::new();
        for set in all.into_iter().filter(|set| *set != OLD_SET) {
            let Some(manifest) = self.manifest(set).filter(|manifest| manifest.state == Sealed::Verified) else {
                continue;
            };
            let bytes = manifest.bytes().unwrap_or_default();
            for (node, machine) in &self.machines {
                let set_dir = format!("{dir}/{set}");
                if machine.sets.get(&format!("{set_dir}/manifest.json")) != Some(&bytes) {
                    problems.push(format!("{set}: the manifest on {node} is another one"));
                }
                let copied = manifest.copies.iter().any(|place| place.to_string() == node.as_str());
                let parts = if copied { manifest.parts().collect() } else { manifest.home_of(node) };
                let whole = |name: &str, sha: &str| {
                    machine.sets.get(&format!("{set_dir}/{name}")).is_some_and(|bytes| sha256(bytes) == sha)
                };
                let bad = parts.into_iter().filter(|part| !whole(&part.name, &part.sha256));
                problems.extend(bad.map(|part| format!("{set}: {} on {node} is not as described", part.name)));
            }
        }
        problems
    }
}

/// The set's name in its directory's path.
fn name_of(dir: &str) -> &str {
    dir.rsplit('/').next().unwrap_or_default()
}
