//! The package on its way: copied archive, unpacked tree, marks of hooks.

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
    /// File name and checksum.
    archive: Option<(String, String)>,
    tree: bool,
    hooks: BTreeSet<String>,
}

impl Staging {
    /// Whether this path is an unpacked tree.
    pub(crate) fn is_tree(&self, path: &str) -> bool {
        path.strip_suffix("/tree").and_then(|dir| self.directories.get(dir)).is_some_and(|dir| dir.tree)
    }
}

impl World {
    pub(crate) fn staging(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        let dir = call.arg(0).to_owned();
        let staged = self.at(node).staging.directories.get(&dir);
        Some(match call.id.as_str() {
            "package.look-archive" => {
                let archive = staged.and_then(|staged| staged.archive.as_ref());
                let here = archive.filter(|(name, _)| name == call.arg(1));
                Ok(here.map_or("absent".to_owned(), |(_, sha256)| sha256.clone()))
            }
            "package.receive" => {
                let archive = Some((call.arg(1).to_owned(), call.arg(2).to_owned()));
                let directory = self.machine(node).staging.directories.entry(dir).or_default();
                if std::mem::replace(&mut directory.archive, archive.clone()) != archive {
                    self.changed("package.received", node, call.arg(1));
                }
                Ok(String::new())
            }
            "package.look-tree" => {
                let files = self.release.components.len() + self.release.hooks.len();
                Ok(if staged.is_some_and(|staged| staged.tree) {
                    format!("whole {files}")
                } else {
                    "absent".to_owned()
                })
            }
            "package.unpack" => {
                let directory = self.machine(node).staging.directories.get_mut(&dir);
                let Some(directory) = directory.filter(|directory| directory.archive.is_some()) else {
                    return Some(Err(Failed::saying(2, "tar: no such archive")));
                };
                // Unpacking anew throws the old tree away.
                directory.tree = true;
                self.changed("package.unpacked", node, "tree");
                Ok(String::new())
            }
            "package.look-hooks" => {
                Ok(staged.into_iter().flat_map(|staged| &staged.hooks).map(|mark| format!("{mark}\n")).collect())
            }
            "package.hook" => {
                if !self.at(node).staging.is_tree(&format!("{dir}/tree")) {
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
