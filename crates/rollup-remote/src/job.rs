//! Work that outlives a connection: a transient systemd unit on the node.
//!
//! The unit's name is the job's identity. Starting a job that already runs attaches to it, so a lost connection or a
//! death of this process costs nothing. Polling lives here and nowhere else outside the engine.

use std::time::Duration;

use crate::{Cmd, Host, RemoteError};

/// A job on a node.
#[derive(Debug, Clone)]
pub struct Job {
    /// Name of the unit, without `.service`; the same for the same work of the same run.
    pub unit: String,
    /// Name of the work, for messages and the simulator: the id of [`Job::cmd`].
    pub cmd: Cmd,
}

/// Starts the unit, or attaches to the one that runs. `$1` unit, `$2` user, `$3` limit in seconds, then argv.
/// A unit left over from a failed try is cleared first. The description is said, since systemd would take the whole script
/// for it, and after a `daemon-reload` no longer knows a unit whose description has several lines. Output goes to a file that root alone reads. Each `$` is doubled,
/// since systemd expands variables in the arguments of a unit.
const START: &str = r#"
unit=$1 user=$2 limit=$3; shift 3
case $(systemctl show -p ActiveState --value "$unit.service") in
  active|activating|deactivating|reloading) exit 0 ;;
esac
systemctl reset-failed "$unit.service" 2>/dev/null || true
install -d -m 0700 /var/lib/rollup /var/lib/rollup/jobs
log=/var/lib/rollup/jobs/$unit.log
: > "$log"; chmod 0600 "$log"
exec systemd-run --quiet --unit="$unit" --description="$unit" --remain-after-exit --uid="$user" --property=RuntimeMaxSec="$limit" \
  --property=StandardOutput=append:"$log" --property=StandardError=append:"$log" --property=Nice=5 -- "${@//\$/\$\$}"
"#;

/// `$1` unit, `$2` seconds to wait at most for its end. Waiting there is cheaper for the node, and hears of the end sooner,
/// than asking again and again.
const LOOK: &str = r#"
pid=$(systemctl show -p MainPID --value "$1.service")
[ "${pid:-0}" = 0 ] || timeout "$2" tail --sleep-interval=0.05 --pid="$pid" --follow /dev/null || true
systemctl show -p ActiveState -p SubState -p Result -p ExecMainStatus "$1.service"
echo --
tail -c 4000 "/var/lib/rollup/jobs/$1.log" 2>/dev/null || true
"#;

const CLEAR: &str = r#"
systemctl stop "$1.service" 2>/dev/null || true
systemctl reset-failed "$1.service" 2>/dev/null || true
rm -f "/var/lib/rollup/jobs/$1.log"
"#;

/// What a look at a unit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// There is no such unit.
    Absent,
    /// It works; the last line it wrote.
    Running(String),
    /// It ended well.
    Succeeded,
    /// It ended badly.
    Failed {
        /// systemd's word for it, for example `exit-code` or `timeout`.
        result: String,
        /// Its status.
        code: i32,
        /// The end of what it wrote.
        log: String,
    },
}

impl Job {
    /// A job that does what `cmd` would do, under a name that belongs to one run and one step.
    pub fn new(run: &str, step: &str, cmd: Cmd) -> Self {
        Self { unit: unit_of(run, step), cmd }
    }

    /// Whether the job of this run and step is on the node, at work or ended well: whoever runs it now attaches to it.
    ///
    /// # Errors
    /// The node cannot be asked.
    pub async fn is_there(host: &dyn Host, run: &str, step: &str) -> Result<bool, RemoteError> {
        Ok(matches!(look(host, &unit_of(run, step)).await?, JobState::Running(_) | JobState::Succeeded))
    }

