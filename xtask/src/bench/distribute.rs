//! `cargo xtask bench distribute`: what it costs to bring a package to both nodes, held against `scp` of the archive and
//! `rsync -a` of the unpacked tree.
//!
//! Owns the package of large files, the two other ways and the comparison. All three are measured in one run, in turn; bytes
//! are counted on the operator's network, for all three alike.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rollup_lab::{Lab, LabName};
use serde_json::{Value, json};

use super::{Grounds, median, round, rounded};

const NODES: [&str; 2] = ["node-a", "node-b"];
/// Where the running version's files are, and where rsync keeps its copy of them.
const PLACED: &str = "/opt/orders/bench";
const COPY: &str = "/opt/orders/bench-copy";
/// Not more bytes than this many times what changed, not more time than this many times the others, not more memory.
const AIM_BYTES: f64 = 1.1;
const AIM_SCP: f64 = 0.5;
const AIM_RSYNC: f64 = 1.1;
const AIM_PEAK_KIB: u64 = 64 * 1024;

/// Nothing but the way of a package to the nodes; `{install}` stands for what puts it in its place.
const PLAYBOOK: &str = r#"format = 1
name = "distribute"
title = "bring the package to the nodes and remove it again"

[[phase]]
id = "precheck"
title = "check"

[[phase.step]]
id = "precheck.run"
title = "check the pair"
on = "pair"
uses = "precheck.run"

[[phase]]
id = "package"
title = "stage"

[[phase.step]]
id = "package.distribute"
title = "stage the package beside the running version and prove every file"
on = "all"
uses = "package.distribute"
policy = { attempt_timeout = "limit:distribute" }
{install}
[[phase]]
id = "clean"
title = "clean"

[[phase.step]]
id = "package.clean"
title = "remove the staged package"
on = "all"
uses = "package.clean"
"#;

