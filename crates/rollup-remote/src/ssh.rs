//! A machine over OpenSSH: one multiplexed connection, made when it is first needed and again when it is lost.

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use openssh::{KnownHosts, Session, SessionBuilder};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Mutex, Semaphore},
};
use zeroize::Zeroizing;

use crate::{Cmd, Effect, Host, Output, RemoteError, Rsync, RunAs, Sent, Stdin};

/// How long input may still be on its way to a command that has closed its outputs.
const FEED_ENDS: Duration = Duration::from_millis(500);

/// How to reach one machine.
#[derive(Debug, Clone)]
pub struct SshSettings {
    /// Name used in messages.
    pub name: String,
    /// Address for ssh.
    pub host: String,
    /// Login user.
    pub user: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Private key file.
    pub identity_file: Option<PathBuf>,
    /// Host keys.
    pub known_hosts: Option<PathBuf>,
    /// `ssh_config` for everything else.
    pub config_file: Option<PathBuf>,
    /// Limit for a new connection.
    pub connect_timeout: Duration,
}

/// A machine over OpenSSH.
pub struct SshHost {
    settings: SshSettings,
    session: Mutex<Option<Arc<Session>>>,
    // sshd's MaxSessions is 10 by default; more fail at once with a misleading error. Two are left for people.
    channels: Semaphore,
    control: tempfile::TempDir,
}

/// The control sockets of one host. The path must stay short: a long one fails only after authentication.
fn control_directory() -> std::io::Result<tempfile::TempDir> {
    sweep();
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let private = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix(&prefix).rand_bytes(4).permissions(private).tempdir_in("/tmp")
}

const PREFIX: &str = "rollup-ssh-";

/// Removes what killed processes left. Their masters end by themselves when they are idle.
fn sweep() {
    let Ok(entries) = std::fs::read_dir("/tmp") else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        let mine = entry.metadata().is_ok_and(|meta| meta.uid() == rustix::process::getuid().as_raw());
        if mine && pid.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            // Somebody else may be sweeping too.
            let _gone = std::fs::remove_dir_all(entry.path());
        }
    }
}

impl SshHost {
    /// Prepares a host; nothing is connected yet.
    pub fn new(settings: SshSettings) -> std::io::Result<Self> {
        let control = control_directory()?;
        Ok(Self { settings, session: Mutex::new(None), channels: Semaphore::new(8), control })
    }

    async fn session(&self) -> Result<Arc<Session>, RemoteError> {
        let mut slot = self.session.lock().await;
        if let Some(session) = slot.as_ref() {
            return Ok(Arc::clone(session));
        }
        let settings = &self.settings;
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(KnownHosts::Strict)
            .connect_timeout(settings.connect_timeout)
            .server_alive_interval(Duration::from_secs(5))
            .control_directory(self.control.path())
            // A killed process leaves its master behind; it ends by itself.
            .control_persist(openssh::ControlPersist::IdleFor(std::num::NonZeroUsize::MIN.saturating_add(29)));
        if let Some(user) = &settings.user {
            builder.user(user.clone());
        }
        if let Some(port) = settings.port {
            builder.port(port);
        }
        if let Some(file) = &settings.identity_file {
            builder.keyfile(file);
        }
        if let Some(file) = &settings.known_hosts {
            builder.user_known_hosts_file(file);
        }
        if let Some(file) = &settings.config_file {
            builder.config_file(file);
        }
        let session = builder.connect_mux(&settings.host).await.map_err(|error| self.unreachable(&error))?;
        let session = Arc::new(session);
        *slot = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Forgets a connection that failed, unless another task already made a new one.
    async fn forget(&self, broken: &Arc<Session>) {
        let mut slot = self.session.lock().await;
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, broken)) {
            *slot = None;
        }
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> RemoteError {
        RemoteError::Unreachable { host: self.settings.name.clone(), why: innermost(error) }
    }

    /// The command line on the node: sudo, a shared lock while a change runs, the deadline, the user, argv.
    ///
    /// The lock is how a later process waits for what an earlier one left running ([`crate::Cmd`]s outlive a lost
    /// connection): it takes the same lock exclusively. `flock -o` keeps it from leaking into daemons.
    fn line(cmd: &Cmd) -> Vec<String> {
        let mut line: Vec<String> = ["sudo", "-n", "--"].map(String::from).into();
        if cmd.effect == Effect::Mutate {
            line.extend(["flock", "-o", "-s", LOCK].map(String::from));
        }
        line.extend([
            "timeout".to_owned(),
            "-k".to_owned(),
            "5".to_owned(),
            format!("{:.3}", cmd.deadline.as_secs_f64()),
        ]);
        if let RunAs::User(user) = &cmd.run_as {
            line.extend(["runuser", "-u", user, "--"].map(String::from));
        }
        line.extend(cmd.argv.iter().cloned());
        line
    }

