//! `rollup vip`: the address moves and comes back, whatever the configuration looks like and wherever the program dies.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    bench::{Bench, Entry, When, pause},
    pair::NODES,
    writers::Writers,
};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("vip_switch_and_back_without_a_trace", When::Always, switch_and_back),
    Entry::new("vip_switch_killed_and_resumed", When::Always, |bench| killed(bench, true)),
    Entry::new("vip_switch_killed_and_restored", When::Soak, |bench| killed(bench, false)),
    Entry::new("vip_configurations_that_work_are_given_back_byte_for_byte", When::Soak, working),
    Entry::new("vip_configurations_that_would_end_the_daemon_are_never_loaded", When::Always, deadly),
    Entry::new("vip_moves_by_tracked_file_by_failure_and_by_link", When::Soak, trackers),
    Entry::new("vip_drain_answers_what_is_under_way", When::SoakAlone, drains),
];

impl Bench {
    /// What keepalived reads on a node, byte for byte, with owners and modes.
    fn keepalived(&self, node: &str) -> Result<String> {
        let script = "cd /etc/keepalived && find . -type f -printf '%p %m %U %G ' -exec sha256sum {} \\; | sort";
        self.lab.root_script(node, script)
    }

    /// Writes `/etc/keepalived/keepalived.conf` and more, given as a script that knows `$priority`, on both nodes.
    fn configure(&self, script: &str) -> Result<()> {
        for (node, priority) in NODES.iter().zip([110, 100]) {
            self.lab.root_script(node, &format!("priority={priority}\ncd /etc/keepalived\n{script}\n"))?;
        }
        Ok(())
    }

    /// The process that keepalived is, and where the address is.
    fn owners(&self) -> Result<(Vec<String>, Vec<String>)> {
        let address = self.address()?;
        let (mut pids, mut owners) = (Vec::new(), Vec::new());
        for node in NODES {
            let script = "systemctl show -p MainPID --value keepalived; ip -o -4 addr show | grep -v ' lo ' || true";
            let said = self.lab.root_script(node, script)?;
            pids.push(said.lines().next().unwrap_or_default().to_owned());
            if said.contains(&format!(" {address}/")) {
                owners.push(node.to_owned());
            }
        }
        Ok((pids, owners))
    }

    fn address(&self) -> Result<String> {
        let text = std::fs::read_to_string(self.lab.inventory_path())?;
        let line = text.lines().skip_while(|line| *line != "[vip]").find_map(|line| line.strip_prefix("address = "));
        Ok(line.context("expected an address")?.trim_matches('"').to_owned())
    }

    /// An inventory that says more of keepalived, beside the lab's own.
    fn inventory_with(&self, keepalived: &str) -> Result<PathBuf> {
        let text = std::fs::read_to_string(self.lab.inventory_path())?;
        let path = self.lab.inventory_path().with_file_name("rollup-vip.toml");
        std::fs::write(&path, text.replace("[keepalived]\n", &format!("[keepalived]\n{keepalived}\n")))?;
        Ok(path)
    }

    /// The same for the address alone: the database keeps its roles, and no sync asks who is primary.
    fn inventory_of_vip(&self, keepalived: &str) -> Result<PathBuf> {
        let path = self.inventory_with(keepalived)?;
        let text = std::fs::read_to_string(&path)?.replace("\"with-vip\"", "\"never\"");
        let (before, rest) = text.split_once("[sync]").context("expected a sync")?;
        let (_, after) = rest.split_once("\n\n").context("expected more after the sync")?;
        std::fs::write(&path, format!("{before}{after}"))?;
        Ok(path)
    }

    /// Moves the address to the node that does not have it; the exit code, and what was said.
    fn move_vip(&self, inventory: &Path) -> Result<(i32, String)> {
        let inventory = inventory.display().to_string();
        let said = self.rollup(&["vip", "switch", "--yes", "-i", &inventory])?;
        Ok((said.code, said.out + &said.err))
    }

    /// The strategy that the newest run's plan names.
    fn strategy(&self) -> Result<String> {
        let run = self.runs().pop().context("expected a run")?;
        let plan: Value = serde_json::from_str(&std::fs::read_to_string(run.join("plan.json"))?)?;
        let steps = plan["steps"].as_array().context("expected steps")?;
        let found = steps.iter().find(|step| step["action"]["uses"] == "vip.move").context("expected vip.move")?;
        Ok(found["action"]["with"]["strategy"].as_str().unwrap_or("none").to_owned())
    }

