//! Two nodes on this machine: each command sees its node's files under one path, in a mount namespace of its own.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, Engine, Hosts, Options, Recorder, Registry, State, Stop, journal::Journal};
use rollup_model::{
    Event, Facts, Inventory, NodeName, Plan, Record, Role, RunState, Sink,
    compile::{Identity, Site},
    event::Operator,
    plan::Impact,
};
use rollup_remote::{Cmd, Host, Output, RemoteError};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::SetName;

pub(super) const KEY: &str = "PLAIN-root-key-of-NODE-3141592653589793";

/// How a job ended: its status and the end of what it wrote.
type Ended = Result<(), (i32, String)>;

/// A node: what it was asked, and how its jobs ended.
struct Local {
    name: String,
    files: PathBuf,
    here: PathBuf,
    jobs: Mutex<BTreeMap<String, Ended>>,
    heard: Arc<Mutex<String>>,
}

const ENTER: &str = r#"mount --rbind "$1" "$2"; shift 2; exec "$@""#;

impl Local {
    fn command(&self, argv: &[String]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "bash", "-euc", ENTER, "enter"]);
        command.arg(&self.files).arg(&self.here).args(argv);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn spawn(&self, cmd: &Cmd, argv: &[String], sink: &mut (dyn AsyncWrite + Send + Unpin)) -> (i32, String) {
        self.heard.lock().unwrap().push_str(&format!("{cmd:?} {argv:?}\n"));
        let input = cmd.stdin.read_all().await.unwrap();
        let mut child = self.command(argv).spawn().unwrap();
        let (mut stdin, mut stdout, mut stderr) =
            (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let feed = async {
            // A command that fails without reading its input says why by its status.
            let _ = stdin.write_all(&input).await;
            drop(stdin);
        };
        let pour = async {
            let mut buffer = vec![0; 65536];
            loop {
                match stdout.read(&mut buffer).await.unwrap() {
                    0 => break,
                    read => drop(sink.write_all(&buffer[..read]).await),
                }
            }
        };
        let mut said = String::new();
        let (_, _, read) = tokio::join!(feed, pour, stderr.read_to_string(&mut said));
        read.unwrap();
        let code = child.wait().await.unwrap().code().unwrap_or(-1);
        self.heard.lock().unwrap().push_str(&format!("{code} {said}\n"));
        (code, said)
    }

    fn ended(&self, id: &str, code: i32, stderr: String, stdout: String) -> Result<Output, RemoteError> {
        if code == 0 {
            return Ok(Output { stdout, stderr });
        }
        Err(RemoteError::Exit { host: self.name.clone(), id: id.to_owned(), code, stdout, stderr })
    }
}

#[async_trait::async_trait]
impl Host for Local {
    fn name(&self) -> &str {
        &self.name
    }

    async fn exec(&self, cmd: &Cmd) -> Result<Output, RemoteError> {
        let ok = |stdout: &str| Ok(Output { stdout: stdout.to_owned(), stderr: String::new() });
        let unit = cmd.args().first().cloned().unwrap_or_default();
        match cmd.id {
            // There is no systemd here: a job runs to its end when it is started.
            "job.start" => {
                let mut log = Vec::new();
                let (code, said) = self.spawn(cmd, &cmd.args()[3..], &mut log).await;
                let log = String::from_utf8_lossy(&log).into_owned() + &said;
                self.heard.lock().unwrap().push_str(&log);
                let end = if code == 0 { Ok(()) } else { Err((code, log)) };
                self.jobs.lock().unwrap().insert(unit, end);
                ok("")
            }
            "job.look" => match self.jobs.lock().unwrap().get(&unit).unwrap() {
                Ok(()) => ok("ActiveState=active\nSubState=exited\n--\n"),
                Err((code, log)) => ok(&format!(
                    "ActiveState=failed\nSubState=failed\nResult=exit-code\nExecMainStatus={code}\n--\n{log}"
                )),
            },
            "job.clear" | "node.quiet" | "journal.append" | "journal.put" => ok(""),
            _ => {
                let mut out = Vec::new();
                let (code, said) = self.spawn(cmd, &cmd.argv, &mut out).await;
                let result = self.ended(cmd.id, code, said, String::from_utf8_lossy(&out).into_owned());
                self.heard.lock().unwrap().push_str(&format!("{result:?}\n"));
                result
            }
        }
    }

