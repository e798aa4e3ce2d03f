//! The databases that a lab's nodes can run. What they run is described here; the shims themselves are in `shims/`.

use std::{fmt, str::FromStr};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::vip::Flavour;

/// Which product the database of a lab is, or plays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// PostgreSQL 15, as Debian runs it.
    #[default]
    Postgresql,
    /// The tools of openGauss over PostgreSQL 15; nobody restarts a server that was stopped.
    Opengauss,
    /// The tools of GaussDB over PostgreSQL 15, with its cluster manager.
    Gaussdb,
}

impl Engine {
    /// All engines.
    pub const ALL: [Self; 3] = [Self::Postgresql, Self::Opengauss, Self::Gaussdb];

    /// The name on the command line and in an inventory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::Opengauss => "opengauss",
            Self::Gaussdb => "gaussdb",
        }
    }

    /// Where the server listens.
    pub fn port(self) -> u16 {
        match self {
            Self::Postgresql => 5432,
            Self::Opengauss | Self::Gaussdb => 15400,
        }
    }

    /// The unit that starts the database at boot.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql@15-main.service",
            Self::Opengauss => "opengauss.service",
            Self::Gaussdb => "gaussdb-cm.service",
        }
    }

    /// The shell words by which root asks the server itself, past any stand-in; options of psql follow.
    pub fn psql(self) -> &'static str {
        match self {
            Self::Postgresql => "cd / && runuser -u postgres -- psql",
            Self::Opengauss | Self::Gaussdb => {
                "cd / && runuser -u omm -- /usr/lib/postgresql/15/bin/psql -h /opt/huawei/tmp -p 15400"
            }
        }
    }

    /// The data directory of every node, an absolute path.
    pub fn data_directory(self) -> &'static str {
        match self {
            Self::Postgresql => "/var/lib/postgresql/15/main",
            Self::Opengauss | Self::Gaussdb => "/opt/huawei/install/data/dn",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One word of `--flavour`: how keepalived is configured, or what the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlavourWord {
    /// Of keepalived.
    Keepalived(Flavour),
    /// Of the database.
    Database(Engine),
}

impl FromStr for FlavourWord {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        if let Some(engine) = Engine::ALL.into_iter().find(|engine| engine.name() == text) {
            return Ok(Self::Database(engine));
        }
        match text.parse() {
            Ok(flavour) => Ok(Self::Keepalived(flavour)),
            Err(error) => bail!("{error}; databases: {}", Engine::ALL.map(Self::Database).map(Self::name).join(", ")),
        }
    }
}

impl FlavourWord {
    fn name(self) -> &'static str {
        match self {
            Self::Keepalived(flavour) => flavour.name(),
            Self::Database(engine) => engine.name(),
        }
    }

    /// What the words of one command line mean together: at most one of each kind, `preempt` and `postgresql` otherwise.
    pub fn together(words: &[Self]) -> Result<(Flavour, Engine)> {
        let (mut flavour, mut engine) = (None, None);
        for word in words {
            let earlier = match word {
                Self::Keepalived(one) => flavour.replace(*one).map(Flavour::name),
                Self::Database(one) => engine.replace(*one).map(Engine::name),
            };
            if let Some(earlier) = earlier {
                bail!("expected one flavour of a kind, found `{earlier}` and `{}`", word.name());
            }
        }
        Ok((flavour.unwrap_or(Flavour::Preempt), engine.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn together(words: &[&str]) -> Result<(Flavour, Engine)> {
        FlavourWord::together(&words.iter().map(|word| word.parse()).collect::<Result<Vec<_>>>()?)
    }

    #[test]
    fn a_flavour_of_keepalived_and_one_of_the_database_go_together_in_any_order() {
        assert_eq!(together(&[]).unwrap(), (Flavour::Preempt, Engine::Postgresql));
        assert_eq!(together(&["opengauss", "nopreempt"]).unwrap(), (Flavour::Nopreempt, Engine::Opengauss));
        assert_eq!(together(&["unicast", "gaussdb"]).unwrap(), (Flavour::Unicast, Engine::Gaussdb));
    }

    #[test]
    fn two_of_a_kind_and_unknown_words_are_refused_by_name() {
        let error = together(&["opengauss", "gaussdb"]).unwrap_err().to_string();
        assert_eq!(error, "expected one flavour of a kind, found `opengauss` and `gaussdb`");
        let error = together(&["oracle"]).unwrap_err().to_string();
        assert!(error.starts_with("unknown flavour `oracle`; there are: preempt, ") && error.ends_with(", gaussdb"));
    }
}
