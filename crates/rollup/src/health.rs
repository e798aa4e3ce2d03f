//! `rollup health`: how the nodes are, once or watched; and what a node runs to say it by itself (HLT-1).

use std::{io::IsTerminal, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use console::Term;
use rollup_engine::{AnySubject, Hosts, gather};
use rollup_model::{Inventory, NodeName};
use rollup_ui::pages::{self, HealthCheck, HealthLook, HealthRow};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    time::MissedTickBehavior,
};

use crate::{
    cli::{Global, HealthArguments, HealthCommand},
    exit::{self, Ended, Exit},
    screen::Screen,
    site::{self, Site},
};

/// From one look of a watch to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Runs one of the health commands.
pub(crate) async fn run(global: &Global, asked: &HealthArguments, screen: &Screen) -> Ended {
    let read = || site::read(&global.inventory, screen.color());
    match &asked.command {
        Some(HealthCommand::Serve { node, listen }) => serve(&read()?, node, *listen, screen).await,
        Some(HealthCommand::Unit { node, user }) => unit(&read()?, &global.inventory, node, user.as_deref(), screen),
        None => {
            let site = Site::load(&global.inventory, global.state_dir.as_deref(), screen.color())?;
            let nodes = Nodes::new(&site, asked.node.as_ref())?;
            if asked.watch { watch(&nodes, screen).await } else { once(&nodes, screen).await }
        }
    }
}

fn known<'a>(inventory: &'a Inventory, name: &NodeName) -> Result<&'a NodeName, Exit> {
    inventory.node_names().find(|node| *node == name).ok_or_else(|| {
        let known: Vec<_> = inventory.node_names().map(NodeName::as_str).collect();
        Exit::usage(format!("there is no node `{name}`")).hint(format!("one of: {}", known.join(", ")))
    })
}

/// The nodes that are asked, and the one subject they are asked about.
struct Nodes<'a> {
    inventory: &'a Inventory,
    hosts: Hosts,
    subject: Vec<Arc<dyn AnySubject>>,
}

impl<'a> Nodes<'a> {
    fn new(site: &'a Site, only: Option<&NodeName>) -> Result<Self, Exit> {
        let only = only.map(|name| known(&site.inventory, name)).transpose()?;
        let mut hosts = site.hosts.clone();
        hosts.retain(|name, _| only.is_none_or(|only| only == name));
        let subject: Vec<Arc<dyn AnySubject>> = vec![Arc::new(health::HealthSubject)];
        Ok(Self { inventory: &site.inventory, hosts, subject })
    }

    /// By the same definition as the upgrade's gate.
    async fn look(&self) -> HealthLook {
        let examined = gather(&self.subject, &self.hosts, self.inventory).await;
        let row = |node: &NodeName| {
            let checks = match examined.facts.get::<health::HealthFacts>(node, self.subject[0].name()) {
                Some(facts) => health::checks(self.inventory, &facts).into_iter().map(said).collect(),
                None => {
                    let why = examined.findings.iter().find(|finding| finding.node.as_ref() == Some(node));
                    let detail = why.map_or_else(|| "no answer".to_owned(), |finding| finding.found.clone());
                    let id = why.map_or_else(|| "host.reachable".to_owned(), |finding| finding.id.clone());
                    vec![HealthCheck { id, name: "an answer over ssh".to_owned(), ok: false, detail, since: None }]
                }
            };
            HealthRow { node: node.clone(), checks }
        };
        let asked = self.inventory.node_names().filter(|node| self.hosts.contains_key(*node));
        HealthLook::new(jiff::Timestamp::now(), asked.map(row).collect())
    }
}

fn said(check: health::Check) -> HealthCheck {
    HealthCheck { id: check.id.to_owned(), name: check.name, ok: check.ok, detail: check.found, since: None }
}

fn verdict(look: &HealthLook) -> u8 {
    if look.healthy { exit::DONE } else { exit::BLOCKED }
}

