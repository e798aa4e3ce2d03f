//! What one node answered, as values. Pure.
//!
//! Owns the line protocol of the look. It must not know what will be written about a pair.

use anyhow::{Context, Result, bail, ensure};

/// Everything seen on one node. Holds names, numbers and paths; no content of any file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// `uname -n`.
    pub(super) hostname: String,
    /// `uname -m`.
    pub(super) arch: String,
    /// Services whose unit files no package owns.
    pub(super) services: Vec<Service>,
    /// Services of packages that are enabled and active.
    pub(super) packaged: Vec<String>,
    /// Timers.
    pub(super) timers: Vec<Timer>,
    /// Calls of rsync.
    pub(super) copies: Vec<Copying>,
    /// Files that may hold a root key: none that everybody may read.
    pub(super) keys: Vec<String>,
    /// Files that by their name hold a version.
    pub(super) versions: Vec<String>,
    /// Listening TCP ports.
    pub(super) listens: Vec<Listen>,
    /// Answers of `/health`.
    pub(super) health: Vec<Health>,
    /// The keepalived that runs, or whose configuration is there.
    pub(super) keepalived: Option<Keepalived>,
    /// Instances in keepalived's configuration with their interfaces.
    pub(super) instances: Vec<(String, String)>,
    /// Instances with the addresses that are written there; not all need be ones.
    pub(super) vips: Vec<(String, String)>,
    /// Addresses on interfaces other than `lo`.
    pub(super) addresses: Vec<(String, String)>,
    /// Database servers that run.
    pub(super) databases: Vec<Database>,
    /// Free bytes where `/var/backups` lies, and its file system.
    pub(super) room: Option<(u64, String)>,
    /// Free bytes of every local file system.
    pub(super) mounts: Vec<(u64, String)>,
}

impl Seen {
    /// Whether both are one machine, reached under two names.
    pub(super) fn is_one_with(&self, other: &Self) -> bool {
        self.hostname == other.hostname && !self.addresses.is_empty() && self.addresses == other.addresses
    }
}

/// A service whose unit file no package owns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) unit: String,
    pub(super) file: String,
    /// `enabled`, `disabled`, `static` …
    pub(super) state: String,
    pub(super) active: bool,
    /// `simple`, `oneshot` …
    pub(super) kind: String,
    /// Services it starts after.
    pub(super) after: Vec<String>,
    /// Paths of programs that it names.
    pub(super) code: Vec<Place>,
    /// Paths of configuration that it names.
    pub(super) config: Vec<Place>,
}

impl Service {
    /// Whether it starts at boot.
    pub(super) fn enabled(&self) -> bool {
        self.state.starts_with("enabled") || self.state == "generated"
    }
}

/// A path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) is_directory: bool,
}

/// A timer and what it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timer {
    pub(super) timer: String,
    pub(super) unit: String,
    pub(super) enabled: bool,
    pub(super) active: bool,
}

/// What calls rsync, and the paths it calls it with; the last is where it copies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copying {
    pub(super) by: Caller,
    pub(super) paths: Vec<String>,
}

/// What calls rsync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// A service.
    Unit(String),
    /// A line of a crontab, `FILE:LINE`.
    Cron(String),
}

/// A listening TCP port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listen {
    pub(super) unit: String,
    pub(super) port: u16,
    /// Whether it can be reached from other machines.
    pub(super) outside: bool,
}

/// The answer of `http://127.0.0.1:PORT/health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) port: u16,
    /// HTTP status; 0: none.
    pub(super) status: u16,
    /// Whether the answer names its node.
    pub(super) names_node: bool,
}

/// The keepalived of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keepalived {
    pub(super) running: bool,
    /// Empty when it does not run as a service.
    pub(super) unit: String,
    pub(super) config: String,
}