    async fn run(
        &self,
        session: &Session,
        cmd: &Cmd,
        sink: Option<&mut (dyn AsyncWrite + Send + Unpin)>,
    ) -> Result<(Output, Option<i32>), Lost> {
        let line = Self::line(cmd);
        let mut command = session.command(line[0].as_str());
        command.args(&line[1..]).stdout(openssh::Stdio::piped()).stderr(openssh::Stdio::piped());
        command.stdin(match cmd.stdin {
            Stdin::Null => openssh::Stdio::null(),
            Stdin::Bytes(_) | Stdin::File(_) | Stdin::Stream(_) => openssh::Stdio::piped(),
        });
        let mut child = command.spawn().await.map_err(|error| Lost::Before(innermost(&error)))?;
        let stdin = child.stdin().take();
        let feed = async {
            let Some(mut stdin) = stdin else { return Ok(()) };
            match &cmd.stdin {
                Stdin::Null => {}
                Stdin::Bytes(bytes) => stdin.write_all(bytes).await?,
                Stdin::File(path) => feed_from(&mut tokio::fs::File::open(path).await?, &mut stdin).await?,
                Stdin::Stream(stream) => feed_from(&mut stream.take()?, &mut stdin).await?,
            }
            stdin.shutdown().await
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        let taking = async {
            match sink {
                None => {
                    drain(stdout, &mut out).await;
                    Ok(())
                }
                Some(sink) => pour(stdout, sink).await,
            }
        };
        let answering = async { tokio::join!(taking, drain(stderr, &mut err)) };
        // A command that ends without reading its input breaks the pipe: its status says more than that error. Once both
        // its outputs are closed nobody reads any more, and whoever feeds it may be waiting for its answer.
        let (fed, (taken, ())) = {
            let (mut feed, mut answering) = (pin!(feed), pin!(answering));
            tokio::select! {
                fed = &mut feed => (fed, answering.await),
                answered = &mut answering => {
                    #[expect(clippy::disallowed_methods, reason = "a feed that has all it needs ends within this time")]
                    let fed = tokio::time::timeout(FEED_ENDS, feed).await;
                    (fed.unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into())), answered)
                }
            }
        };
        if let Err(error) = taken {
            // It ends by itself: what it writes goes nowhere any more.
            let _ended = child.wait().await;
            return Err(Lost::Sink(error));
        }
        let output = Output {
            stdout: String::from_utf8_lossy(&out).into_owned(),
            stderr: String::from_utf8_lossy(&err).into_owned(),
        };
        match child.wait().await {
            Ok(status) => match status.code() {
                Some(0) if fed.is_err() => Err(Lost::During("the input could not be sent in full".to_owned())),
                code => Ok((output, code)),
            },
            Err(openssh::Error::Remote(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok((output, Some(127)))
            }
            Err(error) => Err(Lost::During(innermost(&error))),
        }
    }

    /// Runs one command and says what its end means.
    async fn complete(
        &self,
        cmd: &Cmd,
        mut sink: Option<&mut (dyn AsyncWrite + Send + Unpin)>,
    ) -> Result<Output, RemoteError> {
        let host = || self.settings.name.clone();
        let _channel = self.channels.acquire().await.map_err(|error| self.unreachable(&error))?;
        // A connection that was lost while idle is found out at the next command: try once more with a fresh one,
        // which is safe because the command was not sent.
        let mut fresh_tried = false;
        let (session, result) = loop {
            let session = self.session().await?;
            let limit = cmd.deadline + Duration::from_secs(10);
            #[expect(clippy::disallowed_methods, reason = "the local side of Cmd.deadline")]
            let result = tokio::time::timeout(
                limit,
                self.run(&session, cmd, sink.as_mut().map(|sink| &mut **sink as &mut (dyn AsyncWrite + Send + Unpin))),
            )
            .await;
            match result {
                Ok(Err(Lost::Before(_))) if !fresh_tried => {
                    fresh_tried = true;
                    self.forget(&session).await;
                }
                result => break (session, result),
            }
        };
        let why = match result {
            Ok(Ok((output, Some(0)))) => return Ok(output),
            // `timeout` stopped it on the node: how far it came is not known.
            Ok(Ok((_, Some(124 | 137)))) => format!("stopped on the node after {} s", cmd.deadline.as_secs()),
            Ok(Ok((output, Some(code)))) => {
                let Output { stdout, stderr } = output;
                return Err(RemoteError::Exit { host: host(), id: cmd.id.to_owned(), code, stdout, stderr });
            }
            Ok(Err(Lost::Before(why))) => {
                self.forget(&session).await;
                return Err(RemoteError::Unreachable { host: host(), why });
            }
            Ok(Err(Lost::During(why))) => why,
            Ok(Err(Lost::Sink(error))) => return Err(RemoteError::sink(&self.settings.name, cmd, &error)),
            Ok(Ok((_, None))) => "ended by a signal, or the connection was lost".to_owned(),
            Err(_) => format!("no answer within {} s", cmd.deadline.as_secs() + 10),
        };
        if !why.starts_with("stopped on the node") {
            self.forget(&session).await;
        }
        Err(match cmd.effect {
            Effect::Read => RemoteError::Unreachable { host: host(), why: format!("`{}`: {why}", cmd.id) },
            Effect::Mutate => RemoteError::InDoubt { host: host(), id: cmd.id.to_owned(), why },
        })
    }
}

