//! The tools' own words as values: one of a known list, or what else was printed.

use std::fmt;

use serde::{Serialize, Serializer};

use super::text::Shown;

/// A list of words that a tool prints in one place.
pub trait Vocabulary: Sized {
    /// Reads a word; case does not matter, since very old builds wrote capitals.
    fn of(word: &str) -> Option<Self>;
    /// The word as current tools print it.
    fn as_str(&self) -> &'static str;
}

/// A word where an unknown one is no reason to refuse the whole answer. It equals no known one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<T> {
    /// One of the list.
    Known(T),
    /// Another one, as printed.
    Other(String),
}

impl<T: Vocabulary> Word<T> {
    /// Reads it.
    pub fn of(word: &str) -> Self {
        T::of(word).map_or_else(|| Self::Other(Shown::of(word).as_str().to_owned()), Self::Known)
    }
}

impl<T: PartialEq> Word<T> {
    /// Whether it is this known word.
    pub fn is(&self, known: T) -> bool {
        matches!(self, Self::Known(word) if *word == known)
    }
}

impl<T: Vocabulary> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(word) => word.as_str(),
            Self::Other(word) => word,
        })
    }
}

impl<T: Vocabulary> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Makes an enum of the words that a tool prints in one place. It is written in the tool's words.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$meaning])* $variant),+
        }

        impl $crate::gauss::words::Vocabulary for $name {
            fn of(word: &str) -> Option<Self> {
                let word = word.trim();
                $(if word.eq_ignore_ascii_case($word) { return Some(Self::$variant); })+
                None
            }

            fn as_str(&self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::gauss::words::Vocabulary::as_str(self))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}
pub(super) use words;

words! {
    /// Which part a server plays, by its own word (`pg_ctl.cpp`, `serverModeMap`).
    Role {
        /// Stands alone, without replication.
        Normal = "Normal",
        /// It writes.
        Primary = "Primary",
        /// It replays what a primary wrote.
        Standby = "Standby",
        /// It replays what a standby hands on.
        CascadeStandby = "Cascade Standby",
        /// The first standby of a second cluster.
        MainStandby = "Main Standby",
        /// It waits to be told which part to play.
        Pending = "Pending",
        /// The tool does not know.
        Unknown = "Unknown",
    }
}

words! {
    /// What a server is about (`pg_ctl.cpp`, `dbStateMap`).
    DbState {
        /// All is well.
        Normal = "Normal",
        /// The tool does not know.
        Unknown = "Unknown",
        /// A standby without a working receiver; the detail says why, and whether that passes.
        NeedRepair = "Need repair",
        /// Not online yet.
        Starting = "Starting",
        /// Asked to become the primary, waiting for the old one to step down.
        WaitPromoting = "Wait promoting",
        /// Stepping down.
        Demoting = "Demoting",
        /// Becoming the primary.
        Promoting = "Promoting",
        /// Its data is copied from another server.
        Building = "Building",
        /// Receives what it had missed.
        Catchup = "Catchup",
        /// Died.
        Coredump = "Coredump",
    }
}

words! {
    /// Why a server is about what it is about.
    Detail {
        /// All is well.
        Normal = "Normal",
        /// It looks for its primary.
        Connecting = "Connecting...",
        /// It has lost its primary.
        Disconnected = "Disconnected",
        /// The primary has no longer what it needs.
        WalSegmentRemoved = "WAL segment removed",
        /// The primary runs another version.
        VersionNotMatched = "Version not matched",
        /// The other server is no primary.
        ModeNotMatched = "Mode not matched",
        /// The other server is of another cluster.
        SystemIdNotMatched = "System id not matched",
        /// Its own history has left the primary's.
        TimelineNotMatched = "Timeline not matched",
        /// The replicated log has a gap.
        DcfLogLoss = "DCF log loss",
        /// The server does not know.
        Unknown = "Unknown",
    }
}

words! {
    /// Which part the server at the other end plays.
    PeerRole {
        /// It writes.
        Primary = "Primary",
        /// It replays.
        Standby = "Standby",
        /// It replays what this standby hands on.
        CascadeStandby = "Cascade Standby",
        /// The first standby of a second cluster.
        MainStandby = "Main Standby",
        /// It keeps the log and no data.
        Secondary = "Secondary",
        /// A standby of a second cluster.
        StandbyClusterStandby = "StandbyCluster_Standby",
        /// It waits to be told.
        Pending = "Pending",
        /// It stands alone.
        Normal = "Normal",
        /// The server does not know.
        Unknown = "Unknown",
    }
}

words! {
    /// How far a sending connection is.
    SenderState {
        /// It begins.
        Startup = "Startup",
        /// It sends a base backup.
        Backup = "Backup",
        /// It sends what was missed.
        Catchup = "Catchup",
        /// It sends what is written now.
        Streaming = "Streaming",
        /// The server does not know.
        Unknown = "Unknown",
    }
}

words! {
    /// Whether commits wait for a standby.
    SyncState {
        /// No.
        Async = "Async",
        /// Yes.
        Sync = "Sync",
        /// Yes, or for enough others.
        Quorum = "Quorum",
        /// Only when a better one is lost.
        Potential = "Potential",
    }
}
