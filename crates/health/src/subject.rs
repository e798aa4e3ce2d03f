//! Healthy from inside a node: units, ports, `/health` answers, database and keepalived.

use anyhow::{Context, Result};
use rollup_engine::{FindingCx, Probe, Stage, Subject};
use rollup_model::{Finding, Inventory, NodeName, inventory::Node};
use serde::{Deserialize, Serialize};

/// Facts about the health of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthFacts {
    /// The service's units, then those of database and keepalived.
    pub units: Vec<UnitFacts>,
    /// Ports that listen, of those the inventory asks for.
    pub listening: Vec<u16>,
    /// Whether the database's port accepts a connection on this node.
    pub database_port: bool,
    /// Answers of the health URLs.
    pub urls: Vec<UrlFacts>,
}

impl HealthFacts {
    /// Whether every unit of the service is active.
    pub fn units_active(&self, inventory: &Inventory) -> bool {
        let active = |name: &String| self.units.iter().any(|unit| unit.name == *name && unit.active == "active");
        inventory.service.units.iter().all(active)
    }
}

/// One systemd unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// Its name.
    pub name: String,
    /// `active`, `failed`, `activating` …
    pub active: String,
    /// `running`, `auto-restart` …
    pub sub: String,
    /// `enabled`, `disabled`, `static` …
    pub enabled: String,
    /// How often systemd restarted it by itself since it was started.
    pub restarts: u32,
    /// The last line of its log, when it is not active.
    pub last_words: String,
}

/// One answer of a health URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlFacts {
    /// The URL.
    pub url: String,
    /// HTTP status; 0: no answer.
    pub status: u16,
    /// The first 300 characters of the body, or curl's words.
    pub body: String,
}

/// The health of a node.
pub struct HealthSubject;

/// `$1` database port, `$2` number of units, then units, then `port:N` and URLs. All URLs are asked at once.
const PROBE: &str = r#"
database=$1 count=$2; shift 2
for unit in "${@:1:$count}"; do
  words=$(systemctl show -p ActiveState -p SubState -p UnitFileState -p NRestarts "$unit" | tr '\n' ' ')
  last=
  case $words in *ActiveState=active*) ;; *) last=$(journalctl -q -n 1 -o cat -u "$unit" 2>/dev/null | head -c 300 | tr '\n' ' ') ;; esac
  echo "unit $unit $words| $last"
done
shift "$count"
listening=$(ss -Hltn | awk '{print $4}' | sed 's/.*://' | sort -u)
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
n=0
for item in "$@"; do
  case $item in
    port:*) if echo "$listening" | grep -qx "${item#port:}"; then echo "listening ${item#port:}"; fi ;;
    *) n=$((n+1)); ( curl -sS -m 3 -o "$dir/$n.body" -w '%{http_code}' "$item" > "$dir/$n.code" 2> "$dir/$n.error" || true ) & ;;
  esac
done
if timeout 2 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1"' probe "$database" 2>/dev/null; then echo "database yes"; else echo "database no"; fi
wait
n=0
for item in "$@"; do
  case $item in port:*) ;; *)
    n=$((n+1))
    code=$(cat "$dir/$n.code")
    if [ "$code" = 000 ]; then text=$(cat "$dir/$n.error"); else text=$(cat "$dir/$n.body" 2>/dev/null); fi
    echo "url $item $code $(printf '%s' "$text" | head -c 300 | tr '\n' ' ')" ;;
  esac
done
"#;

impl Subject for HealthSubject {
    type Facts = HealthFacts;

    fn name(&self) -> &'static str {
        "health"
    }

    fn probe(&self, inventory: &Inventory, _: &Node) -> Option<Probe> {
        let mut units = inventory.service.units.clone();
        units.extend([inventory.database.unit.clone(), inventory.keepalived.unit.clone()]);
        let mut args = vec![inventory.database.port.to_string(), units.len().to_string()];
        args.extend(units);
        args.extend(inventory.service.ports.iter().map(|port| format!("port:{port}")));
        args.extend(inventory.service.health_urls.iter().cloned());
        Some(Probe { script: PROBE, args })
    }

    fn parse(&self, text: &str, _: &Inventory) -> Result<HealthFacts> {
        let mut facts = HealthFacts::default();
        let mut database = None;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match line.split_once(' ') {
                Some(("unit", rest)) => facts.units.push(unit(rest)?),
                Some(("listening", port)) => facts.listening.push(port.trim().parse().context("expected a port")?),
                Some(("database", answer)) => database = Some(answer.trim() == "yes"),
                Some(("url", rest)) => {
                    let mut words = rest.splitn(3, ' ');
                    let (url, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                    facts.urls.push(UrlFacts {
                        url: url.to_owned(),
                        status: status.parse().with_context(|| format!("expected an HTTP status, found `{status}`"))?,
                        body: words.next().unwrap_or_default().trim().to_owned(),
                    });
                }
                _ => anyhow::bail!("expected unit, listening, database or url, found `{line}`"),
            }
        }
        facts.database_port = database.context("expected a line `database …`, found none")?;
        Ok(facts)
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        if cx.stage == Stage::Resumed {
            return Vec::new();
        }
        let each = cx.each(self).into_iter();
        each.flat_map(|(node, facts)| {
            let mut findings = problems(cx.inventory, node, &facts, "PRE-6");
            findings.extend(facts.units.iter().take(cx.inventory.service.units.len()).map(|unit| {
                Finding::check(
                    "service.enabled",
                    "PRE-6",
                    unit.enabled != "disabled",
                    format!("{} enabled", unit.name),
                    &unit.enabled,
                )
                .on(node)
                .only_warn()
                .fix(format!("systemctl enable {}", unit.name))
            }));
            findings
        })
        .collect()
    }
}

