//! What follows from the facts of both nodes (PRE-2, PRE-3).

use rollup_engine::{FindingCx, Stage};
use rollup_model::{Finding, Inventory, NodeName, inventory::VipStrategy};

use crate::{KeepalivedFacts, KeepalivedSubject, Reason, Refused, Rules, Side, State, decide, rests_at};

type Seen<'a> = (&'a NodeName, KeepalivedFacts);

pub(crate) fn findings(cx: &FindingCx<'_>) -> Vec<Finding> {
    let nodes = cx.each(&KeepalivedSubject);
    // About a pair nothing can be said without both; the missing one is reported where it was asked.
    if nodes.len() != cx.inventory.nodes.len() {
        let seen = nodes.iter().filter(|_| cx.stage == Stage::Fresh);
        return seen.flat_map(|(node, facts)| of_node(cx.inventory, node, facts)).collect();
    }
    let owner = owner(cx.inventory, &nodes);
    if cx.stage == Stage::Resumed {
        return vec![owner];
    }
    let mut found: Vec<_> = nodes.iter().flat_map(|(node, facts)| of_node(cx.inventory, node, facts)).collect();
    found.push(owner);
    if let [a, b] = &nodes[..] {
        found.extend(of_pair(cx.inventory, a, b));
    }
    found
}

/// How an operator moves the address where no program may change the configuration.
fn by_hand(inventory: &Inventory) -> String {
    let at = &inventory.keepalived;
    format!("raise `priority` of the instance in {} by hand, then: systemctl reload {}", at.config, at.unit)
}

fn owner(inventory: &Inventory, nodes: &[Seen<'_>]) -> Finding {
    let owners: Vec<_> = nodes.iter().filter(|(_, facts)| facts.vip_here).map(|(node, _)| node.as_str()).collect();
    let (address, unit) = (inventory.vip.address, &inventory.keepalived.unit);
    let (found, fix) = match &owners[..] {
        [] => (format!("{address} on no node"), format!("systemctl status {unit}   # on every node")),
        [one] => (format!("{address} on {one}"), String::new()),
        several => {
            let left =
                nodes.iter().find_map(|(node, facts)| Some(format!("{}   # on {node}", left_over(inventory, facts)?)));
            let vrrp = "see that VRRP (IP protocol 112) passes between the nodes; firewalls are the usual cause";
            (format!("split brain: {address} on {}", several.join(" and ")), left.unwrap_or_else(|| vrrp.to_owned()))
        }
    };
    let finding = Finding::check("vip.owner", "PRE-3", owners.len() == 1, "the VIP on exactly one node", found);
    if fix.is_empty() { finding } else { finding.fix(fix) }
}

/// Takes away an address that the daemon does not hold: somebody put it there, or a killed daemon left it.
fn left_over(inventory: &Inventory, facts: &KeepalivedFacts) -> Option<String> {
    let interface = facts.vip_interface.as_ref().filter(|_| facts.active && facts.state() == Some(State::Backup))?;
    Some(format!("ip address del {} dev {interface}", inventory.vip.address))
}

fn of_node(inventory: &Inventory, node: &NodeName, facts: &KeepalivedFacts) -> Vec<Finding> {
    let at = &inventory.keepalived;
    let check = |id, good, expected: &str, found: String| Finding::check(id, "PRE-3", good, expected, found).on(node);
    let active = check("keepalived.active", facts.active, "an active unit", at.unit.clone() + word(facts.active));
    let mut found = vec![active.fix(format!("systemctl start {}", at.unit))];
    if !facts.active {
        return found;
    }
    let agrees = facts.state() == Some(if facts.vip_here { State::Master } else { State::Backup });
    found.push(
        check("vip.state", agrees, "MASTER where the VIP is, else BACKUP", facts.summary())
            .fix(left_over(inventory, facts).unwrap_or_else(|| format!("journalctl -u {} -n 50", at.unit))),
    );
    let readable = facts
        .refusal
        .as_ref()
        .map_or_else(|| format!("`vrrp_instance {}`", facts.instance.as_deref().unwrap_or_default()), Clone::clone);
    found.push(
        check("keepalived.config", facts.refusal.is_none(), "a configuration that a program may change", readable)
            .fix(by_hand(inventory)),
    );
    if let Some(configured) = &facts.configured {
        let by_daemon =
            |address| facts.running.as_ref().is_some_and(|r| r.addresses.iter().any(|a| a.parse() == Ok(address)));
        let names = configured.names_vip || by_daemon(inventory.vip.address);
        let instance = facts.instance.as_deref().unwrap_or_default();
        let said = if names { "it is named" } else { "it is not named" };
        found.push(
            check("keepalived.vip", names, "the VIP among the instance's addresses", format!("in {instance} {said}"))
                .fix("correct `vip.address` or `keepalived.instance` in the inventory"),
        );
    }
    if let (Some(running), None, Some(priority)) =
        (&facts.running, facts.override_priority, facts.configured.as_ref().and_then(|c| c.priority))
    {
        let same = running.base_priority == priority;
        let said = format!("{priority} in the file, {} in the daemon", running.base_priority);
        found.push(
            check("keepalived.loaded", same, "a daemon that runs with the priority of its file", said)
                .fix(format!("systemctl reload {}   # may move the VIP", at.unit)),
        );
    }
    if let Some(status) = facts.test_status.filter(|status| *status != 0) {
        let said = format!("`keepalived -t` ends with {status}");
        found.push(
            check("keepalived.test", false, "a configuration without warnings", said)
                .only_warn()
                .fix(format!("keepalived -t -f {}", at.config)),
        );
    }
    found
}

fn word(active: bool) -> &'static str {
    if active { " active" } else { " not active" }
}

