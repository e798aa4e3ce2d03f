//! The gates: a node that is healthy, a VIP that answers.

use std::{
    borrow::Cow,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use rollup_engine::{Action, Cx, State, gather_one};
use rollup_model::{Finding, Inventory, NodeName, Severity, StepState, Target, release::Answers};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{HealthFacts, HealthSubject, definition, http};

/// The node is healthy (UPG-6).
///
/// Remembers its last look: a unit that was started anew between two looks of one gate starts the watch again, even when
/// both looks find it well.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Healthy {
    #[serde(skip)]
    last: Mutex<Option<HealthFacts>>,
}

#[async_trait::async_trait]
impl Action for Healthy {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let node = cx.node()?;
        let inventory = &asked(cx, node);
        let at = inventory.node(node).with_context(|| format!("node `{node}` is not in the inventory"))?;
        let facts = gather_one(&HealthSubject, cx.host()?, inventory, at).await?;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(facts.clone());
        let mut findings = definition::problems(inventory, node, &facts, "UPG-6");
        if let Some(last) = last {
            findings.extend(definition::restarted(inventory, node, &last, &facts, "UPG-6"));
        }
        findings.retain(|finding| finding.severity == Severity::Error);
        if findings.is_empty() {
            return Ok(State::seen(facts.urls.iter().map(|url| &url.body).collect::<Vec<_>>()));
        }
        // systemd has given a failed unit up: waiting longer cannot help.
        let given_up = facts.units.iter().any(|unit| unit.active == "failed");
        Ok(if given_up { State::blocked(findings) } else { State::not_yet(findings) })
    }

    fn acceptable(&self, finding: &Finding) -> bool {
        definition::acceptable(&finding.id)
    }
}

/// What is asked of a node: the inventory's questions, and those of the package once this run has installed it there.
fn asked<'a>(cx: &Cx<'a>, node: &NodeName) -> Cow<'a, Inventory> {
    let inventory = Cow::Borrowed(cx.inventory());
    let Some(release) = cx.plan.release.as_ref().filter(|release| !release.health.is_empty()) else { return inventory };
    let here = Target::Node(node.clone());
    let installed = cx.plan.steps.iter().any(|step| {
        let is_done =
            cx.run.steps.get(&step.id).is_some_and(|record| record.state == StepState::Done && !record.undone);
        step.action.uses == "service.install" && step.on == here && is_done
    });
    if installed { Cow::Owned(with_answers(inventory.into_owned(), &release.health)) } else { inventory }
}

/// An inventory that also asks for these.
fn with_answers(mut inventory: Inventory, more: &Answers) -> Inventory {
    let service = &mut inventory.service;
    for port in &more.ports {
        if !service.ports.contains(port) {
            service.ports.push(*port);
        }
    }
    for url in &more.urls {
        if !service.health_urls.contains(url) {
            service.health_urls.push(url.clone());
        }
    }
    inventory
}

/// Clients are answered through the VIP by this step's node (VIP-3).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {}

#[async_trait::async_trait]
impl Action for Outside {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let node = cx.node()?;
        let inventory = cx.inventory();
        let mut findings = Vec::new();
        let mut seen = json!({});
        let limit = Duration::from_secs(3);
        if let Some(url) = &inventory.vip.health_url {
            let (good, found) = match http::request(url, None, limit).await {
                Ok(answer) => {
                    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                    // A service that does not tell its node is taken at its status.
                    let owner = body.get("node").and_then(Value::as_str).map(str::to_owned);
                    let right = owner.as_deref().is_none_or(|owner| owner == node.as_str());
                    let found =
                        format!("HTTP {} from {}", answer.status, owner.as_deref().unwrap_or("an unnamed node"));
                    (answer.status == 200 && right, found)
                }
                Err(error) => (false, format!("{error:#}")),
            };
            seen["read"] = found.clone().into();
            let expected = format!("HTTP 200 from {node} at {url}");
            findings.push(Finding::check("vip.answered", "VIP-3", good, expected, found).fix(format!("curl -i {url}")));
        }
        if let Some((url, body)) = inventory.meter.as_ref().and_then(|m| Some((m.write_url.as_ref()?, &m.write_body))) {
            let (good, found) = match http::request(url, Some(body), limit).await {
                Ok(answer) => ((200..300).contains(&answer.status), format!("HTTP {}", answer.status)),
                Err(error) => (false, format!("{error:#}")),
            };
            seen["write"] = found.clone().into();
            let expected = format!("HTTP 2xx for a write at {url}");
            findings.push(
                Finding::check("vip.writable", "VIP-3", good, expected, found).fix(format!("curl -i -X POST {url}")),
            );
        }
        findings.retain(|finding| finding.severity == Severity::Error);
        Ok(if findings.is_empty() { State::seen(seen) } else { State::not_yet(findings) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_answers_is_asked_beside_what_the_inventory_asks_pkg_1() {
        let known = "http://127.0.0.1:8080/health";
        let more =
            Answers { ports: vec![8080, 9090], urls: vec![known.to_owned(), "http://127.0.0.1:9090/".to_owned()] };
        let asked = with_answers(crate::tests::inventory(), &more).service;
        assert_eq!(asked.ports, [8080, 8081, 9090]);
        assert_eq!(asked.health_urls, [known, "http://127.0.0.1:9090/"]);
    }
}