    async fn exec_to(&self, cmd: &Cmd, sink: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<Output, RemoteError> {
        let (code, said) = self.spawn(cmd, &cmd.argv, sink).await;
        self.ended(cmd.id, code, said, String::new())
    }
}

/// How a run ended, and what was written down and shown.
pub(super) struct Ran {
    pub(super) finished: bool,
    pub(super) report: String,
    pub(super) set: SetName,
    pub(super) plan: Plan,
}

impl Ran {
    #[track_caller]
    pub(super) fn well(self) -> Self {
        assert!(self.finished, "{}", self.report);
        self
    }

    #[track_caller]
    pub(super) fn stopped_saying(self, what: &str) -> Self {
        assert!(!self.finished, "{}", self.report);
        assert!(self.report.contains(what), "expected `{what}` in:\n{}", self.report);
        self
    }
}

pub(super) struct Rig {
    root: tempfile::TempDir,
    pub(super) inventory: Inventory,
    pub(super) hosts: Hosts,
    pub(super) heard: Arc<Mutex<String>>,
    last: Mutex<jiff::Timestamp>,
    runs: Mutex<u32>,
}

impl Rig {
    /// A pair with a program, configuration with odd names, a root key and a database that is one file.
    pub(super) fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests need root: they change owners and mount");
        let root = tempfile::tempdir().unwrap();
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let here = root.path().join("here");
        std::fs::create_dir(&here).unwrap();
        let recipient = crate::key::tests::identity(&root.path().join("identity.txt"));
        crate::key::tests::identity(&root.path().join("stranger.txt"));
        let text = format!(
            "cluster = {{ name = 'pair' }}\nvip = {{ address = '127.0.0.3' }}\n\
             nodes = [{{ name = 'node-a', host = '127.0.0.1' }}, {{ name = 'node-b', host = '127.0.0.2' }}]\n\
             database = {{ engine = 'postgresql', data_dir = '{at}/data', unit = 'db.service', name = 'orders' }}\n\
             service = {{ units = ['o.service'], code = ['{at}/opt/orders'], root_key = '{at}/etc/orders/root.key',\n\
             config = ['{at}/etc/orders', '{at}/etc/orders/api.conf', '{at}/etc/later'] }}\n\
             backup = {{ dir = '{at}/backups/sets', recipients = ['{recipient}'],\n\
             identity_file = '{root}/identity.txt', operator_dir = '{root}/operator' }}\n",
            at = here.display(),
            root = root.path().display(),
        );
        let inventory = rollup_model::inventory::load(&text).unwrap_or_else(|error| panic!("{error:?}"));
        let heard = Arc::default();
        let mut hosts = Hosts::new();
        for node in inventory.node_names() {
            let files = root.path().join(node.as_str());
            std::fs::create_dir(&files).unwrap();
            let local = Local {
                name: node.to_string(),
                files,
                here: here.clone(),
                jobs: Mutex::default(),
                heard: Arc::clone(&heard),
            };
            hosts.insert(node.clone(), Arc::new(local) as Arc<dyn Host>);
        }
        let last = Mutex::new(jiff::Timestamp::UNIX_EPOCH);
        let rig = Self { root, inventory, hosts, heard, last, runs: Mutex::new(0) };
        for node in ["node-a", "node-b"] {
            rig.shell(node, &FILL.replace("KEY", &KEY.replace("NODE", node)));
        }
        rig
    }

    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    /// A file of a node, as this process sees it.
    pub(super) fn file(&self, node: &str, path: &str) -> PathBuf {
        self.root.path().join(node).join(path)
    }

