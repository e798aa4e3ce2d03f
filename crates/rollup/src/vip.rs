//! `rollup vip`: who has the address, moving it, and taking out what moves have left.
//!
//! Owns what a switch and a restore may begin with; how the address moves is `keepalived`'s.

use std::sync::Arc;

use keepalived::{KeepalivedFacts, Rules, Side, decide, rests_at};
use rollup_engine::{Examined, Moment, Stage, examine, lock};
use rollup_model::{
    Finding, NodeName, Plan, Playbook, Role, RunId, Severity, inventory::Switchover, plan::Kind, playbook,
};
use rollup_remote::ReadOnly;
use rollup_ui::pages;
use serde_json::json;

use crate::{
    cli::{Running, Vip},
    exit::{self, Ended, Exit},
    planning::{compile_for, identity, refuse_when_locked},
    running,
    screen::Screen,
    site::{Site, versions},
    store::{Store, is_live, is_open},
};

const SWITCH: &str = include_str!("../../../playbooks/vip-switch.toml");
const RESTORE: &str = include_str!("../../../playbooks/vip-restore.toml");

/// Runs one of the commands.
pub(crate) async fn run(site: &Site, store: &Store, command: &Vip, screen: &Screen) -> Ended {
    match command {
        Vip::Status => status(site, screen).await,
        Vip::Switch { to, dry_run, running } => switch(site, store, to.as_ref(), *dry_run, running, screen).await,
        Vip::Restore { dry_run, running } => restore(site, store, *dry_run, running, screen).await,
    }
}

/// What is known of both nodes, and who has the address.
struct Pair<'a> {
    nodes: Vec<(&'a NodeName, KeepalivedFacts)>,
    owner: Option<NodeName>,
    /// The node whose database writes.
    primary: Option<NodeName>,
}

impl<'a> Pair<'a> {
    fn of(site: &'a Site, examined: &Examined) -> Self {
        let names = site.inventory.node_names();
        Self {
            nodes: names.filter_map(|node| Some((node, examined.facts.get(node, "keepalived")?))).collect(),
            owner: keepalived::vip_owner(&examined.facts, &site.inventory),
            primary: gaussdb::primary_node(&examined.facts, &site.inventory),
        }
    }

    fn facts(&self, node: &NodeName) -> Option<&KeepalivedFacts> {
        self.nodes.iter().find(|(name, _)| *name == node).map(|(_, facts)| facts)
    }

    /// This node, and the other one.
    fn sides<'b>(&'b self, node: &'b NodeName) -> Option<(Side<'b>, Side<'b>)> {
        let (other, facts) = self.nodes.iter().find(|(name, _)| *name != node)?;
        Some((Side { node, facts: self.facts(node)? }, Side { node: other, facts }))
    }

    /// Who has the address once nothing of ours counts.
    fn rests(&self) -> Option<NodeName> {
        let (owner, other) = self.sides(self.owner.as_ref()?)?;
        rests_at(owner, other).cloned()
    }
}

/// The facts that say who has the address and who writes, of both nodes, and what follows for the address.
async fn look(site: &Site) -> Examined {
    let wanted = ["keepalived", "database"];
    let subjects = site.registry.subjects().iter().filter(|subject| wanted.contains(&subject.name()));
    let subjects: Vec<_> = subjects.map(Arc::clone).collect();
    let mut examined = examine(&subjects, &site.hosts, &site.inventory, None, Moment::now(Stage::Fresh)).await;
    let about = ["vip.", "keepalived.", "host."];
    examined.findings.retain(|finding| about.iter().any(|prefix| finding.id.starts_with(prefix)));
    examined
}

/// The run that holds a node, if any.
async fn holder(site: &Site) -> Option<RunId> {
    for host in site.hosts.values() {
        if let Ok(Some(holder)) = lock::holder(ReadOnly::new(host.as_ref())).await {
            return Some(holder.run);
        }
    }
    None
}

async fn status(site: &Site, screen: &Screen) -> Ended {
    let waiting = screen.waiting("asking the nodes");
    let (examined, held) = (look(site).await, holder(site).await);
    drop(waiting);
    let pair = Pair::of(site, &examined);
    let rules = Rules::of(&site.inventory, None);
    // What would be done to have it there, or why it cannot be.
    let way = |node: &NodeName| match pair.sides(node) {
        None => "not known: a node does not answer".to_owned(),
        Some((to, from)) => match decide(to, from, &rules) {
            Ok(Some(way)) => way.proof(),
            Ok(None) => "nothing to do: the VIP is there and stays".to_owned(),
            Err(refused) => refused.to_string(),
        },
    };
    let (command, why) = next(&pair, held.as_ref());
    if screen.json() {
        let document = json!({
            "owner": pair.owner,
            "primary": pair.primary,
            "rests": pair.rests(),
            "held_by": held,
            "nodes": pair.nodes.iter().map(|(node, facts)| (node.to_string(), json!(facts))).collect::<serde_json::Map<_, _>>(),
            "ways": pair.nodes.iter().map(|(node, _)| (node.to_string(), json!(way(node)))).collect::<serde_json::Map<_, _>>(),
            "findings": examined.findings,
            "next": command,
        });
        screen.data(&serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?)?;
    } else {
        let mut page = String::new();
        for (node, facts) in &pair.nodes {
            page.push_str(&pages::key_values(node.as_str(), &rows(node, facts, &pair, &way(node)), screen.out()));
            page.push('\n');
        }
        page.push_str(&pages::findings_table(&screen.typed_fixes(&examined.findings), screen.verbose(), screen.out()));
        screen.data(&page)?;
        screen.tell(&format!("next: {}   {why}", screen.typed(&command)));
    }
    let bad = examined.findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if bad { exit::BLOCKED } else { exit::DONE })
}

