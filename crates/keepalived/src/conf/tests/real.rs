//! keepalived itself reads what is read and written here, and must agree.
//!
//! Needs root and keepalived; the daemon runs in namespaces of its own, with an `eth0` that leads nowhere. Where
//! either is missing the tests fail: they were asked for by the feature `real-daemon`.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use proptest::test_runner::{Config as Runs, TestCaseError, TestRunner};
use serde_json::Value;

use super::{super::*, layouts, raised, random};

/// `$1` the folder that becomes /etc/keepalived, `$2` the config-id. Prints the status of `-t` and the JSON dump.
const ASK: &str = r#"
set -e
mount -t tmpfs none /run
mount --bind "$1" /etc/keepalived
mount -t tmpfs none /tmp
ip link set lo up
ip link add eth0 type veth peer name peer0
ip addr add 10.9.0.1/24 dev eth0
ip link set eth0 up
ip link set peer0 up
rc=0
keepalived -t -i "$2" >/tmp/test 2>&1 || rc=$?
echo "$rc"
keepalived -P -n -l -i "$2" >/tmp/log 2>&1 &
pid=$!
for _ in $(seq 200); do
  if grep -q 'Startup complete' /tmp/log; then break; fi
  sleep 0.02
done
kill -s "$(keepalived --signum=JSON)" "$pid"
for _ in $(seq 200); do
  text=$(tr -d '\n' </tmp/keepalived.json 2>/dev/null) || text=
  case $text in '['*']') break ;; esac
  sleep 0.01
done
kill -9 "$pid"
printf '%s\n' "$text"
cat /tmp/test /tmp/log
"#;

/// What the daemon says of one instance.
#[derive(Debug, PartialEq)]
struct Said {
    priority: u64,
    nopreempt: bool,
    preempt_delay_millis: u64,
    advert_millis: u64,
    version: u64,
    addresses: Vec<String>,
}

struct Answer {
    status: String,
    instances: BTreeMap<String, Said>,
    everything: String,
}

fn ask(files: &Files) -> Result<Answer, String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("rollup-real-daemon-{}-{number}", std::process::id()));
    for (path, text) in &files.texts {
        let path = folder.join(Path::new(path).strip_prefix("/etc/keepalived").unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let id = files.id.as_deref().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ASK, "sh"]).arg(&folder).arg(id);
    let output = command.output().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let everything = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let mut lines = everything.lines();
    let (status, dump) = (lines.next().unwrap_or_default().to_owned(), lines.next().unwrap_or_default());
    let dump: Value = serde_json::from_str(dump).map_err(|why| format!("{why}: {everything}"))?;
    let said = dump.as_array().unwrap().iter().map(|instance| said(&instance["data"])).collect();
    Ok(Answer { status, instances: said, everything })
}

fn said(data: &Value) -> (String, Said) {
    let number = |key: &str| data[key].as_f64().unwrap();
    let millis = |key: &str| (number(key) * 1000.0).round() as u64;
    let address = |text: &Value| text.as_str().unwrap().split(['/', ' ']).next().unwrap().to_owned();
    let addresses = ["vips", "evips"].into_iter().filter_map(|key| data[key].as_array()).flatten().map(address);
    let said = Said {
        priority: number("base_priority") as u64,
        nopreempt: data["nopreempt"].as_bool().unwrap(),
        preempt_delay_millis: millis("preempt_delay"),
        advert_millis: millis("adver_int"),
        version: number("version") as u64,
        addresses: addresses.collect(),
    };
    (data["iname"].as_str().unwrap().to_owned(), said)
}

