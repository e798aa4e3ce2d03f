//! `rollup backup`: sets are taken, proven, shown, copied and removed. What changes anything is a plan like any other.

use std::path::Path;

use rollup_engine::Stage;
use rollup_model::{Facts, Plan, Role, playbook};
use rollup_ui::{bytes, pages};
use serde_json::{Value, json};

use crate::{
    cli::{Backup, Running},
    exit::{self, Ended, Exit},
    planning::{compile_for, identity, refuse_when_locked},
    running,
    screen::Screen,
    sets::{self, Found, Listed},
    site::{Site, versions},
    store::Store,
};

const CREATE: &str = include_str!("../../../playbooks/backup.toml");
const DRILL: &str = include_str!("../../../playbooks/backup-drill.toml");
const VERIFY: &str = include_str!("../../../playbooks/backup-verify.toml");
const PRUNE: &str = include_str!("../../../playbooks/backup-prune.toml");

/// Runs one command.
pub(crate) async fn run(site: Site, store: &Store, command: &Backup, screen: &Screen) -> Ended {
    match command {
        Backup::Create { dry_run, running } => {
            let plan = plan(&site, CREATE, None, screen).await?;
            go(&site, store, plan, *dry_run, running, "rollup backup create", screen).await
        }
        Backup::List => {
            let waiting = screen.waiting("asking the nodes");
            let answers = sets::list(&site).await;
            drop(waiting);
            for why in &answers.silent {
                screen.tell(&format!("warning: not every place could be asked: {why}"));
            }
            list(&answers.sets, screen)
        }
        Backup::Show { set } => show(&sets::find(&site, set).await?, screen),
        Backup::Verify { set, drill, identity, running } => {
            let site = site.with_identity(identity.as_deref())?;
            let found = sets::find(&site, set).await?;
            let name = found.manifest.set.clone();
            let (text, command) = match drill {
                true => (DRILL, format!("rollup backup verify {name} --drill")),
                false => (VERIFY, format!("rollup backup verify {name}")),
            };
            let plan = plan(&site, text, Some(&found), screen).await?;
            // Reading is no reason to ask; a drill writes to a scratch directory.
            let running = Running { yes: running.yes || !drill, ..running.clone() };
            go(&site, store, plan, false, &running, &command, screen).await
        }
        Backup::Prune { dry_run, running } => {
            let plan = plan(&site, PRUNE, None, screen).await?;
            go(&site, store, plan, *dry_run, running, "rollup backup prune", screen).await
        }
        Backup::Fetch { set, to } => fetch(&site, set, to.as_deref(), screen).await,
        Backup::CheckKey { set, identity } => {
            let site = site.with_identity(identity.as_deref())?;
            check_key(&site, set, screen).await
        }
    }
}

/// A plan about sets: of a new one, or of one that was found.
async fn plan(site: &Site, text: &str, found: Option<&Found>, screen: &Screen) -> Result<Plan, Exit> {
    let waiting = screen.waiting("looking at the nodes");
    refuse_when_locked(site, screen).await?;
    let examined = site.examine(None, Stage::Resumed).await;
    drop(waiting);
    let silent: Vec<_> = examined.errors().into_iter().filter(|finding| finding.id.starts_with("host.")).collect();
    if !silent.is_empty() {
        return Err(Exit::new(exit::BLOCKED, "a set needs both nodes; nothing was changed")
            .page(screen.findings(&silent))
            .hint("rollup precheck"));
    }
    let mut facts = examined.facts.clone();
    bind(site, &mut facts, found);
    let mut playbook = playbook::load(text).map_err(|problems| Exit::usage(format!("{problems:?}")))?;
    if let Some(found) = found {
        for step in playbook.phase.iter_mut().flat_map(|phase| &mut phase.step) {
            if let Some(set) = step.with.get_mut("set") {
                *set = json!(found.manifest.set);
            }
        }
        // A set without a database is drilled without one.
        if found.manifest.database.is_none() {
            for phase in &mut playbook.phase {
                phase.step.retain(|step| step.uses != "db.drill");
                for step in &mut phase.step {
                    if let Some(database) = step.with.get_mut("database") {
                        *database = Value::Bool(false);
                    }
                }
            }
        }
    }
    let plan = compile_for(site, &playbook, None, &facts, &versions(&examined), &identity()?)?;
    Ok(match found {
        Some(found) => Plan {
            title: format!("{}: {}", plan.title, found.manifest.set),
            backup_set: found.manifest.set.to_string(),
            ..plan
        },
        None => plan,
    })
}

/// The part that matters here: which server a backup is taken from, or lies on.
fn bind(site: &Site, facts: &mut Facts, found: Option<&Found>) {
    let of_set = found.and_then(|found| Some(found.manifest.database.as_ref()?.node.clone()));
    let first = || site.inventory.node_names().next().cloned();
    let source = of_set.or_else(|| gaussdb::backup_source(facts, &site.inventory)).or_else(first);
    facts.bindings.extend(source.map(|node| (Role::BackupSource, node)));
}

