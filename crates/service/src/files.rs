//! Files in place: replaced one by one through a rename, proved by checksum, owner and mode (UPG-4).

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::{Context, Result, bail};
use rollup_engine::{Action, ApplyCx, Cx, State};
use rollup_model::{
    Finding, NodeName, Release, Undo,
    plan::{ActionRef, hex},
};
use rollup_remote::{Cmd, ReadOnly, SUMS, Stdin};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::record;

const LOOK: &str = include_str!("scripts/look.sh");
const CAPABILITIES: &str = include_str!("scripts/capabilities.sh");
const INSTALL: &str = include_str!("scripts/install.sh");

/// A path as it is on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// A regular file.
    File {
        /// SHA-256 of the content, hex.
        sha256: String,
        /// Octal, without leading zeros.
        mode: String,
        /// Name of the owner.
        owner: String,
        /// Name of the group.
        group: String,
    },
    /// A link, and where it leads.
    Link(String),
    /// A directory or something else.
    Other,
    /// Nothing.
    Absent,
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { sha256, mode, owner, group } => {
                write!(f, "{} {mode} {owner}:{group}", sha256.get(..12).unwrap_or(sha256))
            }
            Self::Link(target) => write!(f, "a link to {target}"),
            Self::Other => f.write_str("something that is no file"),
            Self::Absent => f.write_str("nothing"),
        }
    }
}

fn parse(text: &str) -> Result<BTreeMap<String, Placed>> {
    text.lines()
        .map(|line| {
            let words: Vec<_> = line.splitn(5, ' ').collect();
            let [sha256, mode, owner, group, path] = words[..] else { bail!("expected five words, found `{line}`") };
            let owned = str::to_owned;
            let placed = match sha256 {
                "absent" => Placed::Absent,
                "other" => Placed::Other,
                "link" => Placed::Link(owned(mode)),
                _ => {
                    Placed::File { sha256: owned(sha256), mode: owned(mode), owner: owned(owner), group: owned(group) }
                }
            };
            Ok((path.to_owned(), placed))
        })
        .collect()
}

/// Looks at paths of a node, in one round trip.
///
/// # Errors
/// The node does not answer, or answers what cannot be understood.
pub async fn look(host: ReadOnly<'_>, paths: &[String], limit: Duration) -> Result<BTreeMap<String, Placed>> {
    let list = paths.iter().map(|path| format!("{path}\n")).collect::<String>();
    let cmd = Cmd::read("files.look", &format!("{SUMS}{LOOK}"), [""; 0]).stdin(Stdin::Bytes(list.into_bytes()));
    parse(&host.exec(&cmd.deadline(limit)).await?.stdout).with_context(|| host.name().to_owned())
}

/// How a path must be when the package is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Is(Placed),
    /// Anything but nothing: what is there stays.
    Kept(Placed),
}

impl Wanted {
    fn is_met(&self, found: &Placed) -> bool {
        match self {
            Self::Is(wanted) => wanted == found,
            Self::Kept(_) => matches!(found, Placed::File { .. } | Placed::Link(_)),
        }
    }

    fn placed(&self) -> &Placed {
        match self {
            Self::Is(placed) | Self::Kept(placed) => placed,
        }
    }
}

/// Everything that a package wants on a node, by path.
pub(crate) fn wanted(release: &Release) -> BTreeMap<String, Wanted> {
    let file = |sha256: &str, mode: &str, owner: &str, group: &str| Placed::File {
        sha256: sha256.to_owned(),
        mode: mode.trim_start_matches('0').to_owned(),
        owner: owner.to_owned(),
        group: group.to_owned(),
    };
    let mut all: BTreeMap<_, _> = release
        .components
        .iter()
        .map(|c| {
            let placed = file(&c.sha256, &c.mode, &c.owner, &c.group);
            (c.destination.clone(), if c.keep { Wanted::Kept(placed) } else { Wanted::Is(placed) })
        })
        .collect();
    all.extend(release.obsolete.iter().map(|path| (path.clone(), Wanted::Is(Placed::Absent))));
    if let Some(layout) = &release.layout {
        all.insert(layout.current(), Wanted::Is(Placed::Link(layout.target())));
    }
    let record = hex(&Sha256::digest(record::write(release)));
    all.insert(release.record(), Wanted::Is(file(&record, "644", "root", "root")));
    all
}

/// What is not as the package wants it, by path: what was found, and what should be there.
type Differences = BTreeMap<String, (Placed, Placed)>;

