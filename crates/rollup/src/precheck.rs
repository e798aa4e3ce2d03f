//! `rollup precheck`: everything an upgrade needs, asked of all nodes at once (PRE-1 … PRE-10). Changes nothing.

use std::path::Path;

use rollup_engine::{Moment, Stage};
use rollup_model::{Check, Finding, Release, Severity, diagnostic::did_you_mean};
use rollup_ui::pages::{self, Selection};

use crate::{
    cli::{Format, PrecheckArguments},
    exit::{self, Ended, Exit},
    planning::{Origin, read_accepted},
    screen::Screen,
    site::{self, Site},
};

/// Without an answer of a node nothing else means anything, whatever else was asked for.
const ALWAYS: [&str; 3] = ["host.reachable", "host.key", "host.sudo"];

/// Looks, says what it saw, and whether an upgrade may begin.
pub(crate) async fn precheck(
    site: impl FnOnce() -> Result<Site, Exit>,
    asked: &PrecheckArguments,
    screen: &Screen,
) -> Ended {
    let known = site::registry().known_checks();
    let format = if screen.json() { Format::Json } else { asked.format };
    if asked.list {
        screen.data(&list(&known, format, screen)?)?;
        return Ok(exit::DONE);
    }
    for word in asked.only.iter().chain(&asked.skip) {
        is_known(word, &known)?;
    }
    let skipped = |check: &Check| asked.skip.iter().any(|word| check.is_meant_by(word));
    let asked_for = |check: &Check| {
        (asked.only.is_empty() || asked.only.iter().any(|word| check.is_meant_by(word))) && !skipped(check)
    };
    let readable = |check: &Check| check.id.ends_with(".readable");
    let wanted = |check: &Check| asked_for(check) || (ALWAYS.contains(&check.id) || readable(check)) && !skipped(check);
    let site = site()?;
    let pkg = asked.pkg.as_deref().map(|pkg| Origin::read(pkg, Some(&site.inventory))).transpose()?;
    let waiting = screen.waiting_aloud("precheck: reading the facts of all nodes");
    let subjects: Vec<_> = (site.registry.subjects().iter())
        // Nobody waits for an answer that nobody wants.
        .filter(|subject| {
            !subject.stands_alone() || subject.checks().iter().any(|check| asked_for(check) && !readable(check))
        })
        .cloned()
        .collect();
    let (examined, package) = tokio::join!(
        rollup_engine::gather(&subjects, &site.hosts, &site.inventory),
        read(pkg.as_ref().zip(asked.pkg.as_deref()), asked.manifest.as_deref(), &site)
    );
    let (release, accepted) = package?;
    let moment = Moment::now(Stage::Fresh);
    let examined = rollup_engine::judge(&subjects, examined, &site.inventory, release.as_ref(), moment);
    drop(waiting);
    let mut findings: Vec<Finding> = accepted.into_iter().chain(examined.findings).collect();
    findings.retain(|finding| known.iter().find(|check| check.id == finding.id).is_none_or(wanted));
    let findings = screen.typed_fixes(&findings);
    let bad = if asked.strict { Severity::Warning } else { Severity::Error };
    let ready = findings.iter().all(|finding| finding.severity < bad);
    let selection = Selection { only: &asked.only, skip: &asked.skip };
    screen.data(&match format {
        Format::Human => pages::findings_table(&findings, screen.verbose(), screen.out()),
        Format::Json => pages::findings_json(&findings, ready, &selection),
        Format::Junit => pages::findings_junit(&findings, asked.strict),
    })?;
    Ok(if ready { exit::DONE } else { exit::BLOCKED })
}

/// Reads the package while the nodes are asked. One that is not accepted is a finding, and the nodes are judged without it.
async fn read(
    package: Option<(&Origin, &Path)>,
    manifest: Option<&Path>,
    site: &Site,
) -> Result<(Option<Release>, Option<Finding>), Exit> {
    let Some((origin, typed)) = package else { return Ok((None, None)) };
    let read = read_accepted(origin, manifest, site, &site.inventory.package).await?.map(|(release, _)| release);
    let accepted = package::accepted(typed, read.as_ref());
    Ok((read.ok(), Some(accepted)))
}

fn is_known(word: &str, known: &[Check]) -> Result<(), Exit> {
    if known.iter().any(|check| check.is_meant_by(word)) {
        return Ok(());
    }
    let areas = known.iter().filter_map(|check| Some(check.id.split_once('.')?.0));
    let words = known.iter().flat_map(|check| [check.id, check.requirement]).chain(areas);
    let hint = match did_you_mean(word, words) {
        Some(meant) => format!("did you mean `{meant}`? All there are: rollup precheck --list"),
        None => "rollup precheck --list".to_owned(),
    };
    Err(Exit::usage(format!("there is no check, area or requirement `{word}`")).hint(hint))
}

fn list(known: &[Check], format: Format, screen: &Screen) -> Result<String, Exit> {
    if format == Format::Json {
        return serde_json::to_string_pretty(known).map_err(|error| anyhow::Error::from(error).into());
    }
    Ok(pages::checks_table(known, screen.out()))
}
