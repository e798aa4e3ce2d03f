//! Facts of a node in one round trip.
//!
//! Each domain crate describes a [`Subject`]: a read-only script, a pure parser and the findings that follow. One
//! command runs the scripts of all subjects; the same scripts, alone, are what checks of steps look with.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result};
use rollup_model::{Facts, Finding, Inventory, NodeName, Release, Severity, inventory::Node};
use rollup_remote::{Cmd, Output, ReadOnly, RemoteError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::Hosts;

/// A script that only reads, and its arguments (`$1` …). Runs as root under `set -u`; its status does not matter, its
/// output does.
#[derive(Debug, Clone)]
pub struct Probe {
    /// A constant of the domain crate.
    pub script: &'static str,
    /// Never spliced into the script.
    pub args: Vec<String>,
}

/// Whether findings are asked for before the first change or in the middle of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was changed: everything must be as an upgrade needs it.
    Fresh,
    /// A run goes on: only what must hold at any moment is asked for.
    Resumed,
}

/// What findings may be drawn from.
pub struct FindingCx<'a> {
    /// The inventory.
    pub inventory: &'a Inventory,
    /// The package, when one is at hand.
    pub release: Option<&'a Release>,
    /// Facts of every node that answered.
    pub facts: &'a Facts,
    /// When.
    pub stage: Stage,
}

impl FindingCx<'_> {
    /// The facts of a subject on every node that has them.
    pub fn each<S: Subject>(&self, subject: &S) -> Vec<(&NodeName, S::Facts)> {
        let names = self.inventory.node_names();
        names.filter_map(|node| Some((node, self.facts.get(node, subject.name())?))).collect()
    }
}

/// Something that facts are gathered about.
pub trait Subject: Send + Sync {
    /// What the parser makes of the script's output.
    type Facts: Serialize + DeserializeOwned;

    /// Short name, the key in [`Facts`].
    fn name(&self) -> &'static str;

    /// The script for one node; `None`: nothing to ask there.
    fn probe(&self, inventory: &Inventory, node: &Node) -> Option<Probe>;

    /// Reads the script's output. Unknown text is an error, never a guess.
    fn parse(&self, text: &str, inventory: &Inventory) -> Result<Self::Facts>;

    /// What follows from the facts of all nodes.
    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding>;
}

/// [`Subject`] without its type.
pub trait AnySubject: Send + Sync {
    /// [`Subject::name`].
    fn name(&self) -> &'static str;
    /// [`Subject::probe`].
    fn probe(&self, inventory: &Inventory, node: &Node) -> Option<Probe>;
    /// [`Subject::parse`], as a value.
    fn parse_value(&self, text: &str, inventory: &Inventory) -> Result<Value>;
    /// [`Subject::findings`].
    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding>;
}

impl<S: Subject> AnySubject for S {
    fn name(&self) -> &'static str {
        Subject::name(self)
    }
    fn probe(&self, inventory: &Inventory, node: &Node) -> Option<Probe> {
        Subject::probe(self, inventory, node)
    }
    fn parse_value(&self, text: &str, inventory: &Inventory) -> Result<Value> {
        Ok(serde_json::to_value(self.parse(text, inventory)?)?)
    }
    fn findings(&self, cx: &FindingCx<'_>) -> Vec<Finding> {
        Subject::findings(self, cx)
    }
}

/// All facts of all nodes, and what is to be said of them.
#[derive(Debug, Clone, Default)]
pub struct Examined {
    /// What was read. Bindings are left empty: which node plays which part is the caller's to say.
    pub facts: Facts,
    /// Nodes that did not answer, subjects that could not be read, and what follows from the rest.
    pub findings: Vec<Finding>,
}

impl Examined {
    /// The findings that stop a run.
    pub fn errors(&self) -> Vec<Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).cloned().collect()
    }
}

/// Reads all facts of all nodes at once and draws every finding that follows.
pub async fn examine(
    subjects: &[Arc<dyn AnySubject>],
    hosts: &Hosts,
    inventory: &Inventory,
    release: Option<&Release>,
    stage: Stage,
) -> Examined {
    let mut examined = gather(subjects, hosts, inventory).await;
    let cx = FindingCx { inventory, release, facts: &examined.facts, stage };
    let found: Vec<_> = subjects.iter().flat_map(|subject| subject.findings(&cx)).collect();
    examined.findings.extend(found);
    examined
}

/// Runs every script given as `NAME COUNT SCRIPT ARGS…`, all at once, each in a shell of its own; what they print comes
/// one after the other, between marks that carry a random word, so no output can imitate one.
const GATHER: &str = r#"
mark=$1; shift
names=() pipes=()
while [ $# -gt 0 ]; do
  name=$1 count=$2 script=$3; shift 3
  exec {pipe}< <(exec bash -c "set -u; export LC_ALL=C; $script" "$name" "${@:1:$count}" 2>&1 </dev/null)
  names+=("$name") pipes+=("$pipe")
  shift "$count"
done
for at in "${!names[@]}"; do
  printf '%s begin %s\n' "$mark" "${names[at]}"
  cat <&"${pipes[at]}"
  printf '\n%s end\n' "$mark"
done
"#;

fn command(mark: &str, probes: &[(&str, Probe)]) -> Cmd {
    let mut args = vec![mark.to_owned()];
    for (name, probe) in probes {
        args.extend([(*name).to_owned(), probe.args.len().to_string(), probe.script.to_owned()]);
        args.extend(probe.args.iter().cloned());
    }
    Cmd::read("facts.gather", GATHER, args)
}

/// A word that output can hardly contain by accident; not a secret.
fn fresh_mark() -> String {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    format!("@rollup-{:x}-{:x}", nanos, std::process::id())
}

fn sections<'t>(text: &'t str, mark: &str) -> BTreeMap<&'t str, &'t str> {
    let begin = format!("{mark} begin ");
    let end = format!("\n{mark} end");
    text.split(begin.as_str())
        .skip(1)
        .filter_map(|part| {
            let (name, rest) = part.split_once('\n')?;
            Some((name, rest.split(end.as_str()).next()?))
        })
        .collect()
}

