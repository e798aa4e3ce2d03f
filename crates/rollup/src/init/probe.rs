//! The look at one node: a constant script, one command, nothing passed to it.
//!
//! Owns what runs on the node. It must not know what the answers mean.

use std::time::Duration;

use rollup_remote::Cmd;

/// Prints facts, one a line, its fields with tabs between, `end` last. Reads only.
const LOOK: &str = include_str!("probe.sh");

/// The one command that a node is asked.
pub(super) fn look() -> Cmd {
    Cmd::read("init.look", LOOK, [""; 0]).deadline(Duration::from_secs(30))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use super::LOOK;

    /// What one function of the script prints for a text on standard input.
    fn said(function: &str, call: &str, input: &str) -> String {
        let begin = LOOK.find(&format!("\n{function}() {{\n")).unwrap();
        let end = begin + LOOK[begin..].find("\n}\n").unwrap() + 3;
        let emit = LOOK.lines().find(|line| line.starts_with("emit() {")).unwrap();
        let script = format!("set +eu; export LC_ALL=C\n{emit}\n{}\n{call}", &LOOK[begin..end]);
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = bash.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn of_a_call_of_rsync_only_its_paths_leave_the_node() {
        let copies = |text: &str| {
            said("rsync_calls", "rsync_calls unit x", text).replace("rsync\tunit\tx\t", "").replace('\t', " ")
        };
        for (text, paths) in [
            ("rsync -a /a/ b:/a/", "/a/ b:/a/\n"),
            ("RSYNC_PASSWORD=word /usr/bin/rsync -az --delete /a b::a", "/a b::a\n"),
            ("rsync -e 'sshpass -p word ssh -i /key' \"/with blank/\" \"$TO:/b\" # word", "/with blank/ $TO:/b\n"),
            ("exec rsync --archive \\\n    -e 'ssh -p word' \\\n    /a \\\n    b:/a\n", "/a b:/a\n"),
            ("rsync --password-file /word --exclude=/word --exclude '*.bak' /a /c b:/d >/word 2>&1", "/a /c b:/d\n"),
            ("if ! command -v rsync; then exit; fi; cd /x && rsync -aze ssh /a b:/a || echo word", "/a b:/a\n"),
            ("ExecStart=-/usr/bin/rsync -a /a b:/a\nRestart=word", "/a b:/a\n"),
            ("rsync -a /a b:/a; rsync -a /c b:/c", "/a b:/a\n/c b:/c\n"),
            ("# rsync /word b:/word\nrsync --daemon --config /word x y\nxrsync word word\nrsync", ""),
        ] {
            assert_eq!(copies(text), paths, "{text}");
        }
    }

    #[test]
    fn instances_and_their_addresses_are_found_however_they_are_laid_out() {
        let text = "
$VIP=10.0.0.9
$IF = bond0   # x
vrrp_sync_group G { group { A B } }
vrrp_instance A {
  interface $IF
  authentication { auth_pass word }
  virtual_ipaddress { $VIP/24 dev eth0 }
  virtual_ipaddress_excluded {
    fd00::9/64
  }
}
vrrp_instance \"B\"
{
    @^node-b interface eth1
    virtual_ipaddress
    {
       10.0.0.10 ! 10.0.0.99
       # 10.0.0.98
       10.0.0.11/24 dev eth1 label x
    }
    virtual_routes { 10.1.0.0/16 dev eth1 }
}
virtual_server 10.0.0.97 80 { }
";
        let found = "vip\tA\t10.0.0.9\nvip\tA\tfd00::9\nvip\tB\t10.0.0.10\nvip\tB\t10.0.0.11\n\
                     instance\tA\tbond0\ninstance\tB\teth1\n";
        assert_eq!(said("instances", "instances", text), found);
    }
}
