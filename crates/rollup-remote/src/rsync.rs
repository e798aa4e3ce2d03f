//! Files on their way to a node, of which only what differs travels: rsync, over the connection that is there.
//!
//! The remote side runs as every change does, under sudo, the shared lock and a deadline. When the connection is lost
//! nobody knows how far it came; run again it goes on from there, since what has arrived is the basis.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use crate::RemoteError;

/// Files below one directory of this machine that are wanted below one of a node.
#[derive(Debug, Clone)]
pub struct Rsync {
    /// Stable name, `subject.verb`.
    pub id: &'static str,
    /// Directory of this machine.
    pub from: PathBuf,
    /// Names below both directories. None holds a line break.
    pub names: Vec<String>,
    /// Directory of the node. What lies there under such a name is the basis, and is overwritten in place.
    pub to: String,
    /// Limit, enforced on the node; a longer one is kept on this side.
    pub deadline: Duration,
}

/// What a transfer cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes that went to the node, as rsync counts them, without what ssh adds.
    pub there: u64,
    /// Bytes that came back: the checksums of the basis.
    pub back: u64,
}

/// Whether this machine has rsync: worth knowing before anything is made ready for it.
pub fn has_rsync() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join("rsync").is_file())
}

/// Runs rsync through the control socket of a connection. `None`: this machine has none.
pub(crate) async fn run(
    name: &str,
    socket: &Path,
    remote: &[&str],
    rsync: &Rsync,
    seen: &(dyn Fn(u64) + Send + Sync),
) -> Option<Result<Sent, RemoteError>> {
    let doubt = |why: String| RemoteError::InDoubt { host: name.to_owned(), id: rsync.id.to_owned(), why };
    // The socket knows where it leads; no configuration is read again.
    let shell = format!("ssh -F none -o BatchMode=yes -o ControlMaster=no -S {}", socket.display());
    let mut command = Command::new("rsync");
    command
        .arg("--rsh")
        .arg(shell)
        .arg(format!("--rsync-path={}", remote.join(" ")))
        // Whatever lies there is no reason to skip a file: its time means nothing.
        .args(["--inplace", "--no-whole-file", "--ignore-times", "--secluded-args"])
        .args(["--perms", "--chmod=D0700,F0600", "--files-from=-", "--from0", "--info=progress2", "--stats"])
        .arg(rsync.from.join(""))
        .arg(format!("{name}:{}/", rsync.to))
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let names = rsync.names.join("\0");
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        let Some(mut stdin) = stdin else { return };
        // One that ends early says why by its status.
        let _sent = stdin.write_all(names.as_bytes()).await;
    };
    let watch = async {
        let mut sent = Sent::default();
        let Some(stdout) = stdout else { return sent };
        let mut lines = BufReader::new(stdout);
        let mut piece = Vec::new();
        // Its progress overwrites itself: pieces end in a carriage return.
        while lines.read_until(b'\r', &mut piece).await.is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&piece);
            if let Some(bytes) = progress(&text) {
                seen(bytes);
            }
            statistics(&text, &mut sent);
            piece.clear();
        }
        sent
    };
    let complain = async {
        let mut said = String::new();
        if let Some(mut stderr) = stderr {
            let _read = stderr.read_to_string(&mut said).await;
        }
        said
    };
    let all = async {
        let ((), sent, said) = tokio::join!(feed, watch, complain);
        (sent, said, child.wait().await)
    };
    let limit = rsync.deadline + Duration::from_secs(10);
    #[expect(clippy::disallowed_methods, reason = "the local side of the deadline")]
    let ended = tokio::time::timeout(limit, all).await;
    let Ok((sent, said, status)) = ended else {
        return Some(Err(doubt(format!("no end within {} s", limit.as_secs()))));
    };
    Some(match status.map(|status| status.code()) {
        Ok(Some(0)) => Ok(sent),
        // 1 to 4 and 127: it never began. All others broke off somewhere.
        Ok(Some(code @ (1..=4 | 127))) => {
            let (host, id, stdout) = (name.to_owned(), rsync.id.to_owned(), String::new());
            Err(RemoteError::Exit { host, id, code, stdout, stderr: said })
        }
        _ => Err(doubt(said.trim().lines().last().unwrap_or("rsync was ended by a signal").to_owned())),
    })
}

/// Bytes of the files that are dealt with, from `      1,234,567  43%   12.01MB/s    0:00:07`.
fn progress(piece: &str) -> Option<u64> {
    let mut words = piece.split_whitespace();
    let bytes = words.next()?.replace(',', "").parse().ok()?;
    words.next()?.ends_with('%').then_some(bytes)
}

/// `Total bytes sent: 1,234` and `Total bytes received: 1,234`.
fn statistics(text: &str, sent: &mut Sent) {
    for line in text.lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        let bytes = value.trim().replace(',', "").parse();
        match (name.trim(), bytes) {
            ("Total bytes sent", Ok(bytes)) => sent.there = bytes,
            ("Total bytes received", Ok(bytes)) => sent.back = bytes,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rsync_says_of_its_way_is_understood() {
        assert_eq!(progress("  1,234,567  43%   12.01MB/s    0:00:07  "), Some(1_234_567));
        assert_eq!(progress("0 files"), None);
        assert_eq!(progress(""), None);
        let mut sent = Sent::default();
        let text = "\r      5 100%\n\nNumber of files: 3\nTotal bytes sent: 10,437\nTotal bytes received: 44\n\nsent 10,437 bytes  received 44 bytes\n";
        statistics(text, &mut sent);
        assert_eq!(sent, Sent { there: 10_437, back: 44 });
    }
}
