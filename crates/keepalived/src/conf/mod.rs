//! What keepalived's configuration says, and the one change that is made to it.
//!
//! Owns the text of all files the daemon reads: where an instance ends, what it sets, and the marked block that
//! overrides it. Reads only what is sure to be read as keepalived reads it, and refuses the rest by name. It must not
//! know nodes or running daemons.

mod blocks;
mod define;
mod edit;
mod extract;
mod lex;
mod read;
mod refused;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr};

pub use edit::{clear, overrides, raise};
pub use extract::parse;
pub use read::include_lines;
pub use refused::{At, Refused};

/// Everything the daemon reads, as read on one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Absolute path of the main file.
    pub main: String,
    /// Absolute path to text, the main file among them.
    pub texts: BTreeMap<String, String>,
    /// What the node itself made of each `include`.
    pub includes: Vec<Include>,
    /// The `config-id` of the running daemon: its option `-i`, or the host's name up to the first dot. `None`: unknown.
    pub id: Option<String>,
}

impl Files {
    /// A configuration of one file.
    pub fn single(main: impl Into<String>, text: impl Into<String>) -> Self {
        let main = main.into();
        Self { texts: BTreeMap::from([(main.clone(), text.into())]), main, ..Self::default() }
    }
}

/// One `include` and the files it brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// Absolute path of the file it stands in.
    pub from: String,
    /// Its line, counted from 1.
    pub line: usize,
    /// `include`, `includer`, `includem`, `includew`, `includeb` or `includea`.
    pub keyword: String,
    /// The rest of its line, without a comment.
    pub pattern: String,
    /// Absolute paths, in the order keepalived reads them: what the pattern matches, seen from the directory of `from`,
    /// without directories and without files that anybody may execute, which keepalived skips.
    pub matched: Vec<String>,
}

/// The whole configuration, as far as the address is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Every `vrrp_instance`, in the order keepalived reads them.
    pub instances: Vec<Instance>,
    /// Every `vrrp_sync_group`.
    pub groups: Vec<Group>,
    /// Every `track_file NAME { … }` of the top level.
    pub trackers: Vec<FileTracker>,
    /// `vrrp_version` of `global_defs`; 2 when it is not said.
    pub version: u8,
    /// `vrrp_down_timer_adverts` of `global_defs`; 3 when it is not said.
    pub down_adverts: u64,
    /// Absolute path of each file, once for each time it is read.
    pub(crate) read: Vec<String>,
}

/// One `vrrp_instance`.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Absolute path of the file it stands in.
    pub file: String,
    /// Line of its keyword.
    pub line: usize,
    /// Byte offset of its opening brace in that file.
    pub open: usize,
    /// Byte offset of its closing brace in that file.
    pub close: usize,
    /// `interface`.
    pub interface: Option<String>,
    /// `state`, the first state; BACKUP when it is not said.
    pub state: Option<String>,
    /// `virtual_router_id`.
    pub virtual_router_id: Option<u8>,
    /// `priority`, the last one; `None` when it is not said or the texts do not settle it.
    pub priority: Option<u8>,
    /// `advert_int`.
    pub advert_millis: Option<u64>,
    /// `nopreempt` without a later `preempt`; also when the texts do not settle it.
    pub nopreempt: bool,
    /// `preempt_delay`; the longest there is when the texts do not settle it.
    pub preempt_delay_millis: u64,
    /// VRRP version, from the instance or from `global_defs`.
    pub version: u8,
    /// After how many missing adverts the owner counts as gone.
    pub down_adverts: u64,
    /// Addresses, as written, without prefix length.
    pub addresses: Vec<String>,
    /// Whether adverts go to named peers (`unicast_peer`).
    pub unicast: bool,
    /// What it tracks.
    pub tracks: Vec<Track>,
    /// The sync group it is a member of.
    pub group: Option<String>,
}

/// One thing that an instance or a sync group tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// What kind of thing.
    pub kind: TrackKind,
    /// Its name.
    pub name: String,
    /// `weight`, where it is said here. Without one the tracker's own counts; a tracker without weight is a fault.
    pub weight: Option<i32>,
    /// `reverse`: the weight counts the other way round.
    pub reverse: bool,
}

/// The kinds of things that are tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrackKind {
    /// `track_script`.
    Script,
    /// `track_file`.
    File,
    /// `track_interface`.
    Interface,
    /// `track_process`.
    Process,
    /// `track_bfd`.
    Bfd,
}

impl TrackKind {
    /// The keyword of an instance or of a group.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Script => "track_script",
            Self::File => "track_file",
            Self::Interface => "track_interface",
            Self::Process => "track_process",
            Self::Bfd => "track_bfd",
        }
    }
}

/// One `vrrp_sync_group`: its instances change state together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Names of its instances.
    pub members: Vec<String>,
    /// What the group as a whole tracks.
    pub tracks: Vec<Track>,
    /// `sync_group_tracking_weight`: weights of trackers of single members count. Without it a weighted tracker of a
    /// member is a fault.
    pub member_weights: bool,
}

/// A file whose number is added to priorities: `track_file NAME { … }`, before 2.1.0 `vrrp_track_file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTracker {
    /// Its name.
    pub name: String,
    /// Absolute path of the file with the number; `None` when the texts do not settle it.
    pub file: Option<String>,
    /// `weight`: what the number is multiplied by. 1 when it is not said; `None` when the texts do not settle it.
    pub weight: Option<i32>,
    /// `reverse`: the number is subtracted.
    pub reverse: bool,
}

impl Config {
    /// The instance of this name, when a program may change it.
    pub fn editable(&self, name: &str) -> Result<&Instance, Refused> {
        let found: Vec<&Instance> = self.instances.iter().filter(|instance| instance.name == name).collect();
        let name = name.to_owned();
        match found[..] {
            [] => Err(Refused::NotFound { name, files: self.read.clone() }),
            [instance] => Ok(instance),
            [first, ref others @ ..] if others.iter().all(|other| other.at() == first.at()) => {
                Err(Refused::IncludedTwice { name, at: first.at(), times: found.len() })
            }
            ref all => Err(Refused::Found { name, at: all.iter().map(|instance| instance.at()).collect() }),
        }
    }

    /// The instance of this name and, when it is in a sync group, all others of the group: they move together.
    pub fn members(&self, name: &str) -> Vec<&Instance> {
        let group = self.groups.iter().find(|group| group.members.iter().any(|member| member == name));
        let together = |instance: &&Instance| match group {
            Some(group) => group.members.contains(&instance.name),
            None => instance.name == name,
        };
        self.instances.iter().filter(together).collect()
    }

    /// The instances that hold this address.
    pub fn holding(&self, address: IpAddr) -> Vec<&Instance> {
        self.instances.iter().filter(|instance| instance.holds(address)).collect()
    }
}

impl Instance {
    /// Whether the text names this address for the instance.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|text| text.parse() == Ok(address))
    }

    fn at(&self) -> At {
        At { file: self.file.clone(), line: self.line }
    }
}
