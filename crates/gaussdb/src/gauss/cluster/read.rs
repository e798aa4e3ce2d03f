//! Reads the overview of a cluster.

use super::{Cluster, Configured, Instance, InstanceRole, InstanceState, Member, Resource};
use crate::gauss::{
    text::Said,
    words::{Vocabulary, Word},
};

/// Reads the overview. `None`: it is none, it was cut off, or a row of it is not like a row of the tool.
pub(in crate::gauss) fn read(said: &Said<'_>) -> Option<Cluster> {
    let mut cluster = Cluster {
        cluster_state: Word::of(said.after("cluster_state ")?.trim().strip_prefix(':')?),
        redistributing: None,
        balanced: None,
        current_az: None,
        pausing: false,
        distributed: false,
        cm_servers: Vec::new(),
        etcd: Vec::new(),
        resources: Vec::new(),
        instances: Vec::new(),
    };
    let mut section = String::new();
    let mut table = Table::default();
    for line in said.trimmed() {
        if let Some(title) = title(line) {
            cluster.distributed |= title.contains("coordinator") || title == "gtm state";
            (section, table) = (title, Table::default());
        } else if section == "cluster state" {
            cluster_row(&mut cluster, line);
        } else if !table.take_header(line) {
            let cells: Vec<Vec<&str>> = line.split('|').map(|cell| cell.split_whitespace().collect()).collect();
            for words in cells.iter().filter(|words| looks_like_row(words)) {
                match section.as_str() {
                    "cmserver state" => cluster.cm_servers.push(member(words)?),
                    "etcd state" => cluster.etcd.push(member(words)?),
                    "defined resource state" => cluster.resources.push(resource(words)?),
                    "datanode state" => cluster.instances.push(instance(words, table.port_first)?),
                    _ => {}
                }
            }
        }
    }
    (!cluster.instances.is_empty()).then_some(cluster)
}

/// What the header of a table says.
#[derive(Default)]
struct Table {
    /// The line of dashes was seen: rows follow.
    begun: bool,
    /// There is a column for the port, before the one for the instance: gs_om. cm_ctl prints the port behind the number of
    /// the instance, without a title.
    port_first: bool,
}

impl Table {
    fn take_header(&mut self, line: &str) -> bool {
        if self.begun {
            return false;
        }
        self.begun = line.len() >= 5 && line.bytes().all(|byte| byte == b'-');
        self.port_first |= line.contains("port");
        true
    }
}

fn title(line: &str) -> Option<String> {
    let inside = line.strip_prefix('[')?.strip_suffix(']')?;
    let title = inside.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    title.ends_with(" state").then_some(title)
}

fn cluster_row(cluster: &mut Cluster, line: &str) {
    let Some((key, value)) = line.split_once(':') else { return };
    let (value, yes) = (value.trim(), value.trim().eq_ignore_ascii_case("yes"));
    let told = (yes || value.eq_ignore_ascii_case("no")).then_some(yes);
    match key.trim() {
        "redistributing" => cluster.redistributing = told,
        "balanced" => cluster.balanced = told,
        "current_az" => cluster.current_az = Some(value.to_owned()),
        "pausing" => cluster.pausing = yes,
        _ => {}
    }
}

/// `[AZ] NUMBER NAME …`. Anything else in a table is a remark.
fn looks_like_row(words: &[&str]) -> bool {
    let is_number = |word: &str| word.parse::<u32>().is_ok();
    let is_zone = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    match words {
        [first, _, _, ..] if is_number(first) => true,
        [zone, second, _, ..] => is_zone(zone) && is_number(second),
        _ => false,
    }
}

/// What every row begins with, and the words behind it.
struct Start<'a> {
    az: Option<&'a str>,
    node_id: u32,
    node_name: &'a str,
    ip: Option<&'a str>,
    rest: &'a [&'a str],
}

