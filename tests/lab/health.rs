//! Health on real machines: what is seen of a node that is not well, and a node that answers for itself while its
//! database is frozen (HLT-1, UPG-6).

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bench::{Bench, Entry, When, pause};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("health_names_what_is_frozen_restarted_or_gone", When::Always, sick_nodes),
    Entry::new(
        "health_server_under_load_says_503_in_time_while_the_database_is_frozen",
        When::Alone,
        frozen_under_load,
    ),
];

/// All processes of the database, so that nothing of it can answer; its kernel still accepts connections.
const FREEZE: &str = "pkill -STOP -u postgres";
const THAW: &str = "pkill -CONT -u postgres";

fn health(bench: &Bench, code: i32) -> Result<String> {
    let said = bench.rollup(&["health", "node-b"])?.expect(code)?;
    Ok(said.out)
}

/// The look at a node that is not well names the reason, and nothing else is bad.
fn insist_sick(bench: &Bench, reason: &str) -> Result<()> {
    let text = health(bench, 3)?;
    ensure!(text.contains(reason), "expected `{reason}` in:\n{text}");
    ensure!(text.ends_with("not healthy: node-b\n"), "{text}");
    Ok(())
}

fn sick_nodes(bench: &Bench) -> Result<()> {
    let root = |script: &str| bench.lab.root_script("node-b", script);
    let text = bench.rollup(&["health"])?.expect(0)?.out;
    ensure!(text.ends_with("all nodes are healthy\n"), "{text}");
    // Only one node is asked for: the other may be off.
    ensure!(!health(bench, 0)?.contains("node-a"), "only node-b was asked for");

    // systemd calls both active, and the kernel accepts.
    root(FREEZE)?;
    let began = Instant::now();
    insist_sick(bench, "no answer within 2s")?;
    let took = began.elapsed();
    // Generous, since another scenario runs beside this one: without a limit it would never end.
    ensure!(took.as_secs() < 8, "a look has a limit of 2 s, and took {took:?}");
    root(THAW)?;
    root("pkill -STOP -P 1 -x keepalived")?;
    insist_sick(bench, "is stopped and sends no adverts")?;
    root("pkill -CONT -x keepalived")?;

    // Dies and is brought back: well again only after the third part of the lab's soak of six seconds.
    let restarted = "active (running), restarted by systemd once, the last time ";
    root("systemctl kill -s KILL --kill-who=main orders-worker.service")?;
    root("until systemctl is-active --quiet orders-worker.service; do sleep 0.1; done")?;
    insist_sick(bench, restarted)?;
    pause(2500);
    health(bench, 0)?;

    // A watch without a terminal says what changes, and ends when it is asked to.
    let mut watch = Watch::start(bench)?;
    watch.wait_for("all is healthy", 1)?;
    root("systemctl stop orders-worker.service")?;
    watch.wait_for("unit orders-worker.service: inactive (dead)", 1)?;
    watch.wait_for("not all is healthy", 1)?;
    let (code, said) = watch.interrupt()?;
    ensure!(code == 3, "expected the verdict of the last look, 3, found {code}\n{said}");
    ensure!(said.matches("all is healthy").count() == 2, "expected one change for the worse in:\n{said}");
    root("systemctl start orders-worker.service")?;
    Ok(())
}

/// `rollup health --watch` without a terminal.
struct Watch {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Watch {
    fn start(bench: &Bench) -> Result<Self> {
        let mut child = bench.command(&["health", "--watch"]).spawn()?;
        let out = BufReader::new(child.stdout.take().context("a pipe")?);
        let (sender, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Self { child, lines, said: String::new() })
    }

    /// Waits until this was said so many times in all.
    fn wait_for(&mut self, text: &str, times: usize) -> Result<()> {
        while self.said.matches(text).count() < times {
            let line = self.lines.recv_timeout(Duration::from_secs(30));
            self.said += &line.with_context(|| format!("expected `{text}` {times} times in:\n{}", self.said))?;
            self.said.push('\n');
        }
        Ok(())
    }

