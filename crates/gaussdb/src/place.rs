//! What lies where data directories are exchanged: the node's own, and beside it `.rollup-new` and `.rollup-old`.
//!
//! A directory that was put together here carries the run it was made for in the file `rollup-restored`, written last.
//! So each state between two renames is told by a look.

use anyhow::Result;
use rollup_engine::Cx;
use rollup_model::{Finding, NodeName};

use crate::{
    DatabaseFacts,
    engine::{At, Engine},
};

/// What the data directory is to the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory that can be renamed.
    Plain,
    /// A symbolic link.
    Link,
    /// A file system of its own.
    MountPoint,
    /// It is not there; so it is between two renames.
    Absent,
}

/// A data directory that waits to be put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// It comes up as a standby.
    pub(crate) standby: bool,
    /// The run it was made for; `None`: it is not whole.
    pub(crate) run: Option<String>,
}

/// What lies where data directories are exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// What the data directory is.
    pub(crate) kind: Kind,
    /// The run that the data directory was made for; `None`: it is the node's own.
    pub(crate) run: Option<String>,
    /// What waits in `.rollup-new`.
    pub(crate) new: Option<Unpacked>,
    /// There is a `.rollup-old`.
    pub(crate) old: bool,
    /// There is something else that an exchange needed on its way.
    pub(crate) scrap: bool,
}

impl Places {
    /// Looks at this server's.
    pub(crate) async fn look(cx: &Cx<'_>, engine: &dyn Engine, at: At<'_>) -> Result<Self> {
        engine.read_places(&cx.host_of(&at.node.name)?.exec(&engine.place_look(at)).await?.stdout)
    }

    /// The data directory was made for this run.
    pub(crate) fn is_in_place(&self, run: &str) -> bool {
        self.run.as_deref() == Some(run)
    }

    /// What waits was made for this run, as a standby or as a primary.
    pub(crate) fn waits(&self, run: &str, standby: bool) -> bool {
        self.new.as_ref().is_some_and(|new| new.standby == standby && new.run.as_deref() == Some(run))
    }

    /// Nothing is left of an exchange.
    pub(crate) fn is_tidy(&self) -> bool {
        self.run.is_none() && self.new.is_none() && !self.old && !self.scrap
    }

    /// Why directories cannot be exchanged here.
    pub(crate) fn obstacle(&self, node: &NodeName, data_dir: &str) -> Option<Finding> {
        let plain = |found: &str, fix: String| {
            let expected = format!("{data_dir} as a plain directory, which can be renamed");
            Some(finding("database.place", false, expected, found).on(node).fix(fix))
        };
        match self.kind {
            Kind::Link => plain("a symbolic link", format!("database.data_dir = what `readlink -f {data_dir}` says")),
            Kind::MountPoint => plain(
                "a mount point",
                format!("move the data into a directory below {data_dir}, and name that in database.data_dir"),
            ),
            // What was replaced is kept until the new server was seen; a copy of ours in between may be replaced again.
            Kind::Plain if self.old && self.run.is_none() => {
                let expected = format!("nothing left of an earlier exchange beside {data_dir}");
                let found = format!("{data_dir}.rollup-old");
                let fix = format!("look at it, then: rm -r {found}");
                Some(finding("database.leftovers", false, expected, found).on(node).fix(fix))
            }
            Kind::Plain | Kind::Absent => None,
        }
    }
}

/// A finding about the way back of a database.
pub(crate) fn finding(id: &str, good: bool, expected: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding::check(id, "RB-1", good, expected, found)
}

/// `other` writes, or may, so `node` must not.
pub(crate) fn second_writer(other: &NodeName, facts: &DatabaseFacts, node: &NodeName) -> Finding {
    let expected = format!("no server that may write beside {node}");
    let found = match facts.server.is_none() && facts.silent.is_none() {
        true => format!("{}, which would come up as a primary", facts.summary()),
        false => facts.summary(),
    };
    let fix = format!("a step `db.halt` on {other} before this one; it is never stopped unasked");
    finding("database.primary", false, expected, found).on(other).fix(fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_directory_with_nothing_left_beside_it_is_exchanged_rb_1() {
        let clean = Places { kind: Kind::Plain, run: None, new: None, old: false, scrap: false };
        let node: NodeName = "node-a".parse().unwrap();
        let said = |places: &Places| places.obstacle(&node, "/srv/db").map(|finding| finding.line());
        assert!(clean.is_tidy() && said(&clean).is_none());
        let expected = "node-a database.place: expected /srv/db as a plain directory, which can be renamed, found a";
        assert_eq!(said(&Places { kind: Kind::Link, ..clean.clone() }), Some(format!("{expected} symbolic link")));
        assert_eq!(said(&Places { kind: Kind::MountPoint, ..clean.clone() }), Some(format!("{expected} mount point")));
        let left = Places { old: true, ..clean.clone() };
        assert!(said(&left).unwrap().ends_with("found /srv/db.rollup-old"));
        // A way back over one that was broken off: between its renames, and after them.
        assert_eq!(said(&Places { kind: Kind::Absent, ..left.clone() }), None);
        assert_eq!(said(&Places { run: Some("an-earlier-run".to_owned()), ..left }), None);
    }
}