async fn differences(cx: &Cx<'_>, release: &Release) -> Result<Differences> {
    let wanted = wanted(release);
    let limit = cx.inventory().limits.distribute.duration();
    let paths: Vec<_> = wanted.keys().cloned().collect();
    let found = look(cx.host()?, &paths, limit).await?;
    let mut differences = Differences::new();
    for (path, wanted) in &wanted {
        let found = found.get(path).cloned().unwrap_or(Placed::Absent);
        if !wanted.is_met(&found) {
            differences.insert(path.clone(), (found, wanted.placed().clone()));
        }
    }
    let with = release.components.iter().filter(|component| !differences.contains_key(&component.destination));
    let with: String = with
        .filter_map(|component| Some(format!("{}\t{}\n", component.destination, component.capabilities.as_ref()?)))
        .collect();
    if !with.is_empty() {
        let cmd = Cmd::read("files.capabilities", CAPABILITIES, [""; 0]).stdin(Stdin::Bytes(with.into_bytes()));
        let said = cx.host()?.exec(&cmd.deadline(limit)).await?.stdout;
        for path in said.lines() {
            let found = found.get(path).cloned().unwrap_or(Placed::Absent);
            let wanted = wanted.get(path).map_or(Placed::Absent, |wanted| wanted.placed().clone());
            differences.insert(path.to_owned(), (found, wanted));
        }
    }
    Ok(differences)
}

fn findings(differences: &Differences, node: &NodeName) -> Vec<Finding> {
    let finding = |(path, (found, wanted)): (&String, &(Placed, Placed))| {
        // Two that look the same differ in their capabilities.
        let more = if found == wanted { ", and the capabilities of the manifest" } else { "" };
        let expected = format!("{path} as {wanted}{more}");
        Finding::check("service.file", "UPG-4", false, expected, found.to_string()).on(node)
    };
    differences.iter().map(finding).collect()
}

/// What the script is told to do: only what differs is touched.
fn orders(release: &Release, differences: &Differences) -> String {
    let mut orders: Vec<String> = release
        .components
        .iter()
        .filter(|component| differences.contains_key(&component.destination))
        .map(|c| {
            let capabilities = c.capabilities.as_deref().unwrap_or("-");
            ["place", &c.source, &c.destination, &c.owner, &c.group, &c.mode, &c.sha256, capabilities].join("\t")
        })
        .collect();
    if let Some(layout) = release.layout.as_ref().filter(|layout| differences.contains_key(&layout.current())) {
        orders.push(format!("turn\t{}\t{}", layout.current(), layout.target()));
    }
    let gone = release.obsolete.iter().filter(|path| differences.contains_key(*path));
    orders.extend(gone.map(|path| format!("remove\t{path}")));
    orders.extend(record::write(release).lines().map(|line| format!("record\t{line}")));
    orders.join("\n") + "\n"
}

/// Replaces the package's files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Install {}

#[async_trait::async_trait]
impl Action for Install {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let release = cx.release()?;
        let differences = differences(cx, release).await?;
        if differences.is_empty() {
            return Ok(State::done());
        }
        let because = findings(&differences, cx.node()?);
        let current = release.layout.as_ref().map(rollup_model::release::Layout::current);
        let is_taken = |path: &String| matches!(differences.get(path), Some((Placed::File { .. } | Placed::Other, _)));
        if current.as_ref().is_some_and(is_taken) {
            // Not ours to remove: whatever is in it would be gone.
            return Ok(State::blocked(because));
        }
        Ok(State::Needed { before: json!({ "set": cx.plan.backup_set, "differing": differences.len() }), because })
    }

    async fn apply(&self, cx: &ApplyCx<'_>) -> Result<()> {
        let release = cx.release()?;
        let differences = differences(cx, release).await?;
        let (all, version) = (release.components.len(), &release.version);
        cx.progress(format!("replacing {} of {all} files of {} {version}", differences.len().min(all), release.name));
        let units = cx.inventory().service.units.iter().rev().cloned();
        let args = [format!("{}/tree", cx.plan.staging()), release.record()].into_iter().chain(units);
        let cmd = Cmd::mutate("files.install", &format!("{SUMS}{INSTALL}"), args)
            .stdin(Stdin::Bytes(orders(release, &differences).into_bytes()))
            .deadline(cx.inventory().limits.distribute.duration());
        cx.change()?.exec(&cmd).await.context("cannot place the files")?;
        Ok(())
    }

    fn undo(&self, before: &Value) -> Undo {
        let mut with = Map::new();
        if let Some(set) = before.get("set") {
            with.insert("set".to_owned(), set.clone());
        }
        Undo::Action(ActionRef { uses: "backup.restore".to_owned(), with })
    }
}

/// Looks whether the package's files are in place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {}

