//! Injected faults: each is found before an upgrade begins, named with its node, and nothing is harmed (PRE-1 to PRE-9).
//!
//! A fault cleans up after itself, so many share one booted lab. The findings of each must be its own: a fault that
//! outlived its removal, or a finding that something else caused, fails the next one.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context, Result, ensure};
use rollup_lab::{Impaired, Impairment, VIP};

use crate::bench::{Bench, Entry, Said, When, pause};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("faults_of_the_network_are_found_and_a_split_brain_stops_the_cutover", When::Always, network),
    Entry::new("faults_of_vip_database_and_services_are_found", When::Always, |bench| all(bench, SERVICES)),
    Entry::new("faults_of_the_host_are_found", When::Always, host),
    Entry::new("split_brain_in_the_middle_of_a_run_stops_before_the_vip_moves", When::Soak, sudden_split_brain),
    Entry::new("upgrade_over_a_slow_and_lossy_ssh_completes", When::Soak, slow_upgrade),
];

/// Something wrong with one node, and how it is put right. Both are scripts of root.
struct Fault {
    what: &'static str,
    node: &'static str,
    inject: &'static str,
    remove: &'static str,
    /// The finding that must come, on that node.
    found: &'static str,
    /// Whether nothing may be begun; else it is a warning.
    blocks: bool,
    /// Findings that may come with it, on any node.
    also: &'static [&'static str],
}

