//! What the simulated pair is asked to do: an inventory, a made-up package, every action there is, the built-in playbook.

use std::{collections::BTreeMap, sync::Arc};

use age::secrecy::ExposeSecret;
use anyhow::{Context, Result, anyhow};
use rollup_engine::Registry;
use rollup_model::{
    Facts, Inventory, NodeName, Plan, Release, Role,
    compile::{Identity, Site, compile},
    inventory::{self, VipStrategy},
    plan::Impact,
    playbook,
    release::{Component, DownMigration, Hook, HookFile, HookPoint, Migration, MigrationPhase, RootKeyPolicy},
};
use tempfile::TempDir;

use crate::{
    service::NEW_FILE,
    sim::Sim,
    stand_in::Note,
    world::{Switching, World},
};

const INVENTORY: &str = r#"
[cluster]
name = "orders"

[[nodes]]
name = "node-a"
host = "10.77.0.11"

[[nodes]]
name = "node-b"
host = "10.77.0.12"

[vip]
address = "10.77.0.100"

[database]
ENGINE
name = "orders"
owner = "orders"
switchover = "with-vip"

[service]
units = ["orders-worker.service", "orders-api.service"]
ports = [8080, 8081]
health_urls = ["http://127.0.0.1:8080/health"]
config = ["/etc/orders"]
root_key = "/etc/orders/root.key"
version_file = "/opt/orders/VERSION"

[backup]
copies = ["peer"]

[sync]
unit = "config-sync.service"
timer = "config-sync.timer"
paths = ["/etc/orders/shared"]
"#;

const POSTGRESQL: &str = r#"
engine = "postgresql"
data_dir = "/var/lib/postgresql/15/main"
unit = "postgresql@15-main.service"
"#;

const OPENGAUSS: &str = r#"
engine = "opengauss"
os_user = "omm"
env_file = "/home/omm/gauss_env"
data_dir = "/opt/huawei/install/data/dn"
unit = "opengauss.service"
port = 15400
"#;

const PLAYBOOK: &str = include_str!("../../../playbooks/ha-upgrade.toml");
const SWITCH: &str = include_str!("../../../playbooks/vip-switch.toml");

/// How keepalived is configured on both nodes, and so how the address moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vip {
    /// The higher priority has it.
    #[default]
    Plain,
    /// With `nopreempt`: it stays with a living owner.
    Nopreempt,
    /// A tracked file is there for the purpose.
    Tracked,
    /// The same with `nopreempt`, and nothing but a push is allowed.
    Pushed,
    /// Two instances in one sync group.
    Grouped,
}

impl Vip {
    /// What follows the name of a group of points.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Vip::Plain => "",
            Vip::Nopreempt => ", nopreempt",
            Vip::Tracked => ", tracked file",
            Vip::Pushed => ", pushed",
            Vip::Grouped => ", sync group",
        }
    }

    fn prepare(self, world: &mut World) {
        if matches!(self, Vip::Tracked | Vip::Pushed) {
            world.set_tracked();
        }
        if self == Vip::Grouped {
            world.set_group();
        }
        if matches!(self, Vip::Nopreempt | Vip::Pushed) {
            world.set_nopreempt();
        }
    }
}

/// The database of both nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// PostgreSQL.
    #[default]
    Postgresql,
    /// openGauss, and what its tools do with the next change of roles that they ask for.
    OpenGauss(Switching),
}

impl Engine {
    /// What follows the name of a group of points.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Postgresql => "",
            Engine::OpenGauss(Switching::Prompt) => ", openGauss",
            Engine::OpenGauss(Switching::Late(_)) => ", openGauss, late switchover",
            Engine::OpenGauss(Switching::Half) => ", openGauss, half a switchover",
            Engine::OpenGauss(Switching::Ignored) => ", openGauss, ignored switchover",
        }
    }

    fn inventory(self) -> String {
        INVENTORY.replace("ENGINE", if self == Engine::Postgresql { POSTGRESQL } else { OPENGAUSS })
    }

    fn prepare(self, world: &mut World) {
        if let Engine::OpenGauss(switching) = self {
            world.knobs.switching = switching;
        }
    }
}

