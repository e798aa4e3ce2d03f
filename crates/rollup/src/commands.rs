//! Each command, from what was typed to its exit code.

use rollup_engine::lock;
use rollup_model::{Finding, Plan, RunState, Severity};
use rollup_ui::pages;

use crate::{
    backups,
    cli::{Cli, Command, Db, Running, Runs, UpgradeArguments},
    confirm::confirm,
    exit::{self, Ended, Exit},
    finalize, health, lint, packages,
    planning::plan_upgrade,
    precheck, running,
    screen::Screen,
    show,
    site::Site,
    store::{Store, is_open},
    typed::quoted_option,
    vip, way_back,
};

/// Runs one command.
pub(crate) async fn run(cli: &Cli, screen: &Screen) -> Ended {
    let site = || Site::load(&cli.global.inventory, cli.global.state_dir.as_deref(), screen.color());
    let store = || Store::open(cli.global.state_dir.as_deref());
    match &cli.command {
        Command::Init(arguments) => crate::init::init(arguments, screen).await,
        Command::Precheck(asked) => precheck::precheck(site, asked, screen).await,
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
            running::check_phase(running, &planned.plan, &RunState::default())?;
            if !running.yes {
                screen.tell(&pages::plan_table(&planned.plan, screen.err()));
            }
            warn(&planned.findings, screen);
            let command = upgrade_command(upgrade, running);
            if !screen.confirm(&upgrade_question(&planned.plan), running.yes, &command)? {
                return Err(Exit::new(exit::STOPPED, "not confirmed; nothing was changed").hint(command));
            }
            running::begin(&site, &store, &planned.plan, running, screen).await
        }
        Command::Resume { run, running } => {
            let store = store()?;
            let run = store.find(run.as_ref(), |_, state| is_open(state), "run that could go on")?;
            running::go_on(&store, &run, running, screen).await
        }
        Command::Rollback(asked) => way_back::rollback(site(), &store()?, asked, screen).await,
        Command::Finalize { run, dry_run, running } => {
            finalize::finalize(&store()?, run.as_ref(), *dry_run, running, screen).await
        }
        Command::Backup(command) => backups::run(site()?, &store()?, command, screen).await,
        Command::Status { run } => {
            let store = store()?;
            let run = store.find(run.as_ref(), |_, _| true, "run")?;
            show::status(&store, &run, screen)
        }
        Command::Runs(Runs::List) => show::runs(&store()?, screen),
        Command::Runs(Runs::Show { run }) => show::run(&store()?, run, screen),
        Command::Confirm { run, step, reason } => confirm(&store()?, run, step, reason, screen),
        Command::Unlock { run, reason, yes } => unlock(&site()?, run, reason, *yes, screen).await,
        Command::Health(asked) => health::run(&cli.global, asked, screen).await,
        Command::Vip(command) => vip::run(&site()?, &store()?, command, screen).await,
        Command::Db(Db::Status) => show::subject(&site()?, "database", screen).await,
        Command::Db(Db::Lint(asked)) => lint::lint(cli, asked, screen).await,
        Command::Sync(_) => show::subject(&site()?, "sync", screen).await,
        Command::Pkg(pkg) => packages::run(cli, pkg, screen).await,
    }
}

fn warn(findings: &[Finding], screen: &Screen) {
    let warnings: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Warning).cloned().collect();
    if !warnings.is_empty() {
        screen.tell(&screen.findings(&warnings));
    }
}

/// What was typed, so that it can be typed again.
fn upgrade_command(upgrade: &UpgradeArguments, running: &Running) -> String {
    let pkg = upgrade.package();
    let playbook = quoted_option("--playbook", upgrade.playbook.as_deref());
    let pause = running.pause_before.as_ref().map(|phase| format!(" --pause-before {phase}")).unwrap_or_default();
    format!("rollup upgrade{pkg}{playbook}{pause}")
}

/// The plan may have scrolled away: the question says the most important of it again.
fn upgrade_question(plan: &Plan) -> String {
    let from: std::collections::BTreeSet<_> = plan.versions.values().map(String::as_str).collect();
    let from = from.into_iter().collect::<Vec<_>>().join(" and ");
    let to = plan.release.as_ref().map_or("what it has", |release| release.version.as_str());
    format!("Upgrade {} from {from} to {to} with this plan?", plan.inventory.cluster.name)
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
    let resume = screen.typed(&format!("rollup resume {run}"));
    screen.tell(&format!("freed {}; the run can still go on: {resume}", freed.join(", ")));
    Ok(exit::DONE)
}
