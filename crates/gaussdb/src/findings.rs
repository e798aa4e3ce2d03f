//! PRE-4: what must be true of the pair's database before it is touched. Pure.

use rollup_engine::{FindingCx, Stage};
use rollup_model::{
    Check, Finding, Inventory, NodeName, Release, Span,
    inventory::{Database, DatabaseEngine, Node, Switchover},
    release::MigrationPhase,
};

use crate::{
    DatabaseFacts, Lsn,
    engine::engine_of,
    facts::{Gauss, Login, Manager, Server},
    history, schema,
};

type Nodes<'a> = [(&'a NodeName, DatabaseFacts)];

fn pre4(id: &str, good: bool, expected: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding::check(id, "PRE-4", good, expected, found)
}

/// Every id that [`all`] answers.
pub(crate) const CHECKS: [Check; 25] = [
    Check::new("database.readable", "PRE-4", "what the database says of itself can be read"),
    Check::new("database.mode", "PRE-4", "a mode of openGauss or GaussDB that this version knows").never_waived(),
    Check::new("database.manager", "PRE-4", "a cluster manager that runs, where there is one").never_waived(),
    Check::new("database.primary", "PRE-4", "exactly one primary").never_waived(),
    Check::new("database.running", "PRE-4", "a server that answers on every node").never_waived(),
    Check::new("database.identity", "PRE-4", "both nodes belong to one cluster").never_waived(),
    Check::new("database.transactions", "PRE-4", "no transaction that has been open for long"),
    Check::new("database.relaxed", "PRE-4", "no setting of an earlier run that is still to be put back"),
    Check::new("database.leftovers", "PRE-4", "nothing left of a way back beside the data directory"),
    Check::new("database.settings", "PRE-4", "settings that replication and backup need"),
    Check::new("database.backup-login", "PRE-4", "a replication login for the backup"),
    Check::new("database.tablespaces", "PRE-4", "no tablespaces outside the data directory"),
    Check::new("database.writable", "PRE-4", "a primary that is not set read-only"),
    Check::new("database.signal", "PRE-4", "no standby.signal on the primary"),
    Check::new("database.return-login", "PRE-4", "a replication login for the way after the switchover"),
    Check::new("database.switchable", "PRE-4", "a cluster manager that will switch over"),
    Check::new("database.synchronous", "PRE-4", "no commit that waits for a standby"),
    Check::new("database.commits", "PRE-4", "no commit that waits for a standby that is not there").never_waived(),
    Check::new("database.slots", "PRE-4", "no physical replication slots that would be left behind"),
    Check::new("database.replication", "PRE-4", "a standby that streams from the primary"),
    Check::new("database.lag", "PRE-4", "how far the standby's own replay is behind"),
    Check::new("database.paused", "PRE-4", "replay is not paused"),
    Check::new("database.delay", "PRE-4", "no delay before the standby replays"),
    Check::new("database.migrations", "UPG-2", "the package's migrations can run"),
    schema::CHECK,
];