/// A database server that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) pid: u32,
    /// `postgresql`, `opengauss`, `gaussdb`, `unknown`.
    pub(super) product: String,
    /// The server's program.
    pub(super) program: String,
    pub(super) os_user: String,
    pub(super) data_dir: String,
    pub(super) port: Option<u16>,
    /// Empty when it does not run as a service.
    pub(super) unit: String,
    /// Whether it is the primary; `None` when it did not say.
    pub(super) is_primary: Option<bool>,
    /// Databases that are no templates: name, owner, bytes.
    pub(super) names: Vec<(String, String, u64)>,
    /// Standbys that follow it: replication user, address.
    pub(super) sends: Vec<(String, String)>,
    /// Whom it follows: replication user, host.
    pub(super) follows: Option<(String, String)>,
    /// Words of a server that gave no answer.
    pub(super) silent: Vec<String>,
}

/// Reads the answer of one node. A line that is not known is an error.
pub(super) fn parse(text: &str) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut lines = text.lines();
    let mut ended = false;
    for line in &mut lines {
        if line == "end" {
            ended = true;
            break;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        take(&mut seen, &fields).with_context(|| format!("cannot read what the node said: `{line}`"))?;
    }
    ensure!(ended, "expected `end` as the last line of what the node said, found none: the look was cut off");
    ensure!(lines.next().is_none(), "expected nothing after `end`");
    ensure!(!seen.hostname.is_empty(), "expected the node's name, found none");
    Ok(seen)
}

fn take(seen: &mut Seen, fields: &[&str]) -> Result<()> {
    let number = |text: &str| text.parse::<u64>().with_context(|| format!("expected a number, found `{text}`"));
    let port = |text: &str| text.parse::<u16>().with_context(|| format!("expected a port, found `{text}`"));
    let text = |text: &&str| (*text).to_owned();
    match fields {
        ["node", name, arch] => (seen.hostname, seen.arch) = (text(name), text(arch)),
        ["service", unit, file, state, active, kind] => seen.services.push(Service {
            unit: text(unit),
            file: text(file),
            state: text(state),
            active: *active == "active",
            kind: text(kind),
            ..Service::default()
        }),
        ["packaged", unit] => seen.packaged.push(text(unit)),
        ["after", unit, other] => service(seen, unit)?.after.push(text(other)),
        [kind @ ("code" | "config"), unit, form @ ("directory" | "file"), path] => {
            let place = Place { path: text(path), is_directory: *form == "directory" };
            let service = service(seen, unit)?;
            if *kind == "code" { service.code.push(place) } else { service.config.push(place) }
        }
        ["timer", timer, unit, state, active] => seen.timers.push(Timer {
            timer: text(timer),
            unit: text(unit),
            enabled: state.starts_with("enabled"),
            active: *active == "active",
        }),
        ["rsync", by @ ("unit" | "cron"), name, paths @ ..] if paths.len() > 1 => {
            let by = if *by == "unit" { Caller::Unit(text(name)) } else { Caller::Cron(text(name)) };
            seen.copies.push(Copying { by, paths: paths.iter().map(text).collect() });
        }
        ["key", path, _mode, _owner] => seen.keys.push(text(path)),
        ["version", path] => seen.versions.push(text(path)),
        ["listen", unit, listens, reach @ ("any" | "local")] => {
            seen.listens.push(Listen { unit: text(unit), port: port(listens)?, outside: *reach == "any" });
        }
        ["health", asked, status, names @ ("yes" | "no")] => {
            seen.health.push(Health { port: port(asked)?, status: port(status)?, names_node: *names == "yes" });
        }
        ["keepalived", state @ ("running" | "stopped"), unit, config] => {
            seen.keepalived = Some(Keepalived { running: *state == "running", unit: text(unit), config: text(config) });
        }
        ["instance", name, interface] => seen.instances.push((text(name), text(interface))),
        ["vip", instance, address] => seen.vips.push((text(instance), text(address))),
        ["address", interface, address, _length] => seen.addresses.push((text(interface), text(address))),
        ["database", pid, product, program, os_user, data_dir, listens, unit] => seen.databases.push(Database {
            pid: pid.parse().context("expected a process id")?,
            product: text(product),
            program: text(program),
            os_user: text(os_user),
            data_dir: text(data_dir),
            port: if listens.is_empty() { None } else { Some(port(listens)?) },
            unit: text(unit),
            ..Database::default()
        }),
        ["role", pid, role @ ("primary" | "standby")] => database(seen, pid)?.is_primary = Some(*role == "primary"),
        ["name", pid, name, owner, bytes] => database(seen, pid)?.names.push((text(name), text(owner), number(bytes)?)),
        ["sends", pid, user, address] => database(seen, pid)?.sends.push((text(user), text(address))),
        ["follows", pid, user, host] => database(seen, pid)?.follows = Some((text(user), text(host))),
        ["silent", pid, words] => database(seen, pid)?.silent.push(text(words)),
        ["room", bytes, mount] => seen.room = Some((number(bytes)?, text(mount))),
        ["mount", bytes, mount] => seen.mounts.push((number(bytes)?, text(mount))),
        _ => bail!("expected a known kind of line with its fields"),
    }
    Ok(())
}

