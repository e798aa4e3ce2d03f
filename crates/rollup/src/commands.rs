//! Each command, from what was typed to its exit code.

use rollup_engine::{Stage, lock};
use rollup_model::{
    Finding, Severity,
    fold::RunStatus,
    rollback::{RollbackRefused, rollback_plan},
};
use rollup_ui::pages;

use crate::{
    cli::{Cli, Command, Format, Pkg, Running, Runs},
    exit::{self, Ended, Exit},
    planning::{identity, plan_upgrade, read_package, refused},
    running,
    screen::Screen,
    show,
    site::Site,
    store::{Store, is_live, is_open},
};

/// Runs one command.
pub(crate) async fn run(cli: &Cli, screen: &Screen) -> Ended {
    let site = || Site::load(&cli.global.inventory, screen.color());
    let store = || Store::open(cli.global.state_dir.as_deref());
    match &cli.command {
        Command::Precheck { pkg, format, strict } => precheck(&site()?, pkg.as_deref(), *format, *strict, screen).await,
        Command::Plan(upgrade) => {
            let planned = plan_upgrade(&site()?, upgrade, screen).await?;
            if screen.json() {
                screen.data(&serde_json::to_string_pretty(&planned.plan).map_err(anyhow::Error::from)?)?;
            } else {
                screen.data(&pages::plan_table(&planned.plan, screen.out()))?;
                warn(&planned.findings, screen);
            }
            Ok(exit::DONE)
        }
        Command::Upgrade { upgrade, running } => {
            let (site, store) = (site()?, store()?);
            let planned = plan_upgrade(&site, upgrade, screen).await?;
            check_phase(running, &planned.plan)?;
            if !running.yes {
                screen.tell(&pages::plan_table(&planned.plan, screen.err()));
            }
            warn(&planned.findings, screen);
            let question = format!("Upgrade {} with this plan?", site.inventory.cluster.name);
            let command = format!("rollup upgrade --pkg {}", upgrade.pkg.display());
            if !screen.confirm(&question, running.yes, &command)? {
                return Err(Exit::new(exit::STOPPED, "not confirmed; nothing was changed").hint(command));
            }
            running::begin(&site, &store, &planned.plan, running, screen).await
        }
        Command::Resume { run, running } => {
            let store = store()?;
            let run = store.find(run.as_ref(), is_open, "run that could go on")?;
            running::go_on(&store, &run, running, screen).await
        }
        Command::Rollback { run, backup, dry_run, running } => {
            rollback(&store()?, run.as_ref(), backup.as_deref(), *dry_run, running, screen).await
        }
        Command::Status { run } => {
            let store = store()?;
            let run = store.find(run.as_ref(), |_| true, "run")?;
            show::status(&store, &run, screen)
        }
        Command::Runs(Runs::List) => show::runs(&store()?, screen),
        Command::Runs(Runs::Show { run }) => show::run(&store()?, run, screen),
        Command::Unlock { run, reason, yes } => unlock(&site()?, run, reason, *yes, screen).await,
        Command::Health { node } => show::health(&site()?, node.as_ref(), screen).await,
        Command::Vip(_) => show::subject(&site()?, "keepalived", screen).await,
        Command::Db(_) => show::subject(&site()?, "database", screen).await,
        Command::Sync(_) => show::subject(&site()?, "sync", screen).await,
        Command::Pkg(pkg) => packages(cli, pkg, screen).await,
    }
}

fn warn(findings: &[Finding], screen: &Screen) {
    let warnings: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Warning).cloned().collect();
    if !warnings.is_empty() {
        screen.tell(&screen.findings(&warnings));
    }
}

fn check_phase(running: &Running, plan: &rollup_model::Plan) -> Result<(), Exit> {
    let Some(phase) = &running.pause_before else { return Ok(()) };
    if plan.phase(phase).is_some() {
        return Ok(());
    }
    let known: Vec<_> = plan.phases.iter().map(|phase| phase.id.as_str()).collect();
    Err(Exit::usage(format!("there is no phase `{phase}`"))
        .hint(format!("--pause-before one of: {}", known.join(", "))))
}

async fn precheck(site: &Site, pkg: Option<&std::path::Path>, format: Format, strict: bool, screen: &Screen) -> Ended {
    let waiting = screen.waiting("reading the facts of all nodes");
    let release = match pkg {
        Some(pkg) => Some(read_package(pkg, &site.inventory).await?),
        None => None,
    };
    let examined = site.examine(release.as_ref(), Stage::Fresh).await;
    drop(waiting);
    let findings = &examined.findings;
    let format = if screen.json() { Format::Json } else { format };
    screen.data(&match format {
        Format::Human => pages::findings_table(findings, screen.verbose(), screen.out()),
        Format::Json => pages::findings_json(findings),
        Format::Junit => pages::findings_junit(findings),
    })?;
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    let bad = if strict { Severity::Warning } else { Severity::Error };
    Ok(if worst >= bad { exit::BLOCKED } else { exit::DONE })
}

