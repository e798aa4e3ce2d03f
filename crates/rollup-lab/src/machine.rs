//! Power: starting a node's machine, cutting its power, and leaving no process or cgroup behind.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal};

use crate::{
    host, network,
    places::LabName,
    shell,
    topology::{Node, PREFIX},
    wait,
};

const SUPERVISE: &str = include_str!("../scripts/supervise.sh");

/// Powers a node on. `root` is its mounted image; what the machine says goes to `log`.
pub(crate) fn power_on(lab: &LabName, node: &Node, root: &Path, log: &Path) -> Result<()> {
    let machine = lab.machine(node.letter);
    let roots = host::cgroup_roots();
    let cgroups: Vec<_> = roots.iter().map(|root| root.join(&machine).display().to_string()).collect();
    // A session of its own: neither Ctrl-C nor the end of this program is a power cut.
    let mut start = shell::command("setsid", ["--fork", "/bin/sh", "-c", SUPERVISE, "supervise", &machine]);
    start.arg(format!("{}/{PREFIX}", node.address)).arg(log).arg(cgroups.join(":"));
    start.args(["systemd-nspawn", "--quiet", "--boot", "--register=no", "--link-journal=no", "--console=pipe"]);
    start.args(["--resolv-conf=off", "--timezone=off", "--capability=CAP_NET_ADMIN,CAP_NET_RAW,CAP_SYS_NICE"]);
    if !roots.is_empty() {
        start.arg("--keep-unit");
    }
    start.arg(format!("--hostname={}", node.name)).arg(mark(&machine));
    start.arg(format!("--network-namespace-path=/run/netns/{machine}"));
    start.arg(format!("--directory={}", root.display()));
    shell::run(&mut start).map(drop)
}

/// Cuts a node's power: nothing inside gets to say goodbye.
pub(crate) fn power_off(lab: &LabName, node: &Node) -> Result<()> {
    let machine = lab.machine(node.letter);
    network::unplug(lab, node);
    // Supervisor and nspawn first, or they would boot the machine again; then what may be left inside.
    let gone = kill_all(|| supervisors(&machine)) && kill_all(|| network::processes(&machine));
    remove_cgroups(&machine);
    ensure!(gone, "processes of {machine} survive SIGKILL");
    Ok(())
}

/// Whether a machine has power.
pub(crate) fn is_on(lab: &LabName, node: &Node) -> bool {
    !supervisors(&lab.machine(node.letter)).is_empty()
}

/// Ends every process of a list until the list stays empty.
pub(crate) fn kill_all(list: impl Fn() -> Vec<i32>) -> bool {
    wait::until(Duration::from_secs(10), Duration::from_millis(20), || {
        let found = list();
        for pid in found.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            // It may have ended by itself meanwhile.
            let _gone = rustix::process::kill_process(pid, Signal::KILL);
        }
        found.is_empty()
    })
}

/// The argument by which the processes of one machine are told from all others.
fn mark(machine: &str) -> String {
    format!("--machine={machine}")
}

/// The supervisor and the nspawn of a machine, found by their command lines: that works for stale ones, too.
fn supervisors(machine: &str) -> Vec<i32> {
    let mark = mark(machine);
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        // Zombies have an empty command line, so they count as gone.
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == mark.as_bytes())
    })
    .collect()
}

fn remove_cgroups(machine: &str) {
    for root in host::cgroup_roots() {
        let top = root.join(machine);
        // A cgroup stays busy for a moment after its last process died.
        wait::until(Duration::from_secs(3), Duration::from_millis(20), || {
            remove_tree(&top);
            !top.exists()
        });
    }
}

/// Removes a directory of cgroups from the leaves up; their files cannot be removed and need not be.
fn remove_tree(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let children: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    for child in children {
        remove_tree(&child);
    }
    let _still_busy = fs::remove_dir(directory);
}
