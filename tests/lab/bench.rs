//! What scenarios work with: a lab, the program, its packages, and questions to ask of them.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use rollup_lab::{Engine, Flavour, Lab, LabOptions, Places, Traffic, TrafficOptions, TrafficReport, packages};
use serde_json::Value;

/// When a scenario runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Always, beside others.
    Always,
    /// Always, and nothing beside it: it measures time.
    Alone,
    /// In the long run only, beside others.
    Soak,
    /// In the long run only, and nothing beside it.
    SoakAlone,
}

impl When {
    pub(crate) fn is_long(self) -> bool {
        matches!(self, Self::Soak | Self::SoakAlone)
    }

    pub(crate) fn is_alone(self) -> bool {
        matches!(self, Self::Alone | Self::SoakAlone)
    }
}

/// A scenario: starts on a lab as it was provisioned, and may leave it in any state.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) when: When,
    pub(crate) run: fn(&Bench) -> Result<()>,
    /// What the database of its lab is, or plays.
    pub(crate) engine: Engine,
}

impl Entry {
    pub(crate) const fn new(name: &'static str, when: When, run: fn(&Bench) -> Result<()>) -> Self {
        Self { name, when, run, engine: Engine::Postgresql }
    }

    /// The same, on a lab with another database.
    pub(crate) const fn on(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }
}

/// What scenarios work with.
pub(crate) struct Bench {
    /// The lab.
    pub lab: Lab,
    options: LabOptions,
    packages: PathBuf,
    xtask: PathBuf,
    state: PathBuf,
    used: Cell<bool>,
}

/// What a command of the program said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Insists on an exit code; shows everything otherwise.
    pub(crate) fn expect(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "expected exit code {code}, found {}\n{}{}", self.code, self.out, self.err);
        Ok(self)
    }

    /// Standard output as the JSON document that it must be.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("expected JSON, found:\n{}{}", self.out, self.err))
    }

    /// Insists on a text in what people see.
    pub(crate) fn expect_err(self, text: &str) -> Result<Self> {
        ensure!(self.err.contains(text), "expected `{text}` in:\n{}", self.err);
        Ok(self)
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Waits a moment between two looks at the outside world.
#[expect(clippy::disallowed_methods, reason = "a scenario watches real machines from outside")]
pub(crate) fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

fn archives() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("crates/ has a parent")?;
    Ok(root.join("target/packages"))
}

/// Builds the packages that all labs use.
pub(crate) fn prepare() -> Result<()> {
    packages::build_all(&archives()?, None, &crate::say)?;
    Ok(())
}

impl Bench {
    /// Boots a lab of this number; one that was there is replaced.
    fn new(number: usize, engine: Engine) -> Result<Self> {
        let xtask = std::env::var_os("ROLLUP_XTASK").context("run this through `cargo xtask lab-test`")?;
        let archives = archives()?;
        // Whoever runs scenarios beside somebody else's gives their labs a name of their own.
        let prefix = std::env::var("ROLLUP_LAB_TESTS_NAME").unwrap_or_else(|_| "test".to_owned());
        let name = format!("{prefix}{number}");
        let options = LabOptions {
            name: name.parse()?,
            nodes: 2,
            flavour: Flavour::Preempt,
            engine,
            version: "1.0.0".to_owned(),
            package: archives.join("orders-1.0.0.tar.gz"),
            places: Places::from_environment(),
        };
        let state = std::env::temp_dir().join(format!("rollup-lab-{name}")).join("state");
        let lab = Lab::up(&options, &crate::say)?;
        Ok(Self { lab, options, packages: archives, xtask: xtask.into(), state, used: Cell::new(false) })
    }

    /// A bench for a scenario: the one that is there, or another one in its place when the scenario needs another
    /// database.
    pub(crate) fn for_entry(number: usize, bench: Option<Self>, entry: &Entry) -> Result<Self> {
        match bench {
            Some(bench) if bench.lab.engine() == entry.engine => Ok(bench),
            _ => Self::new(number, entry.engine),
        }
    }

