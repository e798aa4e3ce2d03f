//! The lab's clients: what users of the service would have noticed.
//!
//! The clients run in a process of their own in the operator's namespace ([`run_client`], started by
//! [`Traffic::start`]), so that whoever changes the nodes cannot slow them down or stop them by accident.

mod gaps;
mod load;
mod losses;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

pub use losses::{AcknowledgedWrite, Fate};

use crate::{Lab, wait};

const GAPS_KEPT: usize = 5;

/// Which half of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// `GET /orders/N`.
    Read,
    /// `POST /orders`.
    Write,
}

/// How many clients there are and how they behave.
#[derive(Debug, Clone)]
pub struct TrafficOptions {
    /// Clients that read.
    pub readers: usize,
    /// Clients that write.
    pub writers: usize,
    /// Time from one request of a client to its next.
    pub every_ms: u64,
    /// Reuse connections instead of making one per request.
    pub keep_alive: bool,
    /// Stop by themselves after this many seconds.
    pub seconds: Option<u64>,
    /// Stop when this file appears.
    pub stop_file: Option<PathBuf>,
}

impl Default for TrafficOptions {
    fn default() -> Self {
        Self { readers: 3, writers: 3, every_ms: 10, keep_alive: false, seconds: None, stop_file: None }
    }
}

/// What the clients have seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrafficReport {
    /// When the clients started, RFC 3339 in UTC.
    pub started: String,
    /// How long they ran.
    pub seconds: f64,
    /// Requests of both sides.
    pub requests: u64,
    /// Those without a good answer.
    pub failed: u64,
    /// Longest time without any successful read.
    pub read_gap_ms: u64,
    /// Longest time without any successful write.
    pub write_gap_ms: u64,
    /// Writes that were answered with 201.
    pub acked_writes: u64,
    /// Those of them that the primary does not have now; unknown when no primary could be asked.
    pub lost_writes: Option<u64>,
    /// Some of the lost writes.
    pub lost_refs: Vec<String>,
    /// Where every acknowledged write and what became of it is written down, for [`TrafficReport::acknowledged`].
    #[serde(default)]
    pub record: Option<PathBuf>,
    /// The reading clients.
    pub reads: SideReport,
    /// The writing clients.
    pub writes: SideReport,
    /// The first errors.
    pub errors: Vec<ClientError>,
}

/// One side of the traffic.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SideReport {
    /// Requests of this side.
    pub requests: u64,
    /// Those without a good answer.
    pub failed: u64,
    /// Half of the good answers took at most this long, in milliseconds.
    pub p50_ms: f64,
    /// All but one of a hundred of them did.
    pub p99_ms: f64,
    /// The longest times without a success of any client, longest first.
    pub gaps: Vec<Gap>,
}

/// A time without a success.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Gap {
    /// When it began, RFC 3339 in UTC.
    pub at: String,
    /// When it began, from the start of the run.
    pub offset_ms: u64,
    /// How long it lasted.
    pub length_ms: u64,
}

/// A request that went wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientError {
    /// Which side.
    pub side: Side,
    /// When, from the start of the run.
    pub offset_ms: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// What.
    pub text: String,
}

/// Clients that run in a process of their own.
#[derive(Debug)]
pub struct Traffic {
    child: Child,
    report: PathBuf,
}

impl Traffic {
    /// Starts the clients of a lab and waits for their first good answers.
    ///
    /// `program` is an executable that understands `lab client` as `xtask` does: usually the running one.
    pub fn start(lab: &Lab, program: &Path, options: &TrafficOptions) -> Result<Self> {
        let directory = lab.directory().join("clients");
        fs::create_dir_all(&directory)?;
        let serial = fs::read_dir(&directory)?.count();
        let report = directory.join(format!("report-{}-{serial}.json", std::process::id()));
        let mut command = lab.operator_command(program);
        command.args(["lab", "client", "--name", &lab.name().to_string()]).arg("--out").arg(&report);
        command.args(["--readers", &options.readers.to_string(), "--writers", &options.writers.to_string()]);
        command.args(["--every-ms", &options.every_ms.to_string()]);
        if options.keep_alive {
            command.arg("--keep-alive");
        }
        if let Some(seconds) = options.seconds {
            command.args(["--seconds", &seconds.to_string()]);
        }
        if let Some(file) = &options.stop_file {
            command.arg("--stop-file").arg(file);
        }
        let log = fs::File::create(report.with_extension("log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut traffic = Self { child, report };
        let started = started_file(&traffic.report);
        let begun =
            wait::until(Duration::from_secs(15), Duration::from_millis(20), || started.exists() || traffic.ended());
        ensure!(begun && !traffic.ended(), "the clients got no good answer: {}", traffic.complaints());
        Ok(traffic)
    }

    /// Waits for clients that were told to stop by themselves; what they have seen.
    pub fn finish(mut self) -> Result<TrafficReport> {
        self.reap()
    }

    /// Lets the clients finish their last requests and count their writes; what they have seen.
    pub fn stop(mut self) -> Result<TrafficReport> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
            && !self.ended()
        {
            kill_process(pid, Signal::TERM)?;
        }
        self.reap()
    }

    fn reap(&mut self) -> Result<TrafficReport> {
        let status = self.child.wait()?;
        ensure!(status.success(), "the clients failed ({status}): {}", self.complaints());
        Ok(serde_json::from_str(&fs::read_to_string(&self.report)?)?)
    }

    fn ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    fn complaints(&self) -> String {
        fs::read_to_string(self.report.with_extension("log")).unwrap_or_default()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // After `stop` there is nothing left to end; after an error nobody wants the report.
        let _ended_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

fn started_file(report: &Path) -> PathBuf {
    report.with_extension("started")
}

/// Runs the clients in this process, which must be in the operator's namespace, until they are told to stop.
pub fn run_client(lab: &Lab, options: &TrafficOptions, out: Option<&Path>) -> Result<TrafficReport> {
    if out.is_some() {
        stand_out();
    }
    reuse_ports()?;
    let run = fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (report, acknowledged) = runtime.block_on(drive(&run, options, out))?;
    let report = losses::count(lab, &run, report, &acknowledged, out)?;
    if let Some(out) = out {
        // Written beside and renamed, so that whoever waits for the file never reads half of it.
        let half = out.with_extension("half");
        fs::write(&half, serde_json::to_string_pretty(&report)?)?;
        fs::rename(&half, out)?;
    }
    Ok(report)
}

/// Keeps whoever works on this host from looking like a gap: a session of its own that comes before others.
///
/// Without the right to do so the clients are only less sharp.
fn stand_out() {
    if rustix::process::setsid().is_ok() {
        // Ctrl-C does not reach another session; the end of whoever started us does.
        let _stays_behind = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        let _no_sessions_in_this_kernel = fs::write("/proc/self/autogroup", "-5");
    }
    let _no_right = rustix::process::setpriority_process(None, -5);
}

/// Lets connections of this namespace take the ports of those that ended a second ago.
///
/// A port rests for a minute after its connection: at some hundreds of new connections a second all 28,000 of them are
/// gone within that minute. Long before that the search for a free one costs more than the request.
fn reuse_ports() -> Result<()> {
    const SWITCH: &str = "/proc/sys/net/ipv4/tcp_tw_reuse";
    fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}"))
}

/// Acknowledged writes and when they were, from the start of the run.
type Acknowledged = Vec<(Duration, String)>;

async fn drive(run: &str, options: &TrafficOptions, out: Option<&Path>) -> Result<(TrafficReport, Acknowledged)> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);