    /// Runs the job to its end, or attaches to the one that runs; then removes its traces. `progress` is told the last
    /// line the job wrote whenever it changes.
    pub async fn run(&self, host: &dyn Host, progress: &(dyn Fn(&str) + Send + Sync)) -> Result<(), RemoteError> {
        let user = match &self.cmd.run_as {
            crate::RunAs::Root => "root",
            crate::RunAs::User(user) => user,
        };
        let limit = self.cmd.deadline.as_secs().max(1).to_string();
        let args = [self.unit.as_str(), user, &limit].into_iter().chain(self.cmd.argv.iter().map(String::as_str));
        host.exec(&Cmd::mutate("job.start", START, args)).await?;
        let mut shown = String::new();
        let mut unseen = 0;
        loop {
            let state = match self.look(host).await {
                // The job does not need us: a node out of reach for a while is looked at again.
                Err(RemoteError::Unreachable { .. }) if unseen < UNSEEN_AT_MOST => {
                    unseen += 1;
                    rest(Duration::from_secs(1)).await;
                    continue;
                }
                other => other?,
            };
            unseen = 0;
            match state {
                JobState::Running(line) => {
                    if line != shown && !line.is_empty() {
                        progress(&line);
                        shown = line;
                    }
                }
                JobState::Succeeded => {
                    host.exec(&Cmd::mutate("job.clear", CLEAR, [self.unit.as_str()])).await?;
                    return Ok(());
                }
                JobState::Failed { result, code, log } => {
                    // What it said is in the error; a unit left in the list of failed ones would only raise questions.
                    host.exec(&Cmd::mutate("job.clear", CLEAR, [self.unit.as_str()])).await?;
                    let stderr = if result == "timeout" { format!("{log}\nstopped after {limit} s") } else { log };
                    return Err(RemoteError::Exit {
                        host: host.name().to_owned(),
                        id: self.cmd.id.to_owned(),
                        code,
                        stdout: String::new(),
                        stderr,
                    });
                }
                JobState::Absent => {
                    // A reboot takes transient units along.
                    let why = "the job is gone from the node; was it rebooted?".to_owned();
                    return Err(RemoteError::InDoubt { host: host.name().to_owned(), id: self.cmd.id.to_owned(), why });
                }
            }
            rest(Duration::from_millis(50)).await;
        }
    }

    /// Looks at the job's unit once it has ended, at the latest after a moment.
    pub async fn look(&self, host: &dyn Host) -> Result<JobState, RemoteError> {
        look(host, &self.unit).await
    }
}

async fn look(host: &dyn Host, unit: &str) -> Result<JobState, RemoteError> {
    let output = host.exec(&Cmd::read("job.look", LOOK, [unit, MOMENT])).await?;
    Ok(parse(&output.stdout))
}

fn unit_of(run: &str, step: &str) -> String {
    format!("rollup-{run}-{}", step.replace(['@', '.'], "-"))
}

/// How long a look waits for the end, in seconds: what the job says meanwhile is shown this often.
const MOMENT: &str = "2";

/// How many looks in a row may get no answer: half a minute and more, with the time that ssh takes to give up.
const UNSEEN_AT_MOST: u32 = 30;

#[expect(clippy::disallowed_methods, reason = "polling a job is this module's duty")]
async fn rest(pause: Duration) {
    tokio::time::sleep(pause).await;
}

fn parse(text: &str) -> JobState {
    let (properties, log) = text.split_once("--\n").unwrap_or((text, ""));
    let get = |name: &str| {
        properties.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned()
    };
    let last_line = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
    match (get("ActiveState").as_str(), get("SubState").as_str()) {
        ("active", "exited") => JobState::Succeeded,
        ("failed", _) => JobState::Failed {
            result: get("Result"),
            code: get("ExecMainStatus").parse().unwrap_or(-1),
            log: log.to_owned(),
        },
        ("inactive", _) | ("", _) => JobState::Absent,
        _ => JobState::Running(last_line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_states_of_a_unit_are_told_apart() {
        let look = |active: &str, sub: &str, rest: &str| {
            parse(&format!("ActiveState={active}\nSubState={sub}\n{rest}--\nstarting\n50 %\n\n"))
        };
        assert_eq!(look("active", "exited", "Result=success\n"), JobState::Succeeded);
        assert_eq!(look("active", "running", ""), JobState::Running("50 %".to_owned()));
        assert_eq!(look("inactive", "dead", ""), JobState::Absent);
        let JobState::Failed { result, code, .. } = look("failed", "failed", "Result=exit-code\nExecMainStatus=7\n")
        else {
            panic!("expected a failed job")
        };
        assert_eq!((result.as_str(), code), ("exit-code", 7));
    }
}
