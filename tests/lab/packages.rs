//! Packages on their way: signed, sent in parts, cut off, laid out beside each other, and compared (PKG-1 to PKG-4, UPG-4).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    bench::{Bench, Entry, Said, When, pause},
    pair::NODES,
};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("package_is_sent_although_killed_without_rsync_and_cut_off", When::Always, sent),
    Entry::new("package_on_a_node_never_travels_and_one_node_fetches_from_the_other", When::Always, lying_there),
    Entry::new("package_signed_laid_out_beside_the_last_compared_and_taken_back", When::Always, signed),
];

/// Of the file that makes the package large enough to be caught on its way.
const SIZE: u64 = 192 << 20;

/// The package of 2.0.0 with one file more, unpacked; the manifest's last table is that file's.
struct Source {
    dir: PathBuf,
}

impl Source {
    fn new(bench: &Bench, component: &str, layout: &str) -> Result<Self> {
        let dir = bench.state().with_extension("source");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        let unpacked = Command::new("tar").arg("-xzf").arg(bench.package("2.0.0")).arg("-C").arg(&dir).status()?;
        ensure!(unpacked.success(), "cannot unpack the package");
        let manifest = dir.join("rollup-package.toml");
        let text = fs::read_to_string(&manifest)?;
        let (head, components) = text.split_once("[[components]]").context("expected components")?;
        let head = head.split("[layout]").next().unwrap_or(head);
        let layout = if layout.is_empty() { "[layout]\nkind = \"in-place\"\n" } else { layout };
        fs::write(manifest, format!("{head}{layout}\n{component}\n[[components]]{components}"))?;
        Ok(Self { dir })
    }

    fn build(&self, bench: &Bench, name: &str) -> Result<PathBuf> {
        let archive = self.dir.with_extension(name);
        let (dir, out) = (self.dir.display().to_string(), archive.display().to_string());
        bench.rollup(&["pkg", "build", &dir, "-o", &out])?.expect(0)?;
        Ok(archive)
    }
}

fn component(source: &str, destination: &str) -> String {
    format!(
        "[[components]]\nsource = \"{source}\"\ndestination = \"{destination}\"\nowner = \"orders\"\ngroup = \"orders\"\n\
         mode = \"0644\"\n"
    )
}

/// Bytes that no compression makes fewer, the same each time.
fn noise(path: &Path, size: u64) -> Result<()> {
    let mut file = fs::File::create(path)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut piece = vec![0_u8; 1 << 20];
    for _ in 0..size >> 20 {
        for word in piece.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        std::io::Write::write_all(&mut file, &piece)?;
    }
    Ok(())
}

/// `kill -9` while rsync sends the file; then an operator without rsync goes on, and the connection is cut.
fn sent(bench: &Bench) -> Result<()> {
    let source = Source::new(bench, &component("payload/noise", "/opt/orders/noise"), "")?;
    noise(&source.dir.join("payload/noise"), SIZE)?;
    let archive = source.build(bench, "sent.tar.zst")?.display().to_string();
    let mut child = bench.command(&["upgrade", "--yes", "--pkg", &archive]).spawn()?;
    bench.wait_for("step-started", "package.distribute@node-a", &mut child)?;
    on_its_way(bench)?;
    child.kill()?;
    child.wait()?;
    let is_placed = "ls /opt/orders/noise 2>/dev/null || true";
    for node in NODES {
        ensure!(bench.lab.root_script(node, is_placed)?.is_empty(), "a file was placed before anything stopped");
    }
    // It goes on, and every connection to node-b is cut while it does.
    let mut resume = bench.command(&["resume"]);
    resume.env("PATH", only(bench, &["ssh", "ip"])?);
    let child = resume.spawn()?;
    pause(300);
    let cut = "systemctl stop ssh; pkill -f '[s]shd: ops' || true; sleep 1; systemctl start ssh";
    bench.lab.root_script("node-b", &format!("systemd-run --quiet --unit=cut-link sh -c \"sleep 0.2; {cut}\""))?;
    let mut said: Said = child.wait_with_output()?.into();
    for _ in 0..3 {
        if said.code == 0 {
            break;
        }
        said.expect(4)?;
        said = bench.rollup(&["resume"])?;
    }
    said.expect(0)?;
    bench.insist_upgraded("2.0.0")?;
    let sums: Vec<_> = NODES
        .iter()
        .map(|node| bench.lab.root_script(node, "sha256sum /opt/orders/noise; stat -c '%a %U' /opt/orders/noise"))
        .collect::<Result<_>>()?;
    ensure!(sums[0] == sums[1] && sums[0].contains("644 orders"), "{sums:?}");
    for node in NODES {
        let left = bench
            .lab
            .root_script(node, "ls -d /var/lib/rollup/staging /opt/orders/.rollup-new* 2>/dev/null || true")?;
        ensure!(left.is_empty(), "{node} still has {left}");
    }
    let kept = bench.state().join("backups");
    let hidden = fs::read_dir(&kept).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let unpacked: Vec<_> = hidden.filter(|name| name.to_string_lossy().starts_with(".unpacked")).collect();
    ensure!(unpacked.is_empty(), "the operator still has {unpacked:?}");
    Ok(())
}

