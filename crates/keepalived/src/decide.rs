//! What moves the address, by VRRP's rules; pure.
//!
//! A backup takes over when its effective priority is above the owner's, it does not run with `nopreempt`, and three
//! adverts plus a little went by. So there are few useful changes, and they are tried in this order:
//!
//! 1. take an override of ours off the owner, when the target wins without it: the exact inverse of the last move, and
//!    what keeps priorities from climbing with every upgrade;
//! 2. take a lowering override of ours off the target, when it wins without it;
//! 3. raise the target as far above the owner as the owner is above it now. A fixed 254 would make weighted checks of
//!    the target meaningless;
//! 4. lower the owner, when there is no room above it or the target's configuration cannot be changed.
//!
//! An owner that keeps the address without its override loses the override.

use std::time::Duration;

use rollup_model::{NodeName, Span};
use serde::{Deserialize, Serialize};

use crate::{KeepalivedFacts, Running};

/// One node and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The node.
    pub node: &'a NodeName,
    /// Its facts.
    pub facts: &'a KeepalivedFacts,
}

/// How the address gets to a node and stays there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// What is changed.
    pub change: Change,
    /// When the address is there, counted from the change.
    pub expected: Span,
    /// Why this change.
    pub why: String,
}

impl Move {
    /// The node whose file is changed, and the priority of its override; `None`: no override.
    pub fn edit(&self) -> Option<(&NodeName, Option<u8>)> {
        match &self.change {
            Change::Wait => None,
            Change::Raise { node, priority } | Change::Lower { node, priority } => Some((node, *priority)),
            Change::Settle { node } => Some((node, None)),
        }
    }
}

/// One change of priorities. `priority: None` takes our override out, leaving what the operator configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The priorities are right already; the address is about to move.
    Wait,
    /// The node that gets or keeps the address.
    Raise {
        /// The node.
        node: NodeName,
        /// Its new priority.
        priority: Option<u8>,
    },
    /// The node that gives the address up, or must not get it.
    Lower {
        /// The node.
        node: NodeName,
        /// Its new priority.
        priority: Option<u8>,
    },
    /// The owner, which keeps the address without our override too: the operator's file comes back.
    Settle {
        /// The node.
        node: NodeName,
    },
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
    #[error("keepalived on {0} does not tell its priority (no JSON dump of the instance)")]
    Silent(NodeName),
    /// An instance in another state than owner or backup.
    #[error("keepalived on {0} is in state {1}")]
    State(NodeName, crate::State),
    /// The configuration is not one that a program may change.
    #[error("the configuration of {node} cannot be changed safely: {why}")]
    Uneditable {
        /// The node.
        node: NodeName,
        /// Why.
        why: String,
    },
    /// No priority from 1 to 254 brings it about.
    #[error(
        "no priority from 1 to 254 moves the VIP to {target}: its effective priority is {from}, the owner's {owner}"
    )]
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
}

/// Decides how the address gets to `target` and stays there. `None`: it is there and nothing will take it away.
pub fn decide(target: Side<'_>, other: Side<'_>, limit: Span) -> Result<Option<Move>, Refused> {
    let (to, from) = (Numbers::of(target)?, Numbers::of(other)?);
    match (target.facts.vip_here, other.facts.vip_here) {
        (true, true) => Err(Refused::SplitBrain(target.node.clone(), other.node.clone())),
        (false, false) => Err(Refused::NoOwner(target.node.clone(), other.node.clone())),
        (true, false) if from.takes_from(&to) => keep(&to, &from).map(Some),
        (true, false) => Ok(settle(&to, &from)),
        (false, true) => fetch(&to, &from, limit).map(Some),
    }
}

/// The target has the address and keeps it. An override that it does not need for that is taken out: with `nopreempt`
/// on the other node, the pair is then again exactly what the operator made it.
fn settle(to: &Numbers<'_>, from: &Numbers<'_>) -> Option<Move> {
    let safe = from.running.nopreempt && from.nopreempt_on_disk;
    let keeps = safe || to.plain_effective().is_some_and(|plain| plain > from.highest());
    (to.written && to.edit.is_ok() && keeps).then(|| Move {
        change: Change::Settle { node: to.node.clone() },
        expected: Span::secs(0),
        why: format!("remove the override of {}, which keeps the VIP without it", to.node),
    })
}