    /// There and back again: one owner each time, and every file as it was.
    fn there_and_back(&self, case: &str, inventory: &Path) -> Result<String> {
        let before: Vec<_> = NODES.iter().map(|node| self.keepalived(node)).collect::<Result<_>>()?;
        let pids = self.owners()?.0;
        let mut strategy = String::new();
        for owner in ["node-b", "node-a"] {
            let (code, said) = self.move_vip(inventory)?;
            ensure!(code == 0, "{case}: to {owner}: expected exit code 0, found {code}\n{said}");
            let owners = self.owners()?;
            ensure!(owners.1 == [owner], "{case}: expected the VIP on {owner}, found it on {:?}", owners.1);
            if owner == "node-b" {
                strategy = self.strategy()?;
            }
        }
        self.rollup(&["vip", "restore", "--yes", "-i", &inventory.display().to_string()])?.expect(0)?;
        for (node, before) in NODES.iter().zip(&before) {
            let after = self.keepalived(node)?;
            ensure!(*before == after, "{case}: {node} is not as it was:\n{before}\n{after}");
        }
        let owners = self.owners()?;
        ensure!(strategy == "stop" || owners.0 == pids, "{case}: keepalived is another process");
        ensure!(owners.1 == ["node-a"], "{case}: expected the VIP on node-a, found it on {:?}", owners.1);
        Ok(strategy)
    }
}

pub(crate) fn switch_and_back(bench: &Bench) -> Result<()> {
    let before: Vec<_> = NODES.iter().map(|node| bench.keepalived(node)).collect::<Result<_>>()?;
    let (writers, traffic) = (Writers::watch(bench)?, bench.traffic()?);
    bench.rollup(&["vip", "switch", "--yes"])?.expect(0)?;
    bench.insist_pair("1.0.0", "node-b")?;
    let status = bench.rollup(&["--json", "vip", "status"])?.expect(0)?.json()?;
    ensure!(status["owner"] == "node-b" && status["rests"] == "node-a", "{status}");
    ensure!(status["nodes"]["node-b"]["edited"]["priorities"]["VI_1"] == 100, "expected the original in {status}");
    let refused = bench.rollup(&["vip", "restore", "--yes"])?.expect(3)?;
    refused.expect_err("hint: rollup vip switch --to node-a")?;
    bench.rollup(&["vip", "switch", "--to", "node-a", "--yes"])?.expect(0)?;
    bench.insist_pair("1.0.0", "node-a")?;
    let report = traffic.stop()?;
    crate::say(&format!(
        "        longest read gap {} ms, longest write gap {} ms",
        report.read_gap_ms, report.write_gap_ms
    ));
    bench.insist_nothing_lost(&report)?;
    writers.stop()?.insist_one()?;
    for (node, before) in NODES.iter().zip(&before) {
        ensure!(*before == bench.keepalived(node)?, "the configuration of {node} is not as it was");
        let left = bench.lab.root_script(node, "ls -A /var/lib/rollup/keepalived 2>/dev/null || true")?;
        ensure!(left.trim().is_empty(), "{node} still has {left}");
    }
    Ok(())
}

/// `kill -9` between raise and restore: `vip status` shows it; either end is a good one.
fn killed(bench: &Bench, resume: bool) -> Result<()> {
    let before: Vec<_> = NODES.iter().map(|node| bench.keepalived(node)).collect::<Result<_>>()?;
    let mut child = bench.start_run(&["vip", "switch", "--yes"])?;
    bench.wait_for("step-started", "vip.move@node-b", &mut child)?;
    let config = bench.lab.disk_path("node-b", "/etc/keepalived/keepalived.conf");
    let raised = |_| {
        pause(5);
        std::fs::read_to_string(&config).is_ok_and(|text| text.contains(" BEGIN "))
    };
    ensure!((0..2000).any(raised), "the priority was not raised within 10 s");
    child.kill()?;
    child.wait()?;
    pause(6000);
    let status = bench.rollup(&["--json", "vip", "status"])?.json()?;
    let run = status["held_by"].as_str().context("expected a run that holds the nodes")?;
    ensure!(status["nodes"]["node-b"]["edited"]["run"] == run, "expected the run at the override: {status}");
    ensure!(status["next"] == format!("rollup resume {run}"), "{status}");
    if resume {
        bench.rollup(&["resume"])?.expect(0)?;
        return bench.insist_pair("1.0.0", "node-b");
    }
    bench.rollup(&["vip", "restore", "--yes"])?.expect(0)?;
    bench.insist_pair("1.0.0", "node-a")?;
    for (node, before) in NODES.iter().zip(&before) {
        ensure!(*before == bench.keepalived(node)?, "the configuration of {node} is not as it was");
    }
    Ok(())
}