/// One node as names and values.
fn rows(node: &NodeName, facts: &KeepalivedFacts, pair: &Pair<'_>, way: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    row(
        "VIP",
        facts.vip_interface.clone().map_or_else(|| "not here".to_owned(), |interface| format!("on {interface}")),
    );
    row("state", facts.state().map_or_else(|| "not known".to_owned(), |state| state.to_string()));
    if let Some(running) = &facts.running {
        row("priority", format!("{}, effective {}", running.base_priority, running.effective_priority));
        row("preempts", if running.nopreempt { "no" } else { "yes" }.to_owned());
    }
    if let Some(group) = &facts.group {
        let others: Vec<_> = facts.others.iter().map(|member| member.name.as_str()).collect();
        row("sync group", format!("{group}, with {}", others.join(", ")));
    }
    if pair.primary.as_ref() == Some(node) {
        row("database", "primary".to_owned());
    }
    for ours in facts.ours() {
        row("of rollup", ours);
    }
    if let Some(edited) = &facts.edited {
        let was = edited.priorities.iter().map(|(name, priority)| format!("{name} {priority}"));
        row("was", format!("priority {}", was.collect::<Vec<_>>().join(", ")));
        for file in &edited.files {
            row("file", format!("{}, sha256 before {}", file.path, file.before));
        }
    }
    row("VIP to here", way.to_owned());
    rows
}

/// What to type next, and what for.
fn next(pair: &Pair<'_>, held: Option<&RunId>) -> (String, &'static str) {
    if let Some(run) = held {
        return (format!("rollup resume {run}"), "go on with the run that holds the nodes");
    }
    let down = |facts: &KeepalivedFacts| facts.pushed.is_some() || facts.drained.is_some();
    let traces = pair.nodes.iter().any(|(_, facts)| facts.traces());
    if traces && (pair.rests() == pair.owner || pair.nodes.iter().any(|(_, facts)| down(facts))) {
        return ("rollup vip restore".to_owned(), "take out what earlier moves have left");
    }
    let other = pair.nodes.iter().map(|(node, _)| *node).find(|node| Some(*node) != pair.owner.as_ref());
    match other.filter(|_| pair.owner.is_some()) {
        Some(node) => (format!("rollup vip switch --to {node}"), "move VIP and database"),
        None => ("rollup precheck".to_owned(), "see what is wrong"),
    }
}

async fn switch(
    site: &Site,
    store: &Store,
    to: Option<&NodeName>,
    dry_run: bool,
    running: &Running,
    screen: &Screen,
) -> Ended {
    if let Some(unknown) = to.filter(|node| site.inventory.node(node).is_none()) {
        let known: Vec<_> = site.inventory.node_names().map(NodeName::as_str).collect();
        return Err(Exit::usage(format!("there is no node `{unknown}`")).hint(format!("one of: {}", known.join(", "))));
    }
    let again = format!("rollup vip switch{}", to.map(|node| format!(" --to {node}")).unwrap_or_default());
    let waiting = screen.waiting("looking at the nodes");
    refuse_when_locked(site, screen).await?;
    let mut examined = site.examine(None, Stage::Fresh).await;
    drop(waiting);
    // No package comes, and no set is taken.
    examined.findings.retain(|finding| !["PRE-1", "PRE-7", "PRE-9"].contains(&finding.requirement.as_str()));
    refuse_errors(&examined.errors(), "nothing is moved while this is so; nothing was changed", &again, screen)?;
    let pair = Pair::of(site, &examined);
    let (Some(owner), Some(standby)) = (&pair.owner, examined.facts.bindings.get(&Role::OriginalStandby)) else {
        return Err(
            Exit::new(exit::BLOCKED, "the VIP is not on one node; nothing was changed").hint("rollup vip status")
        );
    };
    if to == Some(owner) {
        screen.tell(&format!("the VIP is on {owner} already; nothing was changed"));
        return Ok(exit::DONE);
    }
    if moves_database(site) && pair.primary.as_ref() != Some(owner) {
        let on = pair.primary.as_ref().map_or("no node", NodeName::as_str);
        let error = format!("the VIP is on {owner}, the database's primary on {on}; nothing was changed");
        return Err(Exit::new(exit::BLOCKED, error).hint("rollup vip status"));
    }
    let mut playbook = load(SWITCH)?;
    if !moves_database(site) {
        // The database keeps its roles: nothing of it is prepared, moved or waited for.
        playbook.phase.iter_mut().for_each(|phase| phase.step.retain(|step| !step.uses.starts_with("db.")));
    }
    let plan = compile_for(site, &playbook, None, &examined.facts, &versions(&examined), &identity()?)?;
    let moved = if moves_database(site) { "VIP and database" } else { "the VIP" };
    let plan = Plan { title: format!("move {moved} from {owner} to {standby}"), ..plan };
    go(site, store, &plan, dry_run, running, &format!("Move {moved} to {standby}?"), &again, screen).await
}

