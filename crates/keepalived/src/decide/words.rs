//! What is decided about, and what may come of it.

use std::{collections::BTreeMap, fmt};

use rollup_model::{Inventory, NodeName, Span, inventory::VipStrategy};
use serde::{Deserialize, Serialize};

use crate::KeepalivedFacts;

/// One node and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The node.
    pub node: &'a NodeName,
    /// Its facts.
    pub facts: &'a KeepalivedFacts,
}

/// What an operator allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules<'a> {
    /// Ways that may be taken, the best first.
    pub strategies: Vec<VipStrategy>,
    /// Until when the address must be there.
    pub limit: Span,
    /// The tracked file that is there for `rollup` alone.
    pub track_file: &'a str,
    /// The tracked interface that is there for nothing else.
    pub track_link: Option<&'a str>,
}

impl<'a> Rules<'a> {
    /// What the inventory allows; `first`: a way that was settled before, looked at before the others.
    pub fn of(inventory: &'a Inventory, first: Option<VipStrategy>) -> Self {
        let at = &inventory.keepalived;
        let others = at.strategies.iter().copied().filter(|way| Some(*way) != first);
        let first = first.filter(|way| at.strategies.contains(way));
        Self {
            strategies: first.into_iter().chain(others).collect(),
            limit: inventory.limits.vip_switch,
            track_file: &at.track_file,
            track_link: at.track_link.as_deref(),
        }
    }
}

/// How the address gets to a node and stays there, with the proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// The way; `None`: nothing but what is ours is taken out, or waited for.
    pub strategy: Option<VipStrategy>,
    /// What is changed first.
    pub edit: Option<Edit>,
    /// What makes the old owner give the address up, after that.
    pub push: Option<Push>,
    /// When the address is there at the latest, counted from the last change. 0: nothing moves.
    pub expected: Span,
    /// How long no node has the address.
    pub gap: Span,
    /// Why this change.
    pub why: String,
    /// Why the address stays there.
    pub holds: String,
    /// How it is taken back.
    pub undo: String,
}

impl Move {
    /// Whether the address moves, or nothing but traces of ours go.
    pub fn takes(&self) -> bool {
        self.expected != Span::secs(0)
    }

    /// The proof in one line: what, after which time, with which gap, why it holds, how it is undone.
    pub fn proof(&self) -> String {
        let way = self.strategy.map(|way| format!("{way}: ")).unwrap_or_default();
        let gap = match self.gap == Span::secs(0) {
            true => "the new owner takes it before the old one lets go".to_owned(),
            false => format!("nobody has it for {}", self.gap),
        };
        format!("{way}{}; elected after {}, {gap}; holds: {}; undo: {}", self.why, self.expected, self.holds, self.undo)
    }
}

/// A change that lasts, on one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// The node.
    pub node: NodeName,
    /// The change.
    pub how: How,
}

/// What is changed on a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// These instances get these priorities by overrides in the configuration, in one reload.
    Override(BTreeMap<String, u8>),
    /// The tracked file gets this value.
    Track(i32),
    /// Every override and value of ours goes, and what a push that was cut off left.
    TakeOut,
}

/// What makes the old owner give the address up, for as long as it takes it to leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// The old owner.
    pub node: NodeName,
    /// How.
    pub by: By,
}

/// How an owner is made to give up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// This value in its tracked file is a failure.
    Fault {
        /// The file.
        file: String,
        /// The value.
        value: i32,
    },
    /// This interface goes down.
    Link(String),
    /// keepalived stops.
    Stop,
}

impl By {
    /// The word that the node's script and its mark use.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            By::Fault { .. } => "fault",
            By::Link(_) => "link",
            By::Stop => "stop",
        }
    }
}

