//! What life does to a pair: a reboot, a power cut, a lost link.

use anyhow::{Result, ensure};

use crate::bench::{Bench, Entry, Said, When};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("standby_loses_power_while_it_is_upgraded", When::Always, power_cut),
    Entry::new("link_to_the_standby_is_lost_for_a_while", When::Soak, lost_link),
];

/// What runs must be what is installed: a machine that booted in between has started its units by itself.
fn insist_running_version(bench: &Bench, version: &str) -> Result<()> {
    for node in ["node-a", "node-b"] {
        let health = bench.lab.root_script(node, "curl -s http://127.0.0.1:8080/health")?;
        ensure!(health.contains(&format!("\"version\":\"{version}\"")), "{node} runs another version: {health}");
    }
    Ok(())
}

fn power_cut(bench: &Bench) -> Result<()> {
    let traffic = bench.traffic()?;
    let mut child = bench.start_upgrade("2.0.0")?;
    bench.wait_for("step-started", "service.install@node-b", &mut child)?;
    bench.lab.kill("node-b")?;
    let said: Said = child.wait_with_output()?.into();
    said.expect(4)?;
    bench.power_on("node-b")?;
    bench.rollup(&["resume"])?.expect(0)?;
    let report = traffic.stop()?;
    bench.insist_nothing_lost(&report)?;
    insist_running_version(bench, "2.0.0")?;
    bench.insist_upgraded("2.0.0")
}

fn lost_link(bench: &Bench) -> Result<()> {
    let mut child = bench.start_upgrade("2.0.0")?;
    bench.wait_for("step-started", "backup.files@node-b", &mut child)?;
    // sshd's sessions die; the next command finds a new connection, the job on the node goes on.
    let cut = "systemctl stop ssh; pkill -f '[s]shd: ops' || true; sleep 3; systemctl start ssh";
    bench.lab.root_script("node-b", &format!("systemd-run --quiet --unit=cut-link sh -c \"sleep 0.2; {cut}\""))?;
    let said: Said = child.wait_with_output()?.into();
    if said.code != 0 {
        said.expect(4)?;
        bench.rollup(&["resume"])?.expect(0)?;
    }
    bench.insist_upgraded("2.0.0")
}