async fn rollback(
    store: &Store,
    run: Option<&rollup_model::RunId>,
    backup: Option<&str>,
    dry_run: bool,
    running: &Running,
    screen: &Screen,
) -> Ended {
    let run = match backup {
        Some(set) => {
            let of_set =
                |run: &rollup_model::RunId| store.read(run).is_ok_and(|(stored, _)| stored.plan.backup_set == set);
            let upgrades = store.list().into_iter().filter(|run| of_set(run));
            // The upgrade came before any run that takes it back with the same set.
            let made_it = upgrades.min();
            made_it.ok_or_else(|| {
                Exit::usage(format!("no run of this machine made the set `{set}`")).hint("rollup runs list")
            })?
        }
        None => store.find(
            run,
            |state| !matches!(state.status, RunStatus::TakenBack { .. }),
            "run that could be taken back",
        )?,
    };
    let (stored, state) = store.read(&run)?;
    if let RunStatus::TakenBack { by } = &state.status {
        return Err(
            Exit::usage(format!("run {run} was already taken back by {by}")).hint(format!("rollup runs show {by}"))
        );
    }
    if is_live(&state, &store.dir(&run)) {
        return Err(Exit::new(exit::LOCKED, format!("a process of this machine works on run {run}"))
            .hint(format!("rollup status {run}")));
    }
    if running::kind_of(&stored.plan) == running::Kind::Rollback {
        return Err(Exit::usage(format!("run {run} is itself a rollback")).hint(format!("rollup resume {run}")));
    }
    let site = Site::of(stored.plan.inventory.clone(), None)?;
    let undo = |step: &rollup_model::Step, before: &serde_json::Value| site.registry.undo(&step.action, before);
    let plan = rollback_plan(&stored.plan, &state, &identity()?, &undo).map_err(|refused| {
        let code = if refused == RollbackRefused::NothingChanged { exit::USAGE } else { exit::ROLLBACK_FAILED };
        Exit::new(code, refused).hint(format!("rollup runs show {run}"))
    })?;
    if dry_run {
        screen.data(&pages::plan_table(&plan, screen.out()))?;
        return Ok(exit::DONE);
    }
    if !running.yes {
        screen.tell(&pages::plan_table(&plan, screen.err()));
    }
    let command = format!("rollup rollback --run {run}");
    if !screen.confirm("Take the run back with this plan?", running.yes, &command)? {
        return Err(Exit::new(exit::STOPPED, "not confirmed; nothing was changed").hint(command));
    }
    // The lock of the run that is taken back goes to the run that takes it back.
    lock::release(&site.hosts, &run).await;
    running::begin(&site, store, &plan, running, screen).await
}

async fn unlock(site: &Site, run: &rollup_model::RunId, reason: &str, yes: bool, screen: &Screen) -> Ended {
    if reason.trim().is_empty() {
        return Err(Exit::usage("expected a reason, found none").hint(format!("rollup unlock {run} --reason 'why'")));
    }
    let question = format!("Free the nodes from run {run}? Nothing else may be working on them.");
    if !screen.confirm(&question, yes, &format!("rollup unlock {run} --reason '{reason}'"))? {
        return Err(Exit::new(exit::STOPPED, "not confirmed; the lock stays"));
    }
    let mut freed = Vec::new();
    for (node, host) in &site.hosts {
        let holder = lock::holder(rollup_remote::ReadOnly::new(host.as_ref())).await?;
        if holder.is_some_and(|holder| holder.run == *run) {
            host.exec(&crate::audit::unlock_line(run, &crate::operator(), reason))
                .await
                .map_err(anyhow::Error::from)?;
            freed.push(node.to_string());
        }
    }
    if freed.is_empty() {
        return Err(Exit::usage(format!("run {run} holds no node")).hint("rollup status"));
    }
    let kept: Vec<_> =
        lock::release(&site.hosts, run).await.into_iter().map(|(node, error)| format!("{node}: {error}")).collect();
    if !kept.is_empty() {
        let error = format!("the lock stays on {}", kept.join("; "));
        return Err(Exit::new(exit::UNEXPECTED, error).hint(format!("rollup unlock {run} --reason '{reason}'")));
    }
    screen.tell(&format!("freed {}; the run can still go on: rollup resume {run}", freed.join(", ")));
    Ok(exit::DONE)
}

async fn packages(cli: &Cli, pkg: &Pkg, screen: &Screen) -> Ended {
    match pkg {
        Pkg::Build { dir, output } => {
            let built = package::build(dir, output).map_err(refused)?;
            screen.data(&format!(
                "{}: {} files, {} bytes, sha256 {}",
                built.archive.display(),
                built.files,
                built.size,
                built.sha256
            ))?;
        }
        Pkg::Inspect { package: file } => {
            // Looking is free: what may be installed is the inventory's business.
            let policy = rollup_model::inventory::PackagePolicy {
                allow_unsigned: true,
                allowed_destinations: vec!["/".to_owned()],
            };
            let (release, listing) = package::read(file, &policy).map_err(refused)?;
            let document = serde_json::json!({ "release": release, "entries": listing });
            screen.data(&serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?)?;
        }
        Pkg::Verify { package: file } => {
            let site = Site::load(&cli.global.inventory, screen.color())?;
            let release = read_package(file, &site.inventory).await?;
            screen.data(&format!(
                "{} {}: {} files, sha256 {}",
                release.name,
                release.version,
                release.components.len(),
                release.archive_sha256
            ))?;
        }
    }
    Ok(exit::DONE)
}
