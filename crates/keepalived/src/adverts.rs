//! Whether the backup hears the owner now (PRE-2): two looks at the daemon's counters, two adverts apart.
//!
//! A counter that has ever moved says nothing of today, and a backup that is deaf takes the address by mistake, so that
//! both nodes have it.

use anyhow::{Result, bail};
use rollup_engine::{FindingCx, Probe, Stage, Subject};
use rollup_model::{Check, Finding, Inventory, inventory::Node};
use serde::{Deserialize, Serialize};

use crate::{
    KeepalivedSubject, Running, State,
    dump::{self},
    script,
};

/// The subject `adverts`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Adverts;

/// The daemon's account, twice. Empty where it gives none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdvertsFacts {
    /// Every instance at first.
    pub first: Vec<Running>,
    /// Every instance two adverts later.
    pub second: Vec<Running>,
    /// The seconds between.
    pub waited: Option<String>,
}

impl AdvertsFacts {
    fn instance(&self, name: &str) -> Option<(&Running, &Running)> {
        let find = |all: &'_ [Running]| all.iter().position(|running| running.instance == name);
        Some((&self.first[find(&self.first)?], &self.second[find(&self.second)?]))
    }
}

impl Subject for Adverts {
    type Facts = AdvertsFacts;

    fn name(&self) -> &'static str {
        "adverts"
    }

    fn probe(&self, inventory: &Inventory, _node: &Node) -> Option<Probe> {
        Some(Probe { script: script::ADVERTS, args: vec![inventory.keepalived.unit.clone()] })
    }

    fn parse(&self, text: &str, _inventory: &Inventory) -> Result<AdvertsFacts> {
        if !text.lines().any(|line| line == "end") {
            bail!("expected an answer that ends with `end`");
        }
        let get = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let dump = |key: &str| get(key).and_then(dump::parse).unwrap_or_default();
        Ok(AdvertsFacts { first: dump("first"), second: dump("second"), waited: get("waited").map(str::to_owned) })
    }

    fn checks(&self) -> &'static [Check] {
        &crate::checks::ADVERTS
    }

    fn stands_alone(&self) -> bool {
        true
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        let nodes = cx.each(&KeepalivedSubject);
        let owner = nodes.iter().find(|(_, facts)| facts.vip_here);
        let mut found = Vec::new();
        for (node, facts) in nodes.iter().filter(|(_, facts)| facts.active && !facts.vip_here) {
            let heard = cx.facts.get::<AdvertsFacts>(node, self.name()).unwrap_or_else(|| AdvertsFacts {
                first: Vec::new(),
                second: Vec::new(),
                waited: None,
            });
            let from = owner.map_or("the owner", |(owner, _)| owner.as_str());
            let expected = format!("VRRP adverts from {from}, and none refused");
            let sends = owner.and_then(|(_, facts)| facts.running.as_ref());
            for (name, _, _) in facts.members() {
                let first = Some(name) == facts.instance.as_deref();
                let (good, said) = match heard.instance(name) {
                    Some(both) => {
                        let waited = heard.waited.as_deref().unwrap_or("0");
                        judge(cx.stage, both, sends.filter(|_| first), waited)
                    }
                    None => (false, format!("keepalived does not tell what it hears for {name}")),
                };
                let finding = Finding::check("vip.adverts", "PRE-2", good, &expected, said).on(node);
                let finding =
                    finding.fix("let IP protocol 112 pass between the nodes, and compare the instances of both");
                // Without counters nothing is known, and nothing is proved wrong.
                found.push(if heard.first.is_empty() { finding.only_warn() } else { finding });
            }
        }
        found
    }
}

/// Whether a backup that said this heard the owner well.
///
/// In the middle of a run a move may begin or end while it is watched: a daemon that has just been reloaded forgets whose
/// advert was the last, and one that is about to take over accepts none. Whether it is deaf can be told all the same.
fn judge(stage: Stage, (before, after): (&Running, &Running), owner: Option<&Running>, waited: &str) -> (bool, String) {
    let moving = stage == Stage::Resumed;
    if before.state != after.state {
        return (moving, format!("{} became {} while it was watched", before.state, after.state));
    }
    let count = |running: &Running| running.adverts_received.unwrap_or(0);
    let heard = count(after).saturating_sub(count(before));
    let refused = after.errors.saturating_sub(before.errors);
    let priority = after.master_priority.unwrap_or(0);
    let same = moving || owner.is_none_or(|owner| owner.effective_priority == priority);
    let good = heard > 0 && refused == 0 && after.state == State::Backup && same;
    let mut said = format!("{heard} heard in {waited} s, the last with priority {priority}");
    if refused > 0 {
        said.push_str(&format!(", {refused} refused (password, addresses or interval differ)"));
    }
    (good, said)
}
