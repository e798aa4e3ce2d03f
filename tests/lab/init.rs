//! `rollup init` on a real pair: what it writes is what the lab's own inventory says, and nothing on the nodes changes.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rollup_model::{Inventory, inventory};

use crate::{
    bench::{Bench, Entry, Said, When},
    pair::NODES,
};

pub(crate) const SCENARIOS: &[Entry] = &[
    Entry::new("init_writes_an_inventory_that_passes_precheck", When::Always, writes),
    Entry::new("init_says_what_is_odd_about_a_pair", When::Always, odd),
    Entry::new("init_that_may_not_look_says_why_and_writes_nothing", When::Always, may_not),
];

/// What must not leave a node: the lab's passwords, and what keepalived's adverts are signed with.
const SECRETS: [&str; 3] = ["orders-of-the-lab", "replication-of-the-lab", "orders51"];

fn load(path: &Path) -> Result<Inventory> {
    let text = std::fs::read_to_string(path)?;
    inventory::load(&text).map_err(|problems| anyhow::anyhow!("{}: {problems:?}\n{text}", path.display()))
}

/// Runs `rollup init` on the lab's nodes as the lab's inventory logs in to them, with more options.
fn init(bench: &Bench, more: &[&str]) -> Result<Said> {
    let own = load(&bench.lab.inventory_path())?;
    let ssh = &own.ssh;
    let user = ssh.user.as_deref().context("the lab has a user")?;
    let identity = ssh.identity_file.as_deref().context("the lab has a key")?;
    let known_hosts = ssh.known_hosts.as_deref().context("the lab knows its hosts")?;
    let nodes: Vec<_> = own.nodes.iter().map(|node| format!("{user}@{}", node.host)).collect();
    let words = ["init", "--identity-file", identity, "--known-hosts", known_hosts];
    let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
    bench.rollup(&[&words[..], more, &nodes].concat())
}

