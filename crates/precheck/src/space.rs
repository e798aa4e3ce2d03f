//! Room: what a run will write where, held against what is free there, file system by file system (PRE-1).

use std::collections::BTreeMap;

use rollup_engine::FindingCx;
use rollup_model::{Finding, Inventory, NodeName, inventory::CopyTo};
use serde_json::Value;

use crate::{
    HostFacts,
    facts::{FileSystem, Place},
};

/// Packages, copies of runs, logs of jobs.
const OWN: &str = "/var/lib/rollup";
/// What the services and systemd write meanwhile.
const LOGS: &str = "/var/log";
/// What journal, plan and logs of a run take at most, in bytes.
const RECORDS: u64 = 64 << 20;
/// How many files a run adds besides those of its package.
const RECORD_FILES: u64 = 500;
/// From here on a file system is nearly full, in percent.
const WARN: u64 = 90;
/// From here on nothing is begun, in percent.
const STOP: u64 = 95;

/// Every place of a node that a run writes to.
pub(crate) fn places(inventory: &Inventory) -> Vec<String> {
    let mut places = vec![OWN.to_owned(), LOGS.to_owned(), inventory.backup.dir.clone(), "/etc".to_owned()];
    places.push(inventory.database.data_dir.clone());
    let allowed = &inventory.package.allowed_destinations;
    let usual = ["/opt", "/usr/local", "/srv"].map(str::to_owned);
    places.extend(if allowed.is_empty() { usual.to_vec() } else { allowed.clone() });
    places.extend(inventory.service.code.iter().chain(&inventory.service.config).cloned());
    places.extend(inventory.sync.iter().flat_map(|sync| sync.paths.iter().cloned()));
    let mut seen = std::collections::BTreeSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// What a run writes at one place: what for, bytes, files.
struct Need {
    what: &'static str,
    path: String,
    bytes: u64,
    files: u64,
}

fn needs(cx: &FindingCx<'_>, backup: u64) -> Vec<Need> {
    let mut needs = vec![
        Need { what: "logs and journal", path: OWN.to_owned(), bytes: RECORDS, files: RECORD_FILES },
        Need { what: "backup", path: cx.inventory.backup.dir.clone(), bytes: backup, files: RECORD_FILES },
    ];
    if let Some(release) = cx.release {
        let files = release.components.len() as u64;
        needs.push(Need { what: "package", path: OWN.to_owned(), bytes: release.unpacked_size, files });
        // Each file once more beside the one it replaces.
        needs.extend(release.components.iter().map(|component| Need {
            what: "its files",
            path: component.destination.clone(),
            bytes: component.size,
            files: 1,
        }));
    }
    needs
}

/// What the next set of a node takes at most, by its own measure, with what grows meanwhile.
fn backup(cx: &FindingCx<'_>, node: &NodeName) -> u64 {
    let facts = cx.facts.nodes.get(node).and_then(|subjects| subjects.get("backup"));
    let needed = facts.and_then(|facts| facts.get("needed")).and_then(Value::as_u64).unwrap_or(0);
    needed + needed / 20
}

/// The measured place that `path` lies in.
fn place_of<'p>(places: &'p [Place], path: &str) -> Option<&'p Place> {
    let within = |place: &&Place| std::path::Path::new(path).starts_with(&place.path);
    places.iter().filter(within).max_by_key(|place| place.path.len())
}

/// PRE-1 on every node and on the operator's machine.
pub(crate) fn findings(cx: &FindingCx<'_>, hosts: &[(&NodeName, HostFacts)]) -> Vec<Finding> {
    let copies = &cx.inventory.backup.copies;
    let all: u64 = hosts.iter().map(|(node, _)| backup(cx, node)).sum();
    let mut found = Vec::new();
    for (node, facts) in hosts {
        let set = if copies.contains(&CopyTo::Peer) { all } else { backup(cx, node) };
        let here = of_machine(&facts.places, &needs(cx, set), &cx.inventory.backup.dir, "");
        found.extend(here.into_iter().map(|finding| finding.on(node)));
    }
    let here: Vec<Place> = cx.facts.here("host").unwrap_or_default();
    let mut needs = Vec::new();
    let mut need =
        |what, path: &str, bytes| needs.push(Need { what, path: path.to_owned(), bytes, files: RECORD_FILES });
    if let Some(runs) = here.first() {
        need("journal and plan", &runs.path, RECORDS);
    }
    if let Some(dir) = cx.inventory.backup.operator_dir.as_deref().filter(|_| copies.contains(&CopyTo::Operator)) {
        need("copies of sets", dir, all);
    }
    found.extend(of_machine(&here, &needs, "", " on this machine"));
    found
}

