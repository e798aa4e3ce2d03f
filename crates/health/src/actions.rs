//! The gates: a node that is healthy, a VIP that answers.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use rollup_engine::{Action, Cx, State};
use rollup_model::{Finding, Severity};
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
        let facts = cx.facts(&HealthSubject, node).await?;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(facts.clone());
        let mut findings = definition::problems(cx.inventory(), node, &facts, "UPG-6");
        if let Some(last) = last {
            findings.extend(definition::restarted(cx.inventory(), node, &last, &facts, "UPG-6"));
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
