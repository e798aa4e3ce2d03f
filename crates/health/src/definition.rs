//! What healthy means, in one pure place: what is asked of a node, and which answers are good, each with its reason.
//!
//! It must not know who asks or how: the gates of an upgrade and `rollup health` ask over ssh, `rollup health serve` asks
//! on the node itself.

use std::time::Duration;

use rollup_model::{Finding, Inventory, NodeName};
use serde::Serialize;

use crate::facts::{DatabaseAnswer, HealthFacts, UnitFacts, seconds, too_late};

/// Everything that is asked of a node.
#[derive(Debug, Clone)]
pub(crate) struct Questions {
    /// The service's units, then those of database and keepalived.
    pub(crate) units: Vec<String>,
    /// The unit whose processes are looked at.
    pub(crate) keepalived: String,
    /// The database's port.
    pub(crate) database: u16,
    /// URLs that answer 200.
    pub(crate) urls: Vec<String>,
    /// Limit for each answer; all are asked for at once.
    pub(crate) limit: Duration,
}

impl Questions {
    pub(crate) fn of(inventory: &Inventory) -> Self {
        let mut units = inventory.service.units.clone();
        units.extend([inventory.database.unit.clone(), inventory.keepalived.unit.clone()]);
        Self {
            units,
            keepalived: inventory.keepalived.unit.clone(),
            database: inventory.database.port,
            urls: inventory.service.health_urls.clone(),
            // For the tools that wait on a node, zero is no limit at all.
            limit: inventory.health.timeout.duration().max(Duration::from_millis(100)),
        }
    }
}

/// One part of the definition, good or bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which kind, stable: `health.unit`, `health.port`, `health.database`, `health.keepalived` or `health.url`.
    pub id: &'static str,
    /// What was asked, for example `unit orders-api.service`.
    pub name: String,
    /// Whether the answer is good.
    pub ok: bool,
    /// What was expected, as a fragment.
    pub expected: String,
    /// What was found, as a fragment: the reason.
    pub found: String,
    /// The command that shows more, or mends it.
    pub fix: String,
}

/// The kinds that an operator may accept and go on (UPG-8): about the service alone, never about what data depends on.
pub(crate) fn acceptable(id: &str) -> bool {
    ["health.unit", "health.port", "health.url"].contains(&id)
}

/// How long a unit that systemd has restarted by itself must run before it counts again: the time from one look of the
/// soak to the next, so that no look of the soak can miss a restart, and a service that dies and comes back all the time
/// is never healthy.
fn steady_after(inventory: &Inventory) -> Duration {
    inventory.limits.soak.duration() / inventory.limits.soak_checks.max(1)
}

/// The definition of healthy, part by part.
pub fn checks(inventory: &Inventory, facts: &HealthFacts) -> Vec<Check> {
    let mut checks: Vec<_> =
        inventory.service.units.iter().map(|name| unit(inventory, facts, name, "health.unit")).collect();
    checks.extend(inventory.service.ports.iter().map(|port| {
        let ok = facts.listening.contains(port);
        Check {
            id: "health.port",
            name: format!("port {port}"),
            ok,
            expected: format!("port {port} listening"),
            found: if ok { "listening" } else { "nothing listens" }.to_owned(),
            fix: format!("ss -ltnp | grep :{port}"),
        }
    }));
    checks.extend(facts.urls.iter().map(|url| Check {
        id: "health.url",
        name: url.url.clone(),
        ok: url.status == 200,
        expected: format!("HTTP 200 from {}", url.url),
        found: match url.status {
            0 => url.body.clone(),
            200 => "HTTP 200".to_owned(),
            status => format!("HTTP {status} {}", url.body).trim_end().to_owned(),
        },
        fix: format!("curl -i {}", url.url),
    }));
    checks.push(unit(inventory, facts, &inventory.database.unit, "health.database"));
    checks.push(database(inventory, facts));
    checks.push(keepalived(inventory, facts));
    checks
}

