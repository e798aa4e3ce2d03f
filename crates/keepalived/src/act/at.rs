//! The action `vip.at`.

use anyhow::Result;
use rollup_engine::{Action, Cx, State as Check};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::place;
use crate::KeepalivedSubject;

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
