//! The inventory: what an operator writes once about a pair, in `rollup.toml`.
//!
//! Types only; reading the text with carets and hints is [`crate::inventory::load`]. Keys are `snake_case`, values
//! `kebab-case`. Lengths of time are texts such as `30s`. The plan stores the whole inventory, so a resumed run never
//! reads this file again.

mod limits;
mod load;
mod vip;

use serde::{Deserialize, Serialize};

use crate::{NodeName, Span};

pub use limits::Limits;
pub use load::{OPEN, load, load_against};
pub use vip::{Keepalived, Vip, VipStrategy};

/// Everything the tool must be told about a system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// What the system is and what it may cost to touch it.
    pub cluster: Cluster,
    /// How to log in. Applies to every node.
    #[serde(default)]
    pub ssh: Ssh,
    /// The machines, in the order in which `each` visits them.
    pub nodes: Vec<Node>,
    /// The address that clients use.
    pub vip: Vip,
    /// What moves the address.
    #[serde(default)]
    pub keepalived: Keepalived,
    /// The replicated database.
    pub database: Database,
    /// The service that is upgraded.
    pub service: Service,
    /// The job that copies configuration between the nodes.
    pub sync: Option<Sync>,
    /// Where the sets go that a rollback needs.
    #[serde(default)]
    pub backup: Backup,
    /// What packages are accepted.
    #[serde(default)]
    pub package: PackagePolicy,
    /// The probe that counts interruption through the VIP.
    pub meter: Option<Meter>,
    /// What `rollup health serve` does on a node.
    #[serde(default)]
    pub health: HealthServer,
    /// Findings of checks that are known and accepted for now.
    #[serde(default)]
    pub waivers: Vec<Waiver>,
    /// Every limit of the playbooks, by name.
    #[serde(default)]
    pub limits: Limits,
}

/// What the system is and what it may cost to touch it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Shown in headlines and the audit trail.
    pub name: String,
    /// The interruption that one upgrade may cause in all.
    #[serde(default = "defaults::downtime_budget")]
    pub downtime_budget: Span,
}

/// How to log in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ssh {
    /// Login user; needs `sudo -n`. Default: what ssh's own configuration says.
    pub user: Option<String>,
    /// Port. Default: what ssh's own configuration says.
    pub port: Option<u16>,
    /// Private key file. Default: the agent and ssh's own configuration.
    pub identity_file: Option<String>,
    /// Host keys; strict, nothing is ever added to it. Default: the user's `known_hosts`.
    pub known_hosts: Option<String>,
    /// An `ssh_config` file for everything else (jump hosts, ciphers).
    pub config_file: Option<String>,
    /// Limit for a new connection.
    pub connect_timeout: Span,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            user: None,
            port: None,
            identity_file: None,
            known_hosts: None,
            config_file: None,
            connect_timeout: Span::secs(10),
        }
    }
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The name used everywhere in output and playbooks.
    pub name: NodeName,
    /// Address or host name that ssh connects to; never the VIP.
    pub host: String,
    /// Address under which the other nodes reach this one. Default: `host`.
    pub peer_address: Option<String>,
}

impl Node {
    /// The address the other nodes use.
    pub fn peer_address(&self) -> &str {
        self.peer_address.as_deref().unwrap_or(&self.host)
    }
}

/// The replicated database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Which tools to use.
    pub engine: DatabaseEngine,
    /// The OS user that owns the server.
    #[serde(default = "defaults::os_user")]
    pub os_user: String,
    /// The server's data directory.
    pub data_dir: String,
    /// The directory of the server's own tools (`pg_ctl` …). Default: found from the running server.
    pub bin_dir: Option<String>,
    /// A file that the OS user's shell reads before every tool of openGauss and GaussDB, as the product's installer wrote
    /// it: `GAUSSHOME`, `PATH`, `LD_LIBRARY_PATH`, `PGHOST`, `GAUSSLOG`. An absolute path. Default: `~/.bashrc` alone.
    /// PostgreSQL has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_file: Option<String>,
    /// The systemd unit that runs the server.
    pub unit: String,
    /// The server's port.
    #[serde(default = "defaults::database_port")]
    pub port: u16,
    /// The database that migrations run in.
    pub name: String,
    /// Owner of what migrations create. Default: the OS user.
    pub owner: Option<String>,
    /// User for replication connections between the nodes, found in `~/.pgpass` of the OS user.
    #[serde(default = "defaults::replication_user")]
    pub replication_user: String,
    /// Whether the database's roles move together with the VIP.
    #[serde(default)]
    pub switchover: Switchover,
    /// Replay lag above which an upgrade does not start, in bytes.
    #[serde(default = "defaults::max_lag_bytes")]
    pub max_lag_bytes: u64,
    /// A transaction older than this blocks an upgrade.
    #[serde(default = "defaults::long_transaction")]
    pub long_transaction: Span,
}

/// Which database tools to use (DB-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseEngine {
    /// psql, pg_ctl …
    Postgresql,
    /// gsql, gs_ctl …
    Opengauss,
    /// gsql, cm_ctl …
    Gaussdb,
}

/// Whether the database's roles move together with the VIP (VIP-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switchover {
    /// The new VIP owner also becomes the database's primary.
    WithVip,
    /// The database keeps its roles.
    #[default]
    Never,
}