fn start<'a>(words: &'a [&'a str]) -> Option<Start<'a>> {
    let (az, words) = match words {
        [zone, rest @ ..] if zone.parse::<u32>().is_err() => (Some(*zone), rest),
        words => (None, words),
    };
    let [node_id, node_name, rest @ ..] = words else { return None };
    let (ip, rest) = match rest {
        [ip, rest @ ..] if ip.parse::<std::net::IpAddr>().is_ok() => (Some(*ip), rest),
        rest => (None, rest),
    };
    Some(Start { az, node_id: node_id.parse().ok()?, node_name, ip, rest })
}

/// `NUMBER NAME [ADDRESS] INSTANCE [DIRECTORY] STATE`.
fn member(words: &[&str]) -> Option<Member> {
    let start = start(words)?;
    let [instance, .., state] = start.rest else { return None };
    Some(Member {
        node_id: start.node_id,
        node_name: start.node_name.to_owned(),
        instance_id: instance.parse().ok()?,
        state: (*state).to_owned(),
    })
}

/// `NUMBER NAME [ADDRESS] RESOURCE INSTANCE STATE [(ROLE)]`.
fn resource(words: &[&str]) -> Option<Resource> {
    let end = words.iter().position(|word| word.starts_with('(')).unwrap_or(words.len());
    let [.., name, instance, state] = words.get(..end)? else { return None };
    Some(Resource { name: (*name).to_owned(), instance_id: instance.parse().ok()?, state: (*state).to_owned() })
}

/// `[AZ] NUMBER NAME [ADDRESS] NUMBERS [DIRECTORY] LETTER ROLE STATE`.
fn instance(words: &[&str], port_first: bool) -> Option<Instance> {
    let start = start(words)?;
    let numbers = start.rest.iter().take(2).take_while(|word| word.parse::<u32>().is_ok()).count();
    let (numbers, rest) = start.rest.split_at_checked(numbers)?;
    let (instance_id, port) = match numbers {
        [instance] if !port_first => (instance, None),
        [port, instance] if port_first => (instance, Some(port)),
        [instance, port] => (instance, Some(port)),
        _ => return None,
    };
    // A data directory may hold blanks. The letter is the first word that is one and has a role behind it.
    let (at, configured, role, state) = (0..rest.len()).find_map(|at| {
        let word = rest.get(at)?;
        let configured = Configured::of(word).filter(|known| known.as_str() == *word)?;
        let (role, state) = role(rest.get(at + 1..)?)?;
        Some((at, configured, role, state))
    })?;
    let (state, detail) = with_detail(&state.join(" "))?;
    let data_dir = Some(rest.get(..at)?.join(" ")).filter(|dir| !dir.is_empty());
    if data_dir.as_ref().is_some_and(|dir| !dir.starts_with('/')) {
        return None;
    }
    Some(Instance {
        az: start.az.map(str::to_owned),
        node_id: start.node_id,
        node_name: start.node_name.to_owned(),
        ip: start.ip.map(str::to_owned),
        port: port.map(|port| port.parse()).transpose().ok()?,
        instance_id: instance_id.parse().ok()?,
        data_dir,
        configured,
        role,
        state,
        detail,
    })
}

/// A role of two words, or of one; and what follows it, which must be something.
fn role<'a>(words: &'a [&'a str]) -> Option<(Word<InstanceRole>, &'a [&'a str])> {
    let (first, rest) = words.split_first()?;
    if let Some((second, after)) = rest.split_first()
        && let Some(role) = InstanceRole::of(&format!("{first} {second}"))
    {
        return (!after.is_empty()).then_some((Word::Known(role), after));
    }
    // gs_om keeps the first word of a role only.
    let role = match first.to_ascii_lowercase().as_str() {
        "cascade" => Word::Known(InstanceRole::CascadeStandby),
        "main" => Word::Known(InstanceRole::MainStandby),
        _ => Word::of(first),
    };
    (!rest.is_empty()).then_some((role, rest))
}

/// A state and what stands in brackets behind it.
fn with_detail(text: &str) -> Option<(Word<InstanceState>, Option<String>)> {
    let (state, detail) = match text.split_once('(') {
        Some((state, rest)) => (state.trim(), Some(rest.strip_suffix(')')?.to_owned())),
        None => (text, None),
    };
    // gs_om keeps the first word of a state only, save for these two.
    let state =
        if state.eq_ignore_ascii_case("wait") { Word::Known(InstanceState::WaitPromoting) } else { Word::of(state) };
    Some((state, detail))
}
