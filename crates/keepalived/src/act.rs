//! The actions `vip.at` and `vip.move`.
//!
//! Owns their order: look at both nodes, decide, change one file on one node, announce. Every look is a fresh one, so
//! a second try, a resumed run and the way back all start from what is true then.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rollup_engine::{Action, ApplyCx, Cx, State as Check};
use rollup_model::{Finding, NodeName, Span, Undo, plan::ActionRef};
use rollup_remote::{Cmd, Stdin};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Change, KeepalivedFacts, KeepalivedSubject, Move, Side, State, conf, decide, facts::unhex, findings, script,
};

/// `vip.at`: the address is on this node and on no other.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VipAt {
    /// A role or a node.
    pub owner: String,
}

#[async_trait::async_trait]
impl Action for VipAt {
    async fn check(&self, cx: &Cx<'_>) -> Result<Check> {
        let owner = cx.named(&self.owner)?;
        let names = cx.inventory().node_names();
        let all = futures_util::future::try_join_all(
            names.map(|node| async move { anyhow::Ok((node, cx.facts(&KeepalivedSubject, node).await?)) }),
        );
        let mut wrong = Vec::new();
        let mut seen = Map::new();
        for (node, facts) in all.await? {
            wrong.extend(place(node, &facts, node == owner));
            seen.insert(node.to_string(), Value::String(facts.summary()));
        }
        Ok(if wrong.is_empty() { Check::seen(seen) } else { Check::not_yet(wrong) })
    }
}

/// What is wrong with one node when the address should, or should not, be there.
fn place(node: &NodeName, facts: &KeepalivedFacts, owner: bool) -> Option<Finding> {
    let master = facts.state() == Some(State::Master);
    let good = facts.vip_here == owner && master == owner;
    let expected = if owner { "the VIP, in state MASTER" } else { "no VIP, not in state MASTER" };
    (!good).then(|| Finding::check("vip.owner", "VIP-3", false, expected, facts.summary()).on(node))
}

/// `vip.move`: the address moves to this step's node, or to `owner`, and stays there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VipMove {
    /// A role or a node; the step's node when absent.
    pub owner: Option<String>,
}

/// What an undo needs, and what was about to be done, for people.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    owner: NodeName,
    first: Move,
    config_sha256: Option<String>,
    #[serde(rename = "override")]
    override_priority: Option<u8>,
}

