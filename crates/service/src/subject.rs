//! Which version a node runs.

use anyhow::Result;
use rollup_engine::{FindingCx, Probe, Stage, Subject};
use rollup_model::{Finding, Inventory, inventory::Node};
use serde::{Deserialize, Serialize};

/// Facts about the installed service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Content of the version file; `baseline` when there is none.
    pub version: String,
}

/// The installed service.
pub struct ServiceSubject;

/// `$1` version file, or empty.
const PROBE: &str = r#"if [ -n "$1" ] && [ -f "$1" ]; then head -c 200 "$1" | head -n 1; fi"#;

impl Subject for ServiceSubject {
    type Facts = ServiceFacts;

    fn name(&self) -> &'static str {
        "service"
    }

    fn probe(&self, inventory: &Inventory, _: &Node) -> Option<Probe> {
        Some(Probe { script: PROBE, args: vec![inventory.service.version_file.clone().unwrap_or_default()] })
    }

    fn parse(&self, text: &str, _: &Inventory) -> Result<ServiceFacts> {
        let version = text.trim();
        Ok(ServiceFacts { version: if version.is_empty() { "baseline".to_owned() } else { version.to_owned() } })
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        let Some(release) = cx.release.filter(|_| cx.stage == Stage::Fresh) else { return Vec::new() };
        let each = cx.each(self).into_iter().map(|(node, facts)| {
            let here = facts.version == release.version;
            let allowed = release.from_versions.is_empty()
                || facts.version == "baseline"
                || here
                || release.from_versions.iter().any(|pattern| fits(pattern, &facts.version));
            Finding::check(
                "package.from-version",
                "PRE-9",
                allowed,
                format!("one of {}", release.from_versions.join(", ")),
                facts.version,
            )
            .on(node)
            .fix(format!("take a package of {} that upgrades from this version", release.name))
        });
        let mut findings: Vec<_> = each.collect();
        let nodes = cx.each(self);
        let all_new = !nodes.is_empty() && nodes.iter().all(|(_, facts)| facts.version == release.version);
        if all_new {
            // Going on would replace nothing and still move the VIP, and the new backup set takes the older one's place.
            let found = format!("{} on every node", release.version);
            findings.push(
                Finding::check("package.new", "PRE-9", false, "a node without this version", found)
                    .only_warn()
                    .fix("nothing needs to be installed; to look: rollup health"),
            );
        }
        findings
    }
}

/// `1.2.*` fits everything that begins with `1.2.`.
fn fits(pattern: &str, version: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == version, |prefix| version.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_tail() {
        assert!(fits("1.*", "1.0.0") && fits("1.0.0", "1.0.0") && fits("*", "3"));
        assert!(!fits("1.*", "2.1.0") && !fits("1.0.0", "1.0.1"));
    }
}
