//! Full backups in a set: taken, looked at, unpacked for a drill.

use rollup_model::NodeName;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Data, LAST_COMMIT, SERVER, SYSTEM, lsn};
use crate::{
    call::{Answer, Call, Failed},
    world::World,
};

/// One line of `sums`.
fn sum(name: &str, bytes: &[u8]) -> String {
    format!("{} {} {name}\n", rollup_model::plan::hex(&Sha256::digest(bytes)), bytes.len())
}

impl World {
    /// `$1` directory of all sets, `$2` name of the set, then what the command needs besides.
    pub(super) fn archives(&mut self, node: &NodeName, call: &Call) -> Answer {
        let set = format!("{}/{}", call.arg(SERVER), call.arg(SERVER + 1));
        let sets = &self.at(node).sets;
        match call.id.as_str() {
            "db.base-backup" => self.base_backup(node, &set),
            "db.backup-look" => {
                let record = sets.get(&format!("{set}/database/record.json")).filter(|_| self.has_database(node, &set));
                Ok(record.map(|record| String::from_utf8_lossy(record).into_owned()).unwrap_or_default())
            }
            "db.drill-look" => {
                let proven = sets.get(&format!("{set}/drill-db-{}.json", call.arg(SERVER + 2)));
                Ok(proven.map(|proven| String::from_utf8_lossy(proven).into_owned()).unwrap_or_default())
            }
            _ => {
                let (data, run) = (self.archived(node, &set)?, call.arg(SERVER + 2));
                let proven = json!({
                    "run": run, "set": call.arg(SERVER + 1), "node": node, "version": self.made_by().1,
                    "tables": 3 + data.history.len(), "databases": 2, "bytes": 30_000_000, "seconds": 1,
                });
                if self.machine(node).sets.put(format!("{set}/drill-db-{run}.json"), proven.to_string().into_bytes()) {
                    self.changed("db.drilled", node, run);
                }
                Ok(String::new())
            }
        }
    }

    /// Engine, version and the tool that takes a backup.
    fn made_by(&self) -> (&'static str, &'static str, &'static str) {
        if self.is_gauss() { ("opengauss", "6.0.0", "gs_probackup") } else { ("postgresql", "15.14", "pg_basebackup") }
    }

    /// Whether every file of the database's part is as long as it was.
    fn has_database(&self, node: &NodeName, set: &str) -> bool {
        let sets = &self.at(node).sets;
        let Some(sums) = sets.get(&format!("{set}/database/sums")) else { return false };
        String::from_utf8_lossy(sums).lines().all(|line| {
            let words: Vec<_> = line.split(' ').collect();
            let [_, size, name] = words[..] else { return false };
            sets.get(&format!("{set}/database/{name}")).is_some_and(|bytes| bytes.len().to_string() == size)
        })
    }

    fn base_backup(&mut self, node: &NodeName, set: &str) -> Answer {
        if self.has_database(node, set) {
            return Ok(String::new());
        }
        let here = &self.at(node).database;
        let Some(data) = here.data.as_ref().filter(|_| here.up) else {
            return Err(Failed::saying(3, "the server does not run"));
        };
        let archive = serde_json::to_vec(data).map_err(|error| Failed::saying(1, error.to_string()))?;
        let (engine, version, method) = self.made_by();
        let record = json!({
            "engine": engine, "version": version, "method": method, "system_identifier": SYSTEM,
            "timeline": data.timeline(), "start_lsn": lsn(data.position), "end_lsn": lsn(data.position),
            "next_xid": data.position >> 8, "last_commit": LAST_COMMIT, "taken_at": "2026-03-01T10:00:05Z",
            "data_bytes": 30_000_000, "bytes": archive.len(), "seconds": 1,
        });
        let record = format!("{record}\n").into_bytes();
        let sums = sum("base.tar.zst", &archive) + &sum("record.json", &record);
        let sets = &mut self.machine(node).sets;
        for (name, bytes) in [("base.tar.zst", archive), ("record.json", record), ("sums", sums.into_bytes())] {
            sets.put(format!("{set}/database/{name}"), bytes);
        }
        self.changed("db.backed-up", node, set.rsplit('/').next().unwrap_or_default());
        Ok(String::new())
    }

    /// What the set's database holds, every byte proven.
    pub(super) fn archived(&self, node: &NodeName, set: &str) -> Result<Data, Failed> {
        let sets = &self.at(node).sets;
        if !self.has_database(node, set) {
            return Err(Failed::saying(3, format!("there is no whole database in {set}/database")));
        }
        let archive = sets.get(&format!("{set}/database/base.tar.zst")).unwrap_or_default();
        let sums = sets.get(&format!("{set}/database/sums")).unwrap_or_default();
        if !String::from_utf8_lossy(sums).contains(&sum("base.tar.zst", archive)) {
            return Err(Failed::saying(4, format!("{set}/database/base.tar.zst does not hold what was backed up")));
        }
        serde_json::from_slice(archive).map_err(|error| Failed::saying(4, error.to_string()))
    }

    /// Names of the migrations that the database of a set knew.
    pub(crate) fn history_in(&self, set: &str) -> Vec<String> {
        self.database_of(set).into_iter().flat_map(|data| data.history).map(|row| row.name).collect()
    }

    /// What the database of a set holds, from a machine that has it.
    pub(crate) fn database_of(&self, set: &str) -> Option<Data> {
        let set = format!("{}/{set}", self.inventory.backup.dir);
        self.machines.keys().find_map(|node| self.archived(node, &set).ok())
    }
}