/// The target has the address, but the other node would take it.
fn keep(to: &Numbers<'_>, from: &Numbers<'_>) -> Result<Move, Refused> {
    let (highest, own) = (from.highest(), to.effective);
    let now = |change, why| Move { change, expected: Span::secs(0), why };
    let harmless = from.nopreempt_plain || from.plain_effective().is_some_and(|plain| plain <= own);
    if from.overridden && from.edit.is_ok() && harmless {
        let why =
            format!("remove the override of {}, which would take the VIP with {highest} against {own}", from.node);
        return Ok(now(Change::Lower { node: from.node.clone(), priority: None }, why));
    }
    to.editable()?;
    let priority = to.base_for(2 * highest - own, highest).ok_or_else(|| no_room(to, from))?;
    let why =
        format!("raise {} to {priority}, since {} would take the VIP with {highest} against {own}", to.node, from.node);
    Ok(now(Change::Raise { node: to.node.clone(), priority: Some(priority) }, why))
}

/// The other node has the address.
fn fetch(to: &Numbers<'_>, from: &Numbers<'_>, limit: Span) -> Result<Move, Refused> {
    if let Some(state) = to.facts_state_that_cannot_own() {
        return Err(Refused::State(to.node.clone(), state));
    }
    let timely = |change, priority: i32, delay: Span, why: String| {
        let expected = to.takeover(priority, delay);
        if expected < limit {
            return Ok(Move { change, expected, why });
        }
        Err(Refused::TooSlow { expected, limit, adverts: to.down_adverts, interval: to.running.advert_interval, delay })
    };
    let delay = to.running.preempt_delay;
    if to.effective > from.effective && !to.running.nopreempt && !to.pending {
        let why = format!("{} already has priority {} against {}", to.node, to.effective, from.effective);
        if let Ok(done) = timely(Change::Wait, to.effective, delay, why) {
            return Ok(done);
        }
    }
    if let Some(plain) = from.plain_effective().filter(|plain| from.overridden && *plain < to.effective)
        && !to.running.nopreempt
        && from.edit.is_ok()
    {
        let why =
            format!("remove the override of {}: {} wins with {} against {plain}", from.node, to.node, to.effective);
        let change = Change::Lower { node: from.node.clone(), priority: None };
        if let Ok(done) = timely(change, to.effective, delay, why) {
            return Ok(done);
        }
    }
    if let Some(plain) = to.plain_effective().filter(|plain| to.overridden && *plain > from.effective)
        && !to.nopreempt_plain
        && to.edit.is_ok()
    {
        let why = format!("remove the override of {}: it wins with {plain} against {}", to.node, from.effective);
        let change = Change::Raise { node: to.node.clone(), priority: None };
        if let Ok(done) = timely(change, plain, to.plain_delay, why) {
            return Ok(done);
        }
    }
    let raised = to.editable().and_then(|()| {
        // A target that is higher and only held back by `nopreempt` keeps its distance.
        let above = if to.effective > from.effective { to.effective } else { 2 * from.effective - to.effective };
        let priority = to.base_for(above, from.effective).ok_or_else(|| no_room(to, from))?;
        let effective = i32::from(priority) + to.weight();
        let base = to.running.base_priority;
        let why = match base == priority {
            true => format!("let {} take over at once with {effective} against {}", to.node, from.effective),
            false => format!("raise {} from {base} to {priority}: {effective} against {}", to.node, from.effective),
        };
        // The override says `preempt_delay 0`.
        timely(Change::Raise { node: to.node.clone(), priority: Some(priority) }, effective, Span::secs(0), why)
    });
    let Err(refused) = raised else { return raised };
    // A target with `nopreempt` takes nothing from a living owner, however low that one is.
    if matches!(refused, Refused::TooSlow { .. }) || to.running.nopreempt || from.edit.is_err() {
        return Err(refused);
    }
    let below = (2 * to.effective - from.effective).max(1) - from.weight();
    let Some(priority) = u8::try_from(below.max(1)).ok().filter(|base| i32::from(*base) + from.weight() < to.effective)
    else {
        return Err(refused);
    };
    let why = format!("lower {} from {} to {priority}, since {refused}", from.node, from.running.base_priority);
    timely(Change::Lower { node: from.node.clone(), priority: Some(priority) }, to.effective, delay, why)
}

fn no_room(to: &Numbers<'_>, from: &Numbers<'_>) -> Refused {
    Refused::NoRoom { target: to.node.clone(), from: to.effective, owner: from.effective }
}

