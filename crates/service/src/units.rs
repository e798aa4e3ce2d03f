//! Units: stopped in reverse order and seen gone, started in order and seen active.
//!
//! Between the two a mark is on the node. A node that boots meanwhile brings its units up by itself, with what is in
//! place then; the mark tells such units from those that were started with everything in place.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{Finding, Undo, plan::ActionRef};
use rollup_remote::Cmd;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Prints for each unit `NAME STATE PROCESSES`: its active state, and how many processes its control group still holds.
/// A unit that stopped may leave processes behind (KillMode=process); only an empty group is gone. A last line `marked`
/// when units were stopped by us and not started again.
const LOOK: &str = r#"
for unit in "$@"; do
  state=$(systemctl show -p ActiveState --value "$unit")
  group=$(systemctl show -p ControlGroup --value "$unit")
  count=0
  for root in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    if [ -n "$group" ] && [ -f "$root$group/cgroup.procs" ]; then count=$(wc -l < "$root$group/cgroup.procs"); break; fi
  done
  echo "$unit $state $count"
done
[ ! -e /var/lib/rollup/units-stopped ] || echo marked
"#;

/// The mark comes first, and is on disk: a power cut at any later moment finds it.
const STOP: &str = r#"
mkdir -p /var/lib/rollup
: > /var/lib/rollup/units-stopped
sync /var/lib/rollup/units-stopped /var/lib/rollup
systemctl stop "$@"
"#;

/// A unit that failed before may not be started again until its counter is reset; unit files may have been replaced.
/// Units that a boot brought up meanwhile are started anew.
const START: &str = r#"
mark=/var/lib/rollup/units-stopped
systemctl daemon-reload
[ ! -e "$mark" ] || systemctl stop "$@"
systemctl reset-failed "$@" 2>/dev/null || true
for unit in "$@"; do systemctl start "$unit"; done
rm -f "$mark"
sync /var/lib/rollup 2>/dev/null || true
"#;

/// What `systemctl` says of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct UnitState {
    /// `active`, `inactive`, `failed`, `activating` …
    active: String,
    /// Processes left in its control group.
    processes: u32,
}

/// What is seen of all units.
#[derive(Debug, Default, PartialEq, Eq)]
struct Units {
    states: BTreeMap<String, UnitState>,
    /// We stopped them, and did not start them again.
    marked: bool,
}

fn parse(text: &str) -> Result<Units> {
    let states = text
        .lines()
        .filter(|line| !line.trim().is_empty() && *line != "marked")
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let [unit, active, processes] = words[..] else {
                anyhow::bail!("expected `UNIT STATE COUNT`, found `{line}`")
            };
            let processes = processes.parse().with_context(|| format!("expected a count, found `{processes}`"))?;
            Ok((unit.to_owned(), UnitState { active: active.to_owned(), processes }))
        })
        .collect::<Result<_>>()?;
    Ok(Units { states, marked: text.lines().any(|line| line == "marked") })
}

async fn look(cx: &Cx<'_>) -> Result<Units> {
    let units = &cx.inventory().service.units;
    parse(&cx.host()?.exec(&Cmd::read("units.look", LOOK, units.clone())).await?.stdout)
}

fn not_there(cx: &Cx<'_>, units: &BTreeMap<String, UnitState>, expected: &str) -> Result<Vec<Finding>> {
    let node = cx.node()?;
    let findings = units.iter().map(|(unit, state)| {
        let found = format!("{}, {} processes", state.active, state.processes);
        Finding::check(&format!("service.{unit}"), "UPG-3", false, expected, found)
            .on(node)
            .fix(format!("systemctl status {unit}"))
    });
    Ok(findings.collect())
}

/// Stops the units (UPG-3).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {}

#[async_trait::async_trait]
impl Action for Stop {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let mut units = look(cx).await?.states;
        units.retain(|_, unit| !(["inactive", "failed"].contains(&unit.active.as_str()) && unit.processes == 0));
        if units.is_empty() {
            return Ok(State::done());
        }
        Ok(State::Needed {
            before: serde_json::to_value(&units)?,
            because: not_there(cx, &units, "stopped, no processes")?,
        })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let units: Vec<_> = cx.inventory().service.units.iter().rev().cloned().collect();
        cx.progress(format!("stopping {}", units.join(", ")));
        let limit = cx.inventory().limits.stop.duration();
        cx.change()?.exec(&Cmd::mutate("units.stop", STOP, units).deadline(limit)).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::Action(ActionRef { uses: "service.start".to_owned(), with: Map::new() })
    }
}

/// Starts the units (UPG-5).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {}

#[async_trait::async_trait]
impl Action for Start {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let Units { mut states, marked } = look(cx).await?;
        // Active all the same: the node booted, and they came up with whatever was in place then.
        states.retain(|_, unit| marked || unit.active != "active");
        if states.is_empty() {
            return Ok(State::done());
        }
        let expected = if marked { "started after everything was in place" } else { "active" };
        Ok(State::Needed { before: serde_json::to_value(&states)?, because: not_there(cx, &states, expected)? })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let units = cx.inventory().service.units.clone();
        cx.progress(format!("starting {}", units.join(", ")));
        let limit = cx.inventory().limits.start.duration();
        cx.change()?.exec(&Cmd::mutate("units.start", START, units).deadline(limit)).await?;
        Ok(())
    }

    fn undo(&self, _: &Value) -> Undo {
        Undo::Action(ActionRef { uses: "service.stop".to_owned(), with: Map::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_with_their_left_over_processes() {
        let units = parse("orders-api.service inactive 0\norders-worker.service deactivating 2\n").unwrap();
        let deactivating = UnitState { active: "deactivating".to_owned(), processes: 2 };
        assert_eq!((&units.states["orders-worker.service"], units.marked), (&deactivating, false));
        let marked = parse("orders-api.service active 3\nmarked\n").unwrap();
        assert_eq!((marked.states.len(), marked.marked), (1, true));
        assert!(parse("orders-api.service inactive\n").is_err());
    }

    #[test]
    fn stopping_and_starting_take_each_other_back() {
        let Undo::Action(action) = (Stop {}).undo(&Value::Null) else { panic!("expected an action") };
        assert_eq!(action.uses, "service.start");
        let Undo::Action(action) = (Start {}).undo(&Value::Null) else { panic!("expected an action") };
        assert_eq!(action.uses, "service.stop");
    }
}
