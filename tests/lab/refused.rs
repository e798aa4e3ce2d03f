//! Ways back and backups that must not begin, or must end without a trace: nothing of the pair is touched (RB-1, PRE-7).

use anyhow::{Context, Result, ensure};

use crate::{
    bench::{Bench, Entry, Said, When},
    pair::{NODES, SETS},
};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("way_back_is_refused_before_anything_is_touched", When::Always, wrong_ways),
    Entry::new("damaged_set_is_named_and_not_used", When::Always, |bench| damaged(bench, SAMPLE)),
    Entry::new("damage_to_any_file_of_a_set_is_named", When::Soak, |bench| damaged(bench, &[])),
    Entry::new("backup_without_room_or_right_leaves_no_trace", When::Always, no_room),
];

const RESTORE: [&str; 5] = ["rollback", "--yes", "--lane", "restore", "--accept-data-loss"];

fn back_to(bench: &Bench, set: &str, more: &[&str]) -> Result<Said> {
    bench.rollup(&[&RESTORE[..], &["--backup", set], more].concat())
}

fn wrong_ways(bench: &Bench) -> Result<()> {
    bench.rollup(&["rollback", "--backup", "latest", "--yes"])?.expect(2)?.expect_err("hint: ")?;
    let set = bench.create_set()?;
    let before = bench.listings()?;
    let unknown = "backup_20200101_000000";
    back_to(bench, unknown, &[])?.expect(2)?.expect_err("hint: ")?;
    bench.rollup(&["backup", "show", unknown])?.expect(2)?.expect_err("hint: ")?;
    back_to(bench, &set, &["--node", "node-c"])?.expect(2)?;
    // Somebody else's identity opens nothing.
    let identity = bench.state().join("identity.txt");
    std::fs::create_dir_all(bench.state())?;
    rollup_lab::write_identity(&identity)?;
    let wrong = ["--identity", &identity.display().to_string()];
    back_to(bench, &set, &wrong)?.expect(3)?;
    bench.rollup(&[&["backup", "check-key", &set][..], &wrong].concat())?.expect(3)?;
    bench.insist_untouched(&before)?;
    // A set of another pair.
    let ours = bench.cluster();
    bench.edit_manifest(&set, |manifest| manifest["cluster"] = "another-pair".into())?;
    let before = bench.listings()?;
    back_to(bench, &set, &[])?.expect(3)?.expect_err("another-pair")?;
    bench.insist_untouched(&before)?;
    // A set older than the window: only with the word for it, and then it is shown.
    bench.edit_manifest(&set, |manifest| {
        manifest["cluster"] = ours.clone().into();
        manifest["created"] = "2026-01-01T00:00:00Z".into();
    })?;
    let before = bench.listings()?;
    back_to(bench, &set, &[])?.expect(3)?.expect_err("--force")?;
    back_to(bench, &set, &["--dry-run", "--force"])?.expect(0)?;
    bench.insist_untouched(&before)?;
    bench.insist_pair("1.0.0", "node-a")
}

/// What every new change is held against; the long run takes all.
const SAMPLE: &[&str] = &["database/base.tar.zst", "node-a/files.tar.zst", "node-b/root-key.age", "manifest.json"];

/// One bit in the middle, or a byte more where there is no middle; the file's times stay as they were. Arguments: the file.
const FLIP: &str = r#"
import os, sys
path = sys.argv[1]
times = os.stat(path)
data = bytearray(open(path, "rb").read())
data = data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1:] if data else bytearray(b"x")
open(path, "wb").write(data)
os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
"#;

fn flip(bench: &Bench, node: &str, path: &str) -> Result<()> {
    let script = format!("cp -a {path} /run/whole && python3 - {path} <<'FLIP'\n{FLIP}\nFLIP\n");
    bench.lab.root_script(node, &script).map(drop)
}

fn mend(bench: &Bench, node: &str, path: &str) -> Result<()> {
    bench.lab.root_script(node, &format!("cp -a /run/whole {path}")).map(drop)
}

