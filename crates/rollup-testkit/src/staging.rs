//! The package on its way: files of the tree, marks of hooks.

use std::collections::{BTreeMap, BTreeSet};

use rollup_model::NodeName;
use serde::Serialize;

use crate::{
    call::{Answer, Call, Failed},
    world::World,
};

/// Staging directories of a machine.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Staging {
    directories: BTreeMap<String, Directory>,
}

#[derive(Debug, Default, Serialize)]
struct Directory {
    /// Files of the tree that are proved, by name, with their checksums.
    proved: BTreeMap<String, String>,
    /// Files of the tree whose content nobody has looked at yet.
    arrived: BTreeSet<String>,
    hooks: BTreeSet<String>,
}

impl Directory {
    /// Hashes what has arrived of a list.
    fn prove(&mut self, list: &str) {
        for [sha256, name, _] in listed(list) {
            if self.arrived.remove(name) {
                self.proved.insert(name.to_owned(), sha256.to_owned());
            }
        }
    }
}

/// The lines of a list, each a checksum, a name and perhaps more.
fn listed(text: &str) -> Vec<[&str; 3]> {
    text.lines().map(|line| std::array::from_fn(|at| line.split('\t').nth(at).unwrap_or_default())).collect()
}

impl Staging {
    /// Whether this path is a tree with these files of the package in it.
    pub(crate) fn has(&self, path: &str, source: &str, sha256: &str) -> bool {
        let dir = path.strip_suffix("/tree").and_then(|dir| self.directories.get(dir));
        dir.is_some_and(|dir| dir.proved.get(source).is_some_and(|found| found == sha256))
    }
}

impl World {
    /// Everything that is lacking has come to a tree.
    fn arrive(&mut self, node: &NodeName, dir: &str) -> Answer {
        let missing: Vec<String> = self.release.staged().map(|file| file.source.to_owned()).collect();
        let Some(directory) = self.machine(node).staging.directories.get_mut(dir) else {
            return Err(Failed::saying(2, "tar: tree: Cannot open: No such file or directory"));
        };
        let proved = &directory.proved;
        // What is lacking is what is sent: the stream itself is not looked into.
        let arrived = missing.into_iter().filter(|name| !proved.contains_key(name)).collect();
        if std::mem::replace(&mut directory.arrived, arrived) != directory.arrived {
            self.changed("package.received", node, "files");
        }
        Ok(String::new())
    }

    pub(crate) fn staging(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        let dir = call.arg(0).to_owned();
        let text = call.text();
        let lacking = |world: &Self| -> String {
            let staged = world.at(node).staging.directories.get(&dir);
            let is_proved = |[sha256, name, _]: &[&str; 3]| {
                staged.is_some_and(|staged| staged.proved.get(*name).is_some_and(|found| found == sha256))
            };
            listed(&text).into_iter().filter(|file| !is_proved(file)).map(|[_, name, _]| format!("{name}\n")).collect()
        };
        let staged = self.at(node).staging.directories.get(&dir);
        Some(match call.id.as_str() {
            "package.look-tree" => Ok(lacking(self)),
            "package.seed" => {
                let files = &self.at(node).service.files;
                let is_placed = |sha256: &str, at: &str| files.get(at).is_some_and(|placed| placed.sha256 == sha256);
                let same: Vec<_> = listed(&text).into_iter().filter(|[sha256, _, at]| is_placed(sha256, at)).collect();
                let directory = self.machine(node).staging.directories.entry(dir.clone()).or_default();
                for [sha256, name, _] in same {
                    directory.proved.insert(name.to_owned(), sha256.to_owned());
                }
                // What came with an earlier try is hashed with the rest.
                directory.prove(&text);
                Ok(format!("plain\n{}", lacking(self)))
            }
            "package.lend" | "package.unserve" => Ok(String::new()),
            "package.serve" => match staged {
                Some(_) => Ok("50000 password\n".to_owned()),
                None => Err(Failed::saying(1, "mkdir: cannot create directory")),
            },
            // What the other node has proved; the stream itself is not looked into.
            "package.fetch" => {
                let names: Vec<&str> = text.lines().skip(1).collect();
                let has = |other: &NodeName| {
                    let there = self.at(other).staging.directories.get(&dir);
                    other != node
                        && there.is_some_and(|there| names.iter().all(|name| there.proved.contains_key(*name)))
                };
                if !self.machines.keys().any(has) {
                    return Some(Err(Failed::saying(3, "rsync: link_stat failed: No such file or directory")));
                }
                self.arrive(node, &dir)
            }
            "package.take" | "package.receive" => self.arrive(node, &dir),
            "package.prove" => {
                let Some(directory) = self.machine(node).staging.directories.get_mut(&dir) else {
                    return Some(Err(Failed::saying(1, "tree: No such file or directory")));
                };
                directory.prove(&text);
                Ok(String::new())
            }
            "package.look-hooks" => {
                Ok(staged.into_iter().flat_map(|staged| &staged.hooks).map(|mark| format!("{mark}\n")).collect())
            }
            "package.hook" => {
                let is_here = self.release.hook_files.iter().any(|file| {
                    file.source == call.arg(1)
                        && self.at(node).staging.has(&format!("{dir}/tree"), &file.source, &file.sha256)
                });
                if !is_here {
                    return Some(Err(Failed::saying(1, "cd: no such directory")));
                }
                self.run_hook(node, call.arg(1), call.arg(3));
                if let Some(directory) = self.machine(node).staging.directories.get_mut(&dir) {
                    directory.hooks.insert(call.arg(5).to_owned());
                }
                Ok(String::new())
            }
            "package.look-clean" => Ok(if staged.is_some() { "present" } else { "absent" }.to_owned()),
            "package.clean" => {
                if self.machine(node).staging.directories.remove(&dir).is_some() {
                    self.changed("package.cleaned", node, "staging");
                }
                Ok(String::new())
            }
            _ => return None,
        })
    }
}
