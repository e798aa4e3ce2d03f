//! What is read from one node about the config sync.

use anyhow::{Context, Result, bail};
use rollup_engine::{FindingCx, Probe, Subject};
use rollup_model::{Check, Finding, Inventory, inventory::Node};
use serde::{Deserialize, Serialize};

use crate::{findings, listing::Listing, script};

/// More files than this are compared by one digest only.
pub(crate) const MOST_FILES: usize = 5000;

/// The subject `sync`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SyncSubject;

/// What is known of the config sync on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncFacts {
    /// Whether both the unit and the timer exist.
    pub present: bool,
    /// The unit that copies.
    pub unit: UnitFacts,
    /// The timer that starts it.
    pub timer: TimerFacts,
    /// Whether the drop-in of a freeze is in place.
    pub dropin: bool,
    /// The marker of a freeze.
    pub frozen: Option<Frozen>,
    /// Entries of cron that copy the same paths, as `FILE:LINE`.
    #[serde(default)]
    pub cron: Vec<String>,
    /// The copied files now.
    pub listing: Listing,
}

/// The unit that copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// It copies now.
    pub running: bool,
    /// systemd's word for how the last run ended.
    pub result: String,
    /// Status of the last run.
    pub status: i32,
    /// When the last run started, UTC; `None`: none since the node booted.
    pub started: Option<String>,
    /// The same by the clock that is never set; tells one run from another.
    pub started_micros: u64,
    /// When the last run ended, UTC.
    pub ended: Option<String>,
    /// How long ago that was, in seconds.
    #[serde(default)]
    pub age_s: Option<u64>,
}

impl UnitFacts {
    /// Whether the last run ended well.
    pub fn good(&self) -> bool {
        !self.running && self.started.is_some() && self.result == "success" && self.status == 0
    }
}

/// The timer that starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerFacts {
    /// Starts with the node.
    pub enabled: bool,
    /// Runs now.
    pub active: bool,
}

/// The marker of a freeze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// The run that froze it.
    pub run: String,
    /// When, RFC 3339 UTC.
    pub since: String,
    /// Whether the timer was enabled.
    pub timer_enabled: bool,
    /// Whether the timer ran.
    pub timer_active: bool,
    /// The copied files then. `None`: the freeze is not complete.
    #[serde(default)]
    pub listing: Option<Listing>,
}

impl SyncFacts {
    /// Neither marker nor drop-in.
    pub fn thawed(&self) -> bool {
        self.frozen.is_none() && !self.dropin
    }

    /// Frozen in every respect by this run: nothing copies, nothing will, and the files are listed.
    pub fn frozen_by(&self, run: &str) -> bool {
        let marked = self.frozen.as_ref().is_some_and(|frozen| frozen.run == run && frozen.listing.is_some());
        marked && self.dropin && !self.timer.active && !self.unit.running
    }

    /// What the timer is without a freeze.
    pub fn timer_without_freeze(&self) -> TimerFacts {
        self.frozen
            .as_ref()
            .map_or(self.timer, |frozen| TimerFacts { enabled: frozen.timer_enabled, active: frozen.timer_active })
    }
}

impl Subject for SyncSubject {
    type Facts = SyncFacts;

    fn name(&self) -> &'static str {
        "sync"
    }

    fn probe(&self, inventory: &Inventory, _node: &Node) -> Option<Probe> {
        let sync = inventory.sync.as_ref()?;
        let mut args = vec![sync.unit.clone(), sync.timer.clone(), MOST_FILES.to_string()];
        args.extend(sync.paths.iter().cloned());
        Some(Probe { script: script::PROBE, args })
    }

    fn parse(&self, text: &str, _inventory: &Inventory) -> Result<SyncFacts> {
        parse(text)
    }

    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        findings::findings(cx)
    }

    fn checks(&self) -> &'static [Check] {
        &findings::CHECKS
    }
}

/// The lines between `[NAME]` and the next header.
fn section<'t>(lines: &[&'t str], name: &str) -> Option<Vec<&'t str>> {
    let header =
        |line: &str| matches!(line, "[unit]" | "[timer]" | "[freeze]" | "[frozen]" | "[cron]" | "[now]" | "[end]");
    let start = lines.iter().position(|line| line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) == Some(name))?;
    Some(lines[start + 1..].iter().take_while(|line| !header(line)).copied().collect())
}

fn parse(text: &str) -> Result<SyncFacts> {
    let lines: Vec<_> = text.lines().collect();
    if !lines.contains(&"[end]") {
        bail!("expected an answer that ends with `[end]`");
    }
    let need = |name: &str| section(&lines, name).with_context(|| format!("expected a section [{name}]"));
    let (unit, timer, freeze) = (need("unit")?, need("timer")?, need("freeze")?);
    let get = |lines: &[&str], key: &str| {
        let value = lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.filter(|value| !value.is_empty() && *value != "n/a").map(str::to_owned)
    };
    let state = get(&unit, "ActiveState").context("expected the unit's ActiveState")?;
    let exited = get(&unit, "SubState").as_deref() == Some("exited");
    let loaded = |lines: &[&str]| get(lines, "LoadState").as_deref() == Some("loaded");
    let mut frozen = match get(&freeze, "marker") {
        Some(marker) => Some(serde_json::from_str::<Frozen>(&marker).context("expected the marker of a freeze")?),
        None => None,
    };
    if let Some(frozen) = &mut frozen {
        frozen.listing = section(&lines, "frozen").map(|lines| Listing::parse(&lines)).transpose()?;
    }
    Ok(SyncFacts {
        present: loaded(&unit) && loaded(&timer),
        unit: UnitFacts {
            running: !matches!(state.as_str(), "inactive" | "failed") && !exited,
            result: get(&unit, "Result").unwrap_or_default(),
            status: get(&unit, "ExecMainStatus").and_then(|status| status.parse().ok()).unwrap_or(0),
            started: get(&unit, "ExecMainStartTimestamp"),
            started_micros: get(&unit, "ExecMainStartTimestampMonotonic").and_then(|t| t.parse().ok()).unwrap_or(0),
            ended: get(&unit, "ExecMainExitTimestamp"),
            // A clock that was set back makes it negative: then the age is not known.
            age_s: get(&unit, "AgeSeconds").and_then(|age| age.parse().ok()),
        },
        timer: TimerFacts {
            enabled: get(&timer, "UnitFileState").is_some_and(|state| state.starts_with("enabled")),
            active: get(&timer, "ActiveState").as_deref() == Some("active"),
        },
        dropin: get(&freeze, "dropin").as_deref() == Some("yes"),
        frozen,
        cron: need("cron")?.iter().filter(|line| !line.is_empty()).map(|line| (*line).to_owned()).collect(),
        listing: Listing::parse(&need("now")?)?,
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