    /// The lab as it was provisioned, and no run on the operator's side.
    pub(crate) fn fresh(&self) -> Result<()> {
        if self.used.replace(true) {
            // A scenario that failed may have left its program running; it must not work on the next one's machines.
            for entry in std::fs::read_dir("/proc")?.flatten() {
                let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
                let mark = format!("ROLLUP_STATE_DIR={}", self.state.display());
                let pid = entry.file_name().to_string_lossy().into_owned();
                let is_ours = std::fs::read_link(entry.path().join("exe"))
                    .is_ok_and(|exe| exe == Path::new(env!("CARGO_BIN_EXE_rollup")));
                if is_ours && environment.windows(mark.len()).any(|window| window == mark.as_bytes()) {
                    Command::new("kill").args(["-9", &pid]).status()?;
                }
            }
            self.lab.reset()?;
        }
        // What scenarios write for themselves lies beside the state; the last run's must not be taken for this one's.
        let scratch = self.state.parent().context("a directory of this lab")?;
        match std::fs::remove_dir_all(scratch) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        Ok(std::fs::create_dir_all(scratch)?)
    }

    /// Takes the lab down.
    pub(crate) fn down(&self) -> Result<()> {
        Lab::down(&self.options.places, &self.options.name)
    }

    /// The archive of a version.
    pub(crate) fn package(&self, version: &str) -> String {
        self.packages.join(format!("orders-{version}.tar.gz")).display().to_string()
    }

    /// The program that runs clients and relays.
    pub(crate) fn xtask(&self) -> &Path {
        &self.xtask
    }

    /// The operator's state directory.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// A command of the program, in the operator's namespace.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.lab.operator_command(env!("CARGO_BIN_EXE_rollup"));
        command.args(words).env("ROLLUP_INVENTORY", self.lab.inventory_path()).env("ROLLUP_STATE_DIR", &self.state);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command of the program to its end.
    pub(crate) fn rollup(&self, words: &[&str]) -> Result<Said> {
        let output = self.command(words).output().context("cannot run rollup")?;
        Ok(output.into())
    }

    /// Starts the upgrade to a version and does not wait.
    pub(crate) fn start_upgrade(&self, version: &str) -> Result<Child> {
        self.command(&["upgrade", "--yes", "--pkg", &self.package(version)]).spawn().context("cannot run rollup")
    }

    /// Begins an upgrade and kills the program `millis` after a step was begun.
    pub(crate) fn kill_upgrade_in(&self, step: &str, millis: u64) -> Result<()> {
        let mut child = self.start_upgrade("2.0.0")?;
        self.wait_for("step-started", step, &mut child)?;
        pause(millis);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Kills the program at one place after the other, each a step and milliseconds after it was begun, and goes on with
    /// `resume` every time; returns what the last life said.
    pub(crate) fn killed_at(&self, mut child: Child, places: &[(&str, u64)]) -> Result<Said> {
        for (step, millis) in places {
            self.wait_for("step-started", step, &mut child)?;
            pause(*millis);
            child.kill()?;
            child.wait()?;
            let ended = |event: &Value| event["kind"] == "step-finished" && event["step"] == *step;
            let finished = self.events().iter().any(ended);
            crate::say(&format!("        {step} {}", if finished { "had just finished" } else { "was in doubt" }));
            self.rollup(&["status"])?.expect(0)?;
            child = self.command(&["resume"]).spawn()?;
        }
        Ok(child.wait_with_output()?.into())
    }

    /// The runs that the operator's machine has, oldest first.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        let Ok(runs) = std::fs::read_dir(self.state.join("runs")) else { return Vec::new() };
        let mut runs: Vec<_> = runs.filter_map(|entry| Some(entry.ok()?.path())).collect();
        runs.sort();
        runs
    }

    fn journal(&self) -> Option<PathBuf> {
        Some(self.runs().pop()?.join("journal.jsonl"))
    }