/// A place for programs that has these and no others.
fn only(bench: &Bench, programs: &[&str]) -> Result<PathBuf> {
    let place = bench.state().with_extension("path");
    fs::create_dir_all(&place)?;
    for program in programs {
        let of = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(|dir| Path::new(dir).join(program));
        let of = of.into_iter().find(|path| path.exists()).with_context(|| format!("expected {program}"))?;
        let link = place.join(program);
        if !link.exists() {
            std::os::unix::fs::symlink(of, link)?;
        }
    }
    Ok(place)
}

/// Waits until some of the large file has come to a node.
fn on_its_way(bench: &Bench) -> Result<()> {
    for _ in 0..2000 {
        for node in NODES {
            let staging = bench.lab.disk_path(node, "/var/lib/rollup/staging");
            let runs = fs::read_dir(staging).into_iter().flatten().flatten();
            let sizes =
                runs.filter_map(|run| fs::metadata(run.path().join("tree/payload/noise")).ok()).map(|meta| meta.len());
            if sizes.into_iter().any(|size| size > 0 && size < SIZE) {
                return Ok(());
            }
        }
        pause(5);
    }
    anyhow::bail!("the file was never seen on its way")
}

/// A run that stages a package and does nothing else.
const STAGED: &str = r#"
format = 1
name = "staged"
title = "a package on its way"

[[phase]]
id = "prepare"
title = "stage it"

[[phase.step]]
id = "precheck.run"
title = "look"
on = "pair"
uses = "precheck.run"

[[phase.step]]
id = "package.distribute"
title = "stage it"
on = "all"
uses = "package.distribute"

[[phase.step]]
id = "package.clean"
title = "remove it"
on = "all"
uses = "package.clean"
"#;

/// What the operator's machine itself has sent and received so far, in bytes: the nodes' own traffic crosses its bridge, too.
fn travelled(bench: &Bench) -> Result<u64> {
    let mut command = bench.lab.operator_command("sh");
    let output = command.args(["-c", "cat /sys/class/net/br0/statistics/[rt]x_bytes"]).output()?;
    String::from_utf8(output.stdout)?.lines().map(|line| Ok(line.parse::<u64>()?)).sum()
}

