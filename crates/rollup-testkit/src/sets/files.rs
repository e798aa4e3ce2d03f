//! Code, configuration and root key of a machine: on their way into a set, and back.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use rollup_model::NodeName;

use super::{name_of, sha256, sum};
use crate::{
    call::{Answer, Call, Failed},
    service::Placed,
    world::World,
};

/// Mode, owner and group of the root key.
const KEY_FILE: &str = "600 orders orders";

/// What every file has, in bytes.
const SIZE: usize = 1000;

type Files = BTreeMap<String, Placed>;

fn inside(path: &str, dir: &str) -> bool {
    path == dir || super::below(path, dir)
}

/// The line of a list for a file.
fn entry(path: &str, Placed { sha256, mode, owner, group }: &Placed) -> String {
    format!("f {mode} {owner} {group} {SIZE} {sha256} {path}")
}

/// The list of what is archived, with the directories that were asked for by name.
fn contents(files: &Files, asked: &[String]) -> String {
    let directories = asked.iter().filter(|path| files.keys().any(|file| super::below(file, path)));
    let mut lines: BTreeMap<&str, String> =
        directories.map(|path| (path.as_str(), format!("d 755 orders orders 0 - {path}\n"))).collect();
    lines.extend(files.iter().map(|(path, file)| (path.as_str(), entry(path, file) + "\n")));
    lines.into_values().collect()
}

impl World {
    pub(super) fn set_files(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        let machine = self.at(node);
        Some(match call.id.as_str() {
            "backup.measure" => {
                let there = |path: &&String| machine.service.files.keys().any(|file| inside(file, path));
                let files = call.args.iter().skip(3).filter(there).count() * SIZE;
                let database = if call.arg(1).is_empty() { 0 } else { 40_000_000 };
                let key = if call.arg(2).is_empty() { "none" } else { "file" };
                Ok(format!("free {}\nwritable yes\nfiles {files}\ndatabase {database}\nkey {key}\n", 40u64 << 30))
            }
            "backup.take" => self.take_files(node, call),
            "backup.key-stat" => Ok("file\n".to_owned()),
            "backup.read-key" => Ok(format!("{KEY_FILE}\n{}", STANDARD.encode(machine.service.root_key.as_bytes()))),
            "backup.write-key" => self.write_key(node, call),
            "backup.differ" => self.differ(node, call),
            "backup.put-back" => self.put_back(node, call),
            "backup.put-key" => self.put_key(node, call),
            "backup.drill" => self.archive(node, &format!("{}/{}", call.arg(0), call.arg(1))).map(|_| String::new()),
            _ => return None,
        })
    }

    /// `$1` set directory, `$2` node, `$3` root key, then the paths to keep.
    fn take_files(&mut self, node: &NodeName, call: &Call) -> Answer {
        let part = format!("{}/{}", call.arg(0), call.arg(1));
        if self.at(node).sets.get(&format!("{part}/sums")).is_some() {
            return Ok(String::new());
        }
        let asked = call.args.get(3..).unwrap_or_default();
        let there = &self.at(node).service.files;
        let kept = |path: &String| asked.iter().any(|asked| inside(path, asked)) && path != call.arg(2);
        let files: Files = there.iter().filter(|(path, _)| kept(path)).map(|(p, f)| (p.clone(), f.clone())).collect();
        let missing = asked.iter().filter(|path| !there.keys().any(|file| inside(file, path)));
        let absent: String = missing.map(|path| format!("{path}\n")).collect();
        let archive = serde_json::to_vec(&files).map_err(|error| Failed::saying(1, error.to_string()))?;
        let parts = [
            ("files.tar.zst", archive),
            ("contents", contents(&files, asked).into_bytes()),
            ("absent", absent.into_bytes()),
        ];
        let sums: String = parts.iter().map(|(name, bytes)| sum(name, bytes)).collect();
        let sets = &mut self.machine(node).sets;
        for (name, bytes) in parts.into_iter().chain([("sums", sums.into_bytes())]) {
            sets.put(format!("{part}/{name}"), bytes);
        }
        self.changed("backup.taken", node, name_of(call.arg(0)));
        Ok(String::new())
    }

    /// `$1` set directory, `$2` node, `$3` what `root-key.json` says, `$4` SHA-256; stdin: the ciphertext.
    fn write_key(&mut self, node: &NodeName, call: &Call) -> Answer {
        if sha256(&call.input) != call.arg(3) {
            return Err(Failed::saying(1, "root-key.age did not arrive as it was sent"));
        }
        let part = format!("{}/{}", call.arg(0), call.arg(1));
        let record = format!("{}\n", call.arg(2)).into_bytes();
        let sums = sum("root-key.age", &call.input) + &sum("root-key.json", &record);
        let sets = &mut self.machine(node).sets;
        let known = sets.get(&format!("{part}/key-sums")).is_some();
        sets.put(format!("{part}/root-key.age"), call.input.clone());
        sets.put(format!("{part}/root-key.json"), record);
        sets.put(format!("{part}/key-sums"), sums.into_bytes());
        if !known {
            self.changed("backup.key-kept", node, name_of(call.arg(0)));
        }
        Ok(String::new())
    }