/// Everything that follows from the facts of all nodes.
pub(crate) fn all(cx: &FindingCx<'_>, nodes: &Nodes<'_>) -> Vec<Finding> {
    let database = &cx.inventory.database;
    let primaries: Vec<_> = nodes.iter().filter(|(_, facts)| facts.is_primary()).collect();
    if cx.stage == Stage::Resumed {
        return vec![one_writer(&primaries)];
    }
    let mut findings = Vec::new();
    for (node, facts) in nodes {
        findings.extend(of_node(node, facts, cx.inventory));
    }
    let names: Vec<_> = primaries.iter().map(|(node, _)| node.as_str()).collect();
    let found = if names.is_empty() { "none".to_owned() } else { names.join(" and ") };
    let fix = match names.is_empty() {
        true => format!("{}   # on the node that was the primary", start(database)),
        false => "stop the server that clients do not write to, then compare both before anything else".to_owned(),
    };
    // A node that does not answer may be the primary; that it does not answer is a finding of its own.
    if !names.is_empty() || nodes.len() == cx.inventory.nodes.len() {
        findings.push(pre4("database.primary", names.len() == 1, "exactly one primary", found).fix(fix));
    }
    findings.extend(identity(nodes));
    if let [(primary, facts)] = primaries.as_slice() {
        let Some(server) = &facts.server else { return findings };
        findings.extend(of_primary(primary, facts, server, database));
        let peers = || nodes.iter().filter(|(node, _)| node != primary);
        // Of a server that does not run, this alone is worth saying.
        if peers().any(|(_, facts)| facts.server.is_none()) {
            findings.retain(|finding| finding.id != "database.return-login");
        }
        for (node, facts) in peers().filter(|(_, facts)| facts.server.is_some()) {
            let Some(at) = cx.inventory.node(node) else { continue };
            findings.push(streaming(at, facts, primary, server, nodes.len().saturating_sub(1)));
            findings.push(lag(node, facts, server.current_lsn, database.max_lag_bytes));
            findings.extend(facts.server.iter().flat_map(|standby| held_back(node, standby, database)));
        }
        if let Some(release) = cx.release {
            findings.push(migrations(primary, facts, release, cx.inventory));
        }
    }
    findings
}

/// Statements as root types them on the node.
pub(crate) fn psql(database: &Database, statements: &[&str]) -> String {
    let (user, port) = (&database.os_user, database.port);
    let typed: Vec<_> = statements.iter().map(|statement| format!("-c '{statement}'")).collect();
    match database.engine {
        DatabaseEngine::Postgresql => format!("runuser -u {user} -- psql -p {port} {}", typed.join(" ")),
        // Of several it takes the last one only.
        _ => as_owner(database, &format!("gsql -d postgres -p {port} -c \"{}\"", statements.join("; "))),
    }
}

/// A command of the database's owner as root types it on the node, with the environment of the tools.
fn as_owner(database: &Database, command: &str) -> String {
    let environment = database.env_file.as_deref().unwrap_or("~/.bashrc");
    format!("su - {} -c 'source {environment}; {command}'", database.os_user)
}

/// How root changes a setting of the server on the node.
pub(crate) fn set(database: &Database, name: &str, value: &str) -> String {
    match database.engine {
        DatabaseEngine::Postgresql => {
            psql(database, &[&format!("ALTER SYSTEM SET {name} = {value}"), "SELECT pg_reload_conf()"])
        }
        _ => as_owner(database, &format!("gs_guc reload -D {} -c \"{name}={value}\"", database.data_dir)),
    }
}

/// How root starts the server on the node.
pub(crate) fn start(database: &Database) -> String {
    let standby = start_standby(database);
    if database.engine == DatabaseEngine::Postgresql { standby } else { standby + "   # or -M primary" }
}

/// How root starts the server on the node, which is a standby.
pub(crate) fn start_standby(database: &Database) -> String {
    match database.engine {
        DatabaseEngine::Postgresql => format!("systemctl start {}", database.unit),
        _ => as_owner(database, &format!("gs_ctl start -D {} -M standby", database.data_dir)),
    }
}

/// What only openGauss and GaussDB can be: replicated by DCF, in the middle of an upgrade of their own, or under a manager
/// that does not run.
fn of_gauss(gauss: &Gauss) -> Vec<Finding> {
    let mode = match (gauss.paxos, gauss.upgrade_mode) {
        (true, _) => Some("DCF (enable_dcf)".to_owned()),
        (false, Some(mode)) if mode != 0 => {
            Some(format!("upgrade_mode {mode}: an upgrade of the product is under way"))
        }
        _ => None,
    };
    let found = mode.clone().unwrap_or_else(|| "streaming replication, no upgrade of the product".to_owned());
    let expected = "streaming replication, and upgrade_mode 0";
    let mode = pre4("database.mode", mode.is_none(), expected, found);
    let (well, found) = match gauss.manager {
        Manager::Absent => (true, "none".to_owned()),
        Manager::Running if gauss.instances.is_empty() => (false, "one that runs and does not answer".to_owned()),
        Manager::Running => (true, gauss.instances.join(", ")),
        Manager::Stopped => (false, "cm_ctl is installed, but neither cm_agent nor om_monitor runs".to_owned()),
    };
    let manager = pre4("database.manager", well, "no cluster manager, or one that answers", found);
    vec![
        mode.fix("finish that upgrade first: gs_upgradectl -t commit-upgrade; DCF is not supported"),
        manager.fix(
            "start it (om_monitor), or remove cm_ctl from the owner's PATH where it is not used: cm_ctl query -Cv",
        ),
    ]
}

