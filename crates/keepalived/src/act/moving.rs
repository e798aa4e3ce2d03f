//! The action `vip.move`.

use std::time::Duration;

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, Forecast, State as Check};
use rollup_model::{
    Finding, NodeName, Undo,
    compile::Site,
    inventory::VipStrategy,
    plan::{ActionRef, Target},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Both, change, refusal};
use crate::{KeepalivedFacts, KeepalivedSubject, Move, Rules, Side, decide};

/// `vip.move`: the address moves to this step's node, or to `owner`, and stays there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VipMove {
    /// A role or a node; the step's node when absent.
    pub owner: Option<String>,
    /// The way that was proved when the plan was made. When it no longer works, the others are looked at again.
    pub strategy: Option<VipStrategy>,
}

/// What an undo needs, and what was about to be done, for people.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    owner: NodeName,
    first: Option<Move>,
    /// What was there, by node.
    was: std::collections::BTreeMap<NodeName, String>,
}

/// Changes that one try may need: what is ours goes, the move, and what was needed for it alone goes.
const MOST_CHANGES: usize = 5;

impl VipMove {
    async fn look<'a>(&self, cx: &Cx<'a>) -> Result<Both<'a>> {
        let target = match &self.owner {
            Some(owner) => cx.named(owner)?,
            None => cx.node()?,
        };
        Both::look(cx, target).await
    }
}

#[async_trait::async_trait]
impl Action for VipMove {
    async fn check(&self, cx: &Cx<'_>) -> Result<Check> {
        let both = self.look(cx).await?;
        let mut wrong = both.wrong();
        match both.decide(&Rules::of(cx.inventory(), self.strategy)) {
            Ok(None) if wrong.is_empty() => Ok(Check::seen(json!({
                "owner": both.target.0,
                both.target.0.as_str(): both.target.1.summary(),
                both.other.0.as_str(): both.other.1.summary(),
            }))),
            // The address is in place and stays; the states follow within an advert.
            Ok(None) => Ok(Check::Needed { before: before(&both, None), because: wrong }),
            Ok(Some(first)) => {
                let expected = "a VIP that stays";
                wrong.push(Finding::check("vip.pending", "VIP-2", false, expected, format!("to do: {}", first.why)));
                Ok(Check::Needed { before: before(&both, Some(first)), because: wrong })
            }
            // While the address moves, two looks at two nodes can see it twice or not at all.
            Err(refused) if cx.before.is_some() => {
                wrong.push(refusal(&refused, cx.inventory()));
                Ok(Check::not_yet(wrong))
            }
            Err(refused) => Ok(Check::blocked(vec![refusal(&refused, cx.inventory())])),
        }
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let rules = Rules::of(cx.inventory(), self.strategy);
        let mut moved = false;
        for _ in 0..MOST_CHANGES {
            let both = self.look(cx).await?;
            let done = match both.decide(&rules) {
                Ok(Some(done)) => done,
                Ok(None) => break,
                // When the two nodes do not agree yet, the next try goes on.
                Err(_) if moved => break,
                Err(refused) => return Err(refused.into()),
            };
            // What did not move it once is not tried at once again: each reload starts the wait anew.
            if moved && done.takes() {
                break;
            }
            if !done.takes() {
                cx.progress(done.why.clone());
                if let Some(edit) = &done.edit {
                    change::edit(cx, both.facts_of(&edit.node), edit).await?;
                }
                continue;
            }
            moved = true;
            cx.progress(format!("{}, expected after {}", done.why, done.expected));
            if let Some(edit) = &done.edit {
                change::edit(cx, both.facts_of(&edit.node), edit).await?;
            }
            change::push(cx, &done).await?;
            let wait = (done.expected.duration() + Duration::from_secs(2)).min(rules.limit.duration());
            change::announce(cx, both.target.0, wait).await?;
        }
        Ok(())
    }

    async fn forecast(&self, cx: &Cx<'_>) -> Result<Option<Forecast>> {
        let both = self.look(cx).await?;
        let decided = both.decide(&Rules::of(cx.inventory(), self.strategy));
        Ok(decided.ok().flatten().map(|way| Forecast { length: way.gap.duration(), because: way.proof() }))
    }

    fn undo(&self, before: &Value) -> Undo {
        // A plan that is only printed does not know the owner yet.
        let owner = before.get("owner").and_then(Value::as_str).unwrap_or("the node that has it now");
        let with = Map::from_iter([("owner".to_owned(), Value::String(owner.to_owned()))]);
        Undo::Action(ActionRef { uses: "vip.move".to_owned(), with })
    }
}

fn before(both: &Both<'_>, first: Option<Move>) -> Value {
    let (target, other) = (&both.target, &both.other);
    let owner = if other.1.vip_here { other.0 } else { target.0 };
    let was = [target, other].map(|(node, facts)| ((*node).clone(), facts.summary()));
    serde_json::to_value(Before { owner: owner.clone(), first, was: was.into() }).unwrap_or_default()
}

/// Settles the way when a plan is made, so that the plan shows it with its proof. A pair that is not in order now, or a
/// step that comes after another move, is decided when it is its turn.
pub(crate) fn choose(
    with: &Map<String, Value>,
    on: &Target,
    site: &Site<'_>,
) -> Result<(Map<String, Value>, Option<String>), String> {
    let mut with = with.clone();
    let named = with.get("owner").and_then(Value::as_str);
    let bound = |word: &str| {
        let role = rollup_model::Role::ALL.iter().find(|(name, _)| *name == word);
        role.and_then(|(_, role)| site.facts.bindings.get(role))
    };
    let target = match (named, on) {
        (Some(word), _) => bound(word).or_else(|| site.inventory.node_names().find(|node| node.as_str() == word)),
        (None, Target::Node(node)) => Some(node),
        (None, Target::Pair) => None,
    };
    let facts =
        |node: &NodeName| site.facts.get::<KeepalivedFacts>(node, rollup_engine::Subject::name(&KeepalivedSubject));
    let both = target.and_then(|target| {
        let other = &site.inventory.peer_of(target)?.name;
        Some((target, facts(target)?, other, facts(other)?))
    });
    let Some((target, here, other, there)) = both else { return Ok((with, None)) };
    let (to, from) = (Side { node: target, facts: &here }, Side { node: other, facts: &there });
    let why = match decide(to, from, &Rules::of(site.inventory, None)) {
        Ok(Some(way)) if way.takes() => {
            if let Some(strategy) = way.strategy {
                with.insert("strategy".to_owned(), Value::String(strategy.name().to_owned()));
            }
            Some(way.proof())
        }
        Ok(_) => None,
        Err(refused) => Some(format!("not proved now: {refused}")),
    };
    Ok((with, why))
}