async fn go(
    site: &Site,
    store: &Store,
    plan: Plan,
    dry_run: bool,
    running: &Running,
    command: &str,
    screen: &Screen,
) -> Ended {
    if running::show(&plan, dry_run, running, screen)? {
        return Ok(exit::DONE);
    }
    if !screen.confirm("Go on with this plan?", running.yes, command)? {
        return Err(Exit::new(exit::STOPPED, "not confirmed; nothing was changed").hint(command));
    }
    running::begin(site, store, &plan, running, screen).await
}

fn list(listed: &[Listed], screen: &Screen) -> Ended {
    if screen.json() {
        screen.data(&serde_json::to_string_pretty(listed).map_err(anyhow::Error::from)?)?;
        return Ok(exit::DONE);
    }
    if listed.is_empty() {
        screen.data("no backup sets")?;
        return Ok(exit::DONE);
    }
    let text = |set: &Listed| {
        let held = set.held_by.as_ref().map(|run| format!("run {run}")).unwrap_or_default();
        vec![set.name.clone(), set.state.clone(), set.purpose.clone(), bytes(set.bytes), set.places.join(", "), held]
    };
    let rows: Vec<_> = listed.iter().map(text).collect();
    screen.data(&pages::table(&["set", "state", "taken for", "size", "where", "needed by"], &rows, screen.out()))?;
    Ok(exit::DONE)
}

fn show(found: &Found, screen: &Screen) -> Ended {
    let manifest = &found.manifest;
    if screen.json() {
        screen.data(&serde_json::to_string_pretty(manifest).map_err(anyhow::Error::from)?)?;
        return Ok(exit::DONE);
    }
    let mut values = vec![
        ("state".to_owned(), found.state().to_owned()),
        ("taken".to_owned(), manifest.created.to_string()),
        ("taken for".to_owned(), found.purpose()),
        ("run".to_owned(), manifest.run.to_string()),
        ("cluster".to_owned(), manifest.cluster.clone()),
    ];
    values.extend(manifest.verified_at.map(|at| ("read back".to_owned(), at.to_string())));
    for (node, part) in &manifest.nodes {
        let version = manifest.versions.get(node).map_or("unknown", String::as_str);
        let size: u64 = part.parts.iter().map(|part| part.size).sum();
        let key = part.root_key.as_ref().map(|key| format!(", root key {}", key.fingerprint)).unwrap_or_default();
        values.push((node.to_string(), format!("version {version}, {}{key}", bytes(size))));
        values.extend(
            part.paths
                .iter()
                .map(|path| (String::new(), format!("{} ({} files, {})", path.path, path.files, bytes(path.bytes)))),
        );
    }
    if let Some(database) = &manifest.database {
        let field = |name: &str| database.record.get(name).map(plain).unwrap_or_default();
        let size: u64 = database.parts.iter().map(|part| part.size).sum();
        let text = format!(
            "{} {} by {} on {}, up to {}, {}",
            field("engine"),
            field("version"),
            field("method"),
            database.node,
            field("end_lsn"),
            bytes(size)
        );
        values.push(("database".to_owned(), text));
    }
    screen.data(&pages::key_values(manifest.set.as_str(), &values, screen.out()))?;
    Ok(exit::DONE)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn fetch(site: &Site, set: &str, to: Option<&Path>, screen: &Screen) -> Ended {
    let found = sets::find(site, set).await?;
    let dir = match to {
        Some(dir) => std::path::absolute(dir)?,
        None => site.operator_dir(),
    };
    let waiting = screen.waiting("copying the set");
    let copied = backup::fetch(&site.hosts, &site.inventory, &found.manifest.set, &dir, &|_| {}).await;
    drop(waiting);
    let manifest = copied.map_err(|error| {
        let hint = format!("rollup backup verify {}", found.manifest.set);
        Exit { code: exit::BLOCKED, ..error.into() }.hint(hint)
    })?;
    let place = dir.join(manifest.set.as_str());
    let size = manifest.size();
    match screen.json() {
        true => screen.data(&json!({ "set": manifest.set, "directory": place, "bytes": size }).to_string())?,
        false => screen.data(&format!("{} is in {}, {}", manifest.set, place.display(), bytes(size)))?,
    }
    Ok(exit::DONE)
}

async fn check_key(site: &Site, set: &str, screen: &Screen) -> Ended {
    let found = sets::find(site, set).await?;
    let checked = backup::check_key(&site.hosts, &site.inventory, &found.manifest.set, None).await;
    let checked = checked.map_err(|error| {
        let hint = format!("rollup backup check-key {} --identity FILE", found.manifest.set);
        Exit { code: exit::BLOCKED, ..error.into() }.hint(hint)
    })?;
    if screen.json() {
        let row =
            |key: &backup::KeyChecked| json!({ "node": key.node, "place": key.place, "fingerprint": key.fingerprint });
        let rows: Vec<_> = checked.iter().map(row).collect();
        screen.data(&serde_json::to_string_pretty(&rows).map_err(anyhow::Error::from)?)?;
        return Ok(exit::DONE);
    }
    for backup::KeyChecked { node, place, fingerprint } in &checked {
        screen.data(&format!("{node}: the root key kept at {place} opens and is {fingerprint}, as recorded"))?;
    }
    if checked.is_empty() {
        screen.data("the set holds no root key")?;
    }
    Ok(exit::DONE)
}
