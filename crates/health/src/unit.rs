//! The systemd unit that runs `rollup health serve` on a node. Values in, text out.

use std::path::Path;

use rollup_model::{Inventory, NodeName};

/// Where a service may read files; elsewhere (home directories, `/tmp`) the unit would find nothing.
const READABLE: [&str; 4] = ["/usr/", "/opt/", "/etc/", "/srv/"];

/// The user of the unit, where none was named.
const DYNAMIC: &str = "\
# A user that exists only while the unit runs and owns nothing; an account of this name, where there is one.
DynamicUser=yes
User=rollup-health";

/// D-Bus turns away a user that the machine cannot look up, and systemd is asked over D-Bus.
const ACCOUNT: &str = "\
# Where `passwd:` in /etc/nsswitch.conf does not name systemd (Debian: libnss-systemd), D-Bus needs an account to know it by:
#   useradd --system --no-create-home --shell /usr/sbin/nologin rollup-health
";

/// The path as it is where the unit can read it, else the place where it belongs.
fn readable(path: &Path, otherwise: &str) -> String {
    let path = path.display().to_string();
    // systemd reads blanks, quotes, `%` and `$` in a command line; a path with one of these is put elsewhere.
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    let usable = READABLE.iter().any(|dir| path.starts_with(dir)) && path.chars().all(plain);
    if usable { path } else { otherwise.to_owned() }
}

/// What a unit file is made for.
pub struct UnitFile<'a> {
    /// The pair.
    pub inventory: &'a Inventory,
    /// The node it is for.
    pub node: &'a NodeName,
    /// This program.
    pub program: &'a Path,
    /// The inventory's file.
    pub file: &'a Path,
    /// Run as this user instead of one that exists only while the unit runs.
    pub user: Option<&'a str>,
}

impl UnitFile<'_> {
    /// The text of the unit file, with the commands that install it.
    pub fn text(&self) -> String {
        let Self { inventory, node, .. } = self;
        let program = readable(self.program, "/usr/local/bin/rollup");
        let file = readable(self.file, "/etc/rollup/rollup.toml");
        let (user, account) = match self.user {
            Some(user) => (format!("User={user}"), String::new()),
            None => (DYNAMIC.to_owned(), ACCOUNT.to_owned()),
        };
        let listen = inventory.health.listen;
        let is_local = |url: &String| {
            ["http://127.", "http://localhost:", "http://localhost/", "http://[::1]"]
                .iter()
                .any(|host| url.starts_with(host))
        };
        let only_here = listen.ip().is_loopback() && inventory.service.health_urls.iter().all(is_local);
        let addresses = match only_here {
            true => "# Nothing but this machine is asked, and answered.\nIPAddressDeny=any\nIPAddressAllow=localhost\n",
            false => "",
        };
        format!(
            r#"# /etc/systemd/system/rollup-health.service: answers /health and /metrics of {node} on {listen}.
#
# The program is {program}, the inventory {file}: both readable by everybody (mode 0755, 0644).
{account}#   systemctl daemon-reload && systemctl enable --now rollup-health.service
#   curl -i http://{listen}/health

[Unit]
Description=Health of {node} (rollup health serve)
After=network.target
# It must come back whatever happens.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={program} --inventory {file} health serve --node {node}
Restart=always
RestartSec=1
TimeoutStopSec=10
{user}

# It reads /proc and sockets of this machine and asks systemd over D-Bus. Other processes must stay visible to it
# (keepalived's are looked at), hence no ProtectProc= and no ProcSubset=.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
{addresses}MemoryMax=64M
TasksMax=32
LimitNOFILE=1024

[Install]
WantedBy=multi-user.target
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(program: &str, file: &str, listen: &str, user: Option<&str>) -> String {
        let mut inventory = crate::tests::inventory();
        inventory.health.listen = listen.parse().unwrap();
        let node = NodeName::new("a").unwrap();
        let (program, file) = (Path::new(program), Path::new(file));
        UnitFile { inventory: &inventory, node: &node, program, file, user }.text()
    }

    #[test]
    fn a_unit_names_files_that_a_service_can_read_hlt_1() {
        let unit = text("/home/me/rollup", "/root/rollup.toml", "127.0.0.1:7480", None);
        let command = "ExecStart=/usr/local/bin/rollup --inventory /etc/rollup/rollup.toml health serve --node a\n";
        assert!(unit.contains(command) && unit.contains("\nDynamicUser=yes\nUser=rollup-health\n"), "{unit}");
        let unit = text("/opt/rollup/rollup", "/etc/pair.toml", "127.0.0.1:7480", Some("monitor"));
        assert!(unit.contains("ExecStart=/opt/rollup/rollup --inventory /etc/pair.toml health"), "{unit}");
        assert!(unit.contains("\nUser=monitor\n") && !unit.contains("DynamicUser"), "{unit}");
        let unit = text("/opt/a b", "/etc/100%.toml", "127.0.0.1:7480", None);
        assert!(unit.contains("ExecStart=/usr/local/bin/rollup --inventory /etc/rollup/rollup.toml"), "{unit}");
    }

    #[test]
    fn a_server_for_others_is_not_shut_off_from_them_hlt_1() {
        assert!(text("/x", "/x", "127.0.0.1:7480", None).contains("\nIPAddressDeny=any\n"));
        assert!(!text("/x", "/x", "10.0.0.1:7480", None).contains("IPAddressDeny"));
    }
}