fn unit(inventory: &Inventory, facts: &HealthFacts, name: &str, id: &'static str) -> Check {
    let missing = UnitFacts::unknown(name, "it was not asked for");
    let unit = facts.unit(name).unwrap_or(&missing);
    let sub = if unit.sub.is_empty() { String::new() } else { format!(" ({})", unit.sub) };
    let mut found = format!("{}{sub}", unit.active);
    let age = facts.uptime.saturating_sub(unit.since);
    let steady = steady_after(inventory);
    let flaps = unit.active == "active" && unit.restarts > 0 && age < steady;
    if flaps {
        let times = if unit.restarts == 1 { "once".to_owned() } else { format!("{} times", unit.restarts) };
        found.push_str(&format!(", restarted by systemd {times}, the last time {} ago", seconds(age)));
    }
    if unit.load == "not-found" {
        found.push_str(", there is no such unit");
    }
    if !unit.last_words.is_empty() {
        found.push_str(&format!(": {}", unit.last_words));
    }
    let log = format!("journalctl -u {name} -n 50");
    Check {
        id,
        name: format!("unit {name}"),
        ok: unit.active == "active" && !flaps,
        expected: match flaps {
            true => format!("{name} active for {} without a restart", seconds(steady)),
            false => format!("{name} active"),
        },
        found,
        // A unit that was stopped is started; why one has failed is read first.
        fix: if unit.active == "inactive" { format!("systemctl start {name}   # its log: {log}") } else { log },
    }
}

fn database(inventory: &Inventory, facts: &HealthFacts) -> Check {
    let port = inventory.database.port;
    Check {
        id: "health.database",
        name: format!("database on port {port}"),
        ok: facts.database == DatabaseAnswer::Answered,
        expected: format!("an answer of the database on port {port}"),
        found: match &facts.database {
            DatabaseAnswer::Answered => "answers".to_owned(),
            DatabaseAnswer::Refused => "connection refused".to_owned(),
            DatabaseAnswer::Closed => "connection closed without an answer".to_owned(),
            DatabaseAnswer::Silent => too_late(inventory.health.timeout.duration()),
            DatabaseAnswer::Other(words) => format!("an unknown answer: {words}"),
        },
        fix: format!("systemctl status {}", inventory.database.unit),
    }
}

/// The unit, and its processes: systemd calls a unit active whose processes are stopped or dead in all but name.
fn keepalived(inventory: &Inventory, facts: &HealthFacts) -> Check {
    let name = &inventory.keepalived.unit;
    let mut check = unit(inventory, facts, name, "health.keepalived");
    if !check.ok {
        return check;
    }
    let stuck: Vec<_> = facts.keepalived.iter().filter(|process| "TtZX".contains(process.state)).collect();
    let why = match (facts.keepalived.is_empty(), stuck.first()) {
        (true, _) => "it has no process".to_owned(),
        (_, Some(process)) if "ZX".contains(process.state) => format!("process {} is dead", process.pid),
        (_, Some(process)) => format!("process {} is stopped and sends no adverts", process.pid),
        (_, None) => return check,
    };
    check.ok = false;
    check.expected = format!("{name} with its processes alive");
    check.found = format!("{}, but {why}", check.found);
    check
}

/// Every part of the definition as a finding.
pub fn problems(inventory: &Inventory, node: &NodeName, facts: &HealthFacts, requirement: &str) -> Vec<Finding> {
    let finding =
        |check: Check| Finding::check(check.id, requirement, check.ok, check.expected, check.found).fix(check.fix);
    checks(inventory, facts).into_iter().map(|check| finding(check).on(node)).collect()
}

/// Units that were started anew between two looks, by whomever: neither look alone may show it.
pub(crate) fn restarted(
    inventory: &Inventory,
    node: &NodeName,
    before: &HealthFacts,
    now: &HealthFacts,
    requirement: &str,
) -> Vec<Finding> {
    let anew = |unit: &&UnitFacts| {
        let same = before.unit(&unit.name).filter(|old| old.active == "active");
        unit.active == "active" && same.is_some_and(|old| old.since != unit.since)
    };
    let finding = |unit: &UnitFacts| {
        let id = match &unit.name {
            name if *name == inventory.database.unit => "health.database",
            name if *name == inventory.keepalived.unit => "health.keepalived",
            _ => "health.unit",
        };
        let ago = seconds(now.uptime.saturating_sub(unit.since));
        let found = format!("started anew {ago} ago, while it was watched");
        Finding::check(id, requirement, false, format!("{} active without a restart", unit.name), found)
            .on(node)
            .fix(format!("journalctl -u {} -n 50", unit.name))
    };
    now.units.iter().filter(anew).map(finding).collect()
}