/// A package that lies on a node is installed from there; the other node fetches from it, or from whichever came first.
fn lying_there(bench: &Bench) -> Result<()> {
    const SIZE: u64 = 24 << 20;
    let source = Source::new(bench, &component("payload/noise", "/opt/orders/noise"), "")?;
    noise(&source.dir.join("payload/noise"), SIZE)?;
    let archive = source.build(bench, "there.tar.gz")?;
    let here = archive.display().to_string();
    fs::copy(&archive, bench.lab.disk_path("node-a", "/srv/there.tar.gz"))?;
    let there = "node-a:/srv/there.tar.gz";

    // It is what it would be here.
    let inspect =
        |from: &str| -> Result<Value> { bench.rollup(&["--json", "pkg", "inspect", from])?.expect(0)?.json() };
    let (mut told, mut read) = (inspect(there)?, inspect(&here)?);
    ensure!(told["release"]["archive_node"] == "node-a", "{told}");
    for document in [&mut told, &mut read] {
        for key in ["archive", "archive_node"] {
            document["release"].as_object_mut().context("a release")?.remove(key);
        }
    }
    ensure!(told == read, "{told}\n{read}");
    bench.rollup(&["plan", "--pkg", "node-c:/srv/there.tar.gz"])?.expect(2)?.expect_err("node-a, node-b")?;
    bench.rollup(&["plan", "--pkg", "node-a:/srv/none.tar.gz"])?.expect(3)?.expect_err("no such file")?;
    bench.rollup(&["precheck", "--pkg", there, "--only", "package.accepted"])?.expect(0)?;

    // Only what verification needs comes to the operator.
    let playbook = bench.state().with_extension("staged.toml");
    fs::write(&playbook, STAGED)?;
    let playbook = playbook.display().to_string();
    let stage = |inventory: &str, from: &str| -> Result<u64> {
        let before = travelled(bench)?;
        bench.rollup(&["-i", inventory, "upgrade", "--yes", "--playbook", &playbook, "--pkg", from])?.expect(0)?;
        Ok(travelled(bench)? - before)
    };
    let inventory = bench.lab.inventory_path();
    let own = inventory.display().to_string();
    let alone = stage(&own, there)?;
    ensure!(alone < SIZE / 8, "{alone} bytes came to the operator or went from it");

    // From here to the first node, and from there to the second.
    let text = fs::read_to_string(&inventory)?;
    let peer = inventory.with_file_name("peer.toml");
    fs::write(&peer, text.replace("[package]", "[package]\ndistribute = \"peer\""))?;
    let peer = peer.display().to_string();
    let once = stage(&peer, &here)?;
    ensure!((SIZE..SIZE + SIZE / 8).contains(&once), "{once} bytes came to the operator or went from it");

    // Where one of them does not serve, or the other cannot fetch, through the operator's memory.
    for (node, refused) in [("node-a", "*--daemon*"), ("node-b", "*rsync://*")] {
        let wrapper =
            format!("#!/bin/sh\ncase \"$*\" in {refused}) exit 10 ;; esac\nexec /usr/bin/rsync.real \"$@\"\n");
        let wrap = format!(
            "mv /usr/bin/rsync /usr/bin/rsync.real\ncat > /usr/bin/rsync <<'END'\n{wrapper}END\nchmod 755 /usr/bin/rsync"
        );
        bench.lab.root_script(node, &wrap)?;
        let through = stage(&own, there);
        bench.lab.root_script(node, "mv /usr/bin/rsync.real /usr/bin/rsync")?;
        let through = through?;
        ensure!(through > 2 * SIZE, "{node} said no, and {through} bytes came by another way");
    }

    bench.rollup(&["upgrade", "--yes", "--pkg", there])?.expect(0)?;
    bench.insist_upgraded("2.0.0")?;
    for node in NODES {
        let left = "ls -d /var/lib/rollup/staging 2>/dev/null || true; systemctl list-units --all --plain --no-legend 'rollup-serve-*'";
        let left = bench.lab.root_script(node, left)?;
        ensure!(left.is_empty(), "{node} still has {left}");
        let sum = bench.lab.root_script(node, "stat -c %s /opt/orders/noise")?;
        ensure!(sum.trim() == SIZE.to_string(), "{node}: {sum}");
    }
    Ok(())
}

