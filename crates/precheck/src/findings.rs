//! What follows from what a machine says of itself, its peers and its runs.

use rollup_engine::FindingCx;
use rollup_model::{Finding, Inventory, NodeName, inventory::Switchover};

use crate::{
    HostFacts,
    facts::{Door, Seen},
    tools,
};

/// What must be so at any moment of a run.
pub(crate) fn always(facts: &HostFacts, inventory: &Inventory) -> Vec<Finding> {
    let database = inventory.database.port;
    let closed: Vec<_> = facts.closed_doors.iter().filter(|door| door.port != database).collect();
    vec![tools::finding(facts), doors("other nodes answer on their ssh port", &closed)]
}

fn doors(expected: &str, closed: &[&Door]) -> Finding {
    let said = |door: &&Door| {
        let Door { address, port, .. } = door;
        if door.refuses {
            format!("{address} refuses port {port}")
        } else {
            format!("no answer from {address} port {port}")
        }
    };
    let said: Vec<_> = closed.iter().map(said).collect();
    let found = if said.is_empty() { "they answer".to_owned() } else { said.join(", ") };
    let finding = Finding::check("host.peers", "PRE-2", closed.is_empty(), expected, found);
    match closed.first() {
        Some(Door { port, refuses: true, .. }) => finding.fix(format!("on that node: ss -ltn 'sport = :{port}'")),
        Some(Door { address, port, .. }) => finding.fix(format!(
            "let TCP port {port} pass between the nodes, then: timeout 3 bash -c '</dev/tcp/{address}/{port}'"
        )),
        None => finding,
    }
}

/// What must be so before the first change.
pub(crate) fn fresh(facts: &HostFacts, cx: &FindingCx<'_>) -> Vec<Finding> {
    let database = &cx.inventory.database;
    let closed: Vec<_> = facts.closed_doors.iter().filter(|door| door.port == database.port).collect();
    let replication = doors("other nodes answer on the database's replication port", &closed);
    let mut found = vec![match database.switchover {
        Switchover::WithVip => replication,
        // Only one of the two ways is used then.
        Switchover::Never => replication.only_warn(),
    }];
    let lock = facts.lock.as_deref().map_or_else(|| "none".to_owned(), |run| format!("run {run} holds it"));
    let run = facts.lock.as_deref().unwrap_or_default();
    found.push(
        Finding::check("host.lock", "PRE-8", facts.lock.is_none(), "no other run on the node", lock)
            .fix(format!("rollup status {run}   # when it will never go on: rollup unlock {run} --reason '…'")),
    );
    if let Some(release) = cx.release {
        let fits = release.architecture == "any" || release.architecture == facts.architecture;
        found.push(
            Finding::check("package.architecture", "PRE-9", fits, &release.architecture, &facts.architecture)
                .fix(format!("take the package of {} for {}", release.name, facts.architecture)),
        );
    }
    found
}

/// Runs that were left half-way: no end on any node, and no lock that would say that somebody is at work.
pub(crate) fn unfinished(hosts: &[(&NodeName, HostFacts)]) -> Vec<Finding> {
    let elsewhere_over =
        |run: &str| hosts.iter().flat_map(|(_, facts)| &facts.runs).any(|seen| seen.run == run && seen.over);
    let each = hosts.iter().map(|(node, facts)| {
        let left = |seen: &&Seen| !seen.over && facts.lock.as_ref() != Some(&seen.run) && !elsewhere_over(&seen.run);
        let open: Vec<_> = facts.runs.iter().filter(left).collect();
        let expected = "no run that was left half-way";
        // The one that has changed something is the one that matters.
        let Some(worst) = open.iter().max_by_key(|seen| matters(seen)) else {
            return Finding::check("host.unfinished", "PRE-8", true, expected, "none").on(node);
        };
        let Seen { run, kind, changes, .. } = worst;
        let more = if open.len() > 1 { format!(", and {} more", open.len() - 1) } else { String::new() };
        let found = format!("{kind} {run}, changes begun: {changes}{more}");
        let runs: Vec<_> =
            open.iter().map(|seen| format!("{} {}, changes begun: {}", seen.kind, seen.run, seen.changes)).collect();
        let fix = format!(
            "rollup resume {run}   # or: rollup rollback --run {run}; when neither will ever be: \
             rm -r /var/lib/rollup/runs/{run}"
        );
        let finding = Finding::check("host.unfinished", "PRE-8", false, expected, found).on(node).fix(fix);
        let finding = finding.evidence(runs.join("\n"));
        if matters(worst) { finding } else { finding.only_warn() }
    });
    each.collect()
}