fn unit(rest: &str) -> Result<UnitFacts> {
    let (properties, last_words) =
        rest.split_once('|').with_context(|| format!("expected `NAME … | TEXT`, found `{rest}`"))?;
    let mut words = properties.split_whitespace();
    let name = words.next().context("expected a unit's name")?.to_owned();
    let words: Vec<_> = words.collect();
    let get = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    let active = get("ActiveState");
    anyhow::ensure!(!active.is_empty(), "expected ActiveState of {name}, found `{rest}`");
    Ok(UnitFacts {
        active: active.to_owned(),
        sub: get("SubState").to_owned(),
        enabled: get("UnitFileState").to_owned(),
        restarts: get("NRestarts").parse().unwrap_or(0),
        last_words: last_words.trim().to_owned(),
        name,
    })
}

/// Every part of the definition of healthy, good or bad.
pub fn problems(inventory: &Inventory, node: &NodeName, facts: &HealthFacts, requirement: &str) -> Vec<Finding> {
    let check = |id: &str, good: bool, expected: String, found: String| {
        Finding::check(id, requirement, good, expected, found).on(node)
    };
    let mut findings: Vec<_> = facts
        .units
        .iter()
        .map(|unit| {
            let words = if unit.last_words.is_empty() { String::new() } else { format!(": {}", unit.last_words) };
            let found = format!("{} ({}){words}", unit.active, unit.sub);
            let log = format!("journalctl -u {} -n 50", unit.name);
            // A unit that was stopped is started; why one has failed is read first.
            let stopped = unit.active == "inactive";
            let fix = if stopped { format!("systemctl start {}   # its log: {log}", unit.name) } else { log };
            check("health.unit", unit.active == "active", format!("{} active", unit.name), found).fix(fix)
        })
        .collect();
    for port in &inventory.service.ports {
        let listens = facts.listening.contains(port);
        let found = if listens { "listening" } else { "nothing listens" };
        let finding = check("health.port", listens, format!("port {port} listening"), found.to_owned());
        findings.push(finding.fix(format!("ss -ltnp | grep :{port}")));
    }
    let found = if facts.database_port { "accepted" } else { "refused" };
    findings.push(
        check(
            "health.database",
            facts.database_port,
            format!("a connection to the database on port {}", inventory.database.port),
            found.to_owned(),
        )
        .fix(format!("systemctl status {}", inventory.database.unit)),
    );
    for url in &facts.urls {
        let found = if url.status == 0 { url.body.clone() } else { format!("HTTP {} {}", url.status, url.body) };
        let finding = check("health.url", url.status == 200, format!("HTTP 200 from {}", url.url), found);
        findings.push(finding.fix(format!("curl -i {}", url.url)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
unit orders-api.service ActiveState=failed SubState=failed UnitFileState=enabled NRestarts=3 | Caused by: no key
unit postgresql.service ActiveState=active SubState=running UnitFileState=enabled NRestarts=0 | 
listening 8080
database yes
url http://127.0.0.1:8080/health 503 {\"status\":\"starting\"}
url http://127.0.0.1:8081/health 000 curl: (7) Failed to connect
";

    fn inventory() -> Inventory {
        rollup_model::inventory::load(
            "cluster={name='o'}\nnodes=[{name='a',host='1'},{name='b',host='2'}]\nvip={address='10.0.0.9'}\n\
             database={engine='postgresql',data_dir='/d',unit='p.service',name='o'}\n\
             service={units=['orders-api.service'],ports=[8080,8081]}\n",
        )
        .unwrap()
    }

    #[test]
    fn an_unhealthy_node_says_what_is_wrong_in_its_own_words_upg_6() {
        let facts = HealthSubject.parse(TEXT, &inventory()).unwrap();
        let node = NodeName::new("a").unwrap();
        let bad: Vec<_> = problems(&inventory(), &node, &facts, "UPG-6")
            .into_iter()
            .filter(|finding| finding.severity == rollup_model::Severity::Error)
            .map(|finding| finding.found)
            .collect();
        assert_eq!(
            bad,
            [
                "failed (failed): Caused by: no key",
                "nothing listens",
                "HTTP 503 {\"status\":\"starting\"}",
                "curl: (7) Failed to connect"
            ]
        );
    }

    #[test]
    fn text_that_is_no_health_report_is_an_error() {
        assert!(HealthSubject.parse("", &inventory()).is_err());
        assert!(HealthSubject.parse("bash: ss: command not found\n", &inventory()).is_err());
    }
}
