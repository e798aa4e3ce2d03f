//! What `keepalived.conf` says, and the one change that is made to it.
//!
//! Owns the text: where an instance ends, what it sets, and the marked block that overrides it. Reads only what is sure
//! to be read as keepalived reads it, and refuses the rest by name. It must not know nodes or running daemons.

mod edit;
mod lex;
#[cfg(test)]
mod tests;

use lex::Statement;

pub use edit::{clear, override_of, raise};

/// Why a configuration is not changed by a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The instance is not there.
    #[error("there is no `vrrp_instance {name}` in the main file{}", elsewhere(*includes))]
    NotFound {
        /// Its name.
        name: String,
        /// Whether other files are included.
        includes: bool,
    },
    /// The instance is there more than once.
    #[error("`vrrp_instance {name}` is defined {times} times")]
    Found {
        /// Its name.
        name: String,
        /// How often.
        times: usize,
    },
    /// A part of the instance comes from another file.
    #[error("line {line}: an `include` inside `vrrp_instance {name}`")]
    IncludeInside {
        /// Its name.
        name: String,
        /// Where.
        line: usize,
    },
    /// Members of a sync group move together or not at all.
    #[error("`vrrp_instance {name}` belongs to sync group `{group}`, whose members must all be changed together")]
    SyncGroup {
        /// Its name.
        name: String,
        /// The group.
        group: String,
    },
    /// A backslash joins lines.
    #[error("line {line}: a definition over several lines")]
    MultiLine {
        /// Where.
        line: usize,
    },
    /// A generated sequence of lines.
    #[error("line {line}: `~SEQ` or `~LST` generates lines")]
    Sequence {
        /// Where.
        line: usize,
    },
    /// A definition that may open or close blocks where it is used.
    #[error("line {line}: a definition with a brace")]
    Definition {
        /// Where.
        line: usize,
    },
    /// The name of an instance depends on a definition.
    #[error("line {line}: the name of an instance contains `$`")]
    VariableName {
        /// Where.
        line: usize,
    },
    /// Quotes that do not end, or that escapes make ambiguous.
    #[error("line {line}: quotes that cannot be read safely")]
    Quotes {
        /// Where.
        line: usize,
    },
    /// Braces do not match.
    #[error("line {line}: braces do not match")]
    Unbalanced {
        /// Where.
        line: usize,
    },
    /// The override block is not as it was written.
    #[error("line {line}: the block between `# BEGIN rollup` and `# END rollup` was changed by hand")]
    HandEdited {
        /// Where.
        line: usize,
    },
    /// A priority that VRRP gives another meaning.
    #[error("priority {0} is outside 1 to 254")]
    Priority(u8),
}

fn elsewhere(includes: bool) -> &'static str {
    if includes { "; it may be in an included file" } else { "" }
}

/// A whole configuration file, as far as the address is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Every `vrrp_instance` of the file, in order.
    pub instances: Vec<Instance>,
    /// Every `vrrp_sync_group`: its name and its members.
    pub groups: Vec<(String, Vec<String>)>,
    /// Whether other files are included.
    pub includes: bool,
}

/// One `vrrp_instance`.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Byte offset of its opening brace.
    pub open: usize,
    /// Byte offset of its closing brace.
    pub close: usize,
    /// `interface`.
    pub interface: Option<String>,
    /// `state`, the first state.
    pub state: Option<String>,
    /// `virtual_router_id`.
    pub virtual_router_id: Option<u8>,
    /// `priority`, the last one; `None` when the text does not settle it (a definition, a condition, an include).
    pub priority: Option<u8>,
    /// `advert_int`.
    pub advert_millis: Option<u64>,
    /// `nopreempt` without a later `preempt`.
    pub nopreempt: bool,
    /// `preempt_delay`.
    pub preempt_delay_millis: u64,
    /// VRRP version, from the instance or from `global_defs`.
    pub version: u8,
    /// After how many missing adverts the owner counts as gone.
    pub down_adverts: u64,
    /// Addresses, as written, without prefix length.
    pub addresses: Vec<String>,
    /// Which kinds of tracking it uses (`track_interface`, `track_script` …).
    pub tracks: Vec<String>,
    /// Line of the first `include` inside.
    pub include_inside: Option<usize>,
}

/// Reads a configuration file.
pub fn parse(text: &str) -> Result<Config, Refused> {
    let statements = lex::statements(text)?;
    let global = |keyword: &str| {
        let blocks = statements.iter().filter(|s| s.keyword() == "global_defs").filter_map(|s| s.block.as_ref());
        blocks.flat_map(|block| &block.statements).rfind(|s| s.keyword() == keyword).and_then(|s| s.number())
    };
    let (version, down_adverts): (u8, u8) =
        (global("vrrp_version").unwrap_or(2), global("vrrp_down_timer_adverts").unwrap_or(3));
    let mut config = Config { instances: Vec::new(), groups: Vec::new(), includes: false };
    for statement in &statements {
        match statement.keyword() {
            "vrrp_instance" => config.instances.push(instance(statement, version, down_adverts.into())?),
            "vrrp_sync_group" => config.groups.push(group(statement)),
            _ => {}
        }
    }
    config.includes = any(&statements, &|statement| statement.keyword().starts_with("include"));
    Ok(config)
}