/// Both nodes at one time.
struct Both<'a> {
    target: (&'a NodeName, KeepalivedFacts),
    other: (&'a NodeName, KeepalivedFacts),
}

impl<'a> Both<'a> {
    async fn look(action: &VipMove, cx: &Cx<'a>) -> Result<Both<'a>> {
        let target = match &action.owner {
            Some(owner) => cx.named(owner)?,
            None => cx.node()?,
        };
        let other = &cx.inventory().peer_of(target).context("the VIP needs a second node in the inventory")?.name;
        let (at_target, at_other) =
            futures_util::future::try_join(cx.facts(&KeepalivedSubject, target), cx.facts(&KeepalivedSubject, other))
                .await?;
        Ok(Both { target: (target, at_target), other: (other, at_other) })
    }

    fn decide(&self, limit: Span) -> Result<Option<Move>, crate::Refused> {
        let (target, other) = (&self.target, &self.other);
        decide(Side { node: target.0, facts: &target.1 }, Side { node: other.0, facts: &other.1 }, limit)
    }

    fn facts_of(&self, node: &NodeName) -> &KeepalivedFacts {
        if self.target.0 == node { &self.target.1 } else { &self.other.1 }
    }
}

#[async_trait::async_trait]
impl Action for VipMove {
    async fn check(&self, cx: &Cx<'_>) -> Result<Check> {
        let limit = cx.inventory().limits.vip_switch;
        let both = Both::look(self, cx).await?;
        let decided = both.decide(limit);
        let mut wrong = Vec::new();
        wrong.extend(place(both.target.0, &both.target.1, true));
        wrong.extend(place(both.other.0, &both.other.1, false));
        match decided {
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
            Err(refused) => {
                let said = refused.to_string();
                let mut finding = Finding::check("vip.proof", "VIP-1", false, "a VIP that can be moved", said);
                finding.fix = findings::fix(&refused, cx.inventory());
                // While the address moves, two looks at two nodes can see it twice or not at all.
                if cx.before.is_some() {
                    wrong.push(finding);
                    return Ok(Check::not_yet(wrong));
                }
                Ok(Check::blocked(vec![finding]))
            }
        }
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let limit = cx.inventory().limits.vip_switch;
        let both = Both::look(self, cx).await?;
        let Some(first) = both.decide(limit)? else { return Ok(()) };
        cx.progress(format!("{}, expected after {}", first.why, first.expected));
        if let Some((node, priority)) = first.edit() {
            edit(cx, node, both.facts_of(node), priority).await?;
        }
        let wait = (first.expected.duration() + Duration::from_secs(2)).min(limit.duration());
        let turns = (wait.as_millis() / 20).to_string();
        let args = [cx.inventory().vip.address.to_string(), turns];
        let cmd = Cmd::mutate("vip.announce", script::ANNOUNCE, args).deadline(wait * 2 + Duration::from_secs(5));
        cx.change_of(both.target.0)?.exec(&cmd).await?;
        // An override that was needed for the move only. When the two nodes do not agree yet, the next try does it.
        let both = Both::look(self, cx).await?;
        if let Ok(Some(last @ Move { change: Change::Settle { .. }, .. })) = both.decide(limit)
            && let Some((node, priority)) = last.edit()
        {
            cx.progress(last.why.clone());
            edit(cx, node, both.facts_of(node), priority).await?;
        }
        Ok(())
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
    let first =
        first.unwrap_or(Move { change: Change::Wait, expected: Span::secs(0), why: "states settle".to_owned() });
    let edited = first.edit().map(|(node, _)| both.facts_of(node));
    let before = Before {
        owner: owner.clone(),
        config_sha256: edited.and_then(|facts| facts.config_sha256.clone()),
        override_priority: edited.and_then(|facts| facts.override_priority),
        first,
    };
    serde_json::to_value(before).unwrap_or_default()
}

/// Writes or removes the override on one node and has the daemon take it.
async fn edit(cx: &ApplyCx<'_>, node: &NodeName, facts: &KeepalivedFacts, priority: Option<u8>) -> Result<()> {
    let at = &cx.inventory().keepalived;
    let instance = facts.instance.as_ref().context("expected an instance that holds the VIP, found none")?;
    let running = facts.running.as_ref().context("expected a daemon that tells its priority, found none")?;
    let read = Cmd::read("vip.config", script::CONFIG, [at.config.as_str()]);
    let answer = cx.host_of(node)?.exec(&read).await?.stdout;
    let (sum, hex) = answer.split_once('\n').context("expected a checksum and a text, found less")?;
    let bytes = unhex(hex).context("expected the configuration in hex, found something else")?;
    ensure!(sum == digest(&bytes), "{} changed while it was read on {node}; try again", at.config);
    let text = String::from_utf8(bytes).with_context(|| format!("{} on {node} is not UTF-8 text", at.config))?;
    let configured = facts.configured.as_ref();
    let (new, want, nopreempt) = match priority {
        Some(priority) => (conf::raise(&text, instance, priority)?, priority.to_string(), false),
        None => {
            let other_than = || format!("!{}", running.base_priority);
            let want = configured.and_then(|configured| configured.priority).map(|priority| priority.to_string());
            let nopreempt = configured.is_some_and(|configured| configured.nopreempt);
            (conf::clear(&text)?, want.unwrap_or_else(other_than), nopreempt)
        }
    };
    let new_sum = digest(new.as_bytes());
    let args = [
        at.unit.as_str(),
        &at.config,
        sum,
        &new_sum,
        instance,
        &want,
        if nopreempt { "true" } else { "false" },
        cx.plan.run.as_str(),
    ];
    let cmd = Cmd::mutate("vip.override", script::OVERRIDE, args).stdin(Stdin::Bytes(new.into_bytes()));
    cx.change_of(node)?.exec(&cmd).await?;
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    rollup_model::plan::hex(&Sha256::digest(bytes))
}