fn of_pair(inventory: &Inventory, a: &Seen<'_>, b: &Seen<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if let (Some(ra), Some(rb)) = (&a.1.running, &b.1.running) {
        let same = |id, what: &str, good, left: String, right: String| {
            Finding::check(id, "PRE-3", good, what, format!("{left} on {}, {right} on {}", a.0, b.0))
        };
        let router = |id: Option<u8>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        let (ia, ib) = (ra.virtual_router_id, rb.virtual_router_id);
        found.push(same("keepalived.router", "the same virtual_router_id", ia == ib, router(ia), router(ib)));
        let (ta, tb) = (ra.advert_interval, rb.advert_interval);
        found.push(same("keepalived.interval", "the same advert_int", ta == tb, ta.to_string(), tb.to_string()));
    }
    let (owner, backup) = match (a.1.vip_here, b.1.vip_here) {
        (true, false) => (a, b),
        (false, true) => (b, a),
        _ => return found,
    };
    found.extend(leftovers(owner, backup));
    found.push(proof(inventory, owner, backup));
    found
}

/// What of ours is on the nodes though nothing is under way. A raise that holds the address where it is belongs there
/// until the address goes back; a node that is kept down belongs nowhere.
fn leftovers(owner: &Seen<'_>, backup: &Seen<'_>) -> Vec<Finding> {
    let side = |seen: &Seen<'_>| (seen.0.clone(), seen.1.clone());
    let (here, there) = (side(owner), side(backup));
    let (here, there) = (Side { node: &here.0, facts: &here.1 }, Side { node: &there.0, facts: &there.1 });
    let held = rests_at(here, there) != Some(owner.0);
    let mut found = Vec::new();
    for (node, facts) in [owner, backup] {
        let ours = facts.ours();
        let said = if ours.is_empty() { "nothing".to_owned() } else { ours.join(", ") };
        let expected = "nothing of an earlier move";
        let check = |good, said| Finding::check("vip.leftover", "VIP-2", good, expected, said).on(node);
        let down = facts.pushed.is_some() || facts.tracker.as_ref().is_some_and(|at| at.fails_any());
        let holds = held && *node == owner.0 && !down && facts.drained.is_none();
        found.push(match (facts.traces(), down) {
            (false, _) => check(true, said),
            (true, true) => check(false, said).fix("rollup vip restore"),
            (true, false) if holds => check(true, format!("{said}, which holds the VIP there")),
            (true, false) => check(false, said).only_warn().fix("rollup vip restore"),
        });
        if !facts.lost.is_empty() {
            let said = format!("no original of {}", facts.lost.join(", "));
            found.push(
                check(false, said).only_warn().fix("rollup vip restore   # takes out nothing but the marked block"),
            );
        }
    }
    found
}

/// The way there exists and is quick enough.
fn proof(inventory: &Inventory, owner: &Seen<'_>, backup: &Seen<'_>) -> Finding {
    let (target, other) = (Side { node: backup.0, facts: &backup.1 }, Side { node: owner.0, facts: &owner.1 });
    let expected = format!("a VIP that can be moved to {}", backup.0);
    let check = |good, said| Finding::check("vip.proof", "PRE-3", good, &expected, said);
    match decide(target, other, &Rules::of(inventory, None)) {
        Ok(Some(way)) => check(true, way.proof()),
        Ok(None) => check(true, "it is there".to_owned()),
        Err(refused) => {
            let finding = check(false, refused.to_string());
            match fix(&refused, inventory) {
                Some(fix) => finding.fix(fix),
                None => finding,
            }
        }
    }
}

/// What an operator can do about a refusal.
pub(crate) fn fix(refused: &Refused, inventory: &Inventory) -> Option<String> {
    let unit = &inventory.keepalived.unit;
    match refused {
        Refused::NoWay { tried, .. } => Some(way_out(tried, inventory)),
        Refused::Inactive(_) => Some(format!("systemctl start {unit}")),
        Refused::Silent(_) => Some(format!("systemctl restart {unit}   # may move the VIP")),
        Refused::State(..) | Refused::NoOwner(..) => Some(format!("journalctl -u {unit} -n 50")),
        Refused::SplitBrain(..) => Some("let IP protocol 112 pass between the nodes".to_owned()),
    }
}

/// What opens a way: the cheapest thing to change first.
fn way_out(tried: &[(VipStrategy, Reason)], inventory: &Inventory) -> String {
    let any = |test: fn(&Reason) -> bool| tried.iter().any(|(_, reason)| test(reason));
    if any(|reason| matches!(reason, Reason::Version { .. })) {
        return "add \"stop\" to `keepalived.strategies`, or update keepalived to 2.0 or later".to_owned();
    }
    if any(|reason| matches!(reason, Reason::TooSlow { .. })) {
        return "set `limits.vip_switch` higher, or a shorter `advert_int` on both nodes".to_owned();
    }
    if any(|reason| matches!(reason, Reason::NoRoom { .. })) {
        return "lower both priorities, keeping their distance".to_owned();
    }
    by_hand(inventory)
}
