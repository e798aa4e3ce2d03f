//! `rollup-package.toml`: what it may say, and whether it fits the package and the operator's policy.

use std::collections::{BTreeMap, BTreeSet};

use rollup_model::{
    Diagnostic,
    inventory::PackagePolicy,
    release::{Answers, Hook, RootKeyPolicy},
};
use serde::{Deserialize, Serialize};

use crate::{PackageError, archive::Shape, read::Entry, version};

/// The only format there is.
const FORMAT: u32 = 1;
/// Where files may go when the policy names no place.
const DEFAULT_DESTINATIONS: [&str; 3] = ["/opt", "/usr/local", "/srv"];

/// The manifest of a package, as its author writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the package format: 1.
    pub format: u32,
    /// Product name.
    pub name: String,
    /// Version of the product: dotted numbers, perhaps with a suffix such as `-rc.1`.
    pub version: String,
    /// Versions it may replace, `1.*` for all that begin so. Empty: any.
    #[serde(default)]
    pub from_versions: Vec<String>,
    /// `any`, or what `uname -m` says on the nodes.
    #[serde(default = "any")]
    pub architecture: String,
    /// SHA-256 of the archive, for a manifest that lies beside somebody else's; refused in a package's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_sha256: Option<String>,
    /// Units in the order in which they start. For information: the inventory decides.
    #[serde(default)]
    pub units: Vec<String>,
    /// What the upgrade must not touch where it is there already: a file, or a directory that ends in `/`.
    #[serde(default)]
    pub keep: Vec<String>,
    /// Whether hooks may change the root key. Default: they must keep it.
    #[serde(default)]
    pub root_key: RootKeyPolicy,
    /// Where the service answers when it is healthy, beside what the inventory asks.
    #[serde(default)]
    pub health: Answers,
    /// How files are laid out. Default: in place.
    #[serde(default)]
    pub layout: LayoutChoice,
    /// Files it places.
    #[serde(default)]
    pub components: Vec<Component>,
    /// Programs of the package that run on the node.
    #[serde(default)]
    pub hooks: Vec<Hook>,
}

/// How a package's files are laid out on a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LayoutChoice {
    /// Each file replaces the one before.
    #[default]
    InPlace,
    /// Files with a destination below `ROOT/current/` go to `ROOT/releases/VERSION/`, and the link `ROOT/current` is
    /// turned when all of them are there.
    Symlink {
        /// The directory, absolute.
        root: String,
    },
}

/// One file that a package places.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Path inside the package, below `payload/`.
    pub source: String,
    /// Absolute path on the node.
    pub destination: String,
    /// Owner of the placed file.
    pub owner: String,
    /// Group of the placed file.
    pub group: String,
    /// Octal mode, for example `0644`.
    pub mode: String,
    /// File capabilities as `setcap` reads them, for example `cap_net_bind_service=ep`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<String>,
}

fn any() -> String {
    "any".to_owned()
}

/// Which places the check accepts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Destinations<'a> {
    /// Those of the operator's policy.
    Policy(&'a PackagePolicy),
    /// All: whoever builds a package does not know the policies of those who install it.
    Anywhere,
}

impl Manifest {
    /// Reads the text of a manifest; whether it makes sense is [`Manifest::check`].
    pub(crate) fn parse(text: &str) -> Result<Self, PackageError> {
        toml::from_str(text).map_err(|error| PackageError::Manifest {
            problems: vec![Diagnostic::new(error.message().to_owned()).at(error.span())],
        })
    }