/// The service that is upgraded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Units in the order in which they start; stopped in reverse.
    pub units: Vec<String>,
    /// TCP ports that must listen when the service is up.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// URLs asked on the node itself; healthy is HTTP 200.
    #[serde(default)]
    pub health_urls: Vec<String>,
    /// Files and directories of the program that belong to a backup, besides those a package replaces.
    #[serde(default)]
    pub code: Vec<String>,
    /// Configuration files and directories that belong to a backup.
    #[serde(default)]
    pub config: Vec<String>,
    /// The root key that an installation overwrites.
    pub root_key: Option<String>,
    /// What the nodes run before `rollup` knows them by its own record: shown as version `baseline` when missing.
    pub version_file: Option<String>,
}

/// The job that copies configuration between the nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    /// The oneshot service that copies once, from the node it runs on to its peer.
    pub unit: String,
    /// The timer that starts it; enabled on the source node only.
    pub timer: String,
    /// Directories it copies; compared for consistency.
    pub paths: Vec<String>,
    /// Which node copies to the other.
    #[serde(default)]
    pub source: SyncSource,
}

/// Which node copies to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncSource {
    /// The node that holds the VIP.
    #[default]
    Primary,
    /// The node that does not.
    Standby,
}

/// Where the sets go that a rollback needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// Directory on each node; made with mode 0700, owned by root.
    pub dir: String,
    /// How many verified sets are kept.
    pub keep: u32,
    /// age recipients (`age1…`) that the root key is encrypted to. Needed where `service.root_key` is set (BAK-2).
    pub recipients: Vec<String>,
    /// The operator's age identity that opens what was encrypted to one of them: for a way back, a drill and
    /// `backup check-key`; nothing else reads it.
    pub identity_file: Option<String>,
    /// Where else a set is kept, besides the nodes it was taken on (BAK-5).
    pub copies: Vec<CopyTo>,
    /// Directory of the operator for such copies, and for `backup fetch`. Default: beside the runs.
    pub operator_dir: Option<String>,
    /// A way back to a set older than this is warned about (RB-3).
    pub warn_after: Span,
    /// A way back to a set older than this is refused (RB-3).
    pub refuse_after: Span,
}

/// Where else a set is kept (BAK-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyTo {
    /// Each node also has what was taken on the other one.
    Peer,
    /// The operator's machine has everything.
    Operator,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            dir: "/var/backups/rollup".to_owned(),
            keep: 1,
            recipients: Vec::new(),
            identity_file: None,
            copies: Vec::new(),
            operator_dir: None,
            warn_after: Span::secs(24 * 3600),
            refuse_after: Span::secs(7 * 24 * 3600),
        }
    }
}

/// What packages are accepted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PackagePolicy {
    /// Public minisign keys whose signature is accepted: the second line of a `.pub` file each (PKG-1).
    pub trusted_keys: Vec<String>,
    /// Accept a package without a signature, or with that of a key that is not trusted (PKG-1). Default: no. A signature
    /// of a trusted key that does not fit is never accepted.
    pub allow_unsigned: bool,
    /// Absolute paths under which a package may place files. Default: nowhere else than `/opt`, `/usr/local`, `/srv`.
    pub allowed_destinations: Vec<String>,
    /// Whence nodes get a package (PKG-3). A package that lies on a node never comes from here.
    pub distribute: DistributeFrom,
}

/// Whence nodes get a package.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DistributeFrom {
    /// Each from the operator's machine, at once.
    #[default]
    Operator,
    /// The second node from the first: for an operator whose line is slower than the one between the nodes. What travels
    /// between them is not encrypted.
    Peer,
}

/// The probe that counts interruption through the VIP (VIP-5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meter {
    /// Asked with GET; a good answer is HTTP 2xx.
    pub read_url: String,
    /// Asked with POST; a good answer is HTTP 2xx. Without it writes are not measured.
    pub write_url: Option<String>,
    /// Body of the POST, sent as `application/json`.
    #[serde(default)]
    pub write_body: String,
    /// Time from one probe to the next.
    #[serde(default = "defaults::meter_interval")]
    pub interval: Span,
    /// An answer later than this counts as lost.
    #[serde(default = "defaults::meter_timeout")]
    pub timeout: Span,
}

/// What `rollup health serve` does on a node (HLT-1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthServer {
    /// Address and port that it listens on.
    pub listen: std::net::SocketAddr,
    /// Limit for one look at everything; what has not answered then is not healthy.
    pub timeout: Span,
}

impl Default for HealthServer {
    fn default() -> Self {
        Self { listen: std::net::SocketAddr::from(([127, 0, 0, 1], 7480)), timeout: Span::secs(2) }
    }
}

/// A finding that is known and accepted for now (PRE-10).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Id of the check.
    pub check: String,
    /// Only on this node. Default: wherever it is found.
    pub node: Option<NodeName>,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is, `YYYY-MM-DD`, UTC. From the next day on the waiver itself is an error.
    pub until: jiff::civil::Date,
}

impl Inventory {
    /// The node of this name.
    pub fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.iter().find(|node| &node.name == name)
    }

    /// The names of all nodes, in order.
    pub fn node_names(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.iter().map(|node| &node.name)
    }

    /// The other node of a pair.
    pub fn peer_of(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.iter().find(|node| &node.name != name)
    }
}

mod defaults {
    use crate::Span;

    pub(super) fn downtime_budget() -> Span {
        Span::secs(240)
    }
    pub(super) fn os_user() -> String {
        "postgres".to_owned()
    }
    pub(super) fn database_port() -> u16 {
        5432
    }
    pub(super) fn replication_user() -> String {
        "replicator".to_owned()
    }
    pub(super) fn max_lag_bytes() -> u64 {
        16 * 1024 * 1024
    }
    pub(super) fn long_transaction() -> Span {
        Span::secs(60)
    }
    pub(super) fn meter_interval() -> Span {
        Span::millis(100)
    }
    pub(super) fn meter_timeout() -> Span {
        Span::secs(2)
    }
}
