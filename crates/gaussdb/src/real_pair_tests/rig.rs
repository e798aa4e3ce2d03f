//! The two servers, and hosts that run commands in their namespaces.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rollup_engine::{FindingCx, Hosts, Registry, Stage, Subject, gather};
use rollup_model::{Facts, Finding, Inventory, NodeName, Role, Severity};
use rollup_remote::{Cmd, Host, Output, RemoteError, RunAs};
use tokio::io::AsyncWriteExt;

use crate::{
    BackupRecord, DatabaseFacts, DatabaseSubject,
    engine::{At, Ending, Engine},
    postgresql::PostgreSql,
};

pub(super) const PORT: u16 = 54_399;
const ROOT: &str = "/tmp/rollup-pair-servers";
const INVENTORY: &str = r#"
cluster = { name = "pair" }
nodes = [{ name = "node-a", host = "127.0.0.1" }, { name = "node-b", host = "127.0.0.2" }]
vip = { address = "127.0.0.3" }
database = { engine = "postgresql", data_dir = "/tmp/rollup-pair/data", unit = "pair-db.service", port = 54399, name = "orders", owner = "orders_owner", switchover = "with-vip" }
service = { units = ["orders.service"] }
backup = { dir = "/tmp/rollup-pair/backup" }
limits = { lock_timeout = "1s", db_switchover = "20s" }
"#;

/// One pair at a time: both use fixed ports and paths.
static ONE: Mutex<()> = Mutex::new(());

struct Local {
    name: String,
    namespace: String,
}

#[async_trait::async_trait]
impl Host for Local {
    fn name(&self) -> &str {
        &self.name
    }

    async fn exec(&self, cmd: &Cmd) -> Result<Output, RemoteError> {
        let mut out = Vec::new();
        let output = self.exec_to(cmd, &mut out).await;
        let stdout = String::from_utf8_lossy(&out).into_owned();
        match output {
            Ok(output) => Ok(Output { stdout, ..output }),
            Err(RemoteError::Exit { host, id, code, stderr, .. }) => {
                Err(RemoteError::Exit { host, id, code, stdout, stderr })
            }
            Err(error) => Err(error),
        }
    }

    async fn exec_to(
        &self,
        cmd: &Cmd,
        sink: &mut (dyn tokio::io::AsyncWrite + Send + Unpin),
    ) -> Result<Output, RemoteError> {
        let mut line = tokio::process::Command::new("nsenter");
        line.args(["-t", &self.namespace, "-m", "--", "timeout", &cmd.deadline.as_secs().to_string()]);
        if let RunAs::User(user) = &cmd.run_as {
            line.args(["runuser", "-u", user, "--"]);
        }
        line.args(&cmd.argv).env("PATH", path()).env("HOME", "/root");
        line.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = line.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let feed = async {
            // A command that fails without reading its input says why by its status.
            let _ = match &cmd.stdin {
                rollup_remote::Stdin::Bytes(bytes) => stdin.write_all(bytes).await,
                rollup_remote::Stdin::Stream(stream) => {
                    tokio::io::copy(&mut stream.take().unwrap(), &mut stdin).await.map(|_| ())
                }
                _ => Ok(()),
            };
            drop(stdin);
        };
        let answer = async { tokio::join!(tokio::io::copy(&mut stdout, sink), child.wait_with_output()).1 };
        let mut answer = std::pin::pin!(answer);
        // Whoever feeds it may be waiting for its answer.
        let output = tokio::select! { () = feed => answer.await, output = &mut answer => output }.unwrap();
        let (stdout, stderr) = (String::new(), String::from_utf8_lossy(&output.stderr).into_owned());
        match output.status.code() {
            Some(0) => Ok(Output { stdout, stderr }),
            code => Err(RemoteError::Exit {
                host: self.name.clone(),
                id: cmd.id.to_owned(),
                code: code.unwrap_or(-1),
                stdout,
                stderr,
            }),
        }
    }
}

