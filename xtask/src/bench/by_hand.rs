//! The switchover as somebody types it who knows how: what the product's is held against.
//!
//! A terminal per node is open before anything begins, so that no connection is made in the gap. The VIP goes first,
//! then the database: a checkpoint before, a fast stop, a promotion. The old primary comes back outside the gap.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use rollup_lab::{Lab, VIP};

/// Before the gap, on the primary: where it will stream from, and little left to write when it stops. Arguments: the
/// other node's address, the own name.
const PREPARE: &str = r#"
set -eu
cd /
runuser -u postgres -- psql -qXAt -v ON_ERROR_STOP=1 -v from="host=$1 port=5432 user=replicator application_name=$2" <<'SQL'
alter system set primary_conninfo = :'from';
checkpoint;
SQL
"#;
/// Gives this node's keepalived another priority. Arguments: the present one, the new one.
const PRIORITY: &str = r#"
set -eu
sed -i "s/priority $1$/priority $2/" /etc/keepalived/keepalived.conf
systemctl reload keepalived.service
"#;
const STOP: &str =
    "exec runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl -D /var/lib/postgresql/15/main -s stop -m fast\n";
const PROMOTE: &str = "cd / && runuser -u postgres -- psql -qXAtc 'select pg_promote()'\n";
/// After the gap, on the old primary.
const REJOIN: &str = "
set -eu
runuser -u postgres -- touch /var/lib/postgresql/15/main/standby.signal
systemctl stop postgresql@15-main.service
systemctl start postgresql@15-main.service
";

/// Until the new primary sees it follow.
const REJOINED: &str = "
cd /
until [ \"$(runuser -u postgres -- psql -qXAtc 'select count(*) from pg_stat_replication')\" = 1 ]; do sleep 0.2; done
";

/// Terminals to both nodes.
pub(super) struct Hand<'a> {
    lab: &'a Lab,
    sockets: PathBuf,
}

impl<'a> Hand<'a> {
    /// Opens both connections.
    pub(super) fn new(lab: &'a Lab, sockets: &Path) -> Result<Self> {
        std::fs::create_dir_all(sockets)?;
        let hand = Self { lab, sockets: sockets.to_owned() };
        ["node-a", "node-b"].iter().try_for_each(|node| hand.run(node, "true", &[]))?;
        Ok(hand)
    }

    /// The whole switchover; when the VIP was told to move.
    pub(super) fn switch(&self, to: &str) -> Result<Timestamp> {
        let from = if to == "node-a" { "node-b" } else { "node-a" };
        let new = self.lab.nodes().iter().find(|node| node.name == to).context("a pair has both nodes")?;
        self.run(from, PREPARE, &[&new.address.to_string(), from])?;
        let told = Timestamp::now();
        // Up for the way there, down again for the way back: node-a is the higher one by itself.
        self.run("node-b", PRIORITY, if to == "node-b" { &["100", "120"] } else { &["120", "100"] })?;
        self.lab.wait_for_owner(VIP, to)?;
        self.run(from, STOP, &[])?;
        self.run(to, PROMOTE, &[])?;
        self.run(from, REJOIN, &[])?;
        self.run(to, REJOINED, &[])?;
        Ok(told)
    }

    fn run(&self, node: &str, script: &str, arguments: &[&str]) -> Result<()> {
        let mut command = self.lab.operator_command("ssh");
        command.arg("-F").arg(self.lab.ssh_config_path());
        command.args(["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o"]);
        command.arg(format!("ControlPath={}/%n", self.sockets.display()));
        command.args([node, "--", "sudo", "-n", "sh", "-s", "--"]);
        command.args(arguments.iter().map(|argument| format!("'{argument}'")));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("standard input is a pipe")?.write_all(script.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("by hand on {node}: {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}
