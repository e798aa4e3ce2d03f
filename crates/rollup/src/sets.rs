//! Backup sets wherever they are kept: on the nodes, and on this machine.

use std::collections::BTreeSet;

use backup::{Manifest, Place, PlaceSets, Purpose, Sealed, SetAt, SetFact, SetState};
use rollup_model::{NodeName, RunId};

use crate::{
    exit::{self, Exit},
    site::Site,
};

/// A set that was found.
pub(crate) struct Found {
    /// Its manifest.
    pub(crate) manifest: Manifest,
}

/// A set as a list shows it.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Listed {
    /// Its name.
    #[serde(rename = "set")]
    pub(crate) name: String,
    /// `verified`, `complete` or `incomplete`.
    pub(crate) state: String,
    /// `upgrade`, `manual` or `safety`; empty where there is no manifest.
    pub(crate) purpose: String,
    /// When it was taken.
    pub(crate) created: Option<jiff::Timestamp>,
    /// The run that took it.
    pub(crate) run: Option<RunId>,
    /// Nodes it was taken on.
    pub(crate) nodes: Vec<NodeName>,
    /// The run that may still need it.
    pub(crate) held_by: Option<RunId>,
    /// Where it is.
    pub(crate) places: Vec<String>,
    /// All its parts together.
    pub(crate) bytes: u64,
    /// Its manifest, where one can be read; one that says verified knows more than one that does not yet.
    #[serde(skip)]
    pub(crate) manifest: Option<Manifest>,
    /// Every place that has it says that it was read back.
    #[serde(skip)]
    pub(crate) verified_everywhere: bool,
}

/// How far a set has come, in one word.
fn word(state: SetState) -> &'static str {
    match state {
        SetState::Incomplete => "incomplete",
        SetState::Complete => "complete",
        SetState::Verified => VERIFIED,
    }
}

const VERIFIED: &str = "verified";

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Upgrade => "upgrade",
        Purpose::Manual => "manual",
        Purpose::Safety => "safety",
    }
}

impl Listed {
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: String::new(),
            purpose: String::new(),
            created: None,
            run: None,
            nodes: Vec::new(),
            held_by: None,
            places: Vec::new(),
            bytes: 0,
            manifest: None,
            verified_everywhere: true,
        }
    }

    /// What one place says of it. A place with a whole manifest knows more than one without.
    fn add(&mut self, place: &Place, fact: SetFact, manifest: Option<Manifest>, damaged: bool) {
        self.places.push(place.to_string());
        self.held_by = self.held_by.take().or(fact.hold.map(|hold| hold.run));
        let verified = manifest.as_ref().is_some_and(|manifest| manifest.state == Sealed::Verified);
        self.verified_everywhere &= verified;
        if self.manifest.is_none() || verified {
            let state = if damaged { "damaged" } else { word(fact.state) };
            self.state = state.to_owned();
        }
        if let Some(manifest) = manifest.filter(|_| verified || self.manifest.is_none()) {
            self.purpose = purpose(manifest.purpose).to_owned();
            self.created = Some(manifest.created);
            self.run = Some(manifest.run.clone());
            self.nodes = manifest.nodes.keys().cloned().collect();
            self.bytes = manifest.size();
            self.manifest = Some(manifest);
        }
    }
}

impl Found {
    /// It was read back after it was taken.
    pub(crate) fn is_verified(&self) -> bool {
        self.manifest.state == Sealed::Verified
    }

    /// In one word.
    pub(crate) fn state(&self) -> &'static str {
        if self.is_verified() { VERIFIED } else { "complete, but never read back" }
    }

    /// What it was taken for.
    pub(crate) fn purpose(&self) -> String {
        purpose(self.manifest.purpose).to_owned()
    }

    /// Whether a run came with or after this set. Names of runs begin with their time.
    pub(crate) fn is_since(&self, run: Option<&str>) -> bool {
        let taken = self.manifest.created.strftime("%Y%m%d-%H%M%S").to_string();
        run.is_some_and(|run| run == self.manifest.run.as_str() || run > taken.as_str())
    }

    /// The runs of a history of migrations that came with or after this set.
    pub(crate) fn runs_since(&self, history: &[gaussdb::Applied]) -> Vec<RunId> {
        let runs = history.iter().filter_map(|row| row.run.as_deref()).filter(|run| self.is_since(Some(run)));
        let mut runs: Vec<_> = runs.filter_map(|run| RunId::new(run).ok()).collect();
        runs.sort();
        runs.dedup();
        runs.reverse();
        runs
    }
}

/// What the places say that sets are kept at.
pub(crate) struct Answers {
    /// All sets, newest first.
    pub(crate) sets: Vec<Listed>,
    /// Places that could not be asked, and why. A set may be there all the same.
    pub(crate) silent: Vec<String>,
}

/// Asks every place.
pub(crate) async fn list(site: &Site) -> Answers {
    let (mut sets, mut silent): (Vec<Listed>, Vec<String>) = (Vec::new(), Vec::new());
    for PlaceSets { place, sets: found } in backup::sets(&site.hosts, &site.inventory).await {
        let found = found.unwrap_or_else(|error| {
            silent.push(format!("{error:#}"));
            Vec::new()
        });
        for SetAt { fact, manifest, damaged } in found {
            let at = sets.iter().position(|set| set.name == fact.name.as_str()).unwrap_or_else(|| {
                sets.push(Listed::named(fact.name.as_str()));
                sets.len() - 1
            });
            sets[at].add(&place, fact, manifest, damaged.is_some());
        }
    }
    sets.sort_by(|a, b| b.name.cmp(&a.name));
    Answers { sets, silent }
}

/// The set of this name; `latest`: the newest one that is verified and no safety set.
pub(crate) async fn find(site: &Site, name: &str) -> Result<Found, Exit> {
    let Answers { sets, silent } = list(site).await;
    let wanted = |set: &&Listed| match name {
        // A safety set leads back from a way back: it is gone to by its name, never by accident.
        "latest" => set.state == VERIFIED && set.purpose != purpose(Purpose::Safety),
        name => set.name == name || set.name.strip_prefix("backup_") == Some(name),
    };
    let names: Vec<_> = sets.iter().filter(|set| set.manifest.is_some()).map(|set| set.name.as_str()).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let Some(set) = sets.iter().find(wanted) else {
        if !silent.is_empty() {
            let error =
                format!("set `{name}` was not found, and not every place could be asked: {}", silent.join("; "));
            return Err(Exit::new(exit::BLOCKED, error).hint("rollup precheck"));
        }
        let what =
            if name == "latest" { "no verified backup set".to_owned() } else { format!("no backup set `{name}`") };
        return Err(Exit::usage(format!("there is {what}; known: {known}")).hint("rollup backup list"));
    };
    match &set.manifest {
        Some(manifest) => Ok(Found { manifest: manifest.clone() }),
        None => Err(Exit::new(
            exit::BLOCKED,
            format!("the set {} is incomplete: it has no manifest that can be read", set.name),
        )
        .hint("rollup backup list")),
    }
}

/// Nodes on which something is not as in the set.
pub(crate) async fn differing(site: &Site, found: &Found) -> Result<BTreeSet<NodeName>, Exit> {
    Ok(backup::differing(&site.hosts, &site.inventory, &found.manifest).await?)
}