async fn once(nodes: &Nodes<'_>, screen: &Screen) -> Ended {
    let waiting = screen.waiting("asking the nodes");
    let look = nodes.look().await;
    drop(waiting);
    if screen.json() {
        screen.data(&serde_json::to_string_pretty(&look).map_err(anyhow::Error::from)?)?;
    } else {
        screen.data(&pages::health_table(&look, screen.out()))?;
    }
    Ok(verdict(&look))
}

/// Looks every second until Ctrl-C, or until nobody reads any more; ends with the verdict of the last look.
async fn watch(nodes: &Nodes<'_>, screen: &Screen) -> Ended {
    let mut stop = Stop::new()?;
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: Option<HealthLook> = None;
    let mut drawn = Drawn { term: Term::buffered_stdout(), lines: 0 };
    loop {
        let look = async {
            tick.tick().await;
            nodes.look().await
        };
        let look = tokio::select! {
            look = look => look,
            () = stop.asked() => break,
        };
        let look = match &before {
            Some(before) => look.after(before),
            None => look,
        };
        let is_read = if screen.json() {
            screen.stream(&serde_json::to_string(&look).map_err(anyhow::Error::from)?)?
        } else if std::io::stdout().is_terminal() {
            drawn.draw(&look, screen)?;
            true
        } else {
            let changes = pages::health_changes(before.as_ref(), &look, screen.out());
            changes.is_empty() || screen.stream(&changes.join("\n"))?
        };
        before = Some(look);
        if !is_read {
            break;
        }
    }
    // Who ends it before the first answer has learnt nothing.
    Ok(before.as_ref().map_or(exit::STOPPED, verdict))
}

/// What stands on the terminal, to be drawn over.
struct Drawn {
    term: Term,
    lines: usize,
}

impl Drawn {
    fn draw(&mut self, look: &HealthLook, screen: &Screen) -> Result<(), Exit> {
        // Asked each time: a terminal may be given another size.
        let (height, width) = self.term.size();
        let style = screen.out().with_width(usize::from(width).clamp(40, 160));
        let lines = pages::health_screen(look, usize::from(height).saturating_sub(1).max(3), &style);
        // Buffered: the terminal gets all of it in one write, and shows no empty moment.
        self.term.clear_last_lines(self.lines)?;
        self.term.write_str(&(lines.join("\n") + "\n"))?;
        self.term.flush()?;
        self.lines = lines.len();
        Ok(())
    }
}

/// Ctrl-C, or the end that a service manager asks for.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> Result<Self, Exit> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn serve(inventory: &Inventory, node: &NodeName, listen: Option<SocketAddr>, screen: &Screen) -> Ended {
    let node = known(inventory, node)?;
    let asked = &inventory.service.health_urls;
    if let Some(url) = asked.iter().find(|url| !url.starts_with("http://")) {
        return Err(Exit::usage(format!("service.health_urls: `rollup health serve` cannot ask {url}"))
            .hint("name a URL that starts with http://; on its own node a service needs no TLS to be asked"));
    }
    let listen = listen.unwrap_or(inventory.health.listen);
    let port = listen.port();
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Exit::new(exit::UNEXPECTED, format!("cannot listen on {listen}: {error}"))
            .hint(format!("see who does: ss -ltnp 'sport = :{port}'; another address: --listen ADDRESS:PORT"))
    })?;
    let mut stop = Stop::new()?;
    let address = listener.local_addr()?;
    screen.tell(&format!("health of {node} at http://{address}/health and /metrics"));
    health::serve(listener, inventory, node, stop.asked()).await?;
    Ok(exit::DONE)
}

fn unit(inventory: &Inventory, file: &Path, node: &NodeName, user: Option<&str>, screen: &Screen) -> Ended {
    let node = known(inventory, node)?;
    let (program, file) = (std::env::current_exe()?, std::path::absolute(file)?);
    let unit = health::UnitFile { inventory, node, program: &program, file: &file, user };
    screen.data(&unit.text())?;
    Ok(exit::DONE)
}
