//! Facts as a real PostgreSQL 15 pair gave them, for tests.

use rollup_model::Inventory;

use crate::{DatabaseFacts, Login, engine::Engine, postgresql::PostgreSql};

pub(crate) const PRIMARY: &str = include_str!("postgresql/fixtures/primary.txt");
pub(crate) const STANDBY: &str = include_str!("postgresql/fixtures/standby.txt");
pub(crate) const STOPPED: &str = include_str!("postgresql/fixtures/stopped.txt");
pub(crate) const SILENT: &str = include_str!("postgresql/fixtures/silent.txt");
pub(crate) const ABSENT: &str = include_str!("postgresql/fixtures/absent.txt");

pub(crate) fn facts(text: &str) -> DatabaseFacts {
    PostgreSql.parse(text).unwrap()
}

/// A primary without a flaw.
pub(crate) fn primary() -> DatabaseFacts {
    DatabaseFacts { login_peer: Some(Login::Works), ..facts(PRIMARY) }
}

/// Its standby, streaming.
pub(crate) fn standby() -> DatabaseFacts {
    facts(STANDBY)
}

/// A server that is down, in this state.
pub(crate) fn stopped(state: &str) -> DatabaseFacts {
    facts(&STOPPED.replace("shut down in recovery", state))
}

/// What only openGauss has, without a flaw.
pub(crate) fn gauss() -> crate::Gauss {
    crate::Gauss {
        manager: crate::Manager::Absent,
        paxos: false,
        upgrade_mode: Some(0),
        most_available_sync: Some(false),
        remotes: vec!["127.0.0.2".to_owned()],
        instances: Vec::new(),
    }
}

/// A pair of node-a and node-b.
pub(crate) fn inventory() -> Inventory {
    let text = r#"
cluster = { name = "pair" }
nodes = [{ name = "node-a", host = "127.0.0.1" }, { name = "node-b", host = "127.0.0.2" }]
vip = { address = "127.0.0.3" }
service = { units = ["orders.service"] }

[database]
engine = "postgresql"
data_dir = "/srv/db"
unit = "db.service"
name = "orders"
switchover = "with-vip"
"#;
    rollup_model::inventory::load(text).unwrap()
}
