//! `cargo xtask demo`: the main job on real machines, from nothing to a summary.
//!
//! Installs host packages, builds, boots the lab with 1.0.0, upgrades to 2.0.0 while clients read and write through the
//! VIP, and writes `target/demo/summary.json`.

use std::{
    io::{IsTerminal, Write},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rollup_lab::{
    Engine, Flavour, Lab, LabOptions, LabStatus, Places, Traffic, TrafficOptions, TrafficReport, packages,
};
use serde_json::{Value, json};

/// The main job on real machines.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Do not ask before host packages are installed and machines are booted.
    #[arg(long, short = 'y')]
    yes: bool,
    /// How keepalived is configured.
    #[arg(long, default_value = "preempt")]
    flavour: Flavour,
    /// Leave the lab up, to look around.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if !arguments.yes {
        ensure!(std::io::stdin().is_terminal(), "nobody can be asked without a terminal\nhint: cargo xtask demo --yes");
        crate::say(
            "This installs host packages with apt, boots two machines with systemd-nspawn and upgrades them. Go on? [y/N]",
        );
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        ensure!(answer.trim().eq_ignore_ascii_case("y"), "not confirmed; nothing was done");
    }
    let root = crate::workspace();
    let out = root.join("target/demo");
    let _old = std::fs::remove_dir_all(&out);
    std::fs::create_dir_all(&out)?;
    rollup_lab::prepare_host(&crate::say)?;
    let rollup = crate::build(&root, "rollup", false)?;
    let archives = root.join("target/packages");
    packages::build_all(&archives, None, &crate::say)?;
    let options = LabOptions {
        name: "demo".parse()?,
        nodes: 2,
        flavour: arguments.flavour,
        engine: Engine::Postgresql,
        version: "1.0.0".to_owned(),
        package: archives.join("orders-1.0.0.tar.gz"),
        places: Places::from_environment(),
    };
    let lab = Lab::up(&options, &crate::say)?;
    let summary = upgrade(&lab, &rollup, &archives.join("orders-2.0.0.tar.gz"), &out);
    if !arguments.keep {
        Lab::down(&options.places, &options.name)?;
    }
    let summary = summary?;
    let text = serde_json::to_string_pretty(&summary)?;
    std::fs::write(out.join("summary.json"), format!("{text}\n"))?;
    writeln!(std::io::stdout(), "{text}")?;
    let good = summary["result"] == json!("upgraded") && summary["lost_writes"] == json!(0);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn upgrade(lab: &Lab, rollup: &Path, package: &Path, out: &Path) -> Result<Value> {
    let before = lab.status();
    let traffic = Traffic::start(lab, &std::env::current_exe()?, &TrafficOptions::default())?;
    let began = Instant::now();
    let state_dir = out.join("state");
    let rollup_command = |words: &[&str]| -> Command {
        let mut command = lab.operator_command(rollup);
        command.args(words).arg("--inventory").arg(lab.inventory_path()).env("ROLLUP_STATE_DIR", &state_dir);
        command
    };
    let package = package.to_str().context("the package's path is not UTF-8")?;
    let status = rollup_command(&["upgrade", "--pkg", package, "--yes"]).stdin(Stdio::null()).status()?;
    let seconds = began.elapsed().as_secs_f64();
    let report = traffic.stop()?;
    let shown = rollup_command(&["status", "--json"]).stderr(Stdio::null()).output()?;
    let run: Value = serde_json::from_slice(&shown.stdout).context("`rollup status --json` gave no JSON")?;
    std::fs::write(out.join("run.json"), &shown.stdout)?;
    std::fs::write(out.join("traffic.json"), serde_json::to_vec_pretty(&report)?)?;
    if !status.success() {
        bail!("`rollup upgrade` ended with {status}; the run is in {}", state_dir.display());
    }
    Ok(summary(&before, &lab.status(), seconds, &report, &run))
}

fn summary(before: &LabStatus, after: &LabStatus, seconds: f64, report: &TrafficReport, run: &Value) -> Value {
    let versions = |status: &LabStatus| -> Value {
        status
            .nodes
            .iter()
            .map(|node| (node.name.clone(), json!(node.version)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let owner = |status: &LabStatus| status.nodes.iter().find(|node| node.vip).map(|node| node.name.clone());
    let primary = |status: &LabStatus| status.nodes.iter().find(|n| n.recovery == Some(false)).map(|n| n.name.clone());
    let steps = run["state"]["steps"].as_object();
    let upgraded = after.problems.is_empty() && after.nodes.iter().all(|node| node.version == "2.0.0");
    let made_of = |gaps: &[rollup_lab::Gap]| -> Vec<Value> {
        let longest = gaps.iter().take(3);
        longest.map(|gap| json!({ "at": gap.at, "ms": gap.length_ms, "steps": steps_at(run, gap) })).collect()
    };
    json!({
        "result": if upgraded { "upgraded" } else { "not upgraded" },
        "problems": after.problems,
        "from": versions(before),
        "to": versions(after),
        "vip_owner_before": owner(before),
        "vip_owner_after": owner(after),
        "db_primary_before": primary(before),
        "db_primary_after": primary(after),
        "steps": steps.map_or(0, serde_json::Map::len),
        "seconds_total": (seconds * 10.0).round() / 10.0,
        "read_gap_ms": report.read_gap_ms,
        "write_gap_ms": report.write_gap_ms,
        "read_gaps": made_of(&report.reads.gaps),
        "write_gaps": made_of(&report.writes.gaps),
        "requests": report.requests,
        "failed_requests": report.failed,
        "acked_writes": report.acked_writes,
        "lost_writes": report.lost_writes,
        "errors": report.errors,
    })
}

/// The steps that ran at some moment of a gap: what the gap is made of.
fn steps_at(run: &Value, gap: &rollup_lab::Gap) -> Vec<String> {
    let millis = |text: &str| text.parse::<jiff::Timestamp>().map(|at| at.as_millisecond()).ok();
    let Some(from) = millis(&gap.at) else { return Vec::new() };
    let to = from + i64::try_from(gap.length_ms).unwrap_or(i64::MAX);
    let steps = run["state"]["steps"].as_object().into_iter().flatten();
    let during = steps.filter(|(_, record)| {
        let Some(start) = record["started"].as_str().and_then(millis) else { return false };
        let end = start + record["millis"].as_i64().unwrap_or(0);
        start <= to && end >= from
    });
    during.map(|(id, _)| id.clone()).collect()
}
