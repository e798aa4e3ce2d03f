//! What operators do: two at once, a stop, a pause, a wrong word.

use std::{process::Command, time::Instant};

use anyhow::{Result, ensure};

use crate::bench::{Bench, Entry, Said, When};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("second_operator_is_refused_within_a_second_and_told_who", When::Alone, two_operators),
    Entry::new("ctrl_c_stops_after_the_step_and_resume_goes_on", When::Always, ctrl_c),
    Entry::new("pause_before_a_phase_and_go_on", When::Soak, pause_before),
    Entry::new("wrong_paths_end_calmly_with_a_hint", When::Always, wrong_paths),
    Entry::new("wrong_turns_are_refused_and_cost_nothing", When::Always, wrong_turns),
];

fn two_operators(bench: &Bench) -> Result<()> {
    let mut first = bench.start_upgrade("2.0.0")?;
    bench.wait_for("step-started", "backup.database@node-b", &mut first)?;
    let began = Instant::now();
    let mut second = bench.command(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0")]);
    let said: Said = second.env("ROLLUP_STATE_DIR", bench.state().join("second")).output()?.into();
    let took = began.elapsed();
    let said = said.expect(8)?.expect_err("held by")?.expect_err("step ")?.expect_err("since ")?;
    ensure!(took.as_millis() < 1000, "the refusal took {} ms:\n{}", took.as_millis(), said.err);
    crate::say(&format!("        refused after {} ms", took.as_millis()));
    signal(&first, "INT")?;
    let end: Said = first.wait_with_output()?.into();
    end.expect(5).map(drop)
}

fn signal(child: &std::process::Child, name: &str) -> Result<()> {
    ensure!(
        Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status()?.success(),
        "kill failed"
    );
    Ok(())
}

fn ctrl_c(bench: &Bench) -> Result<()> {
    let mut child = bench.start_upgrade("2.0.0")?;
    bench.wait_for("step-started", "service.stop@node-b", &mut child)?;
    signal(&child, "INT")?;
    let said: Said = child.wait_with_output()?.into();
    let said = said.expect(5)?;
    let next = Bench::next_command(&said.err, "resume")?;
    let words: Vec<&str> = next.iter().map(String::as_str).collect();
    bench.rollup(&words)?.expect(0)?;
    bench.insist_upgraded("2.0.0")
}

fn pause_before(bench: &Bench) -> Result<()> {
    bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0"), "--pause-before", "cutover"])?.expect(5)?;
    let status = bench.lab.status();
    let versions: Vec<_> = status.nodes.iter().map(|node| (node.version.as_str(), node.vip)).collect();
    ensure!(versions == [("1.0.0", true), ("2.0.0", false)], "{status:?}");
    bench.rollup(&["resume"])?.expect(0)?;
    bench.insist_upgraded("2.0.0")
}

fn wrong_paths(bench: &Bench) -> Result<()> {
    bench.rollup(&["upgrade", "--yes", "--pkg", "nowhere.tar.gz"])?.expect(2)?.expect_err("hint: ")?;
    bench.rollup(&["upgrade", "--pkg", &bench.package("2.0.0")])?.expect(2)?.expect_err("--yes")?;
    bench.rollup(&["resume"])?.expect(2)?.expect_err("hint: ")?;
    bench.rollup(&["status", "20200101-000000-aaaa"])?.expect(2)?.expect_err("hint: rollup runs list")?;
    bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0"), "--pause-before", "cutovr"])?.expect(2)?;
    // A tampered package, an inventory with mistakes, a node that is off.
    let tampered = bench.state().with_extension("tar.gz");
    let mut bytes = std::fs::read(bench.package("2.0.0"))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&tampered, bytes)?;
    bench.rollup(&["upgrade", "--yes", "--pkg", &tampered.display().to_string()])?.expect(3)?;
    std::fs::remove_file(&tampered)?;
    let text = std::fs::read_to_string(bench.lab.inventory_path())?;
    let wrong = bench.state().with_extension("toml");
    std::fs::write(&wrong, text.replace("switchover = ", "swichover = "))?;
    let said = bench.rollup(&["--inventory", &wrong.display().to_string(), "precheck"])?.expect(2)?;
    said.expect_err("did you mean `switchover`?")?;
    std::fs::remove_file(&wrong)?;
    bench.lab.kill("node-b")?;
    bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?.expect(3)?.expect_err("node-b")?;
    Ok(())
}

/// Words that would have led past a safety: each is refused before anything changes, and the service stays up.
fn wrong_turns(bench: &Bench) -> Result<()> {
    let package = bench.package("2.0.0");
    bench.rollup(&["upgrade", "--yes", "--pkg", &package, "--pause-before", "cutover"])?.expect(5)?;
    bench.rollup(&["resume", "--pause-before", "cutovr"])?.expect(2)?.expect_err("--pause-before one of: cutover")?;
    let run = Bench::next_command(&bench.rollup(&["status"])?.expect(0)?.out.replace("next: ", ""), "resume")?;
    // An edited plan is not run, and an older journal than the nodes have is not trusted.
    let dir = bench.state().join("runs").join(&run[1]);
    let plan = std::fs::read_to_string(dir.join("plan.json"))?;
    std::fs::write(dir.join("plan.json"), plan.replacen("\"attempts\": 3", "\"attempts\": 4", 1))?;
    bench.rollup(&["resume"])?.expect(1)?.expect_err("is not the plan this run began with")?;
    std::fs::write(dir.join("plan.json"), plan)?;
    let journal = std::fs::read_to_string(dir.join("journal.jsonl"))?;
    let older: String = journal.split_inclusive('\n').take(20).collect();
    std::fs::write(dir.join("journal.jsonl"), older)?;
    bench.rollup(&["resume"])?.expect(2)?.expect_err("is older than the copy on node-a")?;
    std::fs::write(dir.join("journal.jsonl"), journal)?;
    // A node that is off: the run stays resumable, and the other node stays locked for it.
    bench.lab.kill("node-b")?;
    bench.rollup(&["resume"])?.expect(4)?.expect_err("hint: ")?;
    let lock = bench.lab.root_script("node-a", "cat /var/lib/rollup/lock/run")?;
    ensure!(lock.trim() == run[1], "the lock of node-a is gone: {lock}");
    bench.power_on("node-b")?;
    bench.rollup(&["resume"])?.expect(0)?;
    bench.insist_upgraded("2.0.0")
}