/// A plan and what it needs. Cheap to clone; a run starts from a new pair each time.
#[derive(Clone)]
pub struct Scenario {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Every action there is.
    pub registry: Arc<Registry>,
    /// Where the operator's age identity lies.
    _desk: Arc<TempDir>,
    /// How keepalived is configured on both nodes.
    pub vip: Vip,
    /// The database of both nodes.
    pub engine: Engine,
    /// What it is, for people, where not the upgrade.
    pub(crate) name: &'static str,
}

impl Scenario {
    /// The built-in upgrade with the actions of this workspace.
    pub fn built_in() -> Result<Self> {
        Self::with(|_| {})
    }

    /// The built-in upgrade of a pair with this database.
    pub fn on(engine: Engine) -> Result<Self> {
        Self::made(PLAYBOOK, engine, Vip::Plain, "", |_| {})
    }

    /// The built-in upgrade with some actions replaced.
    pub fn with(replace: impl FnOnce(&mut Registry)) -> Result<Self> {
        Self::of(PLAYBOOK, replace)
    }

    /// Another playbook on the same pair.
    pub fn of(text: &str, replace: impl FnOnce(&mut Registry)) -> Result<Self> {
        Self::made(text, Engine::Postgresql, Vip::Plain, "", replace)
    }

    /// The built-in switch of VIP and database.
    pub fn switch(engine: Engine, vip: Vip) -> Result<Self> {
        Self::made(SWITCH, engine, vip, "vip switch, ", |_| {})
    }

    fn made(
        text: &str,
        engine: Engine,
        vip: Vip,
        name: &'static str,
        replace: impl FnOnce(&mut Registry),
    ) -> Result<Self> {
        let mut registry = registry();
        replace(&mut registry);
        let mut inventory =
            inventory::load(&engine.inventory()).map_err(|found| anyhow!("the inventory: {found:?}"))?;
        let desk = crate::process::directory()?;
        identify(&mut inventory, desk.path())?;
        inventory.keepalived.drain = rollup_model::Span::secs(if name.is_empty() { 0 } else { 1 });
        if vip == Vip::Pushed {
            inventory.keepalived.strategies = vec![VipStrategy::Fault];
        }
        let playbook = playbook::load(text).map_err(|found| anyhow!("the playbook: {found:?}"))?;
        let release = release();
        let mut facts = look(&registry, &inventory, &release, vip)?;
        bind(&mut facts, &inventory)?;
        let versions = inventory.node_names().map(|node| (node.clone(), "1.0.0".to_owned())).collect();
        let identity = Identity::new("2026-03-01T10:00:00Z".parse()?, "ab12")?;
        let site = Site { inventory: &inventory, release: Some(&release), facts: &facts };
        let plan = compile(&playbook, &site, &versions, &registry, &identity);
        let plan = plan.map_err(|found| anyhow!("the plan: {found:#?}"))?;
        Ok(Self { plan: Arc::new(plan), registry: Arc::new(registry), _desk: Arc::new(desk), vip, engine, name })
    }

    /// The same with another plan.
    pub fn replan(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(Arc::make_mut(&mut self.plan));
        self
    }

    /// The same on a pair on which the address stays where it is, whatever the priorities.
    pub fn with_nopreempt(self) -> Self {
        Self { vip: Vip::Nopreempt, ..self }
    }

    /// A pair as it is before the plan runs. Needs tokio's paused clock.
    pub fn pair(&self) -> Arc<Sim> {
        self.pair_with(|_| {})
    }

    /// The same, misbehaving.
    pub fn pair_with(&self, change: impl FnOnce(&mut World)) -> Arc<Sim> {
        let release = self.plan.release.clone().unwrap_or_else(release);
        let mut world = World::new(&self.plan.inventory, &release);
        self.vip.prepare(&mut world);
        self.engine.prepare(&mut world);
        change(&mut world);
        Sim::new(world)
    }

    /// The node that plays this part.
    pub fn node(&self, role: Role) -> Result<&NodeName> {
        self.plan.bound(role).context("a part without a node")
    }
}

