//! What the scripts that gather facts print about a simulated machine.

use std::time::Duration;

use rollup_model::NodeName;

use crate::{
    call::{Answer, Call, Failed},
    world::World,
};

/// How long machines are up when a scenario begins.
const BOOTED_FOR: Duration = Duration::from_secs(3600);

/// `$1` mark, then `NAME COUNT SCRIPT ARGS…` for each subject.
pub(crate) fn gather(world: &World, node: &NodeName, call: &Call) -> Answer {
    let mut args = call.args.iter().map(String::as_str);
    let mark = args.next().unwrap_or_default();
    let mut text = String::new();
    while let Some(name) = args.next() {
        let count = args.next().and_then(|count| count.parse().ok());
        let count: usize = count.ok_or_else(|| Failed::saying(2, "expected a count"))?;
        let _script = args.next();
        let given: Vec<_> = args.by_ref().take(count).collect();
        text.push_str(&format!("{mark} begin {name}\n{}\n{mark} end\n", section(world, node, name, &given)));
    }
    Ok(text)
}

fn section(world: &World, node: &NodeName, name: &str, args: &[&str]) -> String {
    match name {
        "host" => host(world, node, args),
        "service" => format!("version {}\n", world.version(node)),
        "backup" => {
            let sets = world.at(node).sets.list(args.first().copied().unwrap_or_default());
            format!("free {}\nneeded {}\nwritable yes\nthere yes\nkey file\n{sets}", 40u64 << 30, 1u64 << 30)
        }
        "health" => health(world, node, args),
        "keepalived" => world.keepalived_facts(node),
        "adverts" => world.adverts_facts(node),
        "database" => world.database_facts(node),
        "database-write" => world.database_write(node).to_owned(),
        "sync" => world.sync_facts(node),
        #[expect(clippy::panic, reason = "a subject without an arm is a mistake of the test")]
        other => panic!("the simulated pair has no facts `{other}`"),
    }
}

/// `$1` number of tools, tools, number of peers, peers, then places.
fn host(world: &World, node: &NodeName, args: &[&str]) -> String {
    let skip =
        |args: &'_ [&'_ str]| args.first().and_then(|count| count.parse::<usize>().ok()).map_or(0, |count| count + 1);
    let rest = args.get(skip(args)..).unwrap_or_default();
    let places = rest.get(skip(rest)..).unwrap_or_default();
    let desk = &world.at(node).desk;
    // The operator's clock is the real one.
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
    let mut text = format!("clock {clock:.9}\narchitecture x86_64\ninstaller apt-get\nversion systemd 252\n");
    let (size, free) = (100u64 << 30, 40u64 << 30);
    for place in places {
        text.push_str(&format!("fs rw {place}\t{size} {} {free} 1000000 900000 /\n", size - free));
    }
    text.extend(desk.lock.as_ref().map(|(run, _)| format!("lock {run}\n")));
    text + &desk.runs_seen() + "end\n"
}

/// `$1` limit, `$2` properties, `$3` database port, `$4` number of units, then units, keepalived's last, then URLs.
fn health(world: &World, node: &NodeName, args: &[&str]) -> String {
    let machine = world.at(node);
    let count: usize = args.get(3).and_then(|count| count.parse().ok()).unwrap_or_default();
    let (units, urls) = args.get(4..).unwrap_or_default().split_at(count);
    let mut text = String::new();
    for unit in units {
        let (active, (restarts, since)) = match machine.service.units.get(*unit) {
            Some(unit) => (unit.active, world.restarts(unit)),
            None if *unit == world.inventory.database.unit => (machine.database.runs(), (0, Duration::ZERO)),
            None => (true, (0, Duration::ZERO)),
        };
        let (state, sub, words) = if active { ("active", "running", "") } else { ("inactive", "dead", "stopped") };
        let entered = if active { (BOOTED_FOR + since).as_micros() } else { 0 };
        text.push_str(&format!(
            "unit {unit} LoadState=loaded ActiveState={state} SubState={sub} UnitFileState=enabled NRestarts={restarts} \
             MainPID=70 ActiveEnterTimestampMonotonic={entered} | {words}\n"
        ));
    }
    text.push_str("keepalived 812 (keepalived) S 1\nkeepalived 815 (keepalived) S 812\n");
    let active = machine.service.units.values().all(|unit| unit.active);
    let (good, ports) = (world.serves(node), &world.inventory.service.ports);
    for port in ports.iter().filter(|_| active) {
        text.push_str(&format!("socket 0: 00000000:{port:04X} 00000000:0000 0A\n"));
    }
    for url in urls {
        let answer = match (good, active) {
            (true, _) => format!("200 {{\"status\":\"UP\",\"node\":\"{node}\"}}"),
            (false, true) => "503 {\"status\":\"starting\"}".to_owned(),
            (false, false) => "000 curl: (7) Failed to connect".to_owned(),
        };
        text.push_str(&format!("url {url} {answer}\n"));
    }
    text.push_str(if machine.database.runs() { "database answered S\n" } else { "database refused\n" });
    text + &format!("uptime {:.2}\n", (BOOTED_FOR + world.now).as_secs_f64())
}
