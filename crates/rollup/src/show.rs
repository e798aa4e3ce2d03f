//! What is so now: runs of this machine, and facts of the nodes. Changes nothing.

use rollup_engine::Stage;
use rollup_model::{RunId, Severity};
use rollup_ui::pages::{self, Names, RunRow};

use crate::{
    exit::{self, Ended, Exit},
    screen::Screen,
    site::Site,
    store::{Store, is_live},
};

fn json(value: &impl serde::Serialize, screen: &Screen) -> Result<(), Exit> {
    screen.data(&serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?)
}

/// Where a run stands, also while another process works on it.
pub(crate) fn status(store: &Store, run: &RunId, screen: &Screen) -> Ended {
    let (stored, state) = store.read(run)?;
    let live = is_live(&state, &store.dir(run));
    if screen.json() {
        json(
            &serde_json::json!({ "run": run, "live": live, "plan_digest": stored.plan.digest(), "state": state }),
            screen,
        )?;
    } else {
        let names = Names { program: "rollup".to_owned(), run: run.clone() };
        let page = pages::status_page(&stored.plan, &state, jiff::Timestamp::now(), live, &names, screen.out());
        screen.data(&screen.typed(&page))?;
    }
    Ok(exit::DONE)
}

/// All runs of this machine, newest first.
pub(crate) fn runs(store: &Store, screen: &Screen) -> Ended {
    let (mut rows, runs) = (Vec::new(), store.list());
    let damaged = |rows: &[RunRow]| rows.is_empty() && !runs.is_empty();
    for run in &runs {
        match store.read(run) {
            Ok((stored, state)) => rows.push(RunRow::new(&stored.plan, &state, is_live(&state, &store.dir(run)))),
            // One damaged run must not hide the others.
            Err(exit) => screen.tell(&format!("warning: run {run} cannot be read: {:#}", exit.error)),
        }
    }
    if screen.json() {
        json(&rows, screen)?
    } else if !damaged(&rows) {
        screen.data(&pages::runs_table(&rows, screen.out()))?
    }
    Ok(exit::DONE)
}

/// One run with its plan.
pub(crate) fn run(store: &Store, run: &RunId, screen: &Screen) -> Ended {
    let (stored, state) = store.read(run)?;
    if screen.json() {
        json(&serde_json::json!({ "plan": stored.plan, "state": state, "records": stored.records }), screen)?;
        return Ok(exit::DONE);
    }
    screen.data(&pages::plan_table(&stored.plan, screen.out()))?;
    status(store, run, screen)
}

/// The facts of one subject on every node, and what follows from them.
pub(crate) async fn subject(site: &Site, name: &str, screen: &Screen) -> Ended {
    let waiting = screen.waiting("asking the nodes");
    let mut examined = site.examine(None, Stage::Fresh).await;
    drop(waiting);
    let prefix = match name {
        "database" => ["database.", "db."],
        _ => ["sync.", "sync."],
    };
    examined.findings.retain(|finding| {
        prefix.iter().any(|prefix| finding.id.starts_with(prefix))
            || finding.id == "host.reachable"
            || finding.id == "host.sudo"
    });
    let facts: std::collections::BTreeMap<_, _> =
        examined.facts.nodes.iter().filter_map(|(node, subjects)| Some((node, subjects.get(name)?))).collect();
    if screen.json() {
        json(&serde_json::json!({ "nodes": facts, "findings": examined.findings }), screen)?;
    } else {
        let mut page = String::new();
        for (node, facts) in facts.iter().filter(|_| screen.verbose()) {
            let mut values = Vec::new();
            flat("", facts, &mut values);
            page.push_str(&pages::key_values(node.as_str(), &values, screen.out()));
            page.push('\n');
        }
        // Who asks for one subject wants to see what is good, too.
        page.push_str(&pages::findings_table(&examined.findings, true, screen.out()));
        screen.data(&page)?;
    }
    let bad = examined.findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if bad { exit::BLOCKED } else { exit::DONE })
}

/// Facts as names and values, one line each: `running.effective_priority`, `110`.
fn flat(name: &str, value: &serde_json::Value, values: &mut Vec<(String, String)>) {
    if let Some(fields) = value.as_object().filter(|fields| !fields.is_empty()) {
        let dot = if name.is_empty() { "" } else { "." };
        for (key, value) in fields {
            flat(&format!("{name}{dot}{key}"), value, values);
        }
        return;
    }
    values.push((name.to_owned(), plain(value)));
}

/// A value without JSON's quotes; long ones are cut.
fn plain(value: &serde_json::Value) -> String {
    let text = match value {
        serde_json::Value::Null => "-".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) if items.is_empty() => "none".to_owned(),
        other => other.to_string(),
    };
    let short: String = text.chars().take(160).collect();
    if short.len() < text.len() { format!("{short} …") } else { short }
}
