//! The overview of a cluster that `cm_ctl query -Cv` and `gs_om -t status --detail` print: sections in brackets, each with
//! rows of a key and its value or with a table.
//!
//! Headers of tables are misaligned and their words can run together, so a row is read by what its words are: numbers,
//! an address, the one letter of the configured role. Sources: `ctl_query.cpp`, `ctl_query_base.cpp` and `cm_misc.cpp` of
//! CM, `DbClusterInfo.py` (`queryClsInfo`) of openGauss-OM.

mod read;

use serde::Serialize;

pub(super) use self::read::read;
use super::words::{Word, words};

/// A cluster as its manager sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cluster {
    /// The verdict on the whole.
    pub cluster_state: Word<ClusterState>,
    /// Data is being redistributed.
    pub redistributing: Option<bool>,
    /// Every instance plays the part it was configured for; no after a switchover. CM alone tells.
    pub balanced: Option<bool>,
    /// In the tool's words.
    pub current_az: Option<String>,
    /// Arbitration is paused: nothing takes over for a dead primary.
    pub pausing: bool,
    /// There are coordinators or a GTM: a distributed database. Out of scope: refuse it.
    pub distributed: bool,
    /// The managers. CM alone tells.
    pub cm_servers: Vec<Member>,
    /// The members of an etcd that CM uses.
    pub etcd: Vec<Member>,
    /// What else CM looks after.
    pub resources: Vec<Resource>,
    /// The database servers; at least one. **A cut-off text can lack the last of them: count.**
    pub instances: Vec<Instance>,
}

/// One manager or one member of etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Member {
    /// Number of its node.
    pub node_id: u32,
    /// Name of its node.
    pub node_name: String,
    /// Its own number.
    pub instance_id: u32,
    /// For example `Primary`, `Standby`, `StateLeader`, `StateFollower`, `Down`.
    pub state: String,
}

/// One instance of something else that CM looks after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// Its own number.
    pub instance_id: u32,
    /// For example `OnLine`, `OffLine`, `Deleted`.
    pub state: String,
}

/// One database server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Instance {
    /// The availability zone, where it is printed.
    pub az: Option<String>,
    /// Number of its node.
    pub node_id: u32,
    /// Name of its node.
    pub node_name: String,
    /// Address, where it is printed.
    pub ip: Option<String>,
    /// Port, where it is printed.
    pub port: Option<u16>,
    /// Its own number, for example 6001.
    pub instance_id: u32,
    /// Data directory, where it is printed.
    pub data_dir: Option<String>,
    /// The part it was configured for.
    pub configured: Configured,
    /// The part it plays. **gs_om prints what the state file says** where a server runs and lets nobody in.
    pub role: Word<InstanceRole>,
    /// What it is about.
    pub state: Word<InstanceState>,
    /// What stands in brackets behind the state: why it needs repair, or the percent of a build.
    pub detail: Option<String>,
}

impl Instance {
    /// It is the primary and well, by its manager's word.
    pub fn is_well_primary(&self) -> bool {
        self.role.is(InstanceRole::Primary) && self.state.is(InstanceState::Normal)
    }

    /// It is a standby and well, by its manager's word.
    pub fn is_well_standby(&self) -> bool {
        self.role.is(InstanceRole::Standby) && self.state.is(InstanceState::Normal)
    }
}

words! {
    /// The verdict on a cluster.
    ClusterState {
        /// It comes up.
        Starting = "Starting",
        /// Data is moved between nodes.
        Redistributing = "Redistributing",
        /// All is well.
        Normal = "Normal",
        /// It does not serve.
        Unavailable = "Unavailable",
        /// It serves, and something is not well.
        Degraded = "Degraded",
        /// The manager does not know.
        Unknown = "Unknown",
        /// It serves, without a deleted coordinator.
        NormalCnDeleted = "NormalCNDeleted",
    }
}

words! {
    /// The part that an instance was configured for.
    Configured {
        /// Primary.
        Primary = "P",
        /// Standby.
        Standby = "S",
        /// Cascade standby.
        CascadeStandby = "C",
        /// Keeps the log and no data.
        Secondary = "R",
    }
}

words! {
    /// The part that an instance plays.
    InstanceRole {
        /// It writes.
        Primary = "Primary",
        /// It replays.
        Standby = "Standby",
        /// It replays what a standby hands on.
        CascadeStandby = "Cascade Standby",
        /// The first standby of a second cluster.
        MainStandby = "Main Standby",
        /// It waits to be told.
        Pending = "Pending",
        /// It stands alone.
        Normal = "Normal",
        /// It does not run, or does not answer its manager.
        Down = "Down",
        /// It keeps the log and no data.
        Secondary = "Secondary",
        /// It was taken out of the cluster.
        Deleted = "Deleted",
        /// It refuses to write.
        ReadOnly = "ReadOnly",
        /// Its node is out of the cluster.
        Offline = "Offline",
        /// The manager does not know.
        Unknown = "Unknown",
    }
}

words! {
    /// What an instance is about.
    InstanceState {
        /// All is well.
        Normal = "Normal",
        /// The manager does not know.
        Unknown = "Unknown",
        /// A standby without a working receiver; the detail says why.
        NeedRepair = "Need repair",
        /// It comes up.
        Starting = "Starting",
        /// Asked to become the primary.
        WaitPromoting = "Wait promoting",
        /// Stepping down.
        Demoting = "Demoting",
        /// Becoming the primary.
        Promoting = "Promoting",
        /// Its data is copied; the detail is the percent.
        Building = "Building",
        /// Stopped by an operator. **gs_om says so of every server that does not run.**
        ManuallyStopped = "Manually stopped",
        /// Its disk is not usable.
        DiskDamaged = "Disk damaged",
        /// Another program has its port.
        PortConflicting = "Port conflicting",
        /// Its last build failed.
        BuildFailed = "Build failed",
        /// Receives what it had missed.
        Catchup = "Catchup",
        /// Died.
        CoreDump = "CoreDump",
        /// It refuses to write.
        ReadOnly = "ReadOnly",
    }
}