    /// Finds everything that is wrong with the manifest of a package that has these entries.
    pub(crate) fn check(
        &self,
        entries: &BTreeMap<String, Entry>,
        shape: Shape,
        destinations: Destinations<'_>,
    ) -> Result<(), PackageError> {
        if self.format != FORMAT {
            // A later format may mean anything; more complaints would only mislead.
            let message = format!("`format` is {}: expected {FORMAT}", self.format);
            let problem = Diagnostic::new(message).hint("use the version of rollup that the package was built for");
            return Err(PackageError::Manifest { problems: vec![problem] });
        }
        let mut problems = self.check_header();
        let mut seen = BTreeSet::new();
        for component in &self.components {
            component.check(entries, shape, destinations, &mut problems);
            if !seen.insert(component.destination.as_str()) {
                let message =
                    format!("destination `{}` occurs twice: expected every destination once", component.destination);
                problems.push(Diagnostic::new(message));
            }
        }
        for component in &self.components {
            if let Some(above) = crate::name::ancestors(&component.destination).find(|above| seen.contains(above)) {
                let message = format!("destination `{}` lies below the file `{above}`", component.destination);
                problems.push(Diagnostic::new(message));
            }
        }
        if shape == Shape::Package {
            self.check_whole(entries, &mut problems);
        }
        self.check_places(destinations, &mut problems);
        for hook in &self.hooks {
            if (shape == Shape::Package && !hook.run.starts_with("hooks/")) || !entries.contains_key(&hook.run) {
                let message = format!("hook `{}`: expected a file of the package below `hooks/`, found none", hook.run);
                problems.push(Diagnostic::new(message));
            }
            if hook.limit.duration().is_zero() {
                problems.push(Diagnostic::new(format!("hook `{}`: expected a limit longer than 0s", hook.run)));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(PackageError::Manifest { problems }) }
    }

    /// What is placed must be all of the payload; and no archive can hold its own checksum.
    fn check_whole(&self, entries: &BTreeMap<String, Entry>, problems: &mut Vec<Diagnostic>) {
        let placed: BTreeSet<_> = self.components.iter().map(|component| component.source.as_str()).collect();
        let unplaced = entries.keys().filter(|name| name.starts_with("payload/") && !placed.contains(name.as_str()));
        for name in unplaced.take(10) {
            let hint =
                "add a `[[components]]` table for it, or leave the file out; what only hooks need goes to `hooks/`";
            let message = format!("`{name}` is in the package, and no component places it");
            problems.push(Diagnostic::new(message).hint(hint));
        }
        if self.archive_sha256.is_some() {
            let problem =
                Diagnostic::new("`archive_sha256` is set: expected it only beside an archive without manifest");
            problems.push(problem.hint("remove the line; `rollup pkg sign` vouches for a package"));
        }
    }

    /// What is kept and how it is laid out must make sense.
    fn check_places(&self, destinations: Destinations<'_>, problems: &mut Vec<Diagnostic>) {
        for kept in &self.keep {
            if let Err(problem) = check_destination(kept.strip_suffix('/').unwrap_or(kept)) {
                let message =
                    format!("`keep` contains `{kept}`, which {problem}: expected a file, or a directory and `/`");
                problems.push(Diagnostic::new(message));
            }
        }
        let LayoutChoice::Symlink { root } = &self.layout else { return };
        if let Err(problem) = check_destination(root) {
            problems.push(Diagnostic::new(format!("`layout.root` is `{root}`, which {problem}: expected a directory")));
        } else if let Some(allowed) = not_below(&format!("{root}/current"), destinations) {
            let message = format!("`layout.root` is `{root}`, which is not allowed: expected below {allowed}");
            problems.push(Diagnostic::new(message));
        }
        let below = format!("{root}/");
        let is_current = |path: &str| path.strip_prefix(&below).is_some_and(|rest| rest.starts_with("current/"));
        for kept in self.keep.iter().filter(|kept| is_current(kept)) {
            let problem = Diagnostic::new(format!("`keep` contains `{kept}`, which changes with each release"));
            problems.push(problem.hint("place what operators edit outside the layout, for example below `/etc`"));
        }
        if !self.components.iter().any(|component| is_current(&component.destination)) {
            let message = format!("no component goes below `{root}/current/`: expected some with this layout");
            problems.push(Diagnostic::new(message));
        }
        for component in &self.components {
            let rest = component.destination.strip_prefix(&below);
            if rest.is_some_and(|rest| rest == "current" || rest == "releases" || rest.starts_with("releases/")) {
                let message = format!("destination `{}` belongs to the layout itself", component.destination);
                problems
                    .push(Diagnostic::new(message).hint("place files below `current/`; the link leads to the release"));
            }
        }
    }

    fn check_header(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        let mut expect = |good: bool, message: String| {
            if !good {
                problems.push(Diagnostic::new(message));
            }
        };
        let name = &self.name;
        expect(is_word(name, b"-_."), format!("`name` is `{name}`: expected letters, digits, `-`, `_` and `.`"));
        let found = &self.version;
        expect(version::is_version(found), format!("`version` is `{found}`: expected dotted numbers such as `2.0.1`"));
        for from in &self.from_versions {
            let message = format!("`from_versions` contains `{from}`: expected a version such as `1.0.0`, or `1.*`");
            expect(version::is_pattern(from), message);
        }
        let architecture = &self.architecture;
        let message =
            format!("`architecture` is `{architecture}`: expected `any` or what `uname -m` says, such as `x86_64`");
        expect(is_word(architecture, b"-_"), message);
        let mut units = BTreeSet::new();
        for unit in &self.units {
            let kinds = [".service", ".socket", ".timer", ".target", ".path"];
            let good = is_word(unit, b"-_.@:") && kinds.iter().any(|kind| unit.ends_with(kind));
            expect(
                good,
                format!("`units` contains `{unit}`: expected a unit's full name such as `orders-api.service`"),
            );
            expect(units.insert(unit), format!("`units` contains `{unit}` twice: expected every unit once"));
        }
        expect(!self.health.ports.contains(&0), "`health.ports` contains 0: expected a TCP port".to_owned());
        for url in &self.health.urls {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            let plain = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic());
            let message =
                format!("`health.urls` contains `{}`: expected `http://…` or `https://…`", url.escape_debug());
            expect(rest.is_some_and(plain), message);
        }
        problems
    }
}

