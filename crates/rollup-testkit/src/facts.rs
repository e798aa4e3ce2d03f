//! What the scripts that gather facts print about a simulated machine.

use rollup_model::NodeName;

use crate::{
    call::{Answer, Call, Failed},
    world::World,
};

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
        "host" => host(world, node),
        "service" => format!("{}\n", world.version(node)),
        "backup" => {
            let sets = world.at(node).sets.list(args.first().copied().unwrap_or_default());
            format!("free {}\nneeded {}\nwritable yes\n{sets}", 40u64 << 30, 1u64 << 30)
        }
        "health" => health(world, node, args),
        "keepalived" => world.keepalived_facts(node),
        "database" => world.database_facts(node),
        "sync" => world.sync_facts(node),
        #[expect(clippy::panic, reason = "a subject without an arm is a mistake of the test")]
        other => panic!("the simulated pair has no facts `{other}`"),
    }
}

fn host(world: &World, node: &NodeName) -> String {
    let lock = world.at(node).desk.lock.as_ref().map(|(run, _)| format!("lock {run}\n")).unwrap_or_default();
    let clock = 1_700_000_000.0 + world.now.as_secs_f64();
    format!("architecture x86_64\nfree {}\n{lock}clock {clock:.9}\n", 40u64 << 30)
}

/// `$1` database port, `$2` number of units, then units, then `port:N` and URLs.
fn health(world: &World, node: &NodeName, args: &[&str]) -> String {
    let machine = world.at(node);
    let count: usize = args.get(1).and_then(|count| count.parse().ok()).unwrap_or_default();
    let (units, rest) = args.get(2..).unwrap_or_default().split_at(count);
    let mut text = String::new();
    for unit in units {
        let active = match machine.service.units.get(*unit) {
            Some(unit) => unit.active,
            None if *unit == world.inventory.database.unit => machine.database.runs(),
            None => true,
        };
        let (state, sub, words) = if active { ("active", "running", "") } else { ("inactive", "dead", "stopped") };
        let properties = format!("ActiveState={state} SubState={sub} UnitFileState=enabled NRestarts=0");
        text.push_str(&format!("unit {unit} {properties} | {words}\n"));
    }
    let active = machine.service.units.values().all(|unit| unit.active);
    let good = world.serves(node);
    for item in rest {
        match item.strip_prefix("port:") {
            Some(port) if active => text.push_str(&format!("listening {port}\n")),
            Some(_) => {}
            None if good => text.push_str(&format!("url {item} 200 {{\"status\":\"UP\",\"node\":\"{node}\"}}\n")),
            None if active => text.push_str(&format!("url {item} 503 {{\"status\":\"starting\"}}\n")),
            None => text.push_str(&format!("url {item} 000 curl: (7) Failed to connect\n")),
        }
    }
    text.push_str(if machine.database.runs() { "database yes\n" } else { "database no\n" });
    text
}