/// Flips a bit of one file after the other: at one place a check names it, at all places no way back begins.
fn damaged(bench: &Bench, chosen: &[&str]) -> Result<()> {
    let set = bench.create_set()?;
    bench.rollup(&["backup", "verify", &set])?.expect(0)?;
    let list = format!("cd {SETS}/{set} && find -type f ! -name hold.json ! -name 'drill-*' -printf '%P\\n' | sort");
    let files = bench.lab.root_script("node-a", &list)?;
    let files: Vec<&str> = files.lines().filter(|file| chosen.is_empty() || chosen.contains(file)).collect();
    ensure!(files.len() >= 4, "expected the files of a set, found {files:?}");
    for file in &files {
        let path = format!("{SETS}/{set}/{file}");
        let name = file.rsplit('/').next().unwrap_or(file);
        flip(bench, "node-b", &path)?;
        let said = bench.rollup(&["backup", "verify", &set])?.expect(3).with_context(|| format!("{file} on node-b"))?;
        ensure!(said.err.contains(name) && said.err.contains("node-b"), "expected {file} on node-b in:\n{}", said.err);
        flip(bench, "node-a", &path)?;
        let before = bench.listings()?;
        back_to(bench, &set, &[])?.expect(3).with_context(|| format!("{file} at every place"))?;
        bench.insist_untouched(&before).with_context(|| format!("{file} at every place"))?;
        NODES.iter().try_for_each(|node| mend(bench, node, &path))?;
    }
    crate::say(&format!("        {} files", files.len()));
    bench.rollup(&["backup", "verify", &set])?.expect(0)?;
    bench.insist_pair("1.0.0", "node-a")
}

fn no_room(bench: &Bench) -> Result<()> {
    bench.lab.root_script("node-b", &format!("mkdir -p {SETS}"))?;
    bench.lab.root_script("node-a", &format!("mkdir -p {SETS}"))?;
    let clean = bench.listings()?;
    // No right to write.
    bench.lab.root_script("node-b", &format!("mount --bind {SETS} {SETS} && mount -o remount,ro,bind {SETS}"))?;
    bench.rollup(&["backup", "create", "--yes"])?.expect(3)?.expect_err("node-b")?;
    bench.rollup(&["upgrade", "--yes", "--pkg", &bench.package("2.0.0")])?.expect(3)?.expect_err("node-b")?;
    bench.lab.root_script("node-b", &format!("umount {SETS}"))?;
    bench.insist_untouched(&clean)?;
    // Too little room to begin with.
    bench.lab.root_script("node-b", &format!("mount -t tmpfs -o size=2m tmpfs {SETS}"))?;
    bench.rollup(&["backup", "create", "--yes"])?.expect(3)?.expect_err("node-b")?;
    bench.lab.root_script("node-b", &format!("umount {SETS}"))?;
    bench.insist_untouched(&clean)?;
    // Enough room at first, and none in the middle.
    bench.lab.root_script("node-b", &format!("mount -t tmpfs -o size=400m,mode=0711 tmpfs {SETS}"))?;
    let before = bench.portraits()?;
    let mut child = bench.start_run(&["backup", "create", "--yes"])?;
    bench.wait_for("step-finished", "backup.ready", &mut child)?;
    bench.lab.root_script(
        "node-b",
        &format!("fallocate -l 399m {SETS}/full; dd if=/dev/zero bs=4k of={SETS}/full2 || true"),
    )?;
    let said: Said = child.wait_with_output()?.into();
    let said = said.expect(4)?.expect_err("rollup resume")?;
    let left = bench.lab.root_script("node-b", &format!("find {SETS} -name '*.partial*'"))?;
    ensure!(left.is_empty(), "the failed backup left {left}\n{}", said.err);
    ensure!(!bench.sets()?.iter().any(|set| set["state"] == "verified"), "half a set counts as a whole one");
    bench.insist_portraits(&before)?;
    bench.insist_pair("1.0.0", "node-a")?;
    // With room again the same run comes to a good end.
    bench.lab.root_script("node-b", &format!("rm -f {SETS}/full {SETS}/full2"))?;
    bench.rollup(&["resume"])?.expect(0)?;
    let set = bench.newest_set("manual")?;
    bench.rollup(&["backup", "verify", &set])?.expect(0)?;
    Ok(())
}