    /// Ends it as an operator does; its exit code and all that it said.
    fn interrupt(mut self) -> Result<(i32, String)> {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "the watch ended by itself:\n{}", self.said);
        let code = self.child.wait()?.code().unwrap_or(-1);
        self.said.extend(self.lines.iter());
        Ok((code, self.said))
    }
}

/// Asks `$1` two hundred times a second for `$2` seconds, whether answers come or not, and reports in JSON.
const LOAD: &str = r#"
import json, socket, sys, threading, time
host, port, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
codes, times, lock = {}, [], threading.Lock()
def ask():
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=5) as s:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: node\r\n\r\n")
            answer = b""
            while part := s.recv(65536):
                answer += part
        code = answer[9:12].decode() if answer.rstrip().endswith(b"}") else "cut off"
    except OSError as error:
        code = str(error)
    with lock:
        codes[code] = codes.get(code, 0) + 1
        times.append(time.monotonic() - began)
threads, began = [], time.monotonic()
for n in range(200 * seconds):
    time.sleep(max(0, began + n / 200 - time.monotonic()))
    threads.append(threading.Thread(target=ask))
    threads[-1].start()
took = time.monotonic() - began
for thread in threads: thread.join()
times.sort()
ms = lambda at: round(1000 * times[min(len(times) - 1, int(at * len(times)))])
print(json.dumps({"codes": codes, "rate": round(len(times) / took), "median": ms(0.5), "p99": ms(0.99), "max": ms(1)}))
"#;

const SECONDS: u64 = 20;

/// Insists that the look over ssh and the node's own come to the same answers; returns the reasons of bad ones.
fn insist_same(bench: &Bench, own: &str) -> Result<Vec<String>> {
    let json = own.rsplit_once('\n').context("expected a status")?.0;
    let own: Value = serde_json::from_str(json)?;
    let over_ssh = bench.rollup(&["health", "node-a", "--json"])?.json()?;
    let answers = |checks: &Value| {
        let checks = checks.as_array().into_iter().flatten();
        checks.map(|check| (check["name"].to_string(), check["ok"] == true)).collect::<Vec<_>>()
    };
    let (own_answers, others) = (answers(&own["checks"]), answers(&over_ssh["nodes"][0]["checks"]));
    ensure!(own_answers == others && own_answers.len() > 5, "the looks differ: {own} and {over_ssh}");
    let bad = own["checks"].as_array().into_iter().flatten().filter(|check| check["ok"] == false);
    Ok(bad.map(|check| format!("{}: {}", check["name"], check["reason"])).collect())
}

/// Puts the program, the inventory and the unit on node-a as the unit's own first lines tell.
fn install(bench: &Bench) -> Result<()> {
    let disk = |path: &str| bench.lab.disk_path("node-a", path);
    std::fs::copy(env!("CARGO_BIN_EXE_rollup"), disk("/usr/local/bin/rollup")).context("the program")?;
    std::fs::create_dir_all(disk("/etc/rollup"))?;
    std::fs::copy(bench.lab.inventory_path(), disk("/etc/rollup/rollup.toml")).context("the inventory")?;
    let script = "set -e
        chmod 0755 /usr/local/bin/rollup; chmod 0644 /etc/rollup/rollup.toml
        useradd --system --no-create-home --shell /usr/sbin/nologin rollup-health
        cd /root
        rollup -i /etc/rollup/rollup.toml health unit --node node-a > /etc/systemd/system/rollup-health.service
        systemd-analyze verify rollup-health.service
        systemctl daemon-reload
        systemctl enable --now rollup-health.service";
    bench.lab.root_script("node-a", script).map(drop)
}