/// Two writers are the one thing that must not be seen at any moment.
fn one_writer(primaries: &[&(&NodeName, DatabaseFacts)]) -> Finding {
    let found: Vec<_> = primaries.iter().map(|(node, facts)| format!("{node} {}", facts.summary())).collect();
    let text = if found.is_empty() { "none at this moment".to_owned() } else { found.join(" and ") };
    pre4("database.primary", found.len() <= 1, "at most one writable primary", text)
}

fn of_node(node: &NodeName, facts: &DatabaseFacts, inventory: &Inventory) -> Vec<Finding> {
    let database = &inventory.database;
    let mut findings = vec![
        pre4("database.running", facts.server.is_some(), "a server that answers", facts.summary()).fix(start(database)),
    ];
    findings.extend(facts.gauss.iter().flat_map(of_gauss));
    let Some(server) = &facts.server else { return findings.into_iter().map(|f| f.on(node)).collect() };
    findings.push(long_transaction(server, database));
    findings.extend(facts.relaxed.as_ref().map(|before| {
        let found = format!("commits were let go on without a standby; before that: `{before}`");
        let fix = "go on with the run that did it: rollup status; by hand: /var/lib/rollup/database-relaxed";
        pre4("database.relaxed", false, "nothing of an earlier run to put back", found).fix(fix).only_warn()
    }));
    findings.extend((!facts.leftovers.is_empty()).then(|| {
        let found = facts.leftovers.join(", ");
        pre4("database.leftovers", false, "nothing left of a way back beside the data directory", found.as_str())
            .fix(format!("look at it, then: rm -r {}", facts.leftovers.join(" ")))
            .only_warn()
    }));
    let settings = &server.settings;
    let levels = if facts.gauss.is_some() { ["hot_standby", "logical"] } else { ["replica", "logical"] };
    let level = levels.contains(&settings.wal_level.as_str());
    // A standby needs one connection, a base backup two more.
    findings.push(
        pre4(
            "database.settings",
            level && settings.max_wal_senders >= 3,
            format!("wal_level {}, max_wal_senders at least 3", levels.join(" or ")),
            format!("wal_level {}, max_wal_senders {}", settings.wal_level, settings.max_wal_senders),
        )
        .fix(set(database, "max_wal_senders", "10") + "; then restart the server"),
    );
    findings.push(login(
        "database.backup-login",
        "a replication login for the backup",
        facts.login_here.as_ref(),
        format!("pg_hba.conf: local replication {} peer", database.os_user),
    ));
    findings.push(
        pre4(
            "database.tablespaces",
            server.tablespaces == 0,
            "no tablespaces outside the data directory",
            format!("{} tablespaces", server.tablespaces),
        )
        .fix("move their tables back: ALTER TABLE … SET TABLESPACE pg_default"),
    );
    findings.into_iter().map(|finding| finding.on(node)).collect()
}