    pub(super) fn set_dir(&self, node: &str, set: &SetName) -> PathBuf {
        self.file(node, "backups/sets").join(set.as_str())
    }

    /// Runs something in a node's directory, and returns what it printed.
    #[track_caller]
    pub(super) fn shell(&self, node: &str, script: &str) -> String {
        let mut command = Command::new("bash");
        let output = command.args(["-euc", script]).current_dir(self.root.path().join(node)).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Everything that must come back: kind, mode, owner, content.
    pub(super) fn state(&self, node: &str) -> String {
        let list = "find etc opt \\( -type d -o -type l \\) -printf '%y %m %u %g %p %l\\n'; \
                    find etc opt -type f -printf '%m %u %g ' -exec sha256sum {} \\;";
        let mut lines: Vec<_> = self.shell(node, list).lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    }

    /// A command line of a node, to be started and killed by hand.
    pub(super) fn by_hand(&self, node: &str, cmd: &Cmd) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "bash", "-euc", ENTER, "enter"]);
        command.arg(self.root.path().join(node)).arg(self.root.path().join("here")).args(&cmd.argv);
        command
    }

    pub(super) fn plan(&self, steps: &str) -> (Plan, Registry) {
        let mut registry = Registry::default();
        crate::register(&mut registry);
        registry.action::<Look>("test.look", Impact::Observe);
        registry.action::<Database>("db.backup", Impact::Change);
        let mut text = "format = 1\nname = \"t\"\ntitle = \"t\"\n[[phase]]\nid = \"p\"\ntitle = \"p\"\n".to_owned();
        // A plan must look before it changes anything.
        let lines = ["pair test.look"].into_iter().chain(steps.lines()).map(str::trim).filter(|line| !line.is_empty());
        for (number, line) in lines.enumerate() {
            let words: Vec<_> = line.split(' ').collect();
            let group = if words[1] == "backup.files" { format!("group = \"g{number}\"\n") } else { String::new() };
            text.push_str(&format!(
                "[[phase.step]]\nid = \"b.s{number}\"\ntitle = \"x\"\non = \"{}\"\nuses = \"{}\"\n{group}",
                words[0], words[1]
            ));
            let with: Vec<_> = words[2..].iter().filter_map(|word| word.split_once('=')).collect();
            let value = |value: &str| if value == "true" { value.to_owned() } else { format!("\"{value}\"") };
            let with: Vec<_> = with.iter().map(|(key, text)| format!("{key} = {}", value(text))).collect();
            text.push_str(&format!("with = {{ {} }}\n", with.join(", ")));
        }
        let playbook = rollup_model::playbook::load(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        let names: Vec<_> = self.inventory.node_names().cloned().collect();
        let bindings = BTreeMap::from([
            (Role::OriginalPrimary, names[0].clone()),
            (Role::OriginalStandby, names[1].clone()),
            (Role::BackupSource, names[1].clone()),
        ]);
        let facts = Facts { bindings, ..Facts::default() };
        let site = Site { inventory: &self.inventory, release: None, facts: &facts };
        let versions = names.into_iter().map(|node| (node, "1.0.0".to_owned())).collect();
        let mut last = self.last.lock().unwrap();
        // A set for each run: their names have seconds.
        let next = last.checked_add(jiff::Span::new().seconds(1)).unwrap();
        *last = jiff::Timestamp::now().max(next);
        let mut runs = self.runs.lock().unwrap();
        *runs += 1;
        let identity = Identity::new(*last, &format!("t{runs}")).unwrap();
        let plan = rollup_model::compile(&playbook, &site, &versions, &registry, &identity);
        (plan.unwrap_or_else(|error| panic!("{error:?}\n{text}")), registry)
    }

    /// Runs these steps (`place action argument=value`) as one plan.
    pub(super) async fn run(&self, steps: &str) -> Ran {
        let (plan, registry) = self.plan(steps);
        self.go(plan, registry).await
    }

    pub(super) async fn go(&self, plan: Plan, registry: Registry) -> Ran {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::create(&directory.path().join("run"), &plan).unwrap();
        let seen = Seen::default();
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(seen.clone())];
        let recorder = Recorder::new(journal, RunState::default(), &plan.run, self.hosts.clone(), sinks).unwrap();
        let engine = Engine {
            registry: Arc::new(registry),
            hosts: self.hosts.clone(),
            recorder: Arc::new(recorder),
            stop: Stop::default(),
        };
        let by: Operator =
            serde_json::from_value(serde_json::json!({ "user": "t", "host": "t", "pid": 1, "version": "0" })).unwrap();
        let end = engine.start(&plan, by, &Options::default()).await.unwrap();
        let report = seen.0.lock().unwrap().join("\n");
        self.heard.lock().unwrap().push_str(&report);
        let set = SetName::new(plan.backup_set.as_str()).unwrap();
        Ran { finished: matches!(end, rollup_engine::End::Finished), report, set, plan }
    }
}