/// What counts of one node.
struct Numbers<'a> {
    node: &'a NodeName,
    running: &'a Running,
    effective: i32,
    /// Priority of the configuration without our override, where it is known.
    plain: Option<i32>,
    /// An override is in the file.
    written: bool,
    /// An override is in the file, or still in the daemon.
    overridden: bool,
    /// The file says something else than the daemon runs with: a reload would change it.
    pending: bool,
    /// Base priority after a reload.
    on_disk: i32,
    nopreempt_on_disk: bool,
    nopreempt_plain: bool,
    plain_delay: Span,
    down_adverts: u64,
    edit: Result<(), &'a str>,
}

impl<'a> Numbers<'a> {
    fn of(side: Side<'a>) -> Result<Self, Refused> {
        let Side { node, facts } = side;
        if !facts.active {
            return Err(Refused::Inactive(node.clone()));
        }
        let running = facts.running.as_ref().ok_or_else(|| Refused::Silent(node.clone()))?;
        let base = i32::from(running.base_priority);
        let configured = facts.configured.as_ref();
        let written = facts.override_priority;
        let known = configured.and_then(|configured| configured.priority).map(i32::from);
        let plain = known.or(if written.is_none() { Some(base) } else { None });
        let on_disk = written.map(i32::from).or(plain).unwrap_or(base);
        let nopreempt_plain = configured.map_or(running.nopreempt, |configured| configured.nopreempt);
        Ok(Self {
            node,
            running,
            effective: i32::from(running.effective_priority),
            plain,
            written: written.is_some(),
            overridden: written.is_some() || plain.is_some_and(|plain| plain != base),
            pending: on_disk != base,
            on_disk,
            nopreempt_on_disk: written.is_none() && nopreempt_plain,
            nopreempt_plain,
            plain_delay: configured.map_or(running.preempt_delay, |configured| configured.preempt_delay),
            down_adverts: configured.map_or(3, |configured| configured.down_adverts),
            edit: facts.refusal.as_deref().map_or(Ok(()), Err),
        })
    }

    fn editable(&self) -> Result<(), Refused> {
        self.edit.map_err(|why| Refused::Uneditable { node: self.node.clone(), why: why.to_owned() })
    }

    /// What tracked checks add to the base priority now.
    fn weight(&self) -> i32 {
        self.effective - i32::from(self.running.base_priority)
    }

    fn plain_effective(&self) -> Option<i32> {
        Some(self.plain? + self.weight())
    }

    /// The effective priority now or after a reload, whichever is higher.
    fn highest(&self) -> i32 {
        self.effective.max(self.on_disk + self.weight())
    }

    /// Whether this node takes the address from a living owner, now or after a reload that may come at any time.
    fn takes_from(&self, owner: &Numbers<'_>) -> bool {
        let now = !self.running.nopreempt && self.effective > owner.effective;
        let later = !self.nopreempt_on_disk && self.on_disk + self.weight() > owner.on_disk + owner.weight();
        now || later
    }

    /// The base priority that makes the effective one `above`, or as near as 254 allows; above `least` in any case.
    fn base_for(&self, above: i32, least: i32) -> Option<u8> {
        let base = (above.max(least + 1) - self.weight()).clamp(1, 254);
        u8::try_from(base).ok().filter(|base| (i32::from(*base) + self.weight()).min(254) > least)
    }

    fn facts_state_that_cannot_own(&self) -> Option<crate::State> {
        Some(self.running.state).filter(|state| !matches!(state, crate::State::Backup | crate::State::Master))
    }

    /// How long the node listens before it takes over. The skew lets the highest of several backups go first; it is a
    /// part of a second in VRRPv2 and a part of the interval in VRRPv3.
    fn takeover(&self, priority: i32, delay: Span) -> Span {
        let interval = self.running.advert_interval.duration();
        let unit = if self.running.version >= 3 { interval } else { Duration::from_secs(1) };
        let missing = u32::try_from(self.down_adverts).unwrap_or(u32::MAX);
        let skew = unit * u32::try_from(256 - priority.clamp(1, 255)).unwrap_or(0) / 256;
        let all = interval.saturating_mul(missing) + skew + delay.duration();
        Span::millis(u64::try_from(all.as_millis()).unwrap_or(u64::MAX))
    }
}