fn of_primary(node: &NodeName, facts: &DatabaseFacts, server: &Server, database: &Database) -> Vec<Finding> {
    let read_only = server.settings.read_only;
    let mut findings = vec![
        commits(facts, database),
        pre4(
            "database.writable",
            !read_only,
            "a primary that accepts writes",
            if read_only { "default_transaction_read_only is on" } else { "writable" },
        )
        .fix(set(database, "default_transaction_read_only", "off")),
        pre4(
            "database.signal",
            !facts.standby_signal,
            "no standby.signal on the primary",
            if facts.standby_signal { "standby.signal: its next start makes it a standby" } else { "none" },
        )
        .fix(format!("rm {}/standby.signal", database.data_dir)),
    ];
    if database.switchover == Switchover::WithVip {
        let fix = "pg_hba.conf and ~/.pgpass of the standby's and the primary's OS user, as in the other direction";
        findings.push(login(
            "database.return-login",
            "a replication login from the primary to the standby, for the way after the switchover",
            facts.login_peer.as_ref(),
            fix.to_owned(),
        ));
        if let Some(gauss) = facts.gauss.as_ref().filter(|gauss| gauss.manager == Manager::Running) {
            let on = gauss.most_available_sync == Some(true);
            let found = if on { "on" } else { "off" };
            let expected = "most_available_sync off: the manager does not switch over while it is on";
            findings.push(pre4("database.switchable", !on, expected, found).fix(set(
                database,
                "most_available_sync",
                "off",
            )));
        }
        let names = &server.settings.synchronous_standby_names;
        let found = if names.is_empty() { "none".to_owned() } else { format!("`{names}`") };
        findings.push(
            pre4("database.synchronous", names.is_empty(), "no commit that waits for a standby", found)
                .fix("expect commits to wait until the old primary has rejoined, or reset synchronous_standby_names")
                .only_warn(),
        );
        findings.push(
            pre4(
                "database.slots",
                server.slots.is_empty(),
                "no physical replication slots",
                if server.slots.is_empty() { "none".to_owned() } else { server.slots.join(", ") },
            )
            .fix("after the switchover: SELECT pg_drop_replication_slot(…) on the old primary, or it keeps its log")
            .only_warn(),
        );
    }
    findings.into_iter().map(|finding| finding.on(node)).collect()
}

fn login(id: &str, expected: &str, login: Option<&Login>, fix: String) -> Finding {
    let found = match login {
        Some(Login::Works) => "it works",
        Some(Login::Fails(said)) => said,
        None => "not tried",
    };
    pre4(id, login == Some(&Login::Works), expected, found).fix(fix)
}

fn identity(nodes: &Nodes<'_>) -> Option<Finding> {
    let known: Vec<_> = nodes.iter().filter_map(|(node, facts)| Some((*node, facts.system_identifier()?))).collect();
    let (_, first) = known.first()?;
    let same = known.iter().all(|(_, identifier)| identifier == first);
    let found = if same {
        (*first).to_owned()
    } else {
        known.iter().map(|(node, identifier)| format!("{node} {identifier}")).collect::<Vec<_>>().join(", ")
    };
    let fix = "make the standby anew from the primary: pg_basebackup -R";
    Some(pre4("database.identity", same, "one system identifier", found).fix(fix))
}

/// No transaction that holds up schema changes, checkpoints or replay.
pub(crate) fn long_transaction(server: &Server, database: &Database) -> Finding {
    let limit = database.long_transaction;
    let expected = format!("no transaction older than {limit}");
    let Some(oldest) = server.oldest_transaction.as_ref().filter(|t| t.age_s >= limit.duration().as_secs()) else {
        return pre4("database.transactions", true, expected, "none");
    };
    let pid = oldest.pid.map(|pid| format!("pid {pid}, ")).unwrap_or_default();
    let found = format!("one of {} s: {pid}{}, {}", oldest.age_s, oldest.who, oldest.what);
    let fix = match oldest.pid {
        Some(pid) => psql(database, &[&format!("SELECT pg_terminate_backend({pid})")]),
        None => "COMMIT PREPARED or ROLLBACK PREPARED".to_owned(),
    };
    pre4("database.transactions", false, expected, found).fix(fix)
}

/// A commit that waits for a standby while there is none waits for ever, a migration's too.
pub(crate) fn commits(facts: &DatabaseFacts, database: &Database) -> Finding {
    let hangs = facts.hangs_on();
    let found = hangs.as_ref().map(|setting| format!("no standby streams, and every commit waits for one: {setting}"));
    let fix = match database.engine {
        DatabaseEngine::Postgresql => set(database, "synchronous_commit", "local"),
        _ => set(database, "most_available_sync", "on"),
    };
    pre4("database.commits", hangs.is_none(), "commits that end", found.unwrap_or_else(|| "they do".to_owned()))
        .fix(format!("start the standby; or, until it is back: {fix}"))
}

