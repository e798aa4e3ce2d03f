//! What ssh is to connect to, and what to do when it cannot.

use std::{fmt, str::FromStr};

use rollup_model::inventory::Ssh;
use rollup_remote::RemoteError;

use crate::{
    exit::{BLOCKED, Exit, UNEXPECTED},
    typed::quoted_option,
};

/// `[user@]host[:port]`; an IPv6 address with a port stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or(port))),
            // More than one colon without brackets is an IPv6 address.
            None => match rest.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (rest, None),
            },
        };
        let is_word = |word: &str| {
            !word.is_empty()
                && !word.starts_with('-')
                && word.chars().all(|c| c.is_ascii_alphanumeric() || "-._:%".contains(c))
        };
        if !is_word(host) || !user.is_none_or(is_word) {
            return Err("expected [USER@]HOST[:PORT]".to_owned());
        }
        let port = match port {
            Some(port) => Some(port.parse().map_err(|_| format!("expected a port, found `{port}`"))?),
            None => None,
        };
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// Why a node could not be looked at, and what to type about it.
pub(super) fn refused(ssh: &Ssh, host: &str, error: RemoteError) -> Exit {
    let line = |program: &str| {
        let option =
            |name: &str, value: &Option<String>| quoted_option(name, value.as_deref().map(std::path::Path::new));
        let known = ssh.known_hosts.as_ref().map(|file| format!(" -o UserKnownHostsFile={file}")).unwrap_or_default();
        let port = ssh.port.map(|port| format!(" -p {port}")).unwrap_or_default();
        let (config, identity) = (option("-F", &ssh.config_file), option("-i", &ssh.identity_file));
        format!("{program}{config}{identity}{known}{}{port} {host}", option("-l", &ssh.user))
    };
    let hint = match &error {
        RemoteError::Unreachable { why, .. } if why.contains("ost key") || why.contains("HOST IDENTIFICATION") => {
            let port = ssh.port.map(|port| format!(" -p {port}")).unwrap_or_default();
            format!(
                "compare `ssh-keyscan{port} {host} | ssh-keygen -lf -` with what the node itself says, then accept it once: {}",
                line("ssh")
            )
        }
        RemoteError::Exit { stderr, .. } if stderr.contains("sudo") => {
            let user = ssh.user.as_deref().unwrap_or("USER");
            format!("on {host}, as root: echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{user}")
        }
        RemoteError::Unreachable { .. } => format!("{} true", line("ssh")),
        _ => String::new(),
    };
    let sudo = hint.contains("sudoers");
    let code = if hint.is_empty() { UNEXPECTED } else { BLOCKED };
    let exit = Exit::from(match sudo {
        true => anyhow::Error::from(error).context("`sudo -n` must not ask for a password"),
        false => error.into(),
    });
    let exit = Exit { code, ..exit };
    if hint.is_empty() { exit } else { exit.hint(hint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_ssh_users_write_them() {
        let read = |text: &str| {
            let Target { user, host, port } = text.parse().unwrap();
            (user.unwrap_or_default(), host, port)
        };
        assert_eq!(read("ops@10.0.0.11"), ("ops".to_owned(), "10.0.0.11".to_owned(), None));
        assert_eq!(read("node-a:2222"), (String::new(), "node-a".to_owned(), Some(2222)));
        assert_eq!(read("ops@[fd00::1]:22"), ("ops".to_owned(), "fd00::1".to_owned(), Some(22)));
        assert_eq!(read("fd00::1"), (String::new(), "fd00::1".to_owned(), None));
        for text in ["ops@node-a:22", "[fd00::1]:22", "node-a", "fd00::1"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_a_shell_or_ssh_would_take_for_something_else_is_no_target() {
        for text in ["", "@host", "ops@", "-oProxyCommand=x", "a b", "host:port", "host:", "[fd00::1", "a;b", "$(x)"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