fn writes(bench: &Bench) -> Result<()> {
    std::fs::create_dir_all(bench.state())?;
    let file = bench.state().join("init.toml");
    let path = file.display().to_string();
    let before = bench.listings()?;
    let said = init(bench, &["-o", &path])?.expect(0)?;
    bench.insist_untouched(&before)?;
    let text = std::fs::read_to_string(&file)?;
    for secret in SECRETS {
        ensure!(!text.contains(secret) && !said.err.contains(secret), "a secret was written:\n{text}");
    }
    let key = bench.lab.root_script(NODES[0], "cat /etc/orders/root.key")?;
    ensure!(!text.contains(key.trim()), "the root key was written:\n{text}");

    let (own, found) = (load(&bench.lab.inventory_path())?, load(&file)?);
    let sorted = |mut units: Vec<String>| {
        units.sort();
        units
    };
    ensure!(sorted(found.service.units.clone()) == sorted(own.service.units.clone()), "{:?}", found.service.units);
    let service = inventory::Service { units: own.service.units.clone(), ..found.service };
    ensure!(service == own.service, "expected {:?}, found {service:?}", own.service);
    ensure!(found.vip == own.vip, "expected {:?}, found {:?}", own.vip, found.vip);
    let keepalived = inventory::Keepalived { instance: Some("VI_1".to_owned()), ..own.keepalived };
    ensure!(found.keepalived == keepalived, "expected {keepalived:?}, found {:?}", found.keepalived);
    ensure!(found.database == own.database, "expected {:?}, found {:?}", own.database, found.database);
    ensure!(found.sync == own.sync, "expected {:?}, found {:?}", own.sync, found.sync);
    ensure!(found.nodes == own.nodes, "expected {:?}, found {:?}", own.nodes, found.nodes);
    ensure!(found.ssh == own.ssh, "expected {:?}, found {:?}", own.ssh, found.ssh);

    // Each question is told with its line, and so is what to type next.
    let asked: Vec<usize> =
        (1..).zip(text.lines()).filter(|(_, line)| line.starts_with("# QUESTION: ")).map(|(n, _)| n).collect();
    ensure!(!asked.is_empty() && said.err.contains(&format!("has {} questions left", asked.len())), "{}", said.err);
    for line in asked {
        ensure!(said.err.contains(&format!("\n  line {line}, ")), "line {line} in:\n{}", said.err);
    }
    ensure!(said.err.trim_end().ends_with(&format!("next: rollup -i {path} precheck")), "{}", said.err);
    // The one question whose answer an upgrade needs, answered as its comment says.
    let (recipients, identity) = (&own.backup.recipients, own.backup.identity_file.context("the lab has an identity")?);
    let answered = text
        .replace("# recipients = [\"age1…\"]", &format!("recipients = {recipients:?}"))
        .replace("# identity_file = \"~/.config/rollup/identity.txt\"", &format!("identity_file = {identity:?}"));
    std::fs::write(&file, answered)?;
    ensure!(load(&file)?.backup.recipients == own.backup.recipients, "the answer was not taken");
    bench.rollup(&["-i", &path, "precheck"])?.expect(0)?;

    // A second look neither overwrites nor finds anything else.
    std::fs::write(&file, "mine")?;
    init(bench, &["-o", &path])?.expect(2)?.expect_err("init --force -o ")?;
    ensure!(std::fs::read_to_string(&file)? == "mine", "the file was overwritten");
    init(bench, &["-o", &path, "--force"])?.expect(0)?;
    // How much is free changes by itself.
    let lasting = |text: &str| {
        text.lines().filter(|line| !line.starts_with("# Found: at least ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let again = std::fs::read_to_string(&file)?;
    ensure!(lasting(&again) == lasting(&text), "the second look found something else:\n{again}");
    let printed = init(bench, &["-o", "-"])?.expect(0)?;
    ensure!(lasting(&printed.out) == lasting(&text), "what is printed is not what is written:\n{}", printed.out);
    Ok(())
}

/// The sync in a crontab, the instance in an included file, a second database, a service on one node alone.
const ODD: &str = r"
systemctl disable --quiet --now config-sync.timer
rm /etc/systemd/system/config-sync.*
cat > /etc/cron.d/orders-sync <<'CRON'
*/5 * * * * root rsync -aze 'sshpass -p hidden-word ssh' --password-file /etc/none /etc/orders/shared/ root@peer:/etc/orders/shared/
CRON
mkdir /etc/keepalived/conf.d
sed -n '/^vrrp_instance/,$p' /etc/keepalived/keepalived.conf > /etc/keepalived/conf.d/orders.conf
sed -i '/^vrrp_instance/,$d' /etc/keepalived/keepalived.conf
echo 'include conf.d/*.conf' >> /etc/keepalived/keepalived.conf
";
const ODD_PRIMARY: &str = r"
cat > /etc/systemd/system/orders-extra.service <<'UNIT'
[Unit]
After=orders-api.service
[Service]
ExecStart=/usr/bin/sleep infinity --secret hidden-word
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --quiet --now orders-extra.service
cd / && runuser -u postgres -- psql -qc 'create database audit'
";

fn odd(bench: &Bench) -> Result<()> {
    std::fs::create_dir_all(bench.state())?;
    for node in NODES {
        bench.lab.root_script(node, ODD)?;
    }
    bench.lab.root_script(NODES[0], ODD_PRIMARY)?;
    // On the standby beside keepalived: two nodes have the address now.
    bench.lab.root_script(NODES[1], "ip address add 10.78.0.100/24 dev eth0")?;
    let said = init(bench, &["-o", "-"])?.expect(0)?;
    bench.lab.root_script(NODES[1], "ip address del 10.78.0.100/24 dev eth0")?;
    for text in [
        "warning: both nodes have the VIP 10.78.0.100: split brain",
        "warning: orders-extra.service is enabled on node-a alone",
        "In which database do migrations run?",
        "How can the config sync be held back during an upgrade?",
    ] {
        ensure!(said.err.contains(text), "expected `{text}` in:\n{}", said.err);
    }
    ensure!(
        !said.out.contains("hidden-word") && !said.err.contains("hidden-word"),
        "a secret was printed:\n{}",
        said.out
    );
    let file = bench.state().join("odd.toml");
    std::fs::write(&file, &said.out)?;
    let found = load(&file)?;
    ensure!(found.keepalived.instance.as_deref() == Some("VI_1"), "{:?}", found.keepalived);
    let unbroken = said.out.replace("\n#   ", " ");
    ensure!(found.sync.is_none() && unbroken.contains("/etc/cron.d/orders-sync:1 on both nodes"), "{}", said.out);
    ensure!(found.database.name == "orders", "{:?}", found.database);
    ensure!(found.service.units == ["orders-api.service", "orders-worker.service"], "{:?}", found.service.units);
    Ok(())
}

fn may_not(bench: &Bench) -> Result<()> {
    std::fs::create_dir_all(bench.state())?;
    let file = bench.state().join("none.toml");
    let path = file.display().to_string();
    let empty = bench.state().join("known_hosts");
    std::fs::write(&empty, "")?;
    let own = load(&bench.lab.inventory_path())?;
    let identity = own.ssh.identity_file.context("the lab has a key")?;
    let nodes: Vec<_> = own.nodes.iter().map(|node| format!("ops@{}", node.host)).collect();
    let empty = empty.display().to_string();
    let words = ["init", "-o", &path, "--identity-file", &identity, "--known-hosts", &empty, &nodes[0], &nodes[1]];
    bench.rollup(&words)?.expect(3)?.expect_err("ost key")?.expect_err("hint: compare `ssh-keyscan ")?;
    bench.lab.root_script(NODES[1], "echo 'ops ALL=(ALL) ALL' > /etc/sudoers.d/ops")?;
    let said = init(bench, &["-o", &path])?.expect(3)?.expect_err("`sudo -n` must not ask for a password")?;
    ensure!(said.err.contains("hint: on 10.78.0.12, as root: echo 'ops ALL=(ALL) NOPASSWD: ALL'"), "{}", said.err);
    ensure!(!file.exists(), "a file was written");
    Ok(())
}