fn service<'s>(seen: &'s mut Seen, unit: &str) -> Result<&'s mut Service> {
    seen.services.iter_mut().find(|service| service.unit == unit).context("expected the service before its details")
}

fn database<'s>(seen: &'s mut Seen, pid: &str) -> Result<&'s mut Database> {
    let of_pid = |database: &&mut Database| database.pid.to_string() == pid;
    seen.databases.iter_mut().find(of_pid).context("expected the database before its details")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_a_real_pair_is_read() {
        let seen = parse(include_str!("fixtures/node-a.txt")).unwrap();
        assert_eq!((seen.hostname.as_str(), seen.arch.as_str()), ("node-a", "x86_64"));
        let units: Vec<_> = seen.services.iter().map(|service| service.unit.as_str()).collect();
        assert_eq!(units, ["config-sync.service", "orders-api.service", "orders-worker.service"]);
        let api = &seen.services[1];
        assert!(api.enabled() && api.active && api.after == ["postgresql@15-main.service"]);
        assert_eq!(api.code, [Place { path: "/opt/orders".to_owned(), is_directory: true }]);
        let database = &seen.databases[0];
        assert_eq!(
            (database.product.as_str(), database.port, database.is_primary),
            ("postgresql", Some(5432), Some(true))
        );
        assert_eq!(database.sends, [("replicator".to_owned(), "10.78.0.12".to_owned())]);
        assert_eq!(seen.copies[0].paths, ["/etc/orders/shared/", "root@$PEER:/etc/orders/shared/"]);
        assert_eq!(seen.keys, ["/etc/orders/root.key"]);
    }

    #[test]
    fn one_machine_under_two_names_is_seen_and_two_of_one_name_are_two() {
        let node = parse(include_str!("fixtures/node-a.txt")).unwrap();
        let twin = parse(&include_str!("fixtures/node-b.txt").replace("node\tnode-b", "node\tnode-a")).unwrap();
        assert!(node.is_one_with(&node.clone()) && !node.is_one_with(&twin));
    }

    #[test]
    fn an_answer_that_was_cut_off_is_an_error_wherever_it_was_cut() {
        let text = include_str!("fixtures/node-b.txt");
        for cut in text.char_indices().map(|(at, _)| at).filter(|at| at + 4 < text.len()) {
            assert!(parse(&text[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn an_unknown_line_is_an_error_that_shows_it() {
        for line in
            ["surprise\tx", "listen\torders.service\tmany\tany", "role\t7\tprimary", "rsync\tunit\tx\tone", "name"]
        {
            let said = format!("{:#}", parse(&format!("node\ta\tb\n{line}\nend\n")).unwrap_err());
            assert!(said.starts_with(&format!("cannot read what the node said: `{line}`: expected ")), "{said}");
        }
        assert!(parse("node\ta\tb\nend\nmore\n").is_err() && parse("end\n").is_err());
    }
}
