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
//! Stopping keepalived, or failing a tracked check on the owner, moves the address too, but leaves it nowhere for more
//! than half a second; neither is used here.

mod act;
pub mod conf;
mod decide;
mod dump;
mod facts;
mod findings;
mod script;
#[cfg(test)]
mod tests;

pub use act::{VipAt, VipMove};
pub use decide::{Change, Move, Refused, Side, decide};
pub use dump::{Running, State};
pub use facts::{Configured, KeepalivedFacts, KeepalivedSubject, vip_owner};

use rollup_engine::Registry;
use rollup_model::plan::Impact;

/// Adds the subject `keepalived` and the actions `vip.at` and `vip.move`.
pub fn register(registry: &mut Registry) {
    registry.subject(KeepalivedSubject);
    registry.action::<VipAt>("vip.at", Impact::Observe);
    registry.action::<VipMove>("vip.move", Impact::Interrupt);
}
