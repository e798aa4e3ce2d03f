//! `cargo xtask bench backup`: what a backup set costs, held against the same job done by hand.
//!
//! Owns the filled lab, the hand-made pipeline and the comparison. Both ways alternate in one run, since the machine of
//! today is not the one of yesterday; the medians are compared.

use std::{
    fs,
    path::PathBuf,
    process::{Child, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rollup_lab::{Lab, LabName, Traffic, TrafficOptions, TrafficReport};
use serde_json::{Value, json};

use super::{Grounds, median, round, rounded};

/// Not slower than this many times the work by hand.
const AIM: f64 = 1.1;
const NODES: [&str; 2] = ["node-a", "node-b"];
const SETS: &str = "/var/backups/rollup";

const FILL_DATABASE: &str = include_str!("fill-database.sh");
const FILL_FILES: &str = include_str!("fill-files.sh");
const DATABASE_BY_HAND: &str = include_str!("database-by-hand.sh");
const FILES_BY_HAND: &str = include_str!("files-by-hand.sh");
const READ_BACK_BY_HAND: &str = include_str!("read-back-by-hand.sh");

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Size of the database.
    #[arg(long, default_value_t = 1024)]
    database_mib: u32,
    /// Size of /opt/orders/data.
    #[arg(long, default_value_t = 200)]
    files_mib: u32,
    /// How often each way is timed; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds for which idle nodes are measured.
    #[arg(long, default_value_t = 15)]
    idle_seconds: u64,
    /// Also copy the set to the peer, which the work by hand does not do.
    #[arg(long)]
    copies: bool,
    /// The program [default: an optimised build].
    #[arg(long)]
    rollup: Option<PathBuf>,
    /// Name of the lab.
    #[arg(long, default_value = "bench")]
    name: LabName,
    /// Leave the lab up, to look around.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let grounds = Grounds::prepare(arguments.rollup.as_deref(), &arguments.name)?;
    let (rollup, clients) = (grounds.rollup.clone(), grounds.clients.clone());
    let bench = Bench { lab: grounds.boot()?, rollup, clients, state: grounds.out.join("state") };
    let result = bench.measure(arguments);
    if !arguments.keep {
        grounds.down()?;
    }
    let result = result?;
    grounds.write("backup.json", &result)?;
    crate::say(&table(&result));
    Ok(if result["reached"] == json!(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Bench {
    lab: Lab,
    rollup: PathBuf,
    clients: PathBuf,
    state: PathBuf,
}

impl Bench {
    fn measure(&self, arguments: &Arguments) -> Result<Value> {
        if !arguments.copies {
            let path = self.lab.inventory_path();
            let text = fs::read_to_string(&path)?;
            fs::write(&path, text.replace("copies = [\"peer\"]", "copies = []"))?;
        }
        let _none = fs::remove_dir_all(&self.state);
        crate::step("filling database and files");
        self.at_once(&[("node-a", FILL_DATABASE, &[arguments.database_mib.to_string()])])?;
        let files = [arguments.files_mib.to_string()];
        self.at_once(&NODES.map(|node| (node, FILL_FILES, files.as_slice())))?;

        let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
        for round in 0..arguments.rounds.max(1) {
            // Who is first finds the colder cache: each is in turn.
            for ours_now in if round % 2 == 0 { [true, false] } else { [false, true] } {
                let seconds = if ours_now { self.with_rollup()? } else { self.by_hand()? };
                let (who, all) = if ours_now { ("rollup", &mut ours) } else { ("by hand", &mut by_hand) };
                crate::say(&format!("   round {}: {who:<8} {seconds:.1} s", round + 1));
                all.push(seconds);
            }
        }
        crate::step("what clients notice");
        let options = TrafficOptions { seconds: Some(arguments.idle_seconds), ..TrafficOptions::default() };
        let traffic = Traffic::start(&self.lab, &self.clients, &options)?;
        let idle = traffic.finish()?;
        let load = json!({
            "idle": load(&idle),
            "rollup": load(&self.under_traffic(Self::with_rollup)?),
            "by_hand": load(&self.under_traffic(Self::by_hand)?),
        });
        let ratio = median(&ours) / median(&by_hand);
        Ok(json!({
            "database_mib": arguments.database_mib,
            "files_mib": arguments.files_mib,
            "copies": arguments.copies,
            "rollup_seconds": rounded(&ours),
            "by_hand_seconds": rounded(&by_hand),
            "rollup_median": round(median(&ours)),
            "by_hand_median": round(median(&by_hand)),
            "ratio": round(ratio),
            "aim": AIM,
            "reached": ratio <= AIM,
            "load": load,
        }))
    }

    /// One set, from the first key typed to the last file read back.
    fn with_rollup(&self) -> Result<f64> {
        self.clear()?;
        let began = Instant::now();
        let mut command = self.lab.operator_command(&self.rollup);
        command.args(["backup", "create", "--yes"]).env("ROLLUP_STATE_DIR", &self.state).stdin(Stdio::null());
        let output = command.output().context("cannot run rollup")?;
        let seconds = began.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`rollup backup create` ended with {}:\n{said}", output.status);
        Ok(seconds)
    }

    /// The same set as somebody types it who knows how: everything at once, then everything read back.
    fn by_hand(&self) -> Result<f64> {
        self.clear()?;
        let began = Instant::now();
        let none: &[String] = &[];
        let standby = self.lab.nodes().iter().find(|node| node.name == "node-b").context("a pair has a node-b")?;
        let address = [standby.address.to_string()];
        self.at_once(&[
            ("node-b", DATABASE_BY_HAND, &address),
            ("node-a", FILES_BY_HAND, none),
            ("node-b", FILES_BY_HAND, none),
        ])?;
        self.at_once(&NODES.map(|node| (node, READ_BACK_BY_HAND, none)))?;
        Ok(began.elapsed().as_secs_f64())
    }

    fn under_traffic(&self, work: impl Fn(&Self) -> Result<f64>) -> Result<TrafficReport> {
        self.clear()?;
        let traffic = Traffic::start(&self.lab, &self.clients, &TrafficOptions::default())?;
        work(self)?;
        traffic.stop()
    }

    fn clear(&self) -> Result<()> {
        for node in NODES {
            self.lab.root_script(node, &format!("rm -rf {SETS}/*; sync"))?;
        }
        Ok(())
    }

    /// Runs scripts over ssh as root, all at the same time.
    fn at_once(&self, scripts: &[(&str, &str, &[String])]) -> Result<()> {
        let mut running: Vec<(&str, Child)> = Vec::new();
        for (node, script, arguments) in scripts {
            let words = ["sudo", "-n", "bash", "-s", "--"].map(str::to_owned);
            let mut command = self.lab.ssh_command(node, words.iter().chain(arguments.iter()))?;
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
            let mut input = child.stdin.take().context("standard input is a pipe")?;
            std::io::Write::write_all(&mut input, script.as_bytes())?;
            running.push((node, child));
        }
        for (node, child) in running {
            let output = child.wait_with_output()?;
            if !output.status.success() {
                bail!("a script on {node} ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "requests of a few minutes")]
fn load(report: &TrafficReport) -> Value {
    let side = |side: &rollup_lab::SideReport| {
        let per_second = (side.requests - side.failed) as f64 / report.seconds;
        json!({ "p50_ms": round(side.p50_ms), "p99_ms": round(side.p99_ms), "per_second": round(per_second) })
    };
    json!({
        "seconds": round(report.seconds),
        "failed": report.failed,
        "reads": side(&report.reads),
        "writes": side(&report.writes),
    })
}

fn table(result: &Value) -> String {
    let mut text = format!(
        "\nset of {} MiB database and 2 × {} MiB files, medians\n  rollup   {} s  {}\n  by hand  {} s  {}\n  \
         ratio    {} (aim: at most {AIM})\n\nclients            reads p50  p99 ms     /s   writes p50  p99 ms     /s  failed\n",
        result["database_mib"],
        result["files_mib"],
        result["rollup_median"],
        result["rollup_seconds"],
        result["by_hand_median"],
        result["by_hand_seconds"],
        result["ratio"],
    );
    for (when, key) in [("idle", "idle"), ("during rollup", "rollup"), ("during by hand", "by_hand")] {
        let load = &result["load"][key];
        let number = |side: &str, what: &str| load[side][what].as_f64().unwrap_or(f64::NAN);
        text += &format!(
            "  {when:<16} {:>9.1} {:>7.1} {:>6.0} {:>12.1} {:>7.1} {:>6.0} {:>7}\n",
            number("reads", "p50_ms"),
            number("reads", "p99_ms"),
            number("reads", "per_second"),
            number("writes", "p50_ms"),
            number("writes", "p99_ms"),
            number("writes", "per_second"),
            load["failed"],
        );
    }
    text
}