const FILL: &str = r#"
mkdir -p etc/orders/conf.d opt/orders/bin data "etc/orders/with space"
chown -R daemon:daemon etc/orders; chmod 750 etc/orders
printf 'port=1\n' > etc/orders/api.conf; chown daemon:games etc/orders/api.conf; chmod 640 etc/orders/api.conf
printf 'KEY' > etc/orders/root.key; chown daemon:daemon etc/orders/root.key; chmod 400 etc/orders/root.key
printf 'leftover KEY' > etc/orders/.rollup-new.root.key
ln etc/orders/root.key etc/orders/conf.d/hard-link-of-the-key
printf 'odd\n' > 'etc/orders/with space/back\slash *[glob]? é'
printf 'dash\n' > etc/orders/conf.d/-rf
: > etc/orders/empty
ln -s api.conf etc/orders/current
ln -s nowhere etc/orders/dangling
mkfifo etc/orders/fifo
seq 1 200000 > opt/orders/bin/program; chmod 4755 opt/orders/bin/program
ln opt/orders/bin/program opt/orders/bin/same
printf 'rows\n' > data/rows
"#;

/// Looks at nothing.
#[derive(serde::Deserialize)]
struct Look {}

#[async_trait::async_trait]
impl Action for Look {
    async fn check(&self, _cx: &Cx<'_>) -> Result<State> {
        Ok(State::done())
    }
}

/// Stands in for the crate that knows the database.
#[derive(serde::Deserialize)]
struct Database {}

const DATABASE: &str = r#"
umask 077
mkdir -p "$1/database.partial"
cd "$1/database.partial"
tar -c -C "$2" . | zstd -q > base.tar.zst
echo '{"engine":"test","bytes":5}' > record.json
for name in base.tar.zst record.json; do
  echo "$(sha256sum < $name | cut -c 1-64) $(stat -c %s $name) $name"
done > sums
mv -T "$1/database.partial" "$1/database"
"#;

#[async_trait::async_trait]
impl Action for Database {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let look = Cmd::read("db.look", r#"[ -e "$1/database/sums" ] && echo yes || true"#, [cx.plan.backup_dir()]);
        let there = !cx.host()?.exec(&look).await?.stdout.is_empty();
        Ok(if there { State::done() } else { State::needed(serde_json::Value::Null) })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let args = [cx.plan.backup_dir(), cx.inventory().database.data_dir.clone()];
        cx.change()?.exec(&Cmd::mutate("db.base", DATABASE, args)).await?;
        Ok(())
    }
}

/// Keeps what a display would show, and what the journal says.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Sink for Seen {
    fn event(&mut self, record: &Record) -> std::io::Result<()> {
        self.0.lock().unwrap().push(match &record.event {
            Event::StepFailed { step, error, findings, .. } => {
                let fixes: Vec<_> = findings.iter().filter_map(|finding| finding.fix.clone()).collect();
                format!("{step} failed: {error} {fixes:?}")
            }
            Event::StepProgress { doing, .. } => format!("  {doing}"),
            event => format!("{event:?}"),
        });
        Ok(())
    }
}

/// The name of a node as a type.
pub(super) fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}