/// Trust, the other layout, a comparison, and the way back.
fn signed(bench: &Bench) -> Result<()> {
    let layout = "[layout]\nkind = \"symlink\"\nroot = \"/opt/orders/tools\"\n";
    let source = Source::new(bench, &component("payload/tool", "/opt/orders/tools/current/bin/tool"), layout)?;
    fs::write(source.dir.join("payload/tool"), "#!/bin/sh\necho 2.0.0\n")?;
    let archive = source.build(bench, "signed.tar.gz")?;
    let file = archive.display().to_string();
    let keys = bench.state().with_extension("keys");
    if keys.exists() {
        fs::remove_dir_all(&keys)?;
    }
    fs::create_dir_all(&keys)?;
    let key = |name: &str| keys.join(name).display().to_string();
    for name in ["release", "stranger"] {
        let (secret, public) = (key(name), key(&format!("{name}.pub")));
        bench.rollup(&["pkg", "keygen", "--secret", &secret, "--public", &public, "--no-password"])?.expect(0)?;
    }
    let public = fs::read_to_string(key("release.pub"))?.lines().nth(1).context("a key")?.to_owned();

    // Only what this key has signed.
    let inventory = bench.lab.inventory_path().with_file_name("signed.toml");
    let text = fs::read_to_string(bench.lab.inventory_path())?;
    let trusting = text.replace("allow_unsigned = true", &format!("trusted_keys = [\"{public}\"]"));
    ensure!(trusting != text, "expected `allow_unsigned = true` in the lab's inventory");
    fs::write(&inventory, trusting)?;
    let own = inventory.display().to_string();
    let upgrade = ["-i", &own, "upgrade", "--yes", "--pkg", &file];
    let before = bench.listings()?;
    bench.rollup(&upgrade)?.expect(3)?.expect_err("is not signed")?.expect_err("rollup pkg sign")?;
    bench.rollup(&["pkg", "sign", &file, "--secret", &key("stranger")])?.expect(0)?;
    bench.rollup(&upgrade)?.expect(3)?.expect_err("was made with key")?.expect_err("package.trusted_keys")?;
    bench.insist_untouched(&before)?;
    bench.rollup(&["pkg", "sign", &file, "--secret", &key("release")])?.expect(0)?;

    // What it would change, and what it changed.
    let compare =
        || -> Result<Value> { bench.rollup(&["-i", &own, "--json", "pkg", "diff", &file])?.expect(0)?.json() };
    let of = |told: &Value, node: &str, path: &str| {
        let found = told[node].as_array().into_iter().flatten().find(|file| file["path"] == path).cloned();
        found.unwrap_or_default()
    };
    let jar = "/opt/orders/lib/orders-api.jar";
    let told = compare()?;
    ensure!(of(&told, "node-a", jar)["change"] == "replace", "{told}");
    ensure!(of(&told, "node-b", "/opt/orders/tools/current")["change"] == "add", "{told}");
    bench.rollup(&upgrade)?.expect(0)?;
    bench.insist_upgraded("2.0.0")?;
    let told = compare()?;
    ensure!(told["node-a"] == serde_json::json!([]) && told["node-b"] == serde_json::json!([]), "{told}");
    for node in NODES {
        let said =
            bench.lab.root_script(node, "sh /opt/orders/tools/current/bin/tool; readlink /opt/orders/tools/current")?;
        ensure!(said == "2.0.0\nreleases/2.0.0\n", "{node}: {said}");
    }
    bench.lab.root_script("node-a", "echo by hand >> /opt/orders/worker/orders_worker.py")?;
    let told = compare()?;
    let worker = of(&told, "node-a", "/opt/orders/worker/orders_worker.py");
    ensure!(
        worker["by_hand"] == true && worker["change"] == "replace" && told["node-b"] == serde_json::json!([]),
        "{told}"
    );

    // The way back turns the link back, and nothing that the package brought is left.
    bench.rollup(&["-i", &own, "rollback", "--backup", "latest", "--lane", "keep", "--yes"])?.expect(6)?;
    bench.insist_pair("1.0.0", "node-a")?;
    for node in NODES {
        let script =
            "ls /opt/orders/tools/current /var/lib/rollup/installed 2>/dev/null; find /opt/orders/tools -type f";
        let left = bench.lab.root_script(node, &format!("{script} || true"))?;
        ensure!(left.is_empty(), "{node} still has {left}");
    }
    Ok(())
}
