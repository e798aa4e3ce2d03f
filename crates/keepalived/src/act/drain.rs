//! The actions `vip.drain` and `vip.drained`: requests that the old owner had received are still answered.

use std::time::Duration;

use anyhow::Result;
use rollup_engine::{Action, ApplyCx, Cx, State as Check};
use rollup_model::{Finding, Undo, plan::ActionRef};
use rollup_remote::Cmd;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{KeepalivedSubject, script};

/// `vip.drain`: when the address leaves this node, answers that are under way still go out. Nothing where the inventory
/// does not ask for it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VipDrain {}

/// `vip.drained`: the old owner has sent what it had to send, and its settings are as they were.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VipDrained {}

/// Time for the move and for what comes between.
const ROOM: Duration = Duration::from_secs(15);

#[async_trait::async_trait]
impl Action for VipDrain {
    async fn check(&self, cx: &Cx<'_>) -> Result<Check> {
        let (inventory, said) = (cx.inventory(), |why: &str| Ok(Check::seen(json!({ "drain": why }))));
        if inventory.keepalived.drain.duration().is_zero() {
            return said("not asked for: requests that are under way when the VIP moves hang, or are reset");
        }
        if inventory.vip.address.is_ipv6() {
            return said("not done: the VIP is an IPv6 address, for which it is not proved to work");
        }
        let facts = cx.facts(&KeepalivedSubject, cx.node()?).await?;
        if facts.drained.is_some() {
            return said("under way");
        }
        if !facts.vip_here {
            return said("too late: the VIP has left this node");
        }
        let found = "requests that are under way would hang, or be reset";
        let finding = Finding::check("vip.drain", "VIP-3", false, "answers that leave after the VIP has left", found);
        Ok(Check::not_yet(vec![finding.on(cx.node()?)]))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let at = cx.inventory();
        let lives = at.keepalived.drain.duration() + at.limits.vip_switch.duration() + ROOM;
        let args = [at.vip.address.to_string(), lives.as_secs().to_string(), cx.plan.run.to_string()];
        cx.change()?.exec(&Cmd::mutate("vip.drain", script::DRAIN, args)).await?;
        Ok(())
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::Action(ActionRef { uses: "vip.drained".to_owned(), with: Map::new() })
    }
}

#[async_trait::async_trait]
impl Action for VipDrained {
    async fn check(&self, cx: &Cx<'_>) -> Result<Check> {
        // Between the VIP and the database every look counts.
        if cx.inventory().keepalived.drain.duration().is_zero() {
            return Ok(Check::done());
        }
        let facts = cx.facts(&KeepalivedSubject, cx.node()?).await?;
        let Some(drained) = facts.drained else { return Ok(Check::done()) };
        let found = format!("the VIP on lo, arp settings of {} changed", drained.interface);
        let finding = Finding::check("vip.drained", "VIP-3", false, "no drain any more", found);
        Ok(Check::not_yet(vec![finding.on(cx.node()?)]))
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        drained(cx, cx.node()?).await
    }

    fn undo(&self, _before: &Value) -> Undo {
        Undo::NotNeeded { why: "what it ends was for the move alone".to_owned() }
    }
}

/// Waits for the last answers, as long as the inventory allows, and puts the settings back.
pub(super) async fn drained(cx: &ApplyCx<'_>, node: &rollup_model::NodeName) -> Result<()> {
    let limit = cx.inventory().keepalived.drain.duration();
    let args = [cx.inventory().vip.address.to_string(), (limit.as_millis() / 50).to_string()];
    let cmd = Cmd::mutate("vip.drained", script::DRAINED, args).deadline(limit * 2 + Duration::from_secs(10));
    cx.change_of(node)?.exec(&cmd).await?;
    Ok(())
}