/// Held shared by every change, exclusively by whoever waits for the node to be quiet.
const LOCK: &str = "/run/lock/rollup.lock";

enum Lost {
    /// The command was not sent.
    Before(String),
    /// It was sent, and its end was not seen.
    During(String),
    /// What it wrote could not be taken here.
    Sink(std::io::Error),
}

/// How much is read at once, in bytes.
const PIECE: usize = 256 * 1024;

async fn feed_from<R, W>(from: &mut R, to: &mut W) -> std::io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    // It may be a secret that goes through.
    let mut buffer = Zeroizing::new(vec![0; PIECE]);
    loop {
        match from.read(&mut buffer).await? {
            0 => return Ok(()),
            read => to.write_all(&buffer[..read]).await?,
        }
    }
}

/// Writes to `sink` what comes, until the end or until the connection breaks; only an error of the sink is one here.
async fn pour<R: AsyncRead + Unpin>(
    from: Option<R>,
    sink: &mut (dyn AsyncWrite + Send + Unpin),
) -> std::io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = Zeroizing::new(vec![0; PIECE]);
    loop {
        match from.read(&mut buffer).await {
            // What a broken connection means is told by the command's status.
            Ok(0) | Err(_) => return sink.flush().await,
            Ok(read) => sink.write_all(&buffer[..read]).await?,
        }
    }
}

async fn drain<R: AsyncRead + Unpin>(from: Option<R>, into: &mut Vec<u8>) {
    if let Some(mut from) = from {
        // What was read before an error is still shown.
        let _ = from.read_to_end(into).await;
    }
}

/// The cause nearest to the fact; ssh's own message sits there.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        message = source.to_string();
        next = source.source();
    }
    message.trim().to_owned()
}

#[async_trait::async_trait]
impl Host for SshHost {
    fn name(&self) -> &str {
        &self.settings.name
    }

    async fn exec(&self, cmd: &Cmd) -> Result<Output, RemoteError> {
        self.complete(cmd, None).await
    }

    async fn exec_to(&self, cmd: &Cmd, sink: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<Output, RemoteError> {
        self.complete(cmd, Some(sink)).await
    }

    async fn rsync(&self, rsync: &Rsync, seen: &(dyn Fn(u64) + Send + Sync)) -> Option<Result<Sent, RemoteError>> {
        let Ok(_channel) = self.channels.acquire().await else { return None };
        let session = match self.session().await {
            Ok(session) => session,
            Err(error) => return Some(Err(error)),
        };
        let deadline = format!("{:.3}", rsync.deadline.as_secs_f64());
        let remote = ["sudo", "-n", "--", "flock", "-o", "-s", LOCK, "timeout", "-k", "5", &deadline, "rsync"];
        let sent = crate::rsync::run(self.name(), session.control_socket(), &remote, rsync, seen).await;
        if matches!(sent, Some(Err(RemoteError::InDoubt { .. }))) {
            self.forget(&session).await;
        }
        sent
    }
}

/// Waits until no change of an earlier process is still running on the node, at most for the command's deadline.
pub fn quiet(wait: Duration) -> Cmd {
    let seconds = wait.as_secs().max(1).to_string();
    Cmd::read("node.quiet", r#"exec flock -x -w "$1" /run/lock/rollup.lock true"#, [seconds])
        .deadline(wait + Duration::from_secs(5))
}