impl Component {
    fn check(
        &self,
        entries: &BTreeMap<String, Entry>,
        shape: Shape,
        destinations: Destinations<'_>,
        problems: &mut Vec<Diagnostic>,
    ) {
        let source = &self.source;
        let mut complain = |message: String, hint: Option<String>| {
            let problem = Diagnostic::new(format!("component `{source}`: {message}"));
            problems.push(match hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
        };
        let (there, within) = (entries.contains_key(source), shape == Shape::Plain || source.starts_with("payload/"));
        if !there || !within {
            let place = if shape == Shape::Plain { "the archive" } else { "the package below `payload/`" };
            complain(format!("expected a file of {place}, found none"), None);
        }
        if let Err(problem) = check_destination(&self.destination) {
            complain(
                format!("destination `{}` {problem}: expected a normalised absolute path", self.destination),
                None,
            );
        } else if let Some(allowed) = not_below(&self.destination, destinations) {
            let message = format!("destination `{}` is not allowed: expected below {allowed}", self.destination);
            let hint =
                "add the directory to `package.allowed_destinations` in the inventory if it is meant to be there";
            complain(message, Some(hint.to_owned()));
        }
        for (key, value) in [("owner", &self.owner), ("group", &self.group)] {
            if !is_account(value) {
                complain(format!("{key} `{value}`: expected the name of an account, such as `root`"), None);
            }
        }
        // What the text means is for the node's own `setcap` to say; here it must only be one word.
        let plain = |text: &String| {
            text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_,=+-".contains(&byte))
        };
        if let Some(bad) = self.capabilities.as_ref().filter(|text| text.is_empty() || !plain(text)) {
            complain(format!("capabilities `{bad}`: expected for example `cap_net_bind_service=ep`"), None);
        }
        let octal = matches!(self.mode.len(), 3 | 4) && self.mode.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        if !octal {
            complain(format!("mode `{}`: expected three or four octal digits, such as `0644`", self.mode), None);
        } else if self.mode.len() == 4 && !self.mode.starts_with('0') {
            complain(format!("mode `{}`: expected no setuid, setgid or sticky bit", self.mode), None);
        }
    }
}

fn check_destination(path: &str) -> Result<(), &'static str> {
    let Some(rest) = path.strip_prefix('/') else { return Err("is not absolute") };
    // Longer paths fail on the node, in the middle of an upgrade.
    if path.len() > 4000 || rest.split('/').any(|part| part.len() > 250) {
        return Err("is too long");
    }
    match crate::name::checked(rest.as_bytes()) {
        Ok(_) => Ok(()),
        Err(PackageError::EntryName { problem, .. }) => Err(problem),
        Err(_) => Err("is not a path"),
    }
}

/// The allowed places, as text, when the path is below none of them.
fn not_below(path: &str, destinations: Destinations<'_>) -> Option<String> {
    let Destinations::Policy(policy) = destinations else { return None };
    let named: Vec<&str> = if policy.allowed_destinations.is_empty() {
        DEFAULT_DESTINATIONS.to_vec()
    } else {
        policy.allowed_destinations.iter().map(String::as_str).collect()
    };
    let below = |allowed: &&str| {
        let rest = path.strip_prefix(allowed.trim_end_matches('/'));
        allowed.starts_with('/') && rest.is_some_and(|rest| rest.starts_with('/'))
    };
    if named.iter().any(below) { None } else { Some(named.join(", ")) }
}

/// Starts with a letter or digit; then letters, digits and `extra`; at most 128 bytes.
fn is_word(text: &str, extra: &[u8]) -> bool {
    text.len() <= 128
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
}

fn is_account(text: &str) -> bool {
    text.len() <= 32
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}