fn moves_database(site: &Site) -> bool {
    site.inventory.database.switchover == Switchover::WithVip
}

fn load(text: &str) -> Result<Playbook, Exit> {
    playbook::load(text).map_err(|problems| Exit::usage(format!("{problems:?}")))
}

fn refuse_errors(errors: &[Finding], error: &str, again: &str, screen: &Screen) -> Result<(), Exit> {
    if errors.is_empty() {
        return Ok(());
    }
    let page = screen.findings(errors);
    Err(Exit::new(exit::BLOCKED, error).page(page).hint(format!("mend what is listed, then: {again}")))
}

#[expect(clippy::too_many_arguments, reason = "what begins a run, and the words for it")]
async fn go(
    site: &Site,
    store: &Store,
    plan: &Plan,
    dry_run: bool,
    running: &Running,
    question: &str,
    again: &str,
    screen: &Screen,
) -> Ended {
    if running::show(plan, dry_run, running, screen)? {
        return Ok(exit::DONE);
    }
    if !screen.confirm(question, running.yes, again)? {
        return Err(Exit::new(exit::STOPPED, "not confirmed; nothing was changed").hint(again.to_owned()));
    }
    // The lock of a run that is taken back goes to the run that takes it back.
    for taken_back in &plan.takes_back {
        lock::release(&site.hosts, taken_back).await;
    }
    running::begin(site, store, plan, running, screen).await
}

async fn restore(site: &Site, store: &Store, dry_run: bool, running: &Running, screen: &Screen) -> Ended {
    let again = "rollup vip restore";
    let waiting = screen.waiting("looking at the nodes");
    let ended = broken_off(site, store).await;
    if ended.is_none() {
        refuse_when_locked(site, screen).await?;
    }
    let examined = site.examine_settled(None, Moment::now(Stage::Resumed)).await;
    drop(waiting);
    refuse_errors(&examined.errors(), "nothing is taken out while this is so; nothing was changed", again, screen)?;
    let pair = Pair::of(site, &examined);
    if !pair.nodes.iter().any(|(_, facts)| facts.traces()) {
        screen.tell("there is nothing of rollup in keepalived on any node; nothing was changed");
        return Ok(exit::DONE);
    }
    let (Some(owner), Some(rests)) = (&pair.owner, pair.rests()) else {
        let error = "it cannot be told where the VIP would stay; nothing was changed";
        return Err(Exit::new(exit::BLOCKED, error).hint("rollup vip status"));
    };
    if moves_database(site) && rests != *owner && pair.primary.as_ref() != Some(&rests) {
        let error = match &pair.primary {
            Some(primary) => format!(
                "what is ours holds the VIP on {owner}, and the database's primary is on {primary}: without it the VIP goes to {rests}"
            ),
            None => "no database writes, so the VIP stays where it is".to_owned(),
        };
        let hint = match &ended {
            Some(run) => format!("rollup resume {run}"),
            None => format!("rollup vip switch --to {rests}"),
        };
        return Err(Exit::new(exit::BLOCKED, error).hint(hint));
    }
    let mut facts = examined.facts.clone();
    let idle = site.inventory.peer_of(&rests).map(|node| (Role::Idle, node.name.clone()));
    facts.bindings.extend(idle.into_iter().chain([(Role::Serving, rests.clone())]));
    let plan = compile_for(site, &load(RESTORE)?, None, &facts, &versions(&examined), &identity()?)?;
    let title = match rests == *owner {
        true => format!("take everything of rollup out of keepalived; the VIP stays on {owner}"),
        false => format!("take everything of rollup out of keepalived; the VIP goes from {owner} to {rests}"),
    };
    let plan = Plan { title, takes_back: ended.into_iter().collect(), ..plan };
    go(site, store, &plan, dry_run, running, "Take everything of earlier moves out?", again, screen).await
}

/// A switch that holds the nodes, was broken off, and on which no process works: restoring is its other end.
async fn broken_off(site: &Site, store: &Store) -> Option<RunId> {
    let run = holder(site).await?;
    let (stored, state) = store.read(&run).ok()?;
    let dead = is_open(&state) && !is_live(&state, &store.dir(&run));
    (stored.plan.kind == Kind::Switch && dead).then_some(run)
}
