//! How a node stands: each check, and since when it is as it is. Values in, text out; no clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollup_model::NodeName;
use serde::Serialize;

use crate::Check;

/// How a node stands; the answer of `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Standing {
    /// The node.
    pub(crate) node: NodeName,
    /// Whether every check is good.
    pub(crate) healthy: bool,
    /// Since when it is as it is, as far as this process has seen.
    pub(crate) since: Timestamp,
    /// When the answers were complete.
    pub(crate) looked: Timestamp,
    /// How long it took to get them.
    pub(crate) took_millis: u64,
    /// Each part of the definition.
    pub(crate) checks: Vec<Part>,
}

/// One part of the definition, and since when it is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) ok: bool,
    pub(crate) reason: String,
    pub(crate) since: Timestamp,
}

impl Standing {
    /// Takes the answers of a look; what has not changed keeps its moment.
    pub(crate) fn take(
        before: Option<&Standing>,
        node: &NodeName,
        checks: Vec<Check>,
        looked: Timestamp,
        took_millis: u64,
    ) -> Self {
        let part = |check: Check| {
            let known = before.and_then(|before| before.checks.iter().find(|part| part.name == check.name));
            let since = known.filter(|part| part.ok == check.ok).map_or(looked, |part| part.since);
            Part { name: check.name, ok: check.ok, reason: check.found, since }
        };
        let checks: Vec<_> = checks.into_iter().map(part).collect();
        let healthy = checks.iter().all(|part| part.ok);
        let since = before.filter(|before| before.healthy == healthy).map_or(looked, |before| before.since);
        Self { node: node.clone(), healthy, since, looked, took_millis, checks }
    }

    /// In Prometheus' text format. `age_millis`: since the look; `looks`: so far; `requests`: so far, by HTTP status.
    pub(crate) fn metrics(&self, age_millis: u64, looks: u64, requests: &BTreeMap<u16, u64>) -> String {
        let node = format!("node=\"{}\"", escaped(self.node.as_str()));
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, values: Vec<(String, String)>| {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            values.iter().for_each(|(labels, value)| text.push_str(&format!("{name}{{{labels}}} {value}\n")));
        };
        let flag = |good: bool| u8::from(good).to_string();
        let seconds = |millis: u64| format!("{}.{:03}", millis / 1000, millis % 1000);
        metric("rollup_health_ok", "gauge", "Whether the node is healthy.", vec![(node.clone(), flag(self.healthy))]);
        let parts = self.checks.iter();
        let parts = parts.map(|part| (format!("{node},check=\"{}\"", escaped(&part.name)), flag(part.ok)));
        metric("rollup_health_check", "gauge", "Whether one part of the definition of healthy holds.", parts.collect());
        let since = vec![(node.clone(), self.since.as_second().to_string())];
        metric("rollup_health_since_seconds", "gauge", "When rollup_health_ok changed last, as a Unix time.", since);
        let took = vec![(node.clone(), seconds(self.took_millis))];
        metric("rollup_health_look_seconds", "gauge", "How long the last look at the node took.", took);
        let age = vec![(node.clone(), seconds(age_millis))];
        metric("rollup_health_look_age_seconds", "gauge", "How long ago that was.", age);
        metric(
            "rollup_health_looks_total",
            "counter",
            "Looks at the node so far.",
            vec![(node.clone(), looks.to_string())],
        );
        let requests = requests.iter().map(|(code, count)| (format!("{node},code=\"{code}\""), count.to_string()));
        metric("rollup_health_requests_total", "counter", "Requests answered before this one.", requests.collect());
        text
    }
}

/// A label's value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, ok: bool) -> Check {
        let text = |text: &str| text.to_owned();
        Check { id: "health.url", name: text(name), ok, expected: text("x"), found: text("why"), fix: text("y") }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_has_not_changed_keeps_its_moment_hlt_1() {
        let node = NodeName::new("node-a").unwrap();
        let first = Standing::take(None, &node, vec![check("a", true), check("b", true)], at(10), 5);
        let second = Standing::take(Some(&first), &node, vec![check("a", true), check("b", false)], at(11), 5);
        let third = Standing::take(Some(&second), &node, vec![check("a", true), check("b", false)], at(12), 5);
        assert_eq!((first.healthy, first.since), (true, at(10)));
        assert_eq!((third.healthy, third.since, third.looked), (false, at(11), at(12)));
        let moments: Vec<_> = third.checks.iter().map(|part| (part.ok, part.since)).collect();
        assert_eq!(moments, [(true, at(10)), (false, at(11))]);
    }

    #[test]
    fn metrics_are_prometheus_text_with_escaped_labels_hlt_1() {
        let node = NodeName::new("node-a").unwrap();
        let standing = Standing::take(None, &node, vec![check("http://h/\"x\\", false)], at(10), 21);
        let text = standing.metrics(1250, 3, &BTreeMap::from([(200, 7), (503, 1)]));
        for line in [
            "# TYPE rollup_health_ok gauge",
            "rollup_health_ok{node=\"node-a\"} 0",
            "rollup_health_check{node=\"node-a\",check=\"http://h/\\\"x\\\\\"} 0",
            "rollup_health_since_seconds{node=\"node-a\"} 10",
            "rollup_health_look_seconds{node=\"node-a\"} 0.021",
            "rollup_health_look_age_seconds{node=\"node-a\"} 1.250",
            "rollup_health_looks_total{node=\"node-a\"} 3",
            "rollup_health_requests_total{node=\"node-a\",code=\"503\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
