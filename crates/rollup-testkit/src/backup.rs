//! Backup sets on a machine.

use std::collections::BTreeMap;

use rollup_model::NodeName;
use serde::Serialize;
use serde_json::Value;

use crate::{
    call::{Answer, Call, Failed},
    service::Placed,
    world::World,
};

/// Backup sets of a machine, by directory.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Sets {
    sets: BTreeMap<String, Set>,
}

#[derive(Debug, Default, Serialize)]
struct Set {
    files: Option<Files>,
    /// The database's part, as its own crate left it.
    database: Option<Value>,
    /// Whether the manifest says that the set is verified. It also carries a time.
    verified: bool,
    #[serde(skip)]
    manifest: String,
}

/// What was kept of the files.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Files {
    files: BTreeMap<String, Placed>,
    root_key: String,
}

impl Sets {
    /// One verified set of an earlier run.
    pub(crate) fn with_old_one(dir: &str) -> Self {
        let set = Set { verified: true, ..Set::default() };
        Self { sets: BTreeMap::from([(format!("{dir}/backup_20260101_000000"), set)]) }
    }

    /// Names of the sets, oldest first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.sets.keys().filter_map(|dir| dir.rsplit('/').next())
    }

    /// The database's part of a set.
    pub(crate) fn database(&self, dir: &str) -> Option<&Value> {
        self.sets.get(dir)?.database.as_ref()
    }

    /// Puts the database's part in its place.
    pub(crate) fn keep_database(&mut self, dir: &str, record: Value) {
        self.sets.entry(dir.to_owned()).or_default().database = Some(record);
    }
}

impl World {
    pub(crate) fn backup(&mut self, node: &NodeName, call: &Call) -> Option<Answer> {
        let dir = call.arg(0).to_owned();
        let set = self.at(node).sets.sets.get(&dir);
        let kept = set.and_then(|set| set.files.as_ref());
        Some(match call.id.as_str() {
            "backup.verify" => Ok(kept.map_or("absent\n".to_owned(), |kept| {
                format!("whole 4096 {} {} 0011223344556677\n", "ba".repeat(32), kept.files.len())
            })),
            "backup.take" => {
                let service = &self.at(node).service;
                let files = Files { files: service.files.clone(), root_key: service.root_key.clone() };
                // A set that is made anew replaces the old one, so this always changes something.
                self.changed("backup.taken", node, files.root_key.clone());
                self.machine(node).sets.sets.entry(dir).or_default().files = Some(files);
                Ok(String::new())
            }
            "backup.read-back" => match kept {
                Some(kept) => Ok(format!("{}\n", kept.files.len())),
                None => Err(Failed::saying(1, "cd: no such directory")),
            },
            "backup.look" => {
                let database = set.and_then(|set| set.database.as_ref()).map_or("null".to_owned(), Value::to_string);
                let manifest = set.map(|set| set.manifest.as_str()).filter(|text| !text.is_empty()).unwrap_or("null");
                Ok(format!("{database}\n--\n{manifest}\n"))
            }
            "backup.write-manifest" => {
                let text = call.text();
                let Some(set) = self.machine(node).sets.sets.get_mut(&dir) else {
                    return Some(Err(Failed::saying(1, "no such directory")));
                };
                let manifest: Value = serde_json::from_str(&text).unwrap_or_default();
                set.verified = manifest.get("state").and_then(Value::as_str) == Some("verified");
                set.manifest = text;
                self.changed("backup.sealed", node, "manifest");
                Ok(String::new())
            }
            "backup.list" => {
                let sets = self.at(node).sets.sets.iter();
                let verified = sets.filter(|(path, set)| set.verified && path.starts_with(&format!("{dir}/")));
                Ok(verified.filter_map(|(path, _)| Some(format!("{}\n", path.rsplit('/').next()?))).collect())
            }
            "backup.remove" => {
                for name in call.args.iter().skip(1) {
                    if self.machine(node).sets.sets.remove(&format!("{dir}/{name}")).is_some() {
                        self.changed("backup.removed", node, name);
                    }
                }
                Ok(String::new())
            }
            "backup.differ" => {
                let service = &self.at(node).service;
                match kept {
                    None => Err(Failed::saying(1, "cd: no such directory")),
                    Some(kept) => {
                        let differ = |(path, file): (&String, &Placed)| {
                            (service.files.get(path) != Some(file)).then(|| format!("{path}\n"))
                        };
                        let mut paths: Vec<_> = kept.files.iter().filter_map(differ).collect();
                        paths.extend((kept.root_key != service.root_key).then(|| format!("{}\n", call.arg(1))));
                        Ok(paths.concat())
                    }
                }
            }
            "backup.put-back" => match kept.cloned() {
                None => Err(Failed::saying(1, "cd: no such directory")),
                Some(Files { files, root_key }) => {
                    self.put_back(node, files, root_key);
                    Ok(String::new())
                }
            },
            _ => return None,
        })
    }

    fn put_back(&mut self, node: &NodeName, files: BTreeMap<String, Placed>, root_key: String) {
        let service = &self.at(node).service;
        if service.units.values().any(|unit| unit.active) {
            self.breaches.push(format!("files were put back on {node} under a running unit"));
        }
        let differing: Vec<_> =
            files.iter().filter(|(path, file)| self.at(node).service.files.get(*path) != Some(file)).collect();
        let differing: Vec<_> = differing.into_iter().map(|(path, _)| path.clone()).collect();
        for path in differing {
            self.changed("file.put-back", node, path);
        }
        if self.at(node).service.root_key != root_key {
            self.changed("root-key.put-back", node, root_key.clone());
        }
        let service = &mut self.machine(node).service;
        (service.files, service.root_key) = (files, root_key);
    }
}
