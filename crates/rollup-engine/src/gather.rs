//! Facts of a node in one round trip.
//!
//! Each domain crate describes a [`Subject`]: a read-only script, a pure parser and the findings that follow. One
//! command runs the scripts of all subjects; the same scripts, alone, are what checks of steps look with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use jiff::{Timestamp, civil::Date};
use rollup_model::{
    Asked, Check, Facts, Finding, Inventory, NodeName, Plan, Release, Severity, inventory::Node, waiver,
};
use rollup_remote::{Cmd, Output, ReadOnly};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Hosts, silence};

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

    /// Every check that [`Subject::findings`] can answer, and `NAME.readable`: that the script's output can be read.
    /// Subjects of one crate may declare theirs together.
    fn checks(&self) -> &'static [Check] {
        &[]
    }

    /// What it reads on the operator's own machine, while the nodes are asked. Quick, and never over the network.
    fn here(&self, inventory: &Inventory) -> Option<Value> {
        let _ = inventory;
        None
    }

    /// Whether it takes time to look and is asked for only before the first change.
    fn only_fresh(&self) -> bool {
        false
    }

    /// Whether no other subject reads its facts, so that it need not be asked where nobody wants its checks.
    fn stands_alone(&self) -> bool {
        false
    }
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
    /// [`Subject::checks`].
    fn checks(&self) -> &'static [Check];
    /// [`Subject::here`].
    fn here(&self, inventory: &Inventory) -> Option<Value>;
    /// [`Subject::only_fresh`].
    fn only_fresh(&self) -> bool;
    /// [`Subject::stands_alone`].
    fn stands_alone(&self) -> bool;
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
    fn checks(&self) -> &'static [Check] {
        Subject::checks(self)
    }
    fn here(&self, inventory: &Inventory) -> Option<Value> {
        Subject::here(self, inventory)
    }
    fn only_fresh(&self) -> bool {
        Subject::only_fresh(self)
    }
    fn stands_alone(&self) -> bool {
        Subject::stands_alone(self)
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

/// When findings are drawn, and by which day waivers are judged.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Before the first change or in the middle of a run.
    pub stage: Stage,
    /// UTC. In a run the day on which its plan was made: what held at its beginning holds to its end.
    pub day: Date,
}

impl Moment {
    /// The day on which a plan was made.
    pub fn of(plan: &Plan, stage: Stage) -> Self {
        Self { stage, day: plan.created.to_zoned(jiff::tz::TimeZone::UTC).date() }
    }

    /// This day.
    pub fn now(stage: Stage) -> Self {
        Self { stage, day: Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date() }
    }
}

/// Reads all facts of all nodes at once and draws every finding that follows.
pub async fn examine(
    subjects: &[Arc<dyn AnySubject>],
    hosts: &Hosts,
    inventory: &Inventory,
    release: Option<&Release>,
    moment: Moment,
) -> Examined {
    let examined = gather(&asked(subjects, moment.stage), hosts, inventory).await;
    judge(subjects, examined, inventory, release, moment)
}

/// How long a pair in motion is left alone before it is asked again.
const SETTLES_IN: Duration = Duration::from_secs(1);

/// The same where an earlier process may have left the pair in motion. Its commands are waited for; what is wrong then is
/// asked once more, since no two nodes are looked at in one moment: an address on its way is seen on both, or on none.
#[expect(clippy::disallowed_methods, reason = "this is the engine's wait between two looks")]
pub async fn examine_settled(
    subjects: &[Arc<dyn AnySubject>],
    hosts: &Hosts,
    inventory: &Inventory,
    release: Option<&Release>,
    moment: Moment,
) -> Examined {
    wait_until_quiet(hosts, inventory).await;
    let first = examine(subjects, hosts, inventory, release, moment).await;
    if first.errors().is_empty() {
        return first;
    }
    tokio::time::sleep(SETTLES_IN).await;
    examine(subjects, hosts, inventory, release, moment).await
}

/// Waits until no command of an earlier process is at work. A node that does not answer is told of where it is needed.
pub(crate) async fn wait_until_quiet(hosts: &Hosts, inventory: &Inventory) {
    let wait = inventory.limits.command.duration() * 2;
    let waits = hosts.values().map(|host| {
        let cmd = rollup_remote::quiet(wait);
        async move { host.exec(&cmd).await.map(|_| ()) }
    });
    for result in futures_util::future::join_all(waits).await {
        if let Err(error) = result {
            tracing::warn!(%error, "could not wait for earlier commands");
        }
    }
}

/// The subjects that are asked at this stage.
pub fn asked(subjects: &[Arc<dyn AnySubject>], stage: Stage) -> Vec<Arc<dyn AnySubject>> {
    subjects.iter().filter(|subject| stage == Stage::Fresh || !subject.only_fresh()).cloned().collect()
}

/// Draws every finding that follows from what was gathered, and applies the inventory's waivers. Pure.
pub fn judge(
    subjects: &[Arc<dyn AnySubject>],
    mut examined: Examined,
    inventory: &Inventory,
    release: Option<&Release>,
    moment: Moment,
) -> Examined {
    let cx = FindingCx { inventory, release, facts: &examined.facts, stage: moment.stage };
    let found: Vec<_> = asked(subjects, moment.stage).iter().flat_map(|subject| subject.findings(&cx)).collect();
    examined.findings.extend(found);
    waiver::apply(&mut examined.findings, &inventory.waivers, moment.day);
    // A waiver that runs out must not keep a pair from the end of its run, or from its way back.
    if moment.stage == Stage::Fresh {
        examined.findings.extend(waiver::expired(&inventory.waivers, moment.day));
    }
    debug_assert_eq!(undeclared(subjects, &examined.findings), None, "every finding has a declared check");
    examined
}

/// Every check that these subjects and the engine itself can answer.
pub(crate) fn known_checks(subjects: &[Arc<dyn AnySubject>]) -> Vec<Check> {
    let own = silence::CHECKS.into_iter().chain([waiver::EXPIRED]);
    own.chain(subjects.iter().flat_map(|subject| subject.checks().iter().copied())).collect()
}

fn undeclared<'f>(subjects: &[Arc<dyn AnySubject>], findings: &'f [Finding]) -> Option<&'f str> {
    let known = known_checks(subjects);
    let mut ids = findings.iter().map(|finding| finding.id.as_str());
    ids.find(|id| known.iter().all(|check| check.id != *id))
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
        async move {
            let sent = Timestamp::now();
            let answer = ReadOnly::new(host.as_ref()).exec(&cmd).await;
            (node, answer, Asked { sent, answered: Timestamp::now() })
        }
    });
    let mut examined = Examined::default();
    let here = subjects.iter().filter_map(|subject| Some((subject.name().to_owned(), subject.here(inventory)?)));
    let (answers, here) = tokio::join!(futures_util::future::join_all(tasks), async { here.collect() });
    examined.facts.operator = here;
    for (node, answer, asked) in answers {
        examined.facts.asked.insert(node.name.clone(), asked);
        match answer {
            Ok(output) => read_node(subjects, &mark, &output, node, inventory, &mut examined),
            Err(error) => examined.findings.push(silence::silence(node, inventory, &error)),
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
#[path = "gather_tests.rs"]
mod tests;