#[async_trait::async_trait]
impl Action for Installed {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let release = cx.release()?;
        let differences = differences(cx, release).await?;
        if differences.is_empty() {
            return Ok(State::seen(json!({ "version": release.version, "files": release.components.len() })));
        }
        Ok(State::blocked(findings(&differences, cx.node()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        let sha = "ab".repeat(32);
        serde_json::from_value(json!({
            "name": "orders", "version": "2.0.0", "from_versions": [], "architecture": "any", "archive": "x",
            "archive_size": 0, "archive_sha256": "", "unpacked_size": 0, "migrations": [], "hooks": [],
            "obsolete": ["/opt/o/old.jar"],
            "components": [
                { "source": "payload/a.jar", "destination": "/opt/o/a.jar", "owner": "orders", "group": "orders",
                  "mode": "0644", "sha256": sha, "size": 1 },
                { "source": "payload/o.yml", "destination": "/etc/o.yml", "owner": "root", "group": "root",
                  "mode": "0600", "sha256": sha, "size": 1, "keep": true, "capabilities": "cap_kill=ep" }
            ]
        }))
        .unwrap()
    }

    /// What differs when the node answers with these lines.
    fn differing(release: &Release, lines: &str) -> Differences {
        let found = parse(lines).unwrap();
        let wanted = wanted(release).into_iter();
        let unmet = wanted.filter(|(path, wanted)| !wanted.is_met(found.get(path).unwrap_or(&Placed::Absent)));
        unmet.map(|(path, wanted)| (path, (Placed::Absent, wanted.placed().clone()))).collect()
    }

    #[test]
    fn content_owner_and_mode_all_count_upg_4() {
        let (release, sha) = (release(), "ab".repeat(32));
        let good = format!("{sha} 644 orders orders /opt/o/a.jar\n");
        assert!(!differing(&release, &good).contains_key("/opt/o/a.jar"));
        for wrong in [
            format!("{sha} 664 orders orders /opt/o/a.jar\n"),
            format!("{sha} 644 root orders /opt/o/a.jar\n"),
            format!("{} 644 orders orders /opt/o/a.jar\n", "cd".repeat(32)),
            "absent - - - /opt/o/a.jar\n".to_owned(),
            "link /tmp/a.jar - - /opt/o/a.jar\n".to_owned(),
            "other - - - /opt/o/a.jar\n".to_owned(),
        ] {
            assert!(differing(&release, &wrong).contains_key("/opt/o/a.jar"), "{wrong}");
        }
    }

    #[test]
    fn what_an_operator_keeps_is_placed_only_where_nothing_is_upg_4() {
        let release = release();
        assert!(differing(&release, "").contains_key("/etc/o.yml"));
        let edited = format!("{} 640 root app /etc/o.yml\n", "cd".repeat(32));
        let differences = differing(&release, &edited);
        assert!(!differences.contains_key("/etc/o.yml"));
        assert!(!orders(&release, &differences).contains("/etc/o.yml"), "neither placed nor recorded");
    }

    #[test]
    fn only_what_differs_is_touched_and_what_is_obsolete_goes_upg_4() {
        let (release, sha) = (release(), "ab".repeat(32));
        let all = orders(&release, &differing(&release, &format!("{sha} 644 o o /opt/o/old.jar\n")));
        let jar = format!("place\tpayload/a.jar\t/opt/o/a.jar\torders\torders\t0644\t{sha}\t-\n");
        let yml = format!("place\tpayload/o.yml\t/etc/o.yml\troot\troot\t0600\t{sha}\tcap_kill=ep\n");
        let record = format!("record\t# orders 2.0.0\nrecord\t{sha} 0644 orders orders /opt/o/a.jar\n");
        assert_eq!(all, jar + &yml + "remove\t/opt/o/old.jar\n" + &record);
        let good = format!("{sha} 644 orders orders /opt/o/a.jar\n{sha} 600 root root /etc/o.yml\n");
        assert_eq!(orders(&release, &differing(&release, &good)), record);
    }

    #[test]
    fn a_release_beside_the_others_runs_when_the_link_is_turned_upg_4() {
        let layout = rollup_model::release::Layout { root: "/opt/o".to_owned(), version: "2.0.0".to_owned() };
        let release = Release { layout: Some(layout), ..release() };
        let turned = |lines: &str| {
            orders(&release, &differing(&release, lines)).contains("turn\t/opt/o/current\treleases/2.0.0")
        };
        assert!(turned("link releases/1.0.0 - - /opt/o/current\n") && turned(""));
        assert!(!turned("link releases/2.0.0 - - /opt/o/current\n"));
    }

    #[test]
    fn replaced_files_come_back_from_the_set_that_was_taken_before() {
        let Undo::Action(action) = (Install {}).undo(&json!({ "set": "backup_1" })) else {
            panic!("expected an action")
        };
        assert_eq!((action.uses.as_str(), &action.with["set"]), ("backup.restore", &json!("backup_1")));
    }
}