/// `apart`: a place whose being writable is looked at elsewhere.
fn of_machine(places: &[Place], needs: &[Need], apart: &str, here: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let dark: Vec<_> = places.iter().filter(|place| place.on.is_none()).map(|place| place.path.as_str()).collect();
    let expected = format!("file systems{here} that can be measured");
    let said = if dark.is_empty() { "all can".to_owned() } else { format!("no answer for {}", dark.join(", ")) };
    let first = dark.first().copied().unwrap_or_default();
    let measured = Finding::check("host.filesystems", "PRE-1", dark.is_empty(), expected, said);
    found.push(measured.fix(format!("df -h {first}   # a network mount that hangs: umount -l")));

    let closed: Vec<_> = places.iter().filter(|place| !place.writable && place.path != apart).collect();
    let said = closed.iter().map(|place| place.path.as_str()).collect::<Vec<_>>().join(", ");
    let said = if closed.is_empty() { "writable".to_owned() } else { format!("not writable: {said}") };
    let mount = closed.first().and_then(|place| place.on.as_ref()).map_or("/", |fs| fs.mount.as_str());
    let expected = format!("every place{here} that a run writes to writable");
    found.push(
        Finding::check("host.writable", "PRE-1", closed.is_empty(), expected, said)
            .fix(format!("mount -o remount,rw {mount}   # why it is not: findmnt -T {mount}")),
    );
    let mut file_systems: BTreeMap<&str, &FileSystem> = BTreeMap::new();
    for fs in places.iter().filter_map(|place| place.on.as_ref()) {
        file_systems.insert(&fs.mount, fs);
    }
    for (mount, fs) in file_systems {
        let lies_here = |need: &&Need| {
            place_of(places, &need.path).and_then(|place| place.on.as_ref()).is_some_and(|on| on.mount == mount)
        };
        let wanted: Vec<_> = needs.iter().filter(lies_here).collect();
        found.extend(room(fs, &wanted, here));
        found.push(fullness(fs, here));
    }
    found
}

fn room(fs: &FileSystem, needs: &[&Need], here: &str) -> Vec<Finding> {
    if needs.is_empty() {
        return Vec::new();
    }
    let mount = &fs.mount;
    let mut parts: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for need in needs {
        let part = parts.entry(need.what).or_insert((0, &need.path));
        part.0 += need.bytes;
    }
    let bytes: u64 = needs.iter().map(|need| need.bytes).sum();
    let files: u64 = needs.iter().map(|need| need.files).sum();
    let names: Vec<_> = parts.keys().copied().collect();
    let expected = format!("{} free in {mount}{here} for {}", size(bytes), names.join(", "));
    let evidence: Vec<_> =
        parts.iter().map(|(what, (bytes, path))| format!("{what}: {} in {path}", size(*bytes))).collect();
    let fix = format!("du -xh --max-depth=2 {mount} | sort -h | tail -n 20   # then remove what is not needed");
    let mut found = vec![
        Finding::check("host.space", "PRE-1", fs.available >= bytes, expected, size(fs.available))
            .fix(&fix)
            .evidence(evidence.join("\n")),
    ];
    if fs.inodes > 0 {
        let expected = format!("{files} files more in {mount}{here}");
        let enough = fs.inodes_free >= files;
        let said = format!("room for {}", fs.inodes_free);
        found.push(
            Finding::check("host.inodes", "PRE-1", enough, expected, said)
                .fix(format!("du -x --inodes --max-depth=2 {mount} | sort -n | tail -n 20")),
        );
    }
    found
}

/// Nearly full is a danger even where the room would do: nobody knows what else grows.
fn fullness(fs: &FileSystem, here: &str) -> Finding {
    let (bytes, files) = (fs.percent(), fs.inode_percent());
    let worst = bytes.max(files);
    let of = if files > bytes { " of its files" } else { "" };
    let expected = format!("{}{here} less than {WARN} % full", fs.mount);
    let found = format!("{worst} %{of}, {} free", size(fs.available));
    let finding = Finding::check("host.disk", "PRE-1", worst < WARN, expected, found)
        .fix(format!("du -xh --max-depth=2 {} | sort -h | tail -n 20   # then remove what is not needed", fs.mount));
    if worst < STOP { finding.only_warn() } else { finding }
}

/// Bytes as people say them.
fn size(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    if bytes < GIB {
        format!("{} MiB", bytes.div_ceil(1 << 20))
    } else {
        format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB)
    }
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod tests;