fn frozen_under_load(bench: &Bench) -> Result<()> {
    let lab = &bench.lab;
    let root = |script: &str| lab.root_script("node-a", script);
    let ask = |path: &str| root(&format!("curl -s -m 5 -w '\\n%{{http_code}}' http://127.0.0.1:7480{path}"));
    let memory = || -> Result<u64> {
        let text = root("awk '/^VmRSS/ { print $2 }' /proc/$(systemctl show -p MainPID --value rollup-health)/status")?;
        text.trim().parse().with_context(|| format!("expected KiB, found `{text}`"))
    };
    let load = |seconds: u64| -> Result<Value> {
        let text = root(&format!("python3 - 127.0.0.1 7480 {seconds} <<'LOAD'\n{LOAD}\nLOAD\n"))?;
        serde_json::from_str(&text).with_context(|| format!("expected JSON, found `{text}`"))
    };
    install(bench)?;
    root("until curl -s -o /dev/null http://127.0.0.1:7480/health; do sleep 0.1; done")?;
    let well = ask("/health")?;
    ensure!(well.ends_with("\n200") && insist_same(bench, &well)?.is_empty(), "{well}");
    let security = root("systemd-analyze security --no-pager rollup-health | tail -n 1")?;
    let score = security.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    ensure!(score.is_some_and(|score| score < 1.5), "{security}");
    let calm = load(5)?;
    ensure!(calm["codes"] == serde_json::json!({ "200": 1000 }), "{calm}");
    let before = memory()?;

    root(FREEZE)?;
    // What was good a moment ago is told for a second.
    pause(1100);
    let mut seen = Vec::new();
    let frozen = std::thread::scope(|scope| -> Result<Value> {
        let loaded = scope.spawn(|| load(SECONDS));
        while !loaded.is_finished() {
            seen.push(memory()?);
            pause(1000);
        }
        loaded.join().map_err(|_| anyhow::anyhow!("the load panicked"))?
    })?;
    let asked = 200 * SECONDS;
    ensure!(frozen["codes"] == serde_json::json!({ "503": asked }), "expected nothing but 503: {frozen}");
    ensure!(frozen["max"].as_u64().is_some_and(|max| max < 2500), "an answer took longer than the limit: {frozen}");
    let body = ask("/health")?;
    ensure!(body.ends_with("\n503"), "{body}");
    let bad = insist_same(bench, &body)?;
    let database = "\"database on port 5432\": \"no answer within 2s\"".to_owned();
    ensure!(bad.contains(&database), "expected {database} in {bad:?}");
    let metrics = ask("/metrics")?;
    let looks = metrics.lines().find_map(|line| line.strip_prefix("rollup_health_looks_total{node=\"node-a\"} "));
    let looks: u64 = looks.context("expected looks")?.parse()?;
    ensure!(looks < SECONDS + 15, "{looks} looks");
    // Flat: whatever the first half needed, the second does not need more.
    let (first, second) = seen.split_at(seen.len() / 2);
    let most = |half: &[u64]| half.iter().max().copied().context("no memory");
    let (first, second) = (most(first)?, most(second)?);
    ensure!(second <= first + 512 && second < before + 6144, "memory grew from {before} KiB: {seen:?}");

    root(THAW)?;
    let began = Instant::now();
    while !ask("/health")?.ends_with("\n200") {
        ensure!(began.elapsed().as_secs() < 10, "still not healthy: {}", ask("/health")?);
        pause(100);
    }
    let thawed = began.elapsed().as_millis();
    // It ends when it is told to, and said nothing per request.
    let lines = root(
        "systemctl stop rollup-health; systemctl show -p Result --value rollup-health; journalctl -q -u rollup-health -o cat _COMM=rollup | wc -l",
    )?;
    ensure!(lines.split_whitespace().collect::<Vec<_>>() == ["success", "1"], "{lines}");
    crate::say(&format!("        well: {calm}"));
    crate::say(&format!("        frozen: {frozen}, {looks} looks in all"));
    crate::say(&format!(
        "        VmRSS {before} KiB before, at most {first} then {second} KiB in the halves; 200 again {thawed} ms after the thaw"
    ));
    crate::say(&format!("        {}", security.trim()));
    Ok(())
}
