//! Upgrade, ways back and kills on pairs that play openGauss and GaussDB (DB-1, DB-2, DB-3): what the product makes of tools
//! that mislead.

use anyhow::{Result, ensure};
use rollup_lab::Engine;

use crate::{
    bench::{Bench, Entry, When},
    killed, main_job, vip, way_back,
    writers::Writers,
};

pub(crate) const OPENGAUSS: &[Entry] = &[
    Entry::new("opengauss_way_back_keep_loses_nothing", When::Always, way_back::keep).on(Engine::Opengauss),
    Entry::new("opengauss_way_back_restore_loses_exactly_what_came_after", When::Always, way_back::restore)
        .on(Engine::Opengauss),
    Entry::new("opengauss_way_back_down_takes_the_schema_back", When::Always, way_back::down).on(Engine::Opengauss),
    Entry::new("opengauss_upgrade_under_traffic_loses_nothing_db_3", When::Always, main_job::upgrade)
        .on(Engine::Opengauss),
    Entry::new("opengauss_vip_switch_and_back_has_one_writer_vip_4", When::Soak, vip::switch_and_back)
        .on(Engine::Opengauss),
    Entry::new("opengauss_upgrade_killed_around_the_switchover_goes_on_fail_3", When::Soak, |bench| {
        killed::killed(bench, &[("db.switchover@node-b", 5), ("db.switchover@node-b", 600)])
    })
    .on(Engine::Opengauss),
    Entry::new("opengauss_upgrade_is_killed_at_five_places", When::Always, |bench| {
        killed::killed(bench, killed::PLACES)
    })
    .on(Engine::Opengauss),
    Entry::new("opengauss_switchover_that_misleads_ends_right_or_stops", When::Soak, misleading).on(Engine::Opengauss),
];

pub(crate) const GAUSSDB: &[Entry] = &[
    Entry::new("gaussdb_upgrade_under_traffic_loses_nothing_db_3", When::Always, main_job::upgrade).on(Engine::Gaussdb),
    Entry::new("gaussdb_vip_switch_and_back_has_one_writer_vip_4", When::Soak, vip::switch_and_back)
        .on(Engine::Gaussdb),
    Entry::new("gaussdb_upgrade_is_killed_at_five_places_fail_3", When::Always, |bench| {
        killed::killed(bench, killed::PLACES)
    })
    .on(Engine::Gaussdb),
    Entry::new("gaussdb_switchover_that_misleads_ends_right_or_stops_vip_4", When::Soak, misleading)
        .on(Engine::Gaussdb),
    Entry::new("gaussdb_way_back_keep_loses_nothing", When::Always, way_back::keep).on(Engine::Gaussdb),
    Entry::new("gaussdb_way_back_restore_loses_exactly_what_came_after", When::Always, way_back::restore)
        .on(Engine::Gaussdb),
    Entry::new("gaussdb_way_back_down_takes_the_schema_back_rb_2", When::Always, way_back::down).on(Engine::Gaussdb),
];

/// Has the tools of a node misbehave until it is taken back.
pub(crate) fn fault(bench: &Bench, node: &str, name: &str, value: &str) -> Result<()> {
    let dir = "/run/rollup-lab/gauss";
    let script = format!("install -d -m 0755 {dir}; echo '{value}' > {dir}/{name}; chmod 0644 {dir}/{name}");
    bench.lab.root_script(node, &script).map(drop)
}

pub(crate) fn mend(bench: &Bench, node: &str) -> Result<()> {
    bench.lab.root_script(node, "rm -rf /run/rollup-lab/gauss").map(drop)
}

/// The lab's inventory with short waits: a tool gives up eight seconds after it was asked. Its path.
pub(crate) fn patience(bench: &Bench) -> Result<String> {
    let inventory = bench.lab.inventory_path().with_file_name("patience.toml");
    let text = std::fs::read_to_string(bench.lab.inventory_path())?;
    let patience = text.replace("[limits]", "[limits]\ndb_switchover = \"30s\"\nreplay = \"30s\"\nmigration = \"15s\"");
    ensure!(patience != text, "expected limits in the lab's inventory");
    std::fs::write(&inventory, patience)?;
    Ok(inventory.display().to_string())
}

/// A switchover that outlives its tool's patience, and one that nobody heard.
fn misleading(bench: &Bench) -> Result<()> {
    bench.seed("node-a")?;
    let own = patience(bench)?;
    let switch = ["-i", &own, "vip", "switch", "--yes"];
    let (writers, traffic) = (Writers::watch(bench)?, bench.traffic()?);

    // It ends with 0 and says that it gave up; the servers change their roles later.
    fault(bench, "node-a", "switchover-delay", "11")?;
    bench.rollup(&switch)?.expect(0)?;
    mend(bench, "node-a")?;
    bench.insist_pair("1.0.0", "node-b")?;
    bench.rollup(&switch)?.expect(0)?;
    bench.insist_pair("1.0.0", "node-a")?;

    // It ends with 0, and nothing ever happens: the run stops, one server writes, and it goes on when told.
    fault(bench, "node-b", "switchover-ignored", "")?;
    let why = if bench.lab.engine() == Engine::Gaussdb { "switchover incomplete" } else { "gave up waiting" };
    bench.rollup(&switch)?.expect(4)?.expect_err(why)?;
    mend(bench, "node-b")?;
    bench.rollup(&["resume"])?.expect(0)?;
    bench.insist_pair("1.0.0", "node-b")?;
    bench.rollup(&switch)?.expect(0)?;

    let report = traffic.stop()?;
    bench.insist_nothing_lost(&report)?;
    writers.stop()?.insist_one()
}