const SERVICES: &[Fault] = &[
    Fault {
        what: "keepalived stopped",
        node: "node-b",
        inject: "systemctl stop keepalived.service",
        remove: "systemctl start keepalived.service",
        found: "keepalived.active",
        blocks: true,
        also: &["vip.adverts", "vip.state", "vip.proof", "keepalived.loaded", "health.keepalived"],
    },
    Fault {
        what: "a configuration that `keepalived -t` refuses",
        node: "node-b",
        inject: "cp -p /etc/keepalived/keepalived.conf /run/good; \
                 sed -i 's/interface eth0/interface eth9/' /etc/keepalived/keepalived.conf",
        remove: "cat /run/good > /etc/keepalived/keepalived.conf",
        // keepalived would end at its next reload, and leave the VIP where it is.
        found: "keepalived.config",
        blocks: true,
        also: &["keepalived.loaded", "vip.proof"],
    },
    Fault {
        what: "replication broken",
        node: "node-b",
        inject: "cp -p /var/lib/postgresql/15/main/postgresql.auto.conf /run/good; cd /
                 runuser -u postgres -- psql -qXc \"alter system set primary_conninfo = 'host=10.78.0.99'\" \
                     -c 'select pg_reload_conf()' > /dev/null
                 until [ \"$(runuser -u postgres -- psql -qXAtc 'select count(*) from pg_stat_wal_receiver')\" = 0 ]; do
                     sleep 0.1
                 done",
        remove: "cat /run/good > /var/lib/postgresql/15/main/postgresql.auto.conf; cd /
                 runuser -u postgres -- psql -qXc 'select pg_reload_conf()' > /dev/null",
        found: "database.replication",
        blocks: true,
        also: &["database.lag", "database.return-login"],
    },
    Fault {
        what: "replay lags",
        node: "node-b",
        inject: "kill -STOP $(pgrep -f 'postgres: 15/main: startup')",
        remove: "kill -CONT $(pgrep -f 'postgres: 15/main: startup')",
        found: "database.lag",
        blocks: true,
        also: &[],
    },
    Fault {
        what: "replay delayed",
        node: "node-b",
        inject: "cp -p /var/lib/postgresql/15/main/postgresql.auto.conf /run/good; cd /
                 runuser -u postgres -- psql -qXc \"alter system set recovery_min_apply_delay = '1h'\" \
                     -c 'select pg_reload_conf()' > /dev/null",
        remove: "cat /run/good > /var/lib/postgresql/15/main/postgresql.auto.conf; cd /
                 runuser -u postgres -- psql -qXc 'select pg_reload_conf()' > /dev/null",
        found: "database.delay",
        blocks: true,
        also: &[],
    },
    Fault {
        what: "replay paused",
        node: "node-b",
        inject: "cd / && runuser -u postgres -- psql -qXc 'select pg_wal_replay_pause()' > /dev/null",
        remove: "cd / && runuser -u postgres -- psql -qXc 'select pg_wal_replay_resume()' > /dev/null",
        found: "database.paused",
        blocks: true,
        also: &[],
    },
    Fault {
        what: "a unit failed",
        node: "node-b",
        inject: "mkdir -p /run/systemd/system/orders-worker.service.d
                 printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\nRestart=no\\n' \
                     > /run/systemd/system/orders-worker.service.d/fault.conf
                 systemctl daemon-reload; systemctl restart orders-worker.service
                 until systemctl is-failed --quiet orders-worker.service; do sleep 0.1; done",
        remove: "rm -r /run/systemd/system/orders-worker.service.d; systemctl daemon-reload
                 systemctl reset-failed orders-worker.service; systemctl start orders-worker.service",
        found: "health.unit",
        blocks: true,
        also: &["health.port", "health.url"],
    },
    Fault {
        what: "somebody else has the port",
        node: "node-b",
        inject: "systemctl stop orders-worker.service
                 systemd-run --quiet --unit=squatter --collect python3 -m http.server 8081
                 until ss -Hltn 'sport = :8081' | grep -q .; do sleep 0.1; done",
        remove: "systemctl stop squatter.service; systemctl start orders-worker.service",
        found: "service.port",
        blocks: true,
        also: &["health.unit", "health.url", "health.port"],
    },
    Fault {
        what: "the config sync fails",
        node: "node-a",
        // A run that the timer has just begun still copies to where it was told.
        inject: "cp -p /etc/config-sync.conf /run/good; echo PEER=127.0.0.1 > /etc/config-sync.conf
                 while systemctl start config-sync.service; do sleep 0.1; done",
        remove: "cat /run/good > /etc/config-sync.conf; systemctl start config-sync.service",
        found: "sync.last",
        blocks: true,
        also: &["health.unit"],
    },
];

const HOST: &[Fault] = &[
    Fault {
        what: "a disk 95 % full",
        node: "node-b",
        inject: "mount -t tmpfs -o size=1g,mode=0711 tmpfs /var/backups/rollup
                 fallocate -l 985m /var/backups/rollup/full",
        remove: "umount /var/backups/rollup",
        found: "host.disk",
        blocks: true,
        also: &["host.space", "backup.space"],
    },
    Fault {
        what: "no backup directory",
        node: "node-b",
        inject: "mv /var/backups/rollup /var/backups/aside",
        remove: "mv /var/backups/aside /var/backups/rollup",
        found: "backup.dir",
        // The first run makes it.
        blocks: false,
        also: &[],
    },
    Fault {
        what: "a backup directory that is read-only",
        node: "node-b",
        inject: "mount --bind /var/backups/rollup /var/backups/rollup
                 mount -o remount,ro,bind /var/backups/rollup",
        remove: "umount /var/backups/rollup",
        found: "backup.dir",
        blocks: true,
        also: &["host.writable"],
    },
    Fault {
        what: "a clock that is 90 s off",
        node: "node-b",
        // All machines share the kernel's clock: a node's own is what its `date` says.
        inject: "printf '#!/bin/sh\\nexec /usr/bin/date -d \"-90 seconds\" \"$@\"\\n' > /usr/local/bin/date
                 chmod 755 /usr/local/bin/date",
        remove: "rm /usr/local/bin/date",
        found: "host.clock",
        blocks: true,
        also: &[],
    },
    Fault {
        what: "a run that nobody ended",
        node: "node-b",
        inject: "mkdir -p /var/lib/rollup/runs/20260101-000000-aaaa; cd /var/lib/rollup/runs/20260101-000000-aaaa
                 printf '{\\n  \"kind\": \"upgrade\"\\n}\\n' > plan.json
                 echo '{\"event\":{\"kind\":\"step-started\",\"step\":\"service.stop@node-b\"}}' > journal.jsonl",
        remove: "rm -r /var/lib/rollup/runs",
        found: "host.unfinished",
        blocks: true,
        also: &[],
    },
];

impl Bench {
    /// What the precheck does not like: its exit code, and severity, id and node of each finding.
    fn complaints(&self) -> Result<(i32, BTreeSet<[String; 3]>)> {
        let said = self.rollup(&["precheck", "--format", "json"])?;
        let findings = said.json()?["findings"].as_array().cloned().context("expected findings")?;
        let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let bad = findings.iter().filter(|finding| finding["severity"] == "error" || finding["severity"] == "warning");
        Ok((said.code, bad.map(|finding| ["severity", "id", "node"].map(|key| word(&finding[key]))).collect()))
    }

    /// Insists that the precheck blocks for this reason on this node, and for nothing but what may come with it.
    fn insist_found(&self, what: &str, id: &str, node: &str, also: &[&str]) -> Result<()> {
        self.insist_complaint(what, ("error", 3), id, node, also)
    }

    fn insist_complaint(
        &self,
        what: &str,
        (severity, code): (&str, i32),
        id: &str,
        node: &str,
        also: &[&str],
    ) -> Result<()> {
        let (found, all) = self.complaints()?;
        let is_there = |[s, i, on]: &[String; 3]| s == severity && i == id && (on == node || node.is_empty());
        ensure!(
            found == code && all.iter().any(is_there),
            "{what}: expected {severity} {id} on {node} and exit code {code}, found {found} and {all:?}"
        );
        let is_foreign = |[s, i, _]: &&[String; 3]| s == "error" && i != id && !also.contains(&i.as_str());
        let foreign: Vec<_> = all.iter().filter(is_foreign).collect();
        ensure!(foreign.is_empty(), "{what}: found {foreign:?} too, which it cannot have caused");
        Ok(())
    }

    fn insist_good(&self) -> Result<()> {
        let (code, all) = self.complaints()?;
        ensure!(code == 0, "expected a pair that is ready, found exit code {code} and {all:?}");
        Ok(())
    }

    fn insist_not_moved(&self) -> Result<()> {
        let is_move = |event: &serde_json::Value| {
            event["kind"] == "step-started" && event["step"].as_str().is_some_and(|step| step.starts_with("vip.move"))
        };
        ensure!(!self.events().iter().any(is_move), "the VIP was moved in a split brain");
        Ok(())
    }

    fn impair(&self, node: &str, impairment: Impairment) -> Result<Impaired> {
        self.lab.impair(self.xtask(), node, impairment)
    }
}

/// One fault after the other; the pair is as good as before at the end.
fn all(bench: &Bench, faults: &[Fault]) -> Result<()> {
    bench.insist_good()?;
    for fault in faults {
        let began = Instant::now();
        bench.lab.root_script(fault.node, fault.inject).with_context(|| fault.what.to_owned())?;
        if fault.found == "database.lag" {
            bench.sql("node-a", "select pg_logical_emit_message(false, 'lag', repeat('x', 32 * 1024 * 1024))")?;
        }
        let severity = if fault.blocks { ("error", 3) } else { ("warning", 0) };
        let found = bench.insist_complaint(fault.what, severity, fault.found, fault.node, fault.also);
        bench.lab.root_script(fault.node, fault.remove).with_context(|| fault.what.to_owned())?;
        found?;
        bench.lab.wait_ready().with_context(|| fault.what.to_owned())?;
        crate::say(&format!("        {}: {} in {:.1} s", fault.what, fault.found, began.elapsed().as_secs_f64()));
    }
    bench.insist_good()?;
    bench.insist_pair("1.0.0", "node-a")
}

/// Faults of the host, and those that keep the operator out.
fn host(bench: &Bench) -> Result<()> {
    bench.lab.root_script("node-b", "mkdir -p /var/backups/rollup")?;
    all(bench, HOST)?;
    let package = bench.package("2.0.0");
    let before = bench.listings()?;

    let sudoers = bench.lab.disk_path("node-b", "/etc/sudoers.d/ops");
    let directory = std::fs::File::open(bench.lab.disk_path("node-b", "/etc/sudoers.d"))?;
    let modified = directory.metadata()?.modified()?;
    let aside = bench.lab.disk_path("node-b", "/root/ops");
    std::fs::rename(&sudoers, &aside)?;
    let found = bench.insist_found("sudo removed", "host.sudo", "node-b", &[]);
    let upgrade = bench.rollup(&["upgrade", "--yes", "--pkg", &package]);
    std::fs::rename(&aside, &sudoers)?;
    directory.set_modified(modified)?;
    found?;
    upgrade?.expect(3)?.expect_err("node-b")?;

    let known_hosts = bench.lab.directory().join("known_hosts");
    let good = std::fs::read_to_string(&known_hosts)?;
    std::fs::write(&known_hosts, with_another_key(&good)?)?;
    let found = bench.insist_found("the host key changed", "host.key", "node-b", &[]);
    let upgrade = bench.rollup(&["upgrade", "--yes", "--pkg", &package]);
    std::fs::write(&known_hosts, good)?;
    found?;
    upgrade?.expect(3)?.expect_err("node-b")?;
    bench.insist_untouched(&before)?;

    bench.lab.kill("node-b")?;
    let found = bench.insist_found(
        "the node is down",
        "host.reachable",
        "node-b",
        &["host.peers", "vip.adverts", "database.return-login"],
    );
    bench.lab.power_on("node-b")?;
    found?;
    bench.lab.wait_ready()?;
    // Its timer may have found the peer away meanwhile; that is no fault of the pair as it is now.
    bench.lab.root_script("node-a", "systemctl start config-sync.service")?;
    bench.insist_good()?;
    bench.insist_pair("1.0.0", "node-a")
}

/// The key of node-a under the name of node-b.
fn with_another_key(known_hosts: &str) -> Result<String> {
    let key = |node: &str| {
        let line = known_hosts.lines().find(|line| line.starts_with(node));
        line.and_then(|line| line.split(' ').nth(2)).with_context(|| format!("expected a key of {node}"))
    };
    Ok(known_hosts.replace(key("node-b")?, key("node-a")?))
}

/// VRRP deaf in one direction and in both, then an ssh connection from far away.
fn network(bench: &Bench) -> Result<()> {
    for (what, impairment) in [("adverts blocked one way", ONE_WAY), ("adverts blocked both ways", BOTH_WAYS)] {
        let relay = bench.impair("node-b", impairment)?;
        wait_for_owners(bench, 2)?;
        bench.insist_found(what, "vip.owner", "", &["vip.adverts", "vip.state", "vip.proof"])?;
        drop(relay);
        wait_for_owners(bench, 1)?;
    }
    bench.lab.wait_ready()?;

    let far = bench.impair("node-b", FAR)?;
    let began = Instant::now();
    bench.insist_good().context("over a slow and lossy ssh")?;
    crate::say(&format!("        precheck with 300 ms and 5 % of loss: {:.1} s", began.elapsed().as_secs_f64()));
    drop(far);

    // The same split brain when the run is about to move the VIP: it stops there, and goes on when the pair is whole.
    bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0"), "--pause-before", "cutover"])?.expect(5)?;
    let relay = bench.impair("node-b", BOTH_WAYS)?;
    wait_for_owners(bench, 2)?;
    bench.rollup(&["resume"])?.expect(4)?.expect_err("split brain")?.expect_err("rollup resume")?;
    drop(relay);
    bench.insist_not_moved()?;
    wait_for_owners(bench, 1)?;
    bench.rollup(&["resume"])?.expect(0)?;
    bench.insist_upgraded("2.0.0")
}

/// The adverts stop in the middle of a run, after everything was looked at.
fn sudden_split_brain(bench: &Bench) -> Result<()> {
    let mut child = bench.start_upgrade("2.0.0")?;
    bench.wait_for("step-started", "service.start@node-b", &mut child)?;
    let relay = bench.impair("node-b", BOTH_WAYS)?;
    let said: Said = child.wait_with_output()?.into();
    let said = said.expect(4)?.expect_err("vip.ready")?;
    ensure!(Bench::next_command(&said.err, "resume").is_ok(), "expected how to go on in:\n{}", said.err);
    drop(relay);
    bench.insist_not_moved()?;
    wait_for_owners(bench, 1)?;
    bench.rollup(&["resume"])?.expect(0)?;
    bench.insist_upgraded("2.0.0")
}

const ONE_WAY: Impairment =
    Impairment { delay_ms: 0, loss_percent: 0, only_ssh: false, drop_vrrp_in: true, drop_vrrp_out: false };
const BOTH_WAYS: Impairment = Impairment { drop_vrrp_out: true, ..ONE_WAY };
/// 300 ms for a round trip and 5 % of all frames lost, of ssh alone: the operator is far away, not the nodes.
const FAR: Impairment =
    Impairment { delay_ms: 300, loss_percent: 5, only_ssh: true, drop_vrrp_in: false, drop_vrrp_out: false };

fn wait_for_owners(bench: &Bench, count: usize) -> Result<()> {
    for _ in 0..400 {
        if bench.lab.holders(VIP).len() == count {
            return Ok(());
        }
        pause(20);
    }
    anyhow::bail!("the VIP is on {:?}, expected it on {count} nodes", bench.lab.holders(VIP))
}

fn slow_upgrade(bench: &Bench) -> Result<()> {
    let _far = ["node-a", "node-b"].map(|node| bench.impair(node, FAR)).into_iter().collect::<Result<Vec<_>>>()?;
    let traffic = bench.traffic()?;
    let began = Instant::now();
    bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?.expect(0)?;
    let took = began.elapsed().as_secs_f64();
    let report = traffic.stop()?;
    crate::say(&format!(
        "        {took:.0} s; longest read gap {} ms, longest write gap {} ms, {} of {} failed",
        report.read_gap_ms, report.write_gap_ms, report.failed, report.requests
    ));
    bench.insist_nothing_lost(&report)?;
    bench.insist_upgraded("2.0.0")
}