/// Reads the facts of all subjects on all nodes at once: one round trip for each node.
pub async fn gather(subjects: &[Arc<dyn AnySubject>], hosts: &Hosts, inventory: &Inventory) -> Examined {
    let mark = fresh_mark();
    let tasks = inventory.nodes.iter().filter_map(|node| Some((node, hosts.get(&node.name)?))).map(|(node, host)| {
        let probes: Vec<_> =
            subjects.iter().filter_map(|subject| Some((subject.name(), subject.probe(inventory, node)?))).collect();
        let cmd = command(&mark, &probes);
        async move { (node, ReadOnly::new(host.as_ref()).exec(&cmd).await) }
    });
    let mut examined = Examined::default();
    for (node, answer) in futures_util::future::join_all(tasks).await {
        match answer {
            Ok(output) => read_node(subjects, &mark, &output, node, inventory, &mut examined),
            Err(error) => examined.findings.push(unreachable(node, inventory, &error)),
        }
    }
    examined
}

fn read_node(
    subjects: &[Arc<dyn AnySubject>],
    mark: &str,
    output: &Output,
    node: &Node,
    inventory: &Inventory,
    examined: &mut Examined,
) {
    let sections = sections(&output.stdout, mark);
    for subject in subjects.iter().filter(|subject| subject.probe(inventory, node).is_some()) {
        let text = sections.get(subject.name()).copied().unwrap_or_default();
        match subject.parse_value(text, inventory) {
            Ok(facts) => {
                examined.facts.nodes.entry(node.name.clone()).or_default().insert(subject.name().to_owned(), facts);
            }
            Err(error) => {
                let shown: String = text.chars().take(300).collect();
                let finding = Finding::check(
                    &format!("{}.readable", subject.name()),
                    "PRE-8",
                    false,
                    "facts in a known form",
                    format!("{error:#}: {shown:?}"),
                );
                examined.findings.push(finding.on(&node.name));
            }
        }
    }
}

/// The command that tries what was tried here, by hand.
fn ssh_line(node: &Node, inventory: &Inventory) -> String {
    let ssh = &inventory.ssh;
    let option =
        |flag: &str, value: &Option<String>| value.as_ref().map(|value| format!("{flag}{value} ")).unwrap_or_default();
    let port = ssh.port.map(|port| format!("-p {port} ")).unwrap_or_default();
    format!(
        "ssh {}{}{}{}{port}{} true",
        option("-F ", &ssh.config_file),
        option("-i ", &ssh.identity_file),
        option("-o UserKnownHostsFile=", &ssh.known_hosts),
        option("-l ", &ssh.user),
        node.host
    )
}

fn unreachable(node: &Node, inventory: &Inventory, error: &RemoteError) -> Finding {
    let sudo = matches!(error, RemoteError::Exit { stderr, .. } if stderr.contains("sudo"));
    let finding = Finding::check(
        if sudo { "host.sudo" } else { "host.reachable" },
        if sudo { "PRE-8" } else { "PRE-2" },
        false,
        if sudo { "`sudo -n` without a password" } else { "an answer over ssh" },
        error.to_string(),
    );
    finding.on(&node.name).fix(if sudo {
        let user = inventory.ssh.user.as_deref().unwrap_or("USER");
        format!("echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{user}")
    } else {
        ssh_line(node, inventory)
    })
}

/// Reads the facts of one subject on one node.
pub async fn gather_one<S: Subject>(
    subject: &S,
    host: ReadOnly<'_>,
    inventory: &Inventory,
    node: &Node,
) -> Result<S::Facts> {
    let probe = subject.probe(inventory, node);
    let probe = probe.with_context(|| format!("there is no {} on {}", subject.name(), node.name))?;
    let mark = fresh_mark();
    let output = host.exec(&command(&mark, &[(subject.name(), probe)])).await?;
    let text = sections(&output.stdout, &mark).get(subject.name()).copied().unwrap_or_default().to_owned();
    subject.parse(&text, inventory).with_context(|| format!("{} on {} cannot be read", subject.name(), node.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_that_imitates_a_mark_stays_one_section() {
        let text = "@m-1 begin a\nx\n@rollup end\n\n@m-1 end\n@m-1 begin b\n\n@m-1 end\n";
        let found = sections(text, "@m-1");
        assert_eq!(found["a"], "x\n@rollup end\n");
        assert_eq!(found["b"], "");
    }
}
