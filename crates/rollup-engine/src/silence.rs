//! What is said of a node that gave no answer.

use rollup_model::{Check, Finding, Inventory, inventory::Node};
use rollup_remote::RemoteError;

/// What is asked of every node before anything else can be.
pub(crate) const CHECKS: [Check; 3] = [
    Check::new("host.reachable", "PRE-2", "every node answers over ssh").never_waived(),
    Check::new("host.key", "PRE-2", "the host key of every node is the one that is known").never_waived(),
    Check::new("host.sudo", "PRE-8", "the login user may use `sudo -n`").never_waived(),
];

/// Why a node gave no answer, told by what ssh or sudo said.
pub(crate) fn silence(node: &Node, inventory: &Inventory, error: &RemoteError) -> Finding {
    let said = match error {
        RemoteError::Exit { stderr, .. } => stderr.clone(),
        other => other.to_string(),
    };
    let finding = match (key(node, inventory, &said), error) {
        (Some(finding), _) => finding,
        (None, RemoteError::Exit { .. }) if said.contains("sudo") => {
            let user = inventory.ssh.user.as_deref().unwrap_or("USER");
            Finding::check("host.sudo", "PRE-8", false, "`sudo -n` without a password", last_line(&said))
                .fix(format!("as root on {}: echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{user}", node.name))
        }
        (None, _) => Finding::check("host.reachable", "PRE-2", false, "an answer over ssh", error.to_string())
            .fix(ssh_line(node, inventory)),
    };
    finding.on(&node.name)
}

/// A host key that is not the known one, in one line instead of ssh's banner.
fn key(node: &Node, inventory: &Inventory, said: &str) -> Option<Finding> {
    let name = match inventory.ssh.port {
        Some(port) if port != 22 => format!("[{}]:{port}", node.host),
        _ => node.host.clone(),
    };
    let file = inventory.ssh.known_hosts.as_deref();
    if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        let seen = said.split_whitespace().find(|word| word.starts_with("SHA256:"));
        let seen = seen.map(|word| format!(" {}", word.trim_end_matches('.'))).unwrap_or_default();
        let file = file.map(|file| format!("-f {file} ")).unwrap_or_default();
        let finding =
            Finding::check("host.key", "PRE-2", false, "the host key that is known", format!("another{seen}"));
        return Some(finding.fix(format!(
            "ssh-keygen {file}-R '{name}'   # when the node has a new key by your own will; then precheck again"
        )));
    }
    if !said.contains("host key is known for") {
        return None;
    }
    let port = inventory.ssh.port.map(|port| format!("-p {port} ")).unwrap_or_default();
    let file = file.unwrap_or("~/.ssh/known_hosts");
    let finding =
        Finding::check("host.key", "PRE-2", false, "a host key that is known", "no key of this host is known");
    Some(finding.fix(format!("ssh-keyscan {port}{} >> {file}   # and compare its fingerprint on the node", node.host)))
}

fn last_line(text: &str) -> &str {
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing").trim()
}

/// The command that tries what was tried here, by hand.
fn ssh_line(node: &Node, inventory: &Inventory) -> String {
    let ssh = &inventory.ssh;
    let option =
        |flag: &str, value: &Option<String>| value.as_ref().map(|value| format!("{flag}{value} ")).unwrap_or_default();
    let port = ssh.port.map(|port| format!("-p {port} ")).unwrap_or_default();
    format!(
        "ssh {}{}{}{}{port}{} true",
        option("-F ", &ssh.config_file),
        option("-i ", &ssh.identity_file),
        option("-o UserKnownHostsFile=", &ssh.known_hosts),
        option("-l ", &ssh.user),
        node.host
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGED: &str = "@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@\nIT IS POSSIBLE THAT \
        SOMEONE IS DOING SOMETHING NASTY!\nThe fingerprint for the ED25519 key sent by the remote host is\n\
        SHA256:hlP6WRALZgKu.\nOffending ED25519 key in /tmp/kh:1\nHost key verification failed.";
    const UNKNOWN: &str = "No ED25519 host key is known for 10.0.0.1 and you have requested strict checking.\nHost key verification failed.";

    fn found(ssh: &str, error: &RemoteError) -> Finding {
        let inventory = rollup_model::inventory::load(&format!(
            "cluster={{name='o'}}\n{ssh}nodes=[{{name='a',host='10.0.0.1'}},{{name='b',host='10.0.0.2'}}]\n\
             vip={{address='10.0.0.9'}}\ndatabase={{engine='postgresql',data_dir='/d',unit='p.service',name='o'}}\n\
             service={{units=['o.service']}}\n"
        ))
        .unwrap();
        silence(&inventory.nodes[0], &inventory, error)
    }

    fn unreachable(why: &str) -> RemoteError {
        RemoteError::Unreachable { host: "a".to_owned(), why: why.to_owned() }
    }

    #[test]
    fn a_changed_host_key_is_one_line_with_the_command_that_removes_it_pre_2() {
        let finding = found("ssh={known_hosts='/etc/kh',port=2222}\n", &unreachable(CHANGED));
        assert_eq!((finding.id.as_str(), finding.found.as_str()), ("host.key", "another SHA256:hlP6WRALZgKu"));
        assert!(finding.fix.unwrap().starts_with("ssh-keygen -f /etc/kh -R '[10.0.0.1]:2222'"));
        assert!(found("", &unreachable(CHANGED)).fix.unwrap().starts_with("ssh-keygen -R '10.0.0.1'"));
    }

    #[test]
    fn an_unknown_host_key_says_how_to_know_it_pre_2() {
        let finding = found("", &unreachable(UNKNOWN));
        assert_eq!(finding.id, "host.key");
        assert!(finding.fix.unwrap().starts_with("ssh-keyscan 10.0.0.1 >> ~/.ssh/known_hosts"));
    }

    #[test]
    fn what_sudo_refuses_and_what_does_not_answer_are_told_apart_pre_8() {
        let refused = RemoteError::Exit {
            host: "a".to_owned(),
            id: "facts.gather".to_owned(),
            code: 1,
            stdout: String::new(),
            stderr: "sudo: a password is required\n".to_owned(),
        };
        let finding = found("ssh={user='ops'}\n", &refused);
        assert_eq!((finding.id.as_str(), finding.found.as_str()), ("host.sudo", "sudo: a password is required"));
        assert!(finding.fix.unwrap().ends_with("echo 'ops ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops"));
        let finding = found("ssh={port=22,user='ops'}\n", &unreachable("Connection refused"));
        assert_eq!(finding.id, "host.reachable");
        assert_eq!(finding.fix.unwrap(), "ssh -l ops -p 22 10.0.0.1 true");
    }
}
