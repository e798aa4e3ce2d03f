//! A watch on who takes writes: one server at every moment, or none (VIP-4).
//!
//! A server of its own word only: each is asked on its own socket, all through its changes of role, whether it writes.

use std::{
    collections::BTreeMap,
    io::Write,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use rollup_lab::Engine;

use crate::{bench::Bench, pair::NODES};

/// Asks fifty times a second until its input ends, and prints from when to when one connection was told that the server
/// writes. A server loses its connections when it becomes a standby. Arguments: socket directory and port.
const ASK: &str = r#"
import select, sys, time, psycopg2
connection = since = until = None
while not select.select([sys.stdin], [], [], 0.02)[0]:
    began = time.time()
    try:
        if connection is None:
            connection = psycopg2.connect(host=sys.argv[1], port=sys.argv[2], dbname="postgres", connect_timeout=2)
            connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("select pg_is_in_recovery()")
        writes = not cursor.fetchone()[0]
    except psycopg2.Error:
        connection, writes = None, False
    if writes:
        since, until = since or time.time(), began
    elif since:
        print(since, until, flush=True)
        since = None
if since:
    print(since, until, flush=True)
"#;

/// Who is asked, node by node, until [`Writers::stop`].
pub(crate) struct Writers(BTreeMap<&'static str, Child>);

/// From when to when a server surely took writes, in seconds.
type Stretch = (f64, f64);

/// Who took writes when.
pub(crate) struct Written(BTreeMap<&'static str, Vec<Stretch>>);

impl Writers {
    /// Asks from now on.
    pub(crate) fn watch(bench: &Bench) -> Result<Self> {
        let engine = bench.lab.engine();
        let (user, socket) = match engine {
            Engine::Postgresql => ("postgres", "/var/run/postgresql"),
            Engine::Opengauss | Engine::Gaussdb => ("omm", "/opt/huawei/tmp"),
        };
        let ask = |node: &'static str| -> Result<(&'static str, Child)> {
            bench.lab.root_script(node, &format!("cat > /run/writers.py <<'ASK'\n{ASK}\nASK\n"))?;
            let words = format!("cd / && sudo -n -u {user} python3 /run/writers.py {socket} {}", engine.port());
            let mut command: Command = bench.lab.ssh_command(node, [words])?;
            Ok((node, command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?))
        };
        Ok(Self(NODES.into_iter().map(ask).collect::<Result<_>>()?))
    }

    /// Ends the watch.
    pub(crate) fn stop(self) -> Result<Written> {
        let end = |(node, mut child): (&'static str, Child)| -> Result<(&'static str, Vec<Stretch>)> {
            child.stdin.take().context("expected a pipe")?.write_all(b"\n")?;
            let output = child.wait_with_output()?;
            ensure!(output.status.success(), "the watch on {node} ended early: {}", output.status);
            let text = String::from_utf8(output.stdout)?;
            let stretch = |line: &str| -> Result<Stretch> {
                let (since, until) = line.split_once(' ').with_context(|| format!("expected two times in `{line}`"))?;
                Ok((since.parse()?, until.parse()?))
            };
            Ok((node, text.lines().map(stretch).collect::<Result<_>>()?))
        };
        Ok(Written(self.0.into_iter().map(end).collect::<Result<_>>()?))
    }
}

impl Written {
    /// The longest time for which two servers surely took writes at once; zero when there never were two.
    fn two_for(&self) -> f64 {
        let [first, second] = NODES.map(|node| &self.0[node]);
        let pairs = first.iter().flat_map(|one| second.iter().map(move |other| (one, other)));
        pairs.map(|(one, other)| one.1.min(other.1) - one.0.max(other.0)).fold(0.0, f64::max)
    }

    /// Insists that there was a writer, and that there never were two.
    pub(crate) fn insist_one(&self) -> Result<()> {
        let count: usize = self.0.values().map(Vec::len).sum();
        ensure!(count > 0, "nobody took writes all the time, so nothing is proven");
        ensure!(self.two_for() == 0.0, "two servers took writes at once: {:?}", self.0);
        let seconds = |(node, stretches): (&&str, &Vec<Stretch>)| {
            format!("{node} {:.1} s", stretches.iter().map(|(since, until)| until - since).sum::<f64>())
        };
        crate::say(&format!("        one writer: {}", self.0.iter().map(seconds).collect::<Vec<_>>().join(", ")));
        Ok(())
    }

    /// Insists that the watch has seen two writers.
    pub(crate) fn insist_two(&self) -> Result<()> {
        ensure!(self.two_for() > 0.0, "expected two writers at once, found {:?}", self.0);
        Ok(())
    }
}