/// Reads a pair as it is before the first step. On a thread of its own, since the caller may have a clock already.
fn look(registry: &Registry, inventory: &Inventory, release: &Release, vip: Vip) -> Result<Facts> {
    let gather = || -> Result<Facts> {
        Ok(crate::process::runtime()?.block_on(async {
            let mut world = World::new(inventory, release);
            vip.prepare(&mut world);
            let sim = Sim::new(world);
            rollup_engine::gather(registry.subjects(), &sim.hosts(), inventory).await.facts
        }))
    };
    let joined = std::thread::scope(|scope| scope.spawn(gather).join());
    joined.map_err(|_| anyhow!("a look at the simulated pair panicked"))?
}

/// Makes the operator's identity, and names it.
fn identify(inventory: &mut Inventory, dir: &std::path::Path) -> Result<()> {
    let (file, identity) = (dir.join("identity.txt"), age::x25519::Identity::generate());
    std::fs::write(&file, format!("{}\n", identity.to_string().expose_secret()))?;
    inventory.backup.recipients = vec![identity.to_public().to_string()];
    inventory.backup.identity_file = Some(file.display().to_string());
    // Nothing is copied there unless a scenario says so.
    inventory.backup.operator_dir = Some(dir.join("backups").display().to_string());
    Ok(())
}

/// Roles as they are before the first step: the first node has address and writer.
fn bind(facts: &mut Facts, inventory: &Inventory) -> Result<()> {
    let mut names = inventory.node_names().cloned();
    let (first, second) = names.next().zip(names.next()).context("expected two nodes")?;
    facts.bindings = BTreeMap::from([
        (Role::OriginalPrimary, first),
        (Role::OriginalStandby, second.clone()),
        (Role::BackupSource, second),
    ]);
    Ok(())
}

/// Every action and subject of this workspace.
fn registry() -> Registry {
    let mut registry = Registry::default();
    // The machine that tests run on is no part of the simulated world.
    precheck::register(&mut registry, Vec::new());
    service::register(&mut registry);
    backup::register(&mut registry);
    health::register(&mut registry);
    package::register(&mut registry);
    keepalived::register(&mut registry);
    gaussdb::register(&mut registry);
    rsync_ctl::register(&mut registry);
    // The command line brings its own.
    registry.action::<Note>("audit.record", Impact::Change);
    registry
}

fn component(name: &str, digit: char) -> Component {
    Component {
        source: format!("files/{name}"),
        destination: format!("/opt/orders/{name}"),
        owner: "orders".to_owned(),
        group: "orders".to_owned(),
        mode: "0644".to_owned(),
        sha256: digit.to_string().repeat(64),
        size: 1000,
        capabilities: None,
        keep: false,
    }
}

fn release() -> Release {
    Release {
        name: "orders".to_owned(),
        version: "2.0.0".to_owned(),
        from_versions: vec!["1.*".to_owned()],
        architecture: "any".to_owned(),
        units: Vec::new(),
        archive: "/nowhere/orders-2.0.0.tar.zst".to_owned(),
        archive_node: None,
        archive_size: 3000,
        archive_sha256: "a".repeat(64),
        unpacked_size: 3000,
        signer: None,
        plain: false,
        layout: None,
        keep: Vec::new(),
        obsolete: Vec::new(),
        root_key: RootKeyPolicy::MayChange,
        health: Default::default(),
        components: vec![
            component("orders-api.jar", '1'),
            component("worker.py", '2'),
            component("VERSION", '3'),
            component(NEW_FILE, '6'),
        ],
        migrations: vec![Migration {
            version: "2.0.0".to_owned(),
            name: "V2.0.0__add_note.sql".to_owned(),
            phase: MigrationPhase::Expand,
            sha256: "4".repeat(64),
            sql: "ALTER TABLE orders ADD COLUMN note text;\n".to_owned(),
            down: Some(DownMigration {
                name: "U2.0.0__add_note.sql".to_owned(),
                sha256: "5".repeat(64),
                sql: "ALTER TABLE orders DROP COLUMN note;\n".to_owned(),
            }),
        }],
        hooks: vec![Hook {
            on: HookPoint::PostInstall,
            run: "hooks/new-root-key".to_owned(),
            limit: rollup_model::Span::secs(60),
        }],
        hook_files: vec![HookFile { source: "hooks/new-root-key".to_owned(), sha256: "7".repeat(64), size: 100 }],
    }
}
