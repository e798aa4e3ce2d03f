//! The virtual address and keepalived, which moves it.
//!
//! Owns what is known of `keepalived.conf`, of the daemon's own account of itself and of VRRP's rules: who holds the
//! address, what would make it move and how long that takes, and the change that moves it. It must not know databases,
//! services or packages, nor wait: limits and retries are the engine's.
//!
//! # How the address moves
//!
//! The last `priority` of a `vrrp_instance` counts. So one marked block before the closing brace of the instance, and a
//! reload, raise a node above its peer without rewriting anything an operator wrote, and taking the block out restores
//! the file byte for byte. The node that is raised takes the address over after three adverts stayed lower than its
//! own priority; the old owner drops it in the same instant, so clients see no gap. The block also says `preempt`,
//! which clears `nopreempt`, and `preempt_delay 0`, because both would keep the raised node waiting.
//!
//! Where the peer runs with `nopreempt`, the block is needed for the move only and taken out again right after, so the
//! pair is what its operator made it, with the address on the other node.
//!
//! A tracked file that the operator has set aside does the same without a reload. Where a higher priority is not enough
//! or comes too late, the old owner is made to give up by one command that lets go again by itself: that leaves the
//! address nowhere for a moment, so it is the later choice. [`decide`] proves which of the ways works before anything
//! begins.

mod act;
mod adverts;
mod checks;
pub mod conf;
mod decide;
mod dump;
mod facts;
mod findings;
mod script;
#[cfg(test)]
mod tests;

pub use act::{VipAt, VipDrain, VipDrained, VipMove, VipRestore, VipRests};
pub use adverts::{Adverts, AdvertsFacts};
pub use decide::{By, Edit, How, Move, Push, Reason, Refused, Rules, Side, decide, rests_at};
pub use dump::{Running, State};
pub use facts::{
    Configured, Drained, Edited, EditedFile, KeepalivedFacts, KeepalivedSubject, Link, Member, Pushed, Tracker,
    vip_owner,
};

use rollup_engine::Registry;
use rollup_model::plan::Impact;

/// Adds the subjects `keepalived` and `adverts` and the actions `vip.at`, `vip.move`, `vip.rests`, `vip.restore`,
/// `vip.drain` and `vip.drained`.
pub fn register(registry: &mut Registry) {
    registry.subject(KeepalivedSubject);
    registry.subject(Adverts);
    registry.action::<VipAt>("vip.at", Impact::Observe);
    registry.choosing_action::<VipMove>("vip.move", Impact::Interrupt, act::choose);
    registry.action::<VipRests>("vip.rests", Impact::Observe);
    registry.action::<VipRestore>("vip.restore", Impact::Interrupt);
    registry.action::<VipDrain>("vip.drain", Impact::Change);
    registry.action::<VipDrained>("vip.drained", Impact::Change);
}