fn path() -> String {
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/real_pair_tests");
    format!("{}:/usr/lib/postgresql/15/bin:{}", bin.display(), std::env::var("PATH").unwrap())
}

fn bash(script: &str, args: &[&str]) -> String {
    let mut command = Command::new("bash");
    let output = command.args(["-euc", script, "bash"]).args(args).env("PATH", path()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Something that runs beside the test; killed at its end, or waited for.
struct Beside(Child, bool);

impl Drop for Beside {
    fn drop(&mut self) {
        if self.1 {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

/// A session that holds a lock: its server process is ended with it.
struct Held {
    _session: Beside,
}

impl Drop for Held {
    fn drop(&mut self) {
        let end = "select pg_terminate_backend(pid) from pg_stat_activity \
            where query like '%pg_sleep%' and pid <> pg_backend_pid()";
        let mut psql = Command::new("psql");
        psql.args(["-XAtq", "-U", "postgres", "-h", "127.0.0.1", "-p", &PORT.to_string(), "-d", "orders", "-c", end]);
        let _ = psql.stdout(Stdio::null()).status();
    }
}

pub(super) struct Rig {
    pub(super) inventory: &'static Inventory,
    namespaces: BTreeMap<NodeName, Child>,
    pub(super) hosts: Hosts,
    _one: MutexGuard<'static, ()>,
    _only: std::fs::File,
}

/// A pair that streams, stopped; made once by each process and copied for every test.
const TEMPLATE: &str = "/tmp/rollup-pair-servers.template";
static MADE: std::sync::Once = std::sync::Once::new();

const COPY: &str = r#"rm -rf "$2"; cp -a --reflink=auto "$1" "$2"; mkdir -p /tmp/rollup-pair /var/lib/rollup"#;

const PREPARE: &str = r#"
rm -rf "$1"; mkdir -p "$1" /tmp/rollup-pair /var/lib/rollup; cd "$1"
for node in node-a node-b; do
  install -d -o postgres -m 0755 $node $node/socket; install -d $node/state
done
echo "-c listen_addresses=127.0.0.1 -c unix_socket_directories=/tmp/rollup-pair/socket" > node-a/options
echo "-c listen_addresses=127.0.0.2 -c unix_socket_directories=/tmp/rollup-pair/socket" > node-b/options
runuser -u postgres -- initdb -D node-a/data -A trust -E UTF8 --locale C.UTF-8 > /dev/null
cat >> node-a/data/postgresql.conf <<CONF
port = $2
wal_keep_size = 64MB
fsync = off
CONF
"#;

const NAMESPACE: &str = r#"mount --make-rprivate /
mount --bind "$1" /tmp/rollup-pair; mount --bind "$1/state" /var/lib/rollup; exec sleep infinity"#;

const FILL: &str = r#"
runuser -u postgres -- psql -X -q -h 127.0.0.1 -p "$2" -d postgres -c 'create role replicator login replication' \
  -c 'create role orders_owner' -c 'create database orders owner orders_owner'
runuser -u postgres -- pg_basebackup -h 127.0.0.1 -p "$2" -U replicator -R -c fast -D "$1/node-b/data"
"#;

impl Rig {
    pub(super) fn new() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        // Nor beside another process with the same tests.
        let only = std::fs::File::create("/tmp/rollup-pair.lock").unwrap();
        only.lock().unwrap();
        let inventory: &'static Inventory = Box::leak(Box::new(rollup_model::inventory::load(INVENTORY).unwrap()));
        let mut rig = Self { inventory, namespaces: BTreeMap::new(), hosts: Hosts::new(), _one: one, _only: only };
        MADE.call_once(|| {
            bash(PREPARE, &[ROOT, &PORT.to_string()]);
            rig.boot();
            rig.start("node-a");
            bash(FILL, &[ROOT, &PORT.to_string()]);
            rig.start("node-b");
            rig.wait_for_stream();
            ["node-b", "node-a"].iter().for_each(|node| drop(rig.shell(node, "systemctl stop pair-db")));
            rig.halt();
            bash(COPY, &[ROOT, TEMPLATE]);
        });
        bash(COPY, &[TEMPLATE, ROOT]);
        rig.boot();
        rig.start("node-a");
        rig.start("node-b");
        rig.wait_for_stream();
        rig
    }

    /// Gives each node what only it sees.
    fn boot(&mut self) {
        for name in self.inventory.node_names() {
            let mut command = Command::new("unshare");
            command.args(["-m", "bash", "-euc", NAMESPACE, "bash", &format!("{ROOT}/{name}")]);
            let child = command.spawn().unwrap();
            let pid = child.id().to_string();
            bash(
                "until [ \"$(readlink /proc/$1/exe)\" = \"$(readlink -f \"$(command -v sleep)\")\" ]; do sleep 0.01; done",
                &[&pid],
            );
            let local = Local { name: name.to_string(), namespace: pid };
            self.hosts.insert(name.clone(), Arc::new(local) as Arc<dyn Host>);
            self.namespaces.insert(name.clone(), child);
        }
    }

    fn halt(&mut self) {
        for child in self.namespaces.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn wait_for_stream(&self) {
        let ask = "psql -XAtq -h 127.0.0.2 -p 54399 -U postgres -c \"select status from pg_stat_wal_receiver\"";
        self.shell("node-b", &format!("until [ \"$({ask})\" = streaming ]; do sleep 0.05; done"));
    }

    pub(super) fn at(&self, node: &str) -> At<'static> {
        let node = self.inventory.node(&node.parse().unwrap()).unwrap();
        At { inventory: self.inventory, node }
    }

    /// Runs something as root in a node's namespace.
    pub(super) fn shell(&self, node: &str, script: &str) -> String {
        let pid = self.namespaces[&node.parse::<NodeName>().unwrap()].id().to_string();
        bash("pid=$1 script=$2; exec nsenter -t $pid -m -- bash -euc \"$script\"", &[&pid, script])
    }

    pub(super) fn start(&self, node: &str) {
        self.shell(node, "systemctl start pair-db");
    }

    pub(super) fn sql(&self, node: &str, sql: &str) -> String {
        let host = &self.at(node).node.host;
        let port = PORT.to_string();
        bash("psql -XAtq -v ON_ERROR_STOP=1 -U postgres -h $1 -p $2 -d orders -c \"$3\"", &[host, &port, sql])
    }

    /// A connection that holds a lock until it is dropped.
    pub(super) fn hold_lock(&self, sql: &str) -> impl Drop + use<> {
        let mut psql = Command::new("psql");
        psql.args(["-XAtq", "-U", "postgres", "-h", "127.0.0.1", "-p", &PORT.to_string(), "-d", "orders", "-c", sql]);
        let session = Beside(psql.stdout(Stdio::null()).spawn().unwrap(), true);
        let held = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted";
        while self.sql("node-a", held) == "0" {}
        Held { _session: session }
    }

    /// Starts the server again as soon as it is gone, as a unit with `Restart=always` does. Waits for that when dropped.
    pub(super) fn revive(&self, node: &str) -> impl Drop {
        let pid = self.namespaces[&node.parse::<NodeName>().unwrap()].id().to_string();
        let script = "while [ -e /tmp/rollup-pair/data/postmaster.pid ]; do sleep 0.02; done; systemctl start pair-db";
        let mut command = Command::new("nsenter");
        Beside(command.args(["-t", &pid, "-m", "--", "bash", "-c", script]).env("PATH", path()).spawn().unwrap(), false)
    }

    pub(super) async fn exec(&self, node: &str, cmd: &Cmd) -> Result<Output, RemoteError> {
        self.hosts[&node.parse::<NodeName>().unwrap()].exec(cmd).await
    }

    pub(super) async fn demote(&self, node: &str, next: &str) -> Ending {
        let output = self.exec(node, &PostgreSql.demote(self.at(node), self.at(next).node)).await.unwrap();
        PostgreSql.read_ending(&output.stdout).unwrap()
    }

    pub(super) async fn probe_text(&self, at: At<'_>) -> String {
        let probe = PostgreSql.probe(at, at.inventory.peer_of(&at.node.name));
        let mut cmd = Cmd::read("probe", probe.script, probe.args);
        // Without `set -e`, as facts are gathered.
        cmd.argv[2] = format!("set -u; export LC_ALL=C\n{}", probe.script);
        self.exec(at.node.name.as_str(), &cmd).await.unwrap().stdout
    }

    pub(super) async fn facts(&self) -> Facts {
        let mut registry = Registry::default();
        crate::register(&mut registry);
        let mut examined = gather(registry.subjects(), &self.hosts, self.inventory).await;
        assert_eq!(examined.facts.nodes.len(), 2, "{examined:?}");
        if let Some(primary) = crate::primary_node(&examined.facts, self.inventory) {
            let standby = self.inventory.peer_of(&primary).unwrap().name.clone();
            examined.facts.bindings =
                BTreeMap::from([(Role::OriginalPrimary, primary), (Role::OriginalStandby, standby)]);
        }
        examined.facts
    }

    /// What PRE-4 finds wrong.
    pub(super) async fn problems(&self) -> Vec<String> {
        let facts = self.facts().await;
        let cx = FindingCx { inventory: self.inventory, release: None, facts: &facts, stage: Stage::Fresh };
        let findings = DatabaseSubject.findings(&cx);
        findings.iter().filter(|finding| finding.severity != Severity::Ok).map(Finding::line).collect()
    }

    /// Waits until a node streams again.
    pub(super) async fn streams(&self, node: &str) {
        loop {
            let facts: DatabaseFacts = self.facts().await.get(&node.parse().unwrap(), "database").unwrap();
            if facts.is_streaming_standby() {
                return;
            }
            bash("sleep 0.05", &[]);
        }
    }

    /// What the backup of a set says of itself.
    pub(super) fn record(&self, node: &str, set: &str) -> BackupRecord {
        let text = self.shell(node, &format!("cat /tmp/rollup-pair/backup/{set}/database/record.json"));
        serde_json::from_str(&text).unwrap()
    }

    pub(super) async fn facts_of(&self, node: &str) -> DatabaseFacts {
        self.facts().await.get(&node.parse().unwrap(), "database").unwrap()
    }

    /// Puts something else in the place of a program, for this node alone: `$real` is the program itself.
    pub(super) fn replace_program(&self, node: &str, program: &str, script: &str) {
        let own = format!("/tmp/rollup-pair/{program}");
        self.shell(
            node,
            &format!(
                "at=$(command -v {program}); cp \"$at\" {own}.real; \
                 printf '#!/bin/bash\\nreal={own}.real\\n%s\\n' '{script}' > {own}; chmod 755 {own}; \
                 mount --bind {own} \"$(readlink -f \"$at\")\""
            ),
        );
    }

    pub(super) fn give_program_back(&self, node: &str, program: &str) {
        self.shell(node, &format!("umount -l \"$(readlink -f \"$(command -v {program})\")\""));
    }

    /// Starts a command and lets it run: a process of its own, which is the script itself.
    pub(super) fn spawn(&self, node: &str, cmd: &Cmd) -> Child {
        let pid = self.namespaces[&node.parse::<NodeName>().unwrap()].id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-m", "--"]).args(&cmd.argv).env("PATH", path()).env("HOME", "/root");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for (node, child) in &self.namespaces {
            let stop = "runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl -s -m immediate -D /tmp/rollup-pair/data stop";
            let mut command = Command::new("nsenter");
            command.args(["-t", &child.id().to_string(), "-m", "--", "bash", "-c", stop, node.as_str()]);
            let _ = command.stderr(Stdio::null()).status();
        }
        self.halt();
        let _ = std::fs::remove_dir_all(ROOT);
        let _ = std::fs::remove_dir("/tmp/rollup-pair");
    }
}
