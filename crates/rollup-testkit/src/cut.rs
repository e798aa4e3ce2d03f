//! Where a run is cut, and how.

use std::fmt;

/// How a command is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The process dies before the command is sent.
    KillBefore,
    /// The process dies once the command has taken effect.
    KillAfter,
    /// The process dies with the command under way: it takes effect a little later.
    KillLate,
    /// The process dies once the command has taken effect, and its successor dies soon, too.
    KillTwice,
    /// The command is lost, and nobody knows.
    LostBefore,
    /// The command took effect, and its answer is lost.
    LostAfter,
    /// The answer is lost, and the command takes effect a little later.
    LostLate,
    /// A look is lost on its way.
    Unreachable,
    /// The power of the node that runs the command fails just before the command takes effect.
    RebootBefore,
    /// The power of the node that runs the command fails once the command has taken effect.
    RebootAfter,
    /// The power of the other node fails once the command has taken effect.
    PeerReboots,
}

impl Kind {
    /// Every way to cut a command that changes something.
    pub const MUTATING: [Kind; 7] = [
        Kind::KillBefore,
        Kind::KillAfter,
        Kind::KillLate,
        Kind::KillTwice,
        Kind::LostBefore,
        Kind::LostAfter,
        Kind::LostLate,
    ];

    /// Every way to kill the process once.
    pub const KILLS: [Kind; 3] = [Kind::KillBefore, Kind::KillAfter, Kind::KillLate];

    /// Every way to take a node away.
    pub const REBOOTS: [Kind; 3] = [Kind::RebootBefore, Kind::RebootAfter, Kind::PeerReboots];

    /// Whether a node boots anew.
    pub fn reboots(self) -> bool {
        Kind::REBOOTS.contains(&self)
    }

    /// Whether the process goes on by itself.
    pub fn spares(self) -> bool {
        matches!(self, Kind::LostBefore | Kind::LostAfter | Kind::LostLate | Kind::Unreachable)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::KillBefore => "killed before",
            Kind::KillAfter => "killed after",
            Kind::KillLate => "killed during",
            Kind::KillTwice => "killed twice",
            Kind::LostBefore => "lost before",
            Kind::LostAfter => "lost after",
            Kind::LostLate => "lost during",
            Kind::Unreachable => "unreachable",
            Kind::RebootBefore => "rebooted before",
            Kind::RebootAfter => "rebooted after",
            Kind::PeerReboots => "the other one rebooted after",
        })
    }
}

/// One cut of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Which command, counted from 0: among those that change something, or among looks for [`Kind::Unreachable`].
    pub at: usize,
    /// How.
    pub kind: Kind,
}
