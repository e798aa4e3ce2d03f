//! What stops a run that could go on, and how an operator lets it: a gate by name (UPG-8), a forecast (VIP-5).

use anyhow::{Context, Result, ensure};

use crate::bench::{Bench, Entry, When};

pub(crate) const SCENARIOS: &[Entry] =
    &[Entry::new("gate_is_accepted_by_name_and_forecast_by_a_word", When::Always, gates)];

fn gates(bench: &Bench) -> Result<()> {
    // A port that this version does not open yet, and a budget that no cutover can keep.
    let inventory = std::fs::read_to_string(bench.lab.inventory_path())?;
    let text = inventory
        .replace("ports = [8080, 8081]", "ports = [8080, 8081, 9999]")
        .replace("[limits]", "[limits]\nhealth = \"10s\"")
        .replace("[ssh]", "downtime_budget = \"1ms\"\n\n[ssh]")
        + "\n[[waivers]]\ncheck = \"health.port\"\nreason = \"9999 comes with 2.1\"\nuntil = \"2099-12-31\"\n";
    let own = bench.lab.inventory_path().with_file_name("gates.toml");
    std::fs::write(&own, text)?;
    let own = own.display().to_string();
    let package = bench.package("2.0.0");
    let said = bench.rollup(&["-i", &own, "upgrade", "--yes", "--pkg", &package])?.expect(4)?;
    ensure!(said.err.contains("health.gate@node-b") && said.err.contains("9999"), "{}", said.err);
    let run = bench.runs().pop().context("a run")?;
    let run = run.file_name().context("a name")?.to_string_lossy().into_owned();

    // Only what has failed can be accepted, and only with a reason.
    let confirm = |step: &str, reason: &str| bench.rollup(&["confirm", &run, step, "--reason", reason]);
    confirm("vip.move@node-b", "no")?.expect(2)?.expect_err("health.gate@node-b")?;
    confirm("health.gate@node-c", "no")?.expect(2)?.expect_err("hint: ")?;
    confirm("health.gate@node-b", " ")?.expect(2)?.expect_err("hint: ")?;
    confirm("health.gate@node-b", "9999 comes with 2.1")?.expect(0)?.expect_err("rollup resume")?;

    // Past the gate and the watch; then the budget.
    bench.rollup(&["resume"])?.expect(4)?.expect_err("--accept-downtime")?.expect_err("at most 1ms")?;
    let status = bench.rollup(&["status"])?.expect(0)?;
    ensure!(status.out.contains("9999 comes with 2.1"), "the status should show what was accepted:\n{}", status.out);
    let nodes = bench.lab.status().nodes;
    ensure!(nodes[0].vip && nodes[0].version == "1.0.0" && nodes[1].version == "2.0.0", "no cutover yet: {nodes:?}");
    confirm("cutover.forecast", "no")?.expect(3)?.expect_err("cannot be accepted")?;
    bench.rollup(&["resume", "--accept-downtime"])?.expect(4)?.expect_err("health.gate@node-a")?;
    confirm("health.gate@node-a", "the same there")?.expect(0)?;
    let said = bench.rollup(&["resume"])?.expect(0)?;
    ensure!(said.err.contains("the same there"), "the report should show what was accepted:\n{}", said.err);
    let audit = bench.lab.root_script("node-a", "tail -n 1 /var/lib/rollup/audit.jsonl")?;
    ensure!(audit.contains("the same there") && audit.contains("downtime_accepted"), "{audit}");
    bench.insist_upgraded("2.0.0")
}
