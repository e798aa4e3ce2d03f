//! The actions `vip.at`, `vip.move`, `vip.rests`, `vip.restore`, `vip.drain` and `vip.drained`.
//!
//! Owns their order: look at both nodes, decide, change one node, announce. Every look is a fresh one, so a second try,
//! a resumed run and the way back all start from what is true then.

mod at;
mod change;
mod drain;
mod moving;
mod restore;

use anyhow::{Context, Result};
use rollup_engine::Cx;
use rollup_model::{Finding, Inventory, NodeName};

use crate::{KeepalivedFacts, KeepalivedSubject, Move, Refused, Rules, Side, State, decide, findings};

pub use at::VipAt;
pub use drain::{VipDrain, VipDrained};
pub use moving::VipMove;
pub(crate) use moving::choose;
pub use restore::{VipRestore, VipRests};

/// Both nodes at one time: the one that shall have the address, and the other.
struct Both<'a> {
    target: (&'a NodeName, KeepalivedFacts),
    other: (&'a NodeName, KeepalivedFacts),
}

impl<'a> Both<'a> {
    async fn look(cx: &Cx<'a>, target: &'a NodeName) -> Result<Both<'a>> {
        let other = &cx.inventory().peer_of(target).context("the VIP needs a second node in the inventory")?.name;
        let (at_target, at_other) =
            futures_util::future::try_join(cx.facts(&KeepalivedSubject, target), cx.facts(&KeepalivedSubject, other))
                .await?;
        Ok(Both { target: (target, at_target), other: (other, at_other) })
    }

    fn decide(&self, rules: &Rules<'_>) -> Result<Option<Move>, Refused> {
        let side = |(node, facts): &'_ (&'a NodeName, KeepalivedFacts)| (*node, facts.clone());
        let (target, other) = (side(&self.target), side(&self.other));
        decide(Side { node: target.0, facts: &target.1 }, Side { node: other.0, facts: &other.1 }, rules)
    }

    fn facts_of(&self, node: &NodeName) -> &KeepalivedFacts {
        if self.target.0 == node { &self.target.1 } else { &self.other.1 }
    }

    /// What is wrong with both nodes as long as the address is not where it should be.
    fn wrong(&self) -> Vec<Finding> {
        let at = |(node, facts): &(&NodeName, KeepalivedFacts), owner| place(node, facts, owner);
        at(&self.target, true).into_iter().chain(at(&self.other, false)).collect()
    }
}

/// What is wrong with one node when the address should, or should not, be there.
fn place(node: &NodeName, facts: &KeepalivedFacts, owner: bool) -> Option<Finding> {
    let master = facts.state() == Some(State::Master);
    let good = facts.vip_here == owner && master == owner;
    let expected = if owner { "the VIP, in state MASTER" } else { "no VIP, not in state MASTER" };
    (!good).then(|| Finding::check("vip.owner", "VIP-3", false, expected, facts.summary()).on(node))
}

/// A refusal as a finding.
fn refusal(refused: &Refused, inventory: &Inventory) -> Finding {
    let finding = Finding::check("vip.proof", "VIP-1", false, "a VIP that can be moved", refused.to_string());
    Finding { fix: findings::fix(refused, inventory), ..finding }
}