/// The standby receives, and the primary sees it.
pub(crate) fn streaming(
    at: &Node,
    facts: &DatabaseFacts,
    primary: &NodeName,
    server: &Server,
    standbys: usize,
) -> Finding {
    let seen = server.streams_to(at, standbys);
    let found = match (facts.is_streaming_standby(), seen) {
        (true, true) => "streaming".to_owned(),
        (true, false) => {
            let states: Vec<_> =
                server.walsenders.iter().map(|w| format!("{} {}", w.application_name, w.state)).collect();
            let states = if states.is_empty() { "nobody".to_owned() } else { states.join(", ") };
            format!("{primary} sends to {states}")
        }
        (false, _) => {
            let upstream = facts.server.as_ref().and_then(|server| server.upstream.as_deref());
            let upstream = upstream.map(|host| format!(", configured upstream {host}")).unwrap_or_default();
            format!("{}{upstream}", facts.summary())
        }
    };
    let expected = format!("a standby that streams from {primary}");
    let fix = "SELECT * FROM pg_stat_wal_receiver, and the server's log; when it has diverged: pg_rewind";
    pre4("database.replication", facts.is_streaming_standby() && seen, expected, found).on(&at.name).fix(fix)
}

/// How far the standby's own replay is behind the primary.
pub(crate) fn lag(node: &NodeName, facts: &DatabaseFacts, current: Option<Lsn>, limit: u64) -> Finding {
    let expected = format!("at most {limit} bytes not yet replayed");
    let replayed = facts.server.as_ref().and_then(|server| server.replay_lsn);
    let (good, found) = match (current, replayed) {
        (Some(current), Some(replayed)) => {
            let bytes = current.lead_over(replayed);
            (bytes <= limit, format!("{bytes} bytes (primary at {current}, replayed {replayed})"))
        }
        _ => (false, "unknown".to_owned()),
    };
    let fix = "wait, or find what slows replay: SELECT * FROM pg_stat_activity on the standby";
    pre4("database.lag", good, expected, found).on(node).fix(fix)
}

/// What keeps a standby behind on purpose: it could not take over in time.
fn held_back(node: &NodeName, standby: &Server, database: &Database) -> [Finding; 2] {
    let paused = if standby.replay_paused { "replay is paused" } else { "it replays" };
    let delay = standby.apply_delay_ms;
    let found =
        if delay == 0 { "none".to_owned() } else { format!("recovery_min_apply_delay {}", Span::millis(delay)) };
    [
        pre4("database.paused", !standby.replay_paused, "a standby that replays", paused).on(node).fix(psql(
            database,
            &[match database.engine {
                DatabaseEngine::Postgresql => "SELECT pg_wal_replay_resume()",
                _ => "SELECT pg_xlog_replay_resume()",
            }],
        )),
        pre4("database.delay", delay == 0, "no delay before a standby replays", found).on(node).fix(set(
            database,
            "recovery_min_apply_delay",
            "0",
        )),
    ]
}

fn migrations(node: &NodeName, facts: &DatabaseFacts, release: &Release, inventory: &Inventory) -> Finding {
    let good =
        |found: String| Finding::check("database.migrations", "UPG-2", true, "migrations that can run", found).on(node);
    let engine = engine_of(&inventory.database);
    let problems = |installed: Option<&str>| {
        let phases = [MigrationPhase::Expand, MigrationPhase::Contract];
        phases.into_iter().find_map(|phase| {
            let history = facts.history.as_deref();
            history::select(engine, &release.migrations, phase, history, installed).problems.into_iter().next()
        })
    };
    // The installed version is not known here. Without a history anything before the package's own version may turn
    // out to be adopted, so its flaws are no reason to stop yet.
    let sure = problems(history::newest_before(&release.migrations, &release.version));
    match (sure, problems(None)) {
        (Some(problem), _) => problem.on(node),
        (None, Some(perhaps)) => perhaps.on(node).only_warn(),
        (None, None) => good(format!("{} in the package", release.migrations.len())),
    }
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