    let shared = Arc::new(load::Shared::new(run.to_owned()));
    let started = jiff::Timestamp::now();
    let shared_options = Arc::new(options.clone());
    let start = |side, count: usize, first: usize| {
        let clients = u32::try_from(count).unwrap_or(u32::MAX);
        let beat = Duration::from_millis(options.every_ms) / clients.max(1);
        let client = |index: u32| {
            let number = first + index as usize;
            load::client(Arc::clone(&shared), side, number, beat * index, Arc::clone(&shared_options))
        };
        (0..clients).map(|index| tokio::spawn(client(index))).collect::<Vec<_>>()
    };
    let readers = start(Side::Read, options.readers, 0);
    let writers = start(Side::Write, options.writers, options.readers);

    let deadline = options.seconds.map(|seconds| shared.started + Duration::from_secs(seconds));
    let mut announced = out.is_none();
    loop {
        let asked = tokio::select! {
            _ = terminate.recv() => true,
            _ = interrupt.recv() => true,
            () = wait::pace(Duration::from_millis(20)) => false,
        };
        let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if asked || over || options.stop_file.as_ref().is_some_and(|file| file.exists()) {
            break;
        }
        let idle =
            |side: Side, clients: usize| clients == 0 || shared.successes[side as usize].load(Ordering::Relaxed) > 0;
        if !announced && idle(Side::Read, options.readers) && idle(Side::Write, options.writers) {
            announced = true;
            fs::write(out.map(started_file).unwrap_or_default(), "")?;
        }
    }
    let end = shared.started.elapsed();
    shared.stop.store(true, Ordering::Relaxed);
    let (reads, _) = gather(readers, started, end).await?;
    let (writes, acknowledged) = gather(writers, started, end).await?;
    let gap = |side: &SideReport| side.gaps.first().map_or(0, |gap| gap.length_ms);
    let report = TrafficReport {
        started: started.to_string(),
        seconds: end.as_secs_f64(),
        requests: reads.requests + writes.requests,
        failed: reads.failed + writes.failed,
        read_gap_ms: gap(&reads),
        write_gap_ms: gap(&writes),
        acked_writes: acknowledged.len() as u64,
        lost_writes: None,
        lost_refs: Vec::new(),
        record: None,
        reads,
        writes,
        errors: shared.errors(),
    };
    Ok((report, acknowledged))
}

async fn gather(
    clients: Vec<tokio::task::JoinHandle<load::Seen>>,
    started: jiff::Timestamp,
    end: Duration,
) -> Result<(SideReport, Acknowledged)> {
    let (mut requests, mut successes, mut latencies, mut acknowledged) = (0, Vec::new(), Vec::new(), Vec::new());
    let nobody = clients.is_empty();
    for client in clients {
        let seen = client.await.context("a client panicked")?;
        requests += seen.requests;
        successes.extend(seen.successes);
        latencies.extend(seen.latencies);
        acknowledged.extend(seen.acknowledged);
    }
    let failed = requests - successes.len() as u64;
    let stretches = if nobody { Vec::new() } else { gaps::longest(successes, end, GAPS_KEPT) };
    let mut found = Vec::new();
    for stretch in stretches {
        let at = started.checked_add(jiff::SignedDuration::try_from(stretch.start)?)?;
        let millis = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        found.push(Gap { at: at.to_string(), offset_ms: millis(stretch.start), length_ms: millis(stretch.length) });
    }
    latencies.sort_unstable();
    let quantile = |share: f64| gaps::quantile(&latencies, share).as_secs_f64() * 1000.0;
    let side = SideReport { requests, failed, p50_ms: quantile(0.5), p99_ms: quantile(0.99), gaps: found };
    Ok((side, acknowledged))
}