/// One instance; `BODY` stands for its last lines, and what comes before it for the top level.
fn instance(top: &str, body: &str, address: &str) -> String {
    format!(
        "cat > keepalived.conf <<EOF\n{top}\nvrrp_instance VI_1 {{\n  state BACKUP\n  interface eth0\n  virtual_router_id 51\n  \
         priority $priority\n  advert_int 1\n  virtual_ipaddress {{\n    {address}/24 dev eth0\n  }}\n{body}\n}}\nEOF\n"
    )
}

/// Layouts that production has, and that a careless edit breaks: each moved, and given back.
fn working(bench: &Bench) -> Result<()> {
    let address = bench.address()?;
    let simple = |top: &str, body: &str| instance(top, body, &address);
    let inventory = bench.inventory_of_vip("")?;
    let reload = "systemctl restart keepalived\n";
    for (case, script) in [
        (
            "an include inside the instance",
            simple("", "  include prio.conf") + "echo \"priority $priority\" > prio.conf\n",
        ),
        (
            "the instance in an included file",
            simple("", "")
                + "mkdir -p conf.d\nmv keepalived.conf conf.d/vi.conf\necho 'include conf.d/*.conf' > keepalived.conf\n",
        ),
        (
            "a password that is too long",
            simple("", "  authentication {\n    auth_type PASS\n    auth_pass longer-than-eight\n  }"),
        ),
        (
            "a script without script_security",
            simple("vrrp_script c {\n  script \"/bin/true\"\n  interval 5\n}", "  track_script {\n    c\n  }"),
        ),
        ("an include that matches nothing", simple("include conf.x/*.conf", "")),
        ("no final line end and a brace in a comment", simple("# }", "  # {") + "truncate -s -1 keepalived.conf\n"),
        ("nopreempt", simple("", "  nopreempt")),
        (
            "another daemon's include with a link",
            simple("", "") + "mv keepalived.conf real.conf\nln -s real.conf keepalived.conf\n",
        ),
    ] {
        bench.configure(&(script + reload))?;
        pause(6000);
        let strategy = bench.there_and_back(case, &inventory)?;
        crate::say(&format!("        {case}: {strategy}"));
        bench.configure("rm -rf conf.d prio.conf real.conf keepalived.conf\n")?;
    }
    Ok(())
}

/// Texts that end the daemon when it reads them, on disk but not loaded: nobody may reload them.
fn deadly(bench: &Bench) -> Result<()> {
    let good = bench.lab.root_script("node-b", "cat /etc/keepalived/keepalived.conf")?;
    let (before, inventory) = (bench.owners()?, bench.inventory_of_vip("")?);
    for (case, edit) in [
        ("a priority without a value", r"sed -i 's/priority 100/priority/' keepalived.conf"),
        ("an interface that is not there", r"sed -i 's/interface eth0/interface eth9/' keepalived.conf"),
        ("a missing brace", r"sed -i '$ d' keepalived.conf"),
        ("nothing but comments", r"echo '# empty' > keepalived.conf"),
        ("no file", r"rm keepalived.conf"),
        ("a missing include", r"echo 'include gone.conf' > keepalived.conf"),
    ] {
        bench.lab.root_script("node-b", &format!("cd /etc/keepalived\n{edit}"))?;
        let broken = bench.keepalived("node-b")?;
        let (code, said) = bench.move_vip(&inventory)?;
        ensure!(code == 3, "{case}: expected exit code 3, found {code}\n{said}");
        ensure!(broken == bench.keepalived("node-b")?, "{case}: the file was touched");
        ensure!(bench.owners()? == before, "{case}: expected {before:?}, found {:?}", bench.owners()?);
        bench.lab.root_script("node-b", &format!("cat > /etc/keepalived/keepalived.conf <<'EOF'\n{good}EOF\n"))?;
    }
    Ok(())
}