    /// What the archive of a part holds, proven by its checksum.
    fn archive(&self, node: &NodeName, part: &str) -> Result<Files, Failed> {
        let sets = &self.at(node).sets;
        let read = |name: &str| sets.get(&format!("{part}/{name}"));
        let (Some(archive), Some(sums)) = (read("files.tar.zst"), read("sums")) else {
            return Err(Failed::saying(1, format!("{part}: No such file or directory")));
        };
        let line = sum("files.tar.zst", archive);
        if !String::from_utf8_lossy(sums).lines().any(|known| known == line.trim_end()) {
            return Err(Failed::saying(1, format!("{part}/files.tar.zst is damaged: its checksum is another")));
        }
        serde_json::from_slice(archive).map_err(|error| Failed::saying(1, error.to_string()))
    }

    fn absent(&self, node: &NodeName, part: &str) -> Vec<String> {
        let text = self.at(node).sets.get(&format!("{part}/absent")).map(String::from_utf8_lossy).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Paths that are not as the list of a part says; the archive itself is not asked.
    fn differing(&self, node: &NodeName, part: &str) -> Result<Vec<String>, Failed> {
        let machine = self.at(node);
        let there = &machine.service.files;
        let Some(listed) = machine.sets.get(&format!("{part}/contents")).map(String::from_utf8_lossy) else {
            return Err(Failed::saying(1, format!("{part}/contents: No such file or directory")));
        };
        let listed: BTreeMap<&str, &str> = listed
            .lines()
            .filter(|line| line.starts_with("f "))
            .filter_map(|line| Some((line.splitn(7, ' ').nth(6)?, line)))
            .collect();
        let as_listed = |path: &str| there.get(path).map(|file| entry(path, file));
        let differ = listed.iter().filter(|(path, line)| as_listed(path).as_deref() != Some(**line));
        let absent = self.absent(node, part).into_iter().filter(|path| there.keys().any(|file| inside(file, path)));
        Ok(differ.map(|(path, _)| (*path).to_owned()).chain(absent).collect())
    }

    /// `$1` set directory, `$2` node, `$3` root key or empty, `$4` its mode, `$5` owner, `$6` group, `$7` fingerprint.
    fn differ(&mut self, node: &NodeName, call: &Call) -> Answer {
        let key = self.at(node).service.root_key.as_bytes();
        let wanted = format!("{} {} {} {}", call.arg(3), call.arg(4), call.arg(5), call.arg(6));
        let key = call.arg(2).is_empty() || format!("{KEY_FILE} {}", &sha256(key)[..16]) == wanted;
        let mut lines = if key { Vec::new() } else { vec![format!("key {}\n", call.arg(2))] };
        let files = self.differing(node, &format!("{}/{}", call.arg(0), call.arg(1)))?;
        lines.extend(files.iter().map(|path| format!("file {path}\n")));
        lines.truncate(10);
        Ok(lines.concat())
    }

    /// `$1` set directory, `$2` node.
    fn put_back(&mut self, node: &NodeName, call: &Call) -> Answer {
        let part = format!("{}/{}", call.arg(0), call.arg(1));
        let (differing, mut kept) = (self.differing(node, &part)?, self.archive(node, &part)?);
        self.must_not_run(node, "files were put back");
        for path in differing {
            let files = &mut self.machine(node).service.files;
            match kept.remove(&path) {
                Some(file) => {
                    files.insert(path.clone(), file);
                    self.changed("file.put-back", node, path);
                }
                None => {
                    files.retain(|file, _| !inside(file, &path));
                    self.changed("file.removed", node, path);
                }
            }
        }
        Ok(String::new())
    }

    /// `$1` place, `$2` mode, `$3` owner, `$4` group, `$5` fingerprint; stdin: the key.
    fn put_key(&mut self, node: &NodeName, call: &Call) -> Answer {
        if sha256(&call.input)[..16] != *call.arg(4) {
            return Err(Failed::saying(1, "the root key did not arrive as it was sent"));
        }
        self.must_not_run(node, "the root key was put back");
        if self.at(node).service.root_key != call.text() {
            self.changed("root-key.put-back", node, call.arg(4));
        }
        self.machine(node).service.root_key = call.text();
        Ok(String::new())
    }

    fn must_not_run(&mut self, node: &NodeName, what: &str) {
        if self.at(node).service.units.values().any(|unit| unit.active) {
            self.breaches.push(format!("{what} on {node} under a running unit"));
        }
    }
}