impl Config {
    /// The instance of this name, when a program may change it.
    pub fn editable(&self, name: &str) -> Result<&Instance, Refused> {
        let name_of = || name.to_owned();
        let mut found = self.instances.iter().filter(|instance| instance.name == name);
        let Some(instance) = found.next() else {
            return Err(Refused::NotFound { name: name_of(), includes: self.includes });
        };
        let more = found.count();
        if more > 0 {
            return Err(Refused::Found { name: name_of(), times: more + 1 });
        }
        if let Some(line) = instance.include_inside {
            return Err(Refused::IncludeInside { name: name_of(), line });
        }
        if let Some((group, _)) = self.groups.iter().find(|(_, members)| members.iter().any(|member| member == name)) {
            return Err(Refused::SyncGroup { name: name_of(), group: group.clone() });
        }
        Ok(instance)
    }

    /// The instances that hold this address.
    pub fn holding(&self, address: std::net::IpAddr) -> Vec<&Instance> {
        self.instances.iter().filter(|instance| instance.holds(address)).collect()
    }
}

impl Instance {
    /// Whether the text names this address for the instance.
    pub fn holds(&self, address: std::net::IpAddr) -> bool {
        self.addresses.iter().any(|text| text.parse() == Ok(address))
    }
}

fn any(statements: &[Statement], test: &dyn Fn(&Statement) -> bool) -> bool {
    statements.iter().any(|s| test(s) || s.block.as_ref().is_some_and(|block| any(&block.statements, test)))
}

fn first_include(statements: &[Statement]) -> Option<usize> {
    statements.iter().find_map(|statement| {
        let inside = || first_include(&statement.block.as_ref()?.statements);
        if statement.keyword().starts_with("include") { Some(statement.line) } else { inside() }
    })
}

fn group(statement: &Statement) -> (String, Vec<String>) {
    let blocks = statement.block.iter().flat_map(|block| &block.statements).filter(|s| s.keyword() == "group");
    let members = blocks.filter_map(|s| s.block.as_ref()).flat_map(|block| &block.statements);
    let members = members.flat_map(|member| member.words.iter().cloned()).collect();
    (statement.words.get(1).cloned().unwrap_or_default(), members)
}

fn instance(statement: &Statement, version: u8, down_adverts: u64) -> Result<Instance, Refused> {
    let line = statement.line;
    let (Some(name), Some(block)) = (statement.words.get(1), &statement.block) else {
        return Err(Refused::Unbalanced { line });
    };
    if name.contains('$') {
        return Err(Refused::VariableName { line });
    }
    let inside = &block.statements;
    let all = |keyword: &'static str| inside.iter().filter(move |s| s.keyword() == keyword);
    let last = |keyword: &'static str| all(keyword).next_back();
    let text = |keyword| last(keyword).and_then(|s| s.words.get(1).cloned());
    let include_inside = first_include(inside);
    let settled = include_inside.is_none() && all("priority").all(|s| !s.conditional);
    let preempt = inside.iter().rfind(|s| matches!(s.keyword(), "preempt" | "nopreempt"));
    let addresses = all("virtual_ipaddress").chain(all("virtual_ipaddress_excluded"));
    let addresses = addresses.filter_map(|s| s.block.as_ref()).flat_map(|block| &block.statements);
    Ok(Instance {
        name: name.clone(),
        open: block.open,
        close: block.close,
        interface: text("interface"),
        state: text("state"),
        virtual_router_id: last("virtual_router_id").and_then(Statement::number),
        priority: last("priority").filter(|_| settled).and_then(Statement::number),
        advert_millis: last("advert_int").and_then(Statement::millis),
        nopreempt: preempt.is_some_and(|s| s.keyword() == "nopreempt"),
        preempt_delay_millis: last("preempt_delay").and_then(Statement::millis).unwrap_or(0),
        version: last("version").and_then(Statement::number).unwrap_or(version),
        down_adverts: last("down_timer_adverts").and_then(Statement::number).unwrap_or(down_adverts),
        addresses: addresses.map(|s| s.keyword().split('/').next().unwrap_or_default().to_owned()).collect(),
        tracks: inside.iter().map(|s| s.keyword().to_owned()).filter(|word| word.starts_with("track_")).collect(),
        include_inside,
    })
}