/// Whether the daemon has what was read: each instance it runs, and whatever of it the texts settle.
fn agree(files: &Files, answer: &Answer) -> Result<(), String> {
    let config = parse(files).map_err(|why| why.to_string())?;
    if config.instances.len() != answer.instances.len() {
        return Err(format!("the daemon has {} instances: {config:#?}\n{}", answer.instances.len(), answer.everything));
    }
    for (name, said) in &answer.instances {
        let read = config.instances.iter().find(|instance| &instance.name == name);
        let Some(read) = read else { return Err(format!("only the daemon has {name}: {config:#?}")) };
        let as_read = Said {
            priority: read.priority.map_or(said.priority, u64::from),
            nopreempt: read.nopreempt && read.priority != Some(255),
            preempt_delay_millis: match read.preempt_delay_millis {
                // keepalived itself drops the delay of an instance with `nopreempt`.
                _ if read.nopreempt => 0,
                extract::LONGEST_DELAY => said.preempt_delay_millis,
                millis => millis,
            },
            advert_millis: read.advert_millis.unwrap_or(1000),
            version: read.version.into(),
            addresses: read.addresses.clone(),
        };
        // keepalived itself drops `nopreempt` and the delay of a MASTER.
        let master = read.state.as_deref() == Some("MASTER");
        let forced = said.nopreempt != as_read.nopreempt && master;
        let at_once = said.preempt_delay_millis == 0 && master;
        let rounded = said.version == 2 && as_read.advert_millis < 1000;
        if *said
            != (Said {
                nopreempt: if forced { said.nopreempt } else { as_read.nopreempt },
                preempt_delay_millis: if at_once { 0 } else { as_read.preempt_delay_millis },
                advert_millis: if rounded { said.advert_millis } else { as_read.advert_millis },
                ..as_read
            })
        {
            return Err(format!("{name}: the daemon has {said:?}, read was {read:?}\n{}", answer.everything));
        }
    }
    Ok(())
}

/// The daemon reads the files as they are and with the override, and has what was read from them.
fn check(files: &Files, wanted: &BTreeMap<String, u8>) -> Result<(), String> {
    follows(files, &ask(files)?, wanted)
}

fn follows(files: &Files, before: &Answer, wanted: &BTreeMap<String, u8>) -> Result<(), String> {
    agree(files, before)?;
    let new = raised(files, wanted).map_err(|why| why.to_string())?;
    let after = ask(&new)?;
    agree(&new, &after)?;
    for (name, priority) in wanted {
        let said = after.instances.get(name).ok_or_else(|| format!("{name} is gone: {}", after.everything))?;
        let now = (said.priority, said.nopreempt, said.preempt_delay_millis);
        if now != (u64::from(*priority), false, 0) {
            return Err(format!("{name} has {now:?}, not {priority}: {}", after.everything));
        }
    }
    let names = |answer: &Answer| answer.instances.keys().cloned().collect::<Vec<_>>();
    // 5 may become 0: the override sets what `-t` complained of, such as `nopreempt` in state MASTER.
    let worse = before.status != after.status && after.status != "0";
    if names(before) != names(&after) || worse {
        return Err(format!("status {} became {}: {}", before.status, after.status, after.everything));
    }
    Ok(())
}

#[test]
fn the_daemon_reads_every_layout_as_it_is_read_here_and_takes_the_override() {
    let said = |layout: &layouts::Layout| check(&layout.files("/etc/keepalived"), &layout.wanted(177));
    let wrong: Vec<_> = layouts::all().iter().filter_map(|layout| Some((layout.name, said(layout).err()?))).collect();
    for (name, why) in &wrong {
        eprintln!("{name}: {why}");
    }
    assert!(wrong.is_empty(), "{} layouts", wrong.len());
}

/// A part of `PROPTEST_CASES` (256 unless told), since each starts the daemon at least twice.
fn runs(part: u32) -> Runs {
    let runs = Runs::default();
    Runs { cases: runs.cases / part, max_shrink_iters: 300, failure_persistence: None, ..runs }
}

#[test]
fn the_daemon_agrees_on_configurations_nobody_wrote() {
    let test = |(files, wanted): (Files, BTreeMap<String, u8>)| check(&files, &wanted).map_err(TestCaseError::fail);
    TestRunner::new(runs(4)).run(&random::edits(), test).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn the_daemon_agrees_on_whatever_is_not_refused() {
    let plain = &layouts::all()[0];
    check(&plain.files("/etc/keepalived"), &plain.wanted(177)).unwrap();
    let test = |text: String| {
        let files = Files { id: Some("main".to_owned()), ..Files::single("/etc/keepalived/keepalived.conf", text) };
        let wanted = BTreeMap::from([("VI_1".to_owned(), 177)]);
        // Most is refused, or has keepalived give up already before the edit.
        let Ok(_) = raised(&files, &wanted) else { return Err(TestCaseError::reject("refused")) };
        let Ok(before) = ask(&files) else { return Err(TestCaseError::reject("no daemon")) };
        follows(&files, &before, &wanted).map_err(TestCaseError::fail)
    };
    let runs = Runs { max_global_rejects: 1_000_000, max_local_rejects: 1_000_000, ..runs(8) };
    TestRunner::new(runs).run(&random::soup(), test).unwrap_or_else(|why| panic!("{why}"));
}