/// Each other way against the real daemon, with what it leaves taken out again.
fn trackers(bench: &Bench) -> Result<()> {
    let address = bench.address()?;
    let top = "track_file rollup {\n  file /run/rollup.prio\n  weight 1\n  init_file 0\n}";
    let tracked = "  track_file {\n    rollup\n  }";
    let link = "ip link add rollup0 type veth peer name rollup1 2>/dev/null; ip link set rollup0 up; ip link set rollup1 up; sleep 1\n";
    let restart = "systemctl restart keepalived\n";
    for (case, script, keepalived, wanted) in [
        ("tracked file", instance(top, tracked, &address) + restart, "", "track-file"),
        (
            "failure",
            instance(top, &format!("{tracked}\n  nopreempt"), &address) + restart,
            "strategies = [\"fault\"]",
            "fault",
        ),
        (
            "link",
            link.to_owned() + &instance("", "  track_interface {\n    rollup0\n  }\n  nopreempt", &address) + restart,
            "strategies = [\"link\"]\ntrack_link = \"rollup0\"",
            "link",
        ),
        ("stop", instance("", "", &address) + restart, "strategies = [\"stop\"]", "stop"),
    ] {
        bench.configure(&script)?;
        pause(6000);
        let traffic = bench.traffic()?;
        let inventory = bench.inventory_of_vip(keepalived)?;
        let strategy = bench.there_and_back(case, &inventory)?;
        let report = traffic.stop()?;
        crate::say(&format!("        {case}: {strategy}, longest read gap {} ms", report.read_gap_ms));
        ensure!(strategy == wanted, "{case}: expected {wanted}, found {strategy}");
    }
    Ok(())
}

/// A server that answers after eight seconds, and as many requests at once as are asked for.
const SLOW: &str = r#"
# A container's settings are read-only, a machine's are not.
mount -o remount,rw,bind /proc/sys 2>/dev/null || mount -o remount,rw /proc/sys
cat > /run/slow.py <<'PY'
import http.server, socketserver, time
class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(8)
        # In one piece: what waits for the client's word about the first piece waits for ever.
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
    def log_message(self, *_): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    request_queue_size = 512
    daemon_threads = True
Server(("0.0.0.0", 9099), Slow).serve_forever()
PY
systemctl stop slow 2>/dev/null || true
systemd-run --quiet --unit=slow --collect python3 /run/slow.py
"#;

/// A hundred requests under way when the address leaves: with a drain all are answered, without it none.
fn drains(bench: &Bench) -> Result<()> {
    for node in NODES {
        bench.lab.root_script(node, SLOW)?;
    }
    let mut answered = Vec::new();
    for (drain, to) in [("0s", "node-b"), ("12s", "node-a")] {
        let inventory = bench.inventory_with(&format!("drain = \"{drain}\""))?.display().to_string();
        let mut child = bench.start_run(&["vip", "switch", "--yes", "--to", to, "-i", &inventory])?;
        bench.wait_for("step-started", &format!("vip.move@{to}"), &mut child)?;
        let url = format!("http://{}:9099/", bench.address()?);
        let clients = format!("seq 100 | xargs -P 100 -I @ curl -s -m 20 -o /dev/null -w '%{{exitcode}}\\n' {url}");
        let clients = bench.lab.operator_command("sh").args(["-c", &clients]).stdout(Stdio::piped()).output()?;
        ensure!(child.wait()?.success(), "the switch to {to} failed");
        let codes = String::from_utf8_lossy(&clients.stdout).into_owned();
        let count = |code: &str| codes.lines().filter(|line| *line == code).count();
        crate::say(&format!(
            "        drain {drain}: {} answered, {} hung for 20 s, {} reset, {} other of 100",
            count("0"),
            count("28"),
            count("56"),
            codes.lines().filter(|line| !["0", "28", "56"].contains(line)).count()
        ));
        answered.push(count("0"));
    }
    ensure!(answered[0] == 0, "without a drain nothing should be answered: {answered:?}");
    ensure!(answered[1] >= 98, "with a drain nearly all should be answered: {answered:?}");
    for node in NODES {
        let left = bench
            .lab
            .root_script(node, "cat /proc/sys/net/ipv4/conf/eth0/arp_ignore; ip -o -4 addr show dev lo | wc -l")?;
        ensure!(left.split_whitespace().eq(["0", "1"]), "{node} is not as it was: {left}");
    }
    Ok(())
}