    /// The journal's records of the newest run, as they are on disk now.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = self.journal().and_then(|journal| std::fs::read_to_string(journal).ok()).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect()
    }

    /// The journal's events of the newest run, as they are on disk now.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.records().into_iter().map(|record| record["event"].clone()).collect()
    }

    /// When the newest run had an event of this kind for this step.
    pub(crate) fn moment(&self, kind: &str, step: &str) -> Result<Timestamp> {
        let of_step = |record: &&Value| record["event"]["kind"] == kind && record["event"]["step"] == step;
        let records = self.records();
        let found =
            records.iter().find(of_step).with_context(|| format!("expected {kind} of {step} in the journal"))?;
        Ok(found["at"].as_str().unwrap_or_default().parse()?)
    }

    /// Starts a command that makes a run, and waits until the run has begun.
    pub(crate) fn start_run(&self, words: &[&str]) -> Result<Child> {
        let before = self.runs().len();
        let mut child = self.command(words).spawn().context("cannot run rollup")?;
        let end = Instant::now() + Duration::from_secs(60);
        while self.runs().len() == before || self.events().is_empty() {
            if let Some(status) = child.try_wait()? {
                let said: Said = child.wait_with_output()?.into();
                bail!("rollup ended with {status} before its run began:\n{}{}", said.out, said.err);
            }
            ensure!(Instant::now() < end, "no run began within 60 s");
            pause(20);
        }
        Ok(child)
    }

    /// Waits until the journal has an event of this kind for this step.
    pub(crate) fn wait_for(&self, kind: &str, step: &str, child: &mut Child) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(120);
        let mut seen = 0;
        loop {
            // Whoever reads a whole journal over and over takes the time that the run needs.
            let size = self.journal().and_then(|journal| std::fs::metadata(journal).ok()).map_or(0, |file| file.len());
            let grown = std::mem::replace(&mut seen, size) != size;
            if grown && self.events().iter().any(|event| event["kind"] == kind && event["step"] == step) {
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                let mut said = String::new();
                if let Some(mut err) = child.stderr.take() {
                    std::io::Read::read_to_string(&mut err, &mut said)?;
                }
                bail!("rollup ended with {status} before {kind} of {step}:\n{said}");
            }
            ensure!(Instant::now() < end, "no {kind} of {step} within 120 s");
            pause(5);
        }
    }

    /// Gives a node power and waits until its boot has ended, well or not.
    pub(crate) fn power_on(&self, node: &str) -> Result<()> {
        self.lab.power_on(node)?;
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let said: Said = self.lab.ssh(node, ["systemctl", "is-system-running", "--wait"])?.into();
            if ["running", "degraded"].contains(&said.out.trim()) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{node} has not booted within 60 s: {}{}", said.out, said.err);
            pause(100);
        }
    }

    /// Many clients that read and write through the VIP from now on.
    pub(crate) fn full_traffic(&self) -> Result<Traffic> {
        Traffic::start(&self.lab, &self.xtask, &TrafficOptions::default())
    }

    /// Clients that read and write through the VIP from now on, each seldom: several labs share one machine, and each
    /// request is a new connection to a database.
    pub(crate) fn traffic(&self) -> Result<Traffic> {
        Traffic::start(&self.lab, &self.xtask, &TrafficOptions { every_ms: 60, ..TrafficOptions::default() })
    }

    /// Insists that the pair is as a finished upgrade leaves it.
    pub(crate) fn insist_upgraded(&self, version: &str) -> Result<()> {
        self.insist_pair(version, "node-b")
    }

    /// Insists on one version on both nodes, one owner of VIP and writes, and a healthy pair.
    pub(crate) fn insist_pair(&self, version: &str, primary: &str) -> Result<()> {
        let status = self.lab.status();
        ensure!(status.problems.is_empty(), "the lab has problems: {:?}", status.problems);
        for node in &status.nodes {
            ensure!(node.version == version, "{}: expected version {version}, found {}", node.name, node.version);
            let is_primary = node.name == primary;
            ensure!(node.vip == is_primary, "the VIP should be on {primary}: {status:?}");
            ensure!(node.recovery == Some(!is_primary), "the database's primary should be {primary}: {status:?}");
        }
        Ok(())
    }

    /// Insists that no acknowledged write is missing.
    pub(crate) fn insist_nothing_lost(&self, report: &TrafficReport) -> Result<()> {
        ensure!(report.acked_writes > 0, "the clients wrote nothing: {report:?}");
        ensure!(report.lost_writes == Some(0), "acknowledged writes are missing: {report:?}");
        Ok(())
    }

    /// The command that an end page or a hint tells to type, without the program's name.
    pub(crate) fn next_command(text: &str, verb: &str) -> Result<Vec<String>> {
        let line = text.lines().map(str::trim).find(|line| line.starts_with(&format!("rollup {verb}")));
        let line = line.with_context(|| format!("expected a next command `rollup {verb} …` in:\n{text}"))?;
        // On a wide page what the command is for stands two blanks behind it.
        let command = line.split("  ").next().unwrap_or(line);
        Ok(command.split_whitespace().skip(1).map(str::to_owned).collect())
    }
}
