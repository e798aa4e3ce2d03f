//! The machines of a simulated pair as the engine sees them, and the cuts.
//!
//! All machines share one [`World`]. Time is tokio's paused clock: a command takes a few simulated milliseconds, and the
//! world moves on by itself whenever a command looks at it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rollup_engine::Hosts;
use rollup_model::NodeName;
use rollup_remote::{Cmd, Effect, Host, Output, RemoteError};
use tokio::{io::AsyncWriteExt, sync::Notify, time::Instant};

use crate::{
    call::{Answer, Call},
    cut::{Cut, Kind},
    database::Patience,
    world::World,
};

/// What one command takes.
const LATENCY: Duration = Duration::from_millis(3);

/// How long it takes to find out that a node does not answer.
const CONNECT: Duration = Duration::from_secs(1);

/// How often a waiting script looks.
const TURN: Duration = Duration::from_millis(20);

/// How much later a command takes effect whose sender died or was cut off meanwhile.
const LATE: Duration = Duration::from_millis(1500);

/// A command that was sent to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its id; for a job the id of what the job does.
    pub id: String,
    /// The machine.
    pub node: NodeName,
    /// Steps that were in progress, by the journal.
    pub step: String,
    /// When, since the pair began.
    pub at: Duration,
    /// Whether it may change something.
    pub mutating: bool,
}

#[derive(Default)]
struct Control {
    sent: Vec<Sent>,
    mutating: usize,
    reading: usize,
    cut: Option<Cut>,
    fired: Option<Sent>,
    deaf: Vec<(NodeName, String)>,
}

/// A simulated pair.
pub struct Sim {
    world: Mutex<World>,
    control: Mutex<Control>,
    killed: Notify,
    origin: Instant,
}

/// What becomes of one command.
enum Fate {
    Answered(Answer),
    Lost(RemoteError),
    Dead,
}

impl Sim {
    /// A pair that begins now. Needs tokio's paused clock.
    pub fn new(world: World) -> Arc<Self> {
        Arc::new(Self {
            world: Mutex::new(world),
            control: Mutex::default(),
            killed: Notify::new(),
            origin: Instant::now(),
        })
    }

    /// The machines.
    pub fn hosts(self: &Arc<Self>) -> Hosts {
        let names: Vec<_> = self.world().machines.keys().cloned().collect();
        let host = |node: &NodeName| Arc::new(FakeHost { sim: Arc::clone(self), node: node.clone() }) as Arc<dyn Host>;
        names.into_iter().map(|node| (node.clone(), host(&node))).collect()
    }