/// Whether a run that was left leaves the pair in between: a backup that nobody ended harms nobody.
fn matters(seen: &Seen) -> bool {
    seen.changes > 0 && seen.kind != "backup"
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rollup_model::Severity;

    pub(crate) fn inventory(more: &str) -> Inventory {
        rollup_model::inventory::load(&format!(
            "cluster={{name='o'}}\nnodes=[{{name='a',host='10.0.0.1'}},{{name='b',host='10.0.0.2'}}]\n\
             vip={{address='10.0.0.9'}}\n\
             database={{engine='postgresql',data_dir='/db/data',unit='p.service',name='o',switchover='with-vip'}}\n\
             service={{units=['o.service']}}\n{more}"
        ))
        .unwrap()
    }

    fn door(port: u16, refuses: bool) -> Door {
        Door { address: "10.0.0.2".to_owned(), port, refuses }
    }

    #[test]
    fn ways_between_the_nodes_are_told_by_port_and_by_how_they_fail_pre_2() {
        let facts = HostFacts { closed_doors: vec![door(22, false), door(5432, true)], ..HostFacts::default() };
        let inventory = inventory("");
        let ssh = &always(&facts, &inventory)[1];
        assert_eq!((ssh.id.as_str(), ssh.found.as_str()), ("host.peers", "no answer from 10.0.0.2 port 22"));
        assert!(ssh.fix.as_ref().unwrap().contains("/dev/tcp/10.0.0.2/22"));
        let all = rollup_model::Facts::default();
        let cx = FindingCx { inventory: &inventory, release: None, facts: &all, stage: rollup_engine::Stage::Fresh };
        let database = &fresh(&facts, &cx)[0];
        assert_eq!((database.severity, database.found.as_str()), (Severity::Error, "10.0.0.2 refuses port 5432"));
    }

    fn seen(run: &str, kind: &str, changes: u32, over: bool) -> Seen {
        Seen { run: run.to_owned(), over, changes, kind: kind.to_owned() }
    }

    fn left(a: Vec<Seen>, b: Vec<Seen>, lock: Option<&str>) -> Vec<(Severity, String)> {
        let inventory = inventory("");
        let names: Vec<_> = inventory.node_names().collect();
        let host = |runs| HostFacts { runs, lock: lock.map(str::to_owned), ..HostFacts::default() };
        let found = unfinished(&[(names[0], host(a)), (names[1], host(b))]);
        found.into_iter().map(|finding| (finding.severity, finding.found)).collect()
    }

    #[test]
    fn a_run_left_half_way_is_found_unless_it_is_over_elsewhere_or_at_work_pre_8() {
        let open = || seen("r1", "upgrade", 3, false);
        let found = left(vec![seen("r2", "backup", 2, false), open()], vec![], None);
        assert_eq!(found[0], (Severity::Error, "upgrade r1, changes begun: 3, and 1 more".to_owned()));
        assert_eq!(found[1].0, Severity::Ok);
        assert_eq!(left(vec![open()], vec![seen("r1", "upgrade", 9, true)], None)[0].0, Severity::Ok);
        assert_eq!(left(vec![open()], vec![open()], Some("r1"))[0].0, Severity::Ok);
    }

    #[test]
    fn a_run_that_changed_nothing_and_a_backup_that_nobody_ended_only_warn_pre_8() {
        assert_eq!(left(vec![seen("r1", "upgrade", 0, false)], vec![], None)[0].0, Severity::Warning);
        assert_eq!(left(vec![seen("r1", "backup", 4, false)], vec![], None)[0].0, Severity::Warning);
    }
}
