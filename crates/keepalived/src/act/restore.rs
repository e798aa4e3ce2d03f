//! The actions `vip.rests` and `vip.restore`.

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State as Check};
use rollup_model::{Finding, Undo};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Both, change, drain};
use crate::{Side, rests_at};

/// `vip.rests`: this node has the address once nothing of ours counts any more, or has it already.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VipRests {
    /// A role or a node.
    pub owner: String,
}

#[async_trait::async_trait]
impl Action for VipRests {
    async fn check(&self, cx: &Cx<'_>) -> Result<Check> {
        let owner = cx.named(&self.owner)?;
        let both = Both::look(cx, owner).await?;
        let sides = [&both.target, &both.other].map(|(node, facts)| Side { node, facts });
        let [target, other] = sides;
        let rests = match (target.facts.vip_here, other.facts.vip_here) {
            (true, false) => rests_at(target, other),
            (false, true) => rests_at(other, target),
            _ => None,
        };
        let said = rests.map_or_else(|| "nobody can tell".to_owned(), |node| format!("on {node}"));
        let expected = format!("a VIP that stays on {owner} without overrides");
        let finding = Finding::check("vip.rests", "VIP-3", rests == Some(owner), &expected, said);
        let seen = sides.map(|side| (side.node.to_string(), Value::String(side.facts.summary())));
        Ok(match rests == Some(owner) {
            true => Check::seen(serde_json::Map::from_iter(seen)),
            false => Check::blocked(vec![finding.fix("rollup vip status")]),
        })
    }
}

/// `vip.restore`: nothing of ours is on any node any more, and the address is on `owner`, where the operator's own
/// configuration has it stay.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VipRestore {
    /// A role or a node: the one that has the address once nothing of ours counts.
    pub owner: String,
}

#[async_trait::async_trait]
impl Action for VipRestore {
    async fn check(&self, cx: &Cx<'_>) -> Result<Check> {
        let both = Both::look(cx, cx.named(&self.owner)?).await?;
        let sides = [&both.target, &both.other];
        let mut wrong: Vec<_> = sides
            .iter()
            .filter(|(_, facts)| facts.traces())
            .map(|(node, facts)| {
                let found = facts.ours().join(", ");
                Finding::check("vip.leftover", "VIP-3", false, "nothing of rollup", found).on(node)
            })
            .collect();
        wrong.extend(both.wrong());
        if wrong.is_empty() {
            let seen = sides.map(|(node, facts)| (node.to_string(), Value::String(facts.summary())));
            return Ok(Check::seen(serde_json::Map::from_iter(seen)));
        }
        let was = sides.map(|(node, facts)| (node.to_string(), json!(facts.summary())));
        Ok(Check::Needed { before: Value::Object(was.into_iter().collect()), because: wrong })
    }

    /// The other node first: whatever would take the address away from the owner goes before what holds it there.
    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let owner = cx.named(&self.owner)?;
        let other = &cx.inventory().peer_of(owner).context("the VIP needs a second node in the inventory")?.name;
        for node in [other, owner] {
            let both = Both::look(cx, owner).await?;
            let facts = both.facts_of(node);
            cx.progress(format!("{node}: {}", facts.summary()));
            if facts.drained.is_some() {
                drain::drained(cx, node).await?;
            }
            change::take_out(cx, node, facts).await?;
        }
        change::announce(cx, owner, cx.inventory().limits.vip_switch.duration()).await
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::NotNeeded { why: "what it takes out was never meant to stay".to_owned() }
    }
}