/// Why the address is not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Both nodes have it.
    #[error("split brain: both {0} and {1} have the VIP")]
    SplitBrain(NodeName, NodeName),
    /// No node has it.
    #[error("neither {0} nor {1} has the VIP")]
    NoOwner(NodeName, NodeName),
    /// keepalived does not run.
    #[error("keepalived is not active on {0}")]
    Inactive(NodeName),
    /// The daemon does not say what it does.
    #[error("keepalived on {0} does not tell its priority (no dump of the instance)")]
    Silent(NodeName),
    /// An instance in another state than owner or backup.
    #[error("keepalived on {0} is in state {1}")]
    State(NodeName, crate::State),
    /// No way that is allowed was proved to work.
    #[error("no way to move the VIP to {target}: {}", list(tried))]
    NoWay {
        /// Where it should go.
        target: NodeName,
        /// Every way that was looked at, and why it does not work.
        tried: Vec<(VipStrategy, Reason)>,
    },
}

fn list(tried: &[(VipStrategy, Reason)]) -> impl fmt::Display + '_ {
    let all: Vec<_> = tried.iter().map(|(way, reason)| format!("{way}: {reason}")).collect();
    all.join("; ")
}

/// Why one way does not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Before 2.0.0 a new owner waits another advert before it takes the address.
    #[error("keepalived {found} on {node} leaves the VIP on no node for {gap} whatever its priority")]
    Version {
        /// The node.
        node: NodeName,
        /// The version, or `of an unknown version`.
        found: String,
        /// For how long.
        gap: Span,
    },
    /// No such tracker.
    #[error("keepalived on {node} tracks no file `{name}`")]
    NoTracker {
        /// The node.
        node: NodeName,
        /// The name of the tracker.
        name: String,
    },
    /// The tracker has no weight for an instance.
    #[error(
        "`{name}` has no weight for {instance} on {node}, so any value is a failure (in a sync group it belongs into the group)"
    )]
    NoWeight {
        /// The node.
        node: NodeName,
        /// The name of the tracker.
        name: String,
        /// The instance.
        instance: String,
    },
    /// The tracker would keep its node down after a reboot.
    #[error("{file} on {node} is on a disk: a failure written there would outlive a reboot (expected it below /run)")]
    Lasting {
        /// The node.
        node: NodeName,
        /// The file.
        file: String,
    },
    /// A higher priority takes nothing from a living owner.
    #[error("{0} runs with nopreempt: a higher priority alone takes nothing from a living owner")]
    Nopreempt(NodeName),
    /// The configuration is not one that a program may change.
    #[error("the configuration of {node} cannot be changed safely: {why}")]
    Uneditable {
        /// The node.
        node: NodeName,
        /// Why.
        why: String,
    },
    /// An instance without its like on the other node.
    #[error("{instance} on {node} moves together with the VIP, but has no like on the other node")]
    Unpaired {
        /// The node.
        node: NodeName,
        /// The instance.
        instance: String,
    },
    /// No priority from 1 to 254 brings it about.
    #[error("no priority from 1 to 254 does it: the effective priority of {target} is {from}, the owner's {owner}")]
    NoRoom {
        /// Where it should go.
        target: NodeName,
        /// The target's effective priority.
        from: i32,
        /// The owner's effective priority.
        owner: i32,
    },
    /// It would come true too late.
    #[error(
        "the VIP would move after {expected}, but the limit `vip_switch` is {limit} ({adverts} adverts of {interval}, preempt_delay {delay})"
    )]
    TooSlow {
        /// After this time.
        expected: Span,
        /// The limit.
        limit: Span,
        /// Adverts that must be missed.
        adverts: u64,
        /// Time from advert to advert.
        interval: Span,
        /// What the node waits in addition.
        delay: Span,
    },
    /// No such link.
    #[error("`keepalived.track_link` names no interface")]
    NoLink,
    /// The link is not one to take down.
    #[error("{link} on {node} {why}")]
    Link {
        /// The node.
        node: NodeName,
        /// The interface.
        link: String,
        /// What is wrong with it.
        why: String,
    },
    /// The old owner would take the address back.
    #[error("{node} would take the VIP back with {owner} against {target}, and {why}")]
    TakesBack {
        /// The old owner.
        node: NodeName,
        /// Its effective priority once it is let go.
        owner: i32,
        /// The new owner's effective priority.
        target: i32,
        /// Why the new owner cannot be raised.
        why: String,
    },
}
