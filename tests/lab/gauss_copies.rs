//! Where gs_probackup is missing: full backups by gs_basebackup, proven by a drill and by a way back (DB-2, BAK-3, RB-1).

use anyhow::{Result, ensure};
use rollup_lab::Engine;

use crate::{
    bench::{Bench, Entry, When},
    pair::{NODES, SETS},
    way_back,
};

pub(crate) const OPENGAUSS: &[Entry] =
    &[Entry::new("opengauss_without_gs_probackup_is_backed_up_drilled_and_restored", When::Always, copies)
        .on(Engine::Opengauss)];

const TOOL: &str = "/opt/huawei/install/app/bin/gs_probackup";

fn copies(bench: &Bench) -> Result<()> {
    for node in NODES {
        bench.lab.root_script(node, &format!("mv {TOOL} {TOOL}.away"))?;
    }
    way_back::restore(bench)?;
    // The set of the upgrade, and the safety set of the way back.
    for purpose in ["upgrade", "safety"] {
        let set = bench.newest_set(purpose)?;
        let record = bench.lab.root_script("node-a", &format!("cat {SETS}/{set}/database/record.json"))?;
        ensure!(record.contains(r#""method":"gs_basebackup""#), "{set}: {record}");
        bench.rollup(&["backup", "verify", &set, "--drill", "--yes"])?.expect(0)?;
        let proven = bench.lab.root_script("node-a", &format!("cat {SETS}/{set}/drill-db-*.json || true"))?
            + &bench.lab.root_script("node-b", &format!("cat {SETS}/{set}/drill-db-*.json || true"))?;
        ensure!(proven.contains(r#""version":"6.0.0""#), "{set}: {proven}");
        let left = "ls -d /opt/huawei/install/data/dn?* /var/backups/rollup/*/drill-db.partial 2>/dev/null || true";
        for node in NODES {
            let left = bench.lab.root_script(node, left)?;
            ensure!(left.is_empty(), "left on {node}: {left}");
        }
    }
    // With the tool back, what it made and what it has not made can both be gone back to.
    for node in NODES {
        bench.lab.root_script(node, &format!("mv {TOOL}.away {TOOL}"))?;
    }
    let set = bench.newest_set("upgrade")?;
    bench.rollup(&["backup", "verify", &set, "--drill", "--yes"])?.expect(0)?;
    let set = bench.create_set()?;
    let record = bench.lab.root_script("node-a", &format!("cat {SETS}/{set}/database/record.json"))?;
    ensure!(record.contains(r#""method":"gs_probackup""#), "{set}: {record}");
    bench.rollup(&["backup", "verify", &set, "--drill", "--yes"])?.expect(0).map(drop)
}