    /// The state of everything, brought up to now.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(self.origin.elapsed());
        world
    }

    /// Cuts a later command, once.
    pub fn cut(&self, cut: Cut) {
        self.control().cut = Some(cut);
    }

    /// Cuts a command that comes so many later, once.
    pub fn cut_from_now(&self, cut: Cut) {
        let mut control = self.control();
        let sent = if cut.kind == Kind::Unreachable { control.reading } else { control.mutating };
        control.cut = Some(Cut { at: sent + cut.at, ..cut });
        control.fired = None;
    }

    /// Kills the process once more, after the change that comes so many later.
    pub fn kill_again(&self, after: usize) {
        let mut control = self.control();
        control.cut = Some(Cut { at: control.mutating + after, kind: Kind::KillAfter });
    }

    /// From now on `node` does not answer commands whose id begins with `prefix`.
    pub fn make_deaf(&self, node: &NodeName, prefix: &str) {
        self.control().deaf.push((node.clone(), prefix.to_owned()));
    }

    /// Every machine answers everything again.
    pub fn heal(&self) {
        self.control().deaf.clear();
    }

    /// The command that was cut.
    pub fn fired(&self) -> Option<Sent> {
        self.control().fired.clone()
    }

    /// Every command that was sent, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.control().sent.clone()
    }

    /// Simulated time since the pair began.
    pub fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Lets simulated time pass.
    pub async fn wait(&self, time: Duration) {
        pass(time).await;
    }

    /// Ends when a cut has killed the process.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Whether a session with the database of this machine can be opened.
    fn can_promote(&self, node: &NodeName) -> bool {
        let deaf =
            self.control().deaf.iter().any(|(deaf, prefix)| deaf == node && "db.promote".starts_with(prefix.as_str()));
        let world = self.world();
        // openGauss's script says so before it looks at the server.
        !deaf && !world.is_down(node) && (world.is_gauss() || world.at(node).database.runs())
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the command and tells whether it is the one to cut.
    fn count(&self, node: &NodeName, call: &Call, effect: Effect) -> Option<Kind> {
        let step = self.world().steps_in_progress();
        let mut control = self.control();
        let mutating = effect == Effect::Mutate;
        let id = if call.id == "job.start" { call.arg(6) } else { call.id.as_str() };
        let sent = Sent { id: id.to_owned(), node: node.clone(), step, at: self.origin.elapsed(), mutating };
        control.sent.push(sent.clone());
        let counter = if mutating { &mut control.mutating } else { &mut control.reading };
        let at = std::mem::replace(counter, *counter + 1);
        let kind = control.cut.filter(|cut| cut.at == at && (cut.kind == Kind::Unreachable) != mutating)?.kind;
        control.cut = None;
        control.fired.get_or_insert(sent);
        Some(kind)
    }

    fn send(&self, node: &NodeName, call: Call, kind: Option<Kind>) -> Fate {
        let mut world = self.world();
        let deaf =
            self.control().deaf.iter().any(|(deaf, prefix)| deaf == node && call.id.starts_with(prefix.as_str()));
        let host = node.to_string();
        if world.is_down(node) {
            return Fate::Lost(RemoteError::Unreachable { host, why: "it boots".to_owned() });
        }
        let in_doubt =
            |id: &str, why: &str| RemoteError::InDoubt { host: host.clone(), id: id.to_owned(), why: why.to_owned() };
        if deaf || kind == Some(Kind::Unreachable) {
            return Fate::Lost(RemoteError::Unreachable { host, why: "cut by the test".to_owned() });
        }
        match kind {
            None | Some(Kind::Unreachable) => Fate::Answered(world.run(node, &call)),
            Some(Kind::KillBefore) => Fate::Dead,
            Some(Kind::KillAfter | Kind::KillTwice) => {
                // Nobody is left to hear the answer.
                let _unheard = world.run(node, &call);
                Fate::Dead
            }
            Some(Kind::KillLate) => {
                world.run_later(LATE, node, call);
                Fate::Dead
            }
            Some(Kind::LostBefore) => Fate::Lost(in_doubt(&call.id, "cut by the test before it was sent")),
            Some(Kind::LostAfter) => {
                let _unheard = world.run(node, &call);
                Fate::Lost(in_doubt(&call.id, "its answer was cut by the test"))
            }
            Some(kind @ (Kind::RebootBefore | Kind::RebootAfter)) => {
                if kind == Kind::RebootAfter {
                    let _unheard = world.run(node, &call);
                }
                world.reboot(node);
                Fate::Lost(in_doubt(&call.id, "the node went down"))
            }
            Some(Kind::PeerReboots) => {
                let answer = world.run(node, &call);
                let peer = world.peer(node);
                world.reboot(&peer);
                Fate::Answered(answer)
            }
            Some(Kind::LostLate) => {
                let error = in_doubt(&call.id, "cut by the test while it was under way");
                world.run_later(LATE, node, call);
                Fate::Lost(error)
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a simulated command takes simulated time")]
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Whether the command gets as far as its script's own waiting.
fn waits(kind: Option<Kind>) -> bool {
    matches!(
        kind,
        None | Some(Kind::KillAfter | Kind::KillTwice | Kind::LostAfter | Kind::RebootAfter | Kind::PeerReboots)
    )
}

/// One machine of a simulated pair.
struct FakeHost {
    sim: Arc<Sim>,
    node: NodeName,
}

impl FakeHost {
    /// What a tool does that has asked both servers to change their roles; returns what it says in the end.
    async fn watch(&self, patience: Patience) -> String {
        let began = self.sim.elapsed();
        let is_there = || self.sim.world().at(&self.node).database.writes();
        while self.sim.elapsed() - began < patience.script && !is_there() {
            pass(TURN).await;
        }
        self.sim.world().outcome(&self.node, self.sim.elapsed() - began < patience.tool, patience.tool)
    }
}

#[async_trait::async_trait]
impl Host for FakeHost {
    fn name(&self) -> &str {
        self.node.as_str()
    }

    async fn exec_to(
        &self,
        cmd: &Cmd,
        sink: &mut (dyn tokio::io::AsyncWrite + Send + Unpin),
    ) -> Result<Output, RemoteError> {
        // The one command that speaks before it reads.
        if cmd.id == "db.promote" && self.sim.can_promote(&self.node) {
            let said = sink.write_all(b"ready\n").await;
            said.map_err(|error| RemoteError::sink(self.name(), cmd, &error))?;
        }
        let mut output = self.exec(cmd).await.map_err(RemoteError::without_stdout)?;
        let written = sink.write_all(output.stdout.as_bytes()).await;
        written.map_err(|error| RemoteError::sink(self.name(), cmd, &error))?;
        output.stdout.clear();
        Ok(output)
    }

    async fn exec(&self, cmd: &Cmd) -> Result<Output, RemoteError> {
        let call = Call::of(cmd).await;
        pass(LATENCY).await;
        let kind = self.sim.count(&self.node, &call, cmd.effect);
        if self.sim.world().is_down(&self.node) {
            pass(CONNECT).await;
        }
        // What a script waits for before it does or answers anything.
        let mut waited = Duration::ZERO;
        while waits(kind)
            && self.sim.world().waits(&self.node, &call).is_some_and(|most| waited < most.min(cmd.deadline))
        {
            pass(TURN).await;
            waited += TURN;
        }
        let patience = self.sim.world().patience(&call);
        let mut fate = self.sim.send(&self.node, call, kind);
        if let (Some(patience), Fate::Answered(Ok(said))) = (patience, &mut fate)
            && World::is_open(said)
        {
            said.push_str(&self.watch(patience).await);
        }
        match fate {
            Fate::Answered(Ok(stdout)) => Ok(Output { stdout, stderr: String::new() }),
            Fate::Answered(Err(failed)) => Err(RemoteError::Exit {
                host: self.node.to_string(),
                id: cmd.id.to_owned(),
                code: failed.code,
                stdout: failed.stdout,
                stderr: failed.stderr,
            }),
            Fate::Lost(error) => Err(error),
            Fate::Dead => {
                self.sim.killed.notify_one();
                std::future::pending().await
            }
        }
    }
}