const INSTALL: &str = r#"
[[phase.step]]
id = "service.install"
title = "put the files in their places"
on = "all"
uses = "service.install"
policy = { attempt_timeout = "limit:distribute", verify_within = "limit:distribute" }
"#;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many files the package has.
    #[arg(long, default_value_t = 100)]
    files: usize,
    /// Size of all files together.
    #[arg(long, default_value_t = 1024)]
    mib: usize,
    /// How many files of a hundred differ from those that run.
    #[arg(long, default_value_t = 5)]
    changed: usize,
    /// How often each way is timed; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The program [default: an optimised build].
    #[arg(long)]
    rollup: Option<PathBuf>,
    /// Name of the lab.
    #[arg(long, default_value = "bench")]
    name: LabName,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let grounds = Grounds::prepare(arguments.rollup.as_deref(), &arguments.name)?;
    let dir = grounds.out.join("distribute");
    let _none = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    let bench = Bench { lab: grounds.boot()?, rollup: grounds.rollup.clone(), dir };
    let result = bench.measure(arguments);
    grounds.down()?;
    fs::remove_dir_all(&bench.dir)?;
    let result = result?;
    grounds.write("distribute.json", &result)?;
    crate::say(&table(&result));
    Ok(if result["reached"] == json!(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Bench {
    lab: Lab,
    rollup: PathBuf,
    dir: PathBuf,
}

/// One way, once.
#[derive(Debug, Default, Clone, Copy)]
struct Cost {
    seconds: f64,
    bytes: u64,
    peak_kib: u64,
}

impl Bench {
    fn measure(&self, arguments: &Arguments) -> Result<Value> {
        crate::step("making the package");
        let size = (arguments.mib << 20) / arguments.files.max(1);
        let changed = (arguments.files * arguments.changed).div_ceil(100);
        let archive = self.make(arguments.files, size, changed)?;
        let began = Instant::now();
        let unpacked =
            Command::new("tar").arg("--zstd").arg("-xf").arg(&archive).arg("-C").arg(self.made("tree")?).status()?;
        ensure!(unpacked.success(), "cannot unpack the package");
        let unpack = began.elapsed().as_secs_f64();

        let (mut ours, mut scp, mut rsync) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=arguments.rounds.max(1) {
            scp.push(self.scp(&archive)?);
            rsync.push(self.rsync(changed)?);
            ours.push(self.with_rollup(&archive, "")?);
            for (name, all) in [("scp", &scp), ("rsync", &rsync), ("rollup", &ours)] {
                if let Some(cost) = all.last() {
                    crate::say(&format!("   round {round}: {name:<6} {:.2} s, {} MiB", cost.seconds, cost.bytes >> 20));
                }
            }
        }
        // Both nodes need what changed.
        let needed = (2 * changed * size) as f64;
        let seconds = |all: &[Cost]| all.iter().map(|cost| cost.seconds).collect::<Vec<_>>();
        let bytes = |all: &[Cost]| median(&all.iter().map(|cost| cost.bytes as f64).collect::<Vec<_>>());
        let peak = ours.iter().map(|cost| cost.peak_kib).max().unwrap_or_default();
        let (by_us, by_scp, by_rsync) = (median(&seconds(&ours)), median(&seconds(&scp)), median(&seconds(&rsync)));
        let (bytes_ratio, scp_ratio, rsync_ratio) = (bytes(&ours) / needed, by_us / by_scp, by_us / by_rsync);
        Ok(json!({
            "files": arguments.files, "mib": arguments.mib, "changed_files": changed,
            "changed_mib_for_both": round(needed / 1_048_576.0),
            "rollup_seconds": rounded(&seconds(&ours)), "scp_seconds": rounded(&seconds(&scp)),
            "rsync_seconds": rounded(&seconds(&rsync)), "unpack_for_rsync_seconds": round(unpack),
            "rollup_mib": round(bytes(&ours) / 1_048_576.0), "scp_mib": round(bytes(&scp) / 1_048_576.0),
            "rsync_mib": round(bytes(&rsync) / 1_048_576.0),
            "bytes_to_changed": round(bytes_ratio), "time_to_scp": round(scp_ratio),
            "time_to_rsync": round(rsync_ratio), "time_to_rsync_with_unpacking": round(by_us / (by_rsync + unpack)),
            "operator_peak_kib": peak,
            "reached": bytes_ratio <= AIM_BYTES && scp_ratio <= AIM_SCP && rsync_ratio <= AIM_RSYNC && peak < AIM_PEAK_KIB,
        }))
    }

    fn made(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Installs the running version on both nodes as an upgrade does, and builds the package in which some files differ.
    fn make(&self, files: usize, size: usize, changed: usize) -> Result<PathBuf> {
        let old = self.build("1.0.0", files, size, 0)?;
        self.with_rollup(&old, INSTALL)?;
        fs::remove_file(old)?;
        // As rsync itself would have left them: an archive has no times.
        for node in NODES {
            self.lab.root_script(node, &format!("cp -a {PLACED} {COPY}; touch -d @0 {COPY}/*; sync"))?;
        }
        self.build("2.0.0", files, size, changed)
    }

    fn build(&self, version: &str, files: usize, size: usize, changed: usize) -> Result<PathBuf> {
        let source = self.made("source")?;
        fs::create_dir_all(source.join("payload"))?;
        let mut manifest = format!("format = 1\nname = \"bench\"\nversion = \"{version}\"\n");
        for number in 0..files {
            let seed = if number < changed { files + number } else { number };
            let name = format!("{number}.jar");
            fs::write(source.join("payload").join(&name), noise(seed as u64, size))?;
            manifest += &format!(
                "[[components]]\nsource = \"payload/{name}\"\ndestination = \"{PLACED}/{name}\"\nowner = \"root\"\n\
                 group = \"root\"\nmode = \"0644\"\n"
            );
        }
        fs::write(source.join("rollup-package.toml"), manifest)?;
        let archive = self.dir.join(format!("bench-{version}.tar.zst"));
        let built = Command::new(&self.rollup).args(["pkg", "build"]).arg(&source).arg("-o").arg(&archive).status()?;
        ensure!(built.success(), "the package cannot be built");
        fs::remove_dir_all(&source)?;
        Ok(archive)
    }

    /// Bytes that went over the operator's network so far, in both directions.
    fn travelled(&self) -> Result<u64> {
        // What has a master is a port of a bridge, and its bytes are the bridge's, too.
        let script =
            "for dir in /sys/class/net/*; do [ -e $dir/master ] || grep -H . $dir/statistics/[rt]x_bytes; done";
        let output = self.lab.operator_command("sh").args(["-c", script]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let counted = text.lines().filter(|line| !line.contains("/net/lo/"));
        Ok(counted.filter_map(|line| line.rsplit_once(':')?.1.parse::<u64>().ok()).sum())
    }

    fn with_rollup(&self, archive: &Path, install: &str) -> Result<Cost> {
        let (playbook, state) = (self.dir.join("distribute.toml"), self.dir.join("state"));
        fs::write(&playbook, PLAYBOOK.replace("{install}", install))?;
        let _none = fs::remove_dir_all(&state);
        let mut command = self.lab.operator_command(&self.rollup);
        command.args(["upgrade", "--yes", "--pkg"]).arg(archive).arg("--playbook").arg(&playbook);
        command.env("ROLLUP_STATE_DIR", &state).stdout(Stdio::null()).stderr(Stdio::piped());
        let before = self.travelled()?;
        let mut child = command.spawn()?;
        let peak_kib = peak(&mut child)?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "rollup failed: {}", String::from_utf8_lossy(&output.stderr));
        let bytes = self.travelled()? - before;
        Ok(Cost { seconds: distributed(&state)?, bytes, peak_kib })
    }

    fn scp(&self, archive: &Path) -> Result<Cost> {
        self.timed(|node| {
            let mut command = self.lab.operator_command("scp");
            command
                .arg("-q")
                .arg("-F")
                .arg(self.lab.ssh_config_path())
                .arg(archive)
                .arg(format!("{node}:/var/tmp/bench"));
            command
        })
    }

    fn rsync(&self, changed: usize) -> Result<Cost> {
        // What the round before has brought is taken back.
        for node in NODES {
            let script = format!(
                "for n in $(seq 0 {}); do cp -p {PLACED}/$n.jar {COPY}/$n.jar; done",
                changed.saturating_sub(1)
            );
            self.lab.root_script(node, &script)?;
        }
        let shell = format!("ssh -F {}", self.lab.ssh_config_path().display());
        self.timed(|node| {
            let mut command = self.lab.operator_command("rsync");
            command.arg("-a").arg("--rsync-path=sudo -n rsync").arg("--rsh").arg(&shell);
            command.arg(self.dir.join("tree/payload").join("")).arg(format!("{node}:{COPY}/"));
            command
        })
    }

    /// Both nodes at once.
    fn timed(&self, command: impl Fn(&str) -> Command) -> Result<Cost> {
        let (before, began) = (self.travelled()?, Instant::now());
        let running: Vec<Child> = NODES.iter().map(|node| command(node).spawn()).collect::<std::io::Result<_>>()?;
        for mut child in running {
            ensure!(child.wait()?.success(), "a copy failed");
        }
        Ok(Cost { seconds: began.elapsed().as_secs_f64(), bytes: self.travelled()? - before, peak_kib: 0 })
    }
}

/// The most memory that a process had, watched until its end.
fn peak(child: &mut Child) -> Result<u64> {
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait()?.is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(most);
        pause();
    }
    Ok(most)
}

#[expect(clippy::disallowed_methods, reason = "another process is watched")]
fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

/// From the first node's beginning to the last one's end, by the run's own journal.
fn distributed(state: &Path) -> Result<f64> {
    let run = fs::read_dir(state.join("runs"))?.next().context("expected a run")??;
    let text = fs::read_to_string(run.path().join("journal.jsonl"))?;
    let records: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let moments = |kind: &str| -> Result<Vec<jiff::Timestamp>> {
        let of_kind = records.iter().filter(|record| record["event"]["kind"] == kind);
        let of_step = |record: &&Value| {
            record["event"]["step"].as_str().is_some_and(|step| step.starts_with("package.distribute"))
        };
        let at = of_kind.filter(of_step).map(|record| record["at"].as_str().unwrap_or_default().parse());
        Ok(at.collect::<Result<_, _>>()?)
    };
    let first = moments("step-started")?.into_iter().min().context("expected a beginning")?;
    let last = moments("step-finished")?.into_iter().max().context("expected an end")?;
    Ok(last.duration_since(first).as_secs_f64())
}

/// Bytes that no compression makes fewer, the same for the same seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Writing to memory does not fail.
        let _written = bytes.write_all(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn table(result: &Value) -> String {
    let line = |name: &str, key: &str| {
        format!("{name:<24} {} s, {} MiB", result[format!("{key}_seconds")], result[format!("{key}_mib")])
    };
    [
        line("rollup", "rollup"),
        line("scp of the archive", "scp"),
        line("rsync -a of the tree", "rsync")
            + &format!(" (and {} s to unpack it)", result["unpack_for_rsync_seconds"]),
        format!("bytes to what changed    {} (aim {AIM_BYTES})", result["bytes_to_changed"]),
        format!("time to scp              {} (aim {AIM_SCP})", result["time_to_scp"]),
        format!(
            "time to rsync            {} (aim {AIM_RSYNC}); {} with unpacking",
            result["time_to_rsync"], result["time_to_rsync_with_unpacking"]
        ),
        format!("operator's peak          {} KiB (aim {AIM_PEAK_KIB})", result["operator_peak_kib"]),
    ]
    .join("\n")
}
