//! What two nodes have told, as the values and questions of one inventory. Pure.
//!
//! Owns the choice between what was found. It must not know how a node was asked, nor how the file is laid out.

mod database;
mod pair;
mod service;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rollup_model::inventory::Ssh;
use toml::Value;

use super::parse::Seen;

/// What was asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Name of the pair. Default: made from what is found.
    pub(super) name: Option<String>,
    /// How both nodes were logged in to.
    pub(super) ssh: Ssh,
    /// What ssh connected to, in the order of the answers.
    pub(super) hosts: [String; 2],
}

/// One inventory with its questions.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The machines.
    pub(super) nodes: Vec<Machine>,
    /// What is known or asked about keys, by table and key. All others have their defaults.
    pub(super) answers: BTreeMap<(&'static str, &'static str), Answer>,
    /// What is told about whole tables.
    pub(super) tables: BTreeMap<&'static str, Answer>,
    /// In what the nodes differ, and what is wrong with the pair.
    pub(super) differences: Vec<String>,
}

/// One machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) peer_address: Option<String>,
    /// What it is now, for people.
    pub(super) found: String,
}

/// What is known or asked about a key or a table.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) given: Given,
    /// What was found, for people.
    pub(super) found: Option<String>,
    /// What a person must say.
    pub(super) question: Option<String>,
}

/// What stands in the file.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) enum Given {
    /// A value.
    Set(Value),
    /// A value that is only shown, as a comment.
    Shown(Value),
    /// What the example has, as a comment.
    #[default]
    Left,
    /// Nothing: the file cannot be used before a person has answered.
    Open,
}

impl Draft {
    fn at(&mut self, table: &'static str, key: &'static str) -> &mut Answer {
        self.answers.entry((table, key)).or_default()
    }

    fn set(&mut self, table: &'static str, key: &'static str, value: impl Into<Value>) -> &mut Answer {
        let answer = self.at(table, key);
        answer.given = Given::Set(value.into());
        answer
    }

    fn open(&mut self, table: &'static str, key: &'static str, question: impl Into<String>) -> &mut Answer {
        let answer = self.at(table, key);
        answer.given = Given::Open;
        answer.ask(question)
    }

    fn differ(&mut self, text: impl Into<String>) {
        self.differences.push(text.into());
    }

    /// One value for both nodes. `preferred` is the node whose value is suggested where they differ.
    fn one_of_both(
        &mut self,
        (table, key): (&'static str, &'static str),
        what: &str,
        pair: &Pair<'_>,
        values: [Option<String>; 2],
        preferred: usize,
    ) {
        let [first, second] = pair.names();
        match values {
            [None, None] => {
                self.open(table, key, format!("What is {what}? Nothing was found."));
            }
            [Some(a), Some(b)] if a == b => {
                self.set(table, key, a);
            }
            [Some(a), Some(b)] => {
                self.differ(format!("{what} is {a} on {first} and {b} on {second}"));
                let question =
                    format!("What is {what}? One inventory has one for both nodes; {first} has {a}, {second} has {b}.");
                self.set(table, key, if preferred == 1 { b } else { a }).ask(question);
            }
            [a, b] => {
                let (without, value) = if a.is_none() { (first, b) } else { (second, a) };
                let value = value.unwrap_or_default();
                self.differ(format!("{what} is {value}; on {without} nothing was found"));
                self.set(table, key, value);
            }
        }
    }
}

impl Answer {
    fn ask(&mut self, question: impl Into<String>) -> &mut Self {
        self.question = Some(question.into());
        self
    }

    fn found(&mut self, found: impl Into<String>) -> &mut Self {
        self.found = Some(found.into());
        self
    }
}

/// Both nodes with their names in the file.
pub(super) struct Pair<'s> {
    names: [String; 2],
    seen: [&'s Seen; 2],
}

impl<'s> Pair<'s> {
    fn names(&self) -> [&str; 2] {
        [&self.names[0], &self.names[1]]
    }

    /// Each node with its name.
    fn each(&self) -> impl Iterator<Item = (&str, &'s Seen)> {
        self.names.iter().map(String::as_str).zip(self.seen)
    }
}

/// What is known of the pair as a whole, and what later tables follow from.
#[derive(Debug, Default)]
struct Known {
    /// The node with the VIP, where exactly one has it.
    owner: Option<usize>,
    /// The VIP as it stands in a URL.
    vip: Option<String>,
    /// The node of the primary, where exactly one is.
    primary: Option<usize>,
    /// Units that are no part of the service.
    taken: Vec<String>,
    /// Bytes of all databases together.
    database_bytes: u64,
}

/// The inventory of what was seen on both nodes.
pub(super) fn draft(asked: &Asked, seen: [&Seen; 2]) -> Draft {
    let mut draft = Draft::default();
    let pair = pair::names(&mut draft, seen);
    let mut known = Known::default();
    pair::vip(&mut draft, &pair, &mut known);
    database::tell(&mut draft, &pair, &mut known);
    sync::tell(&mut draft, &pair, &mut known);
    service::tell(&mut draft, &pair, &known);
    service::backup(&mut draft, &pair, &known);
    pair::machines(&mut draft, asked, &pair, &known);
    draft
}

/// `a, b and c`.
fn list<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// Without repetitions, in the order of the first.
fn distinct<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}

fn strings<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::Array(items.into_iter().map(|item| Value::String(item.as_ref().to_owned())).collect())
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    rollup_ui::bytes(bytes)
}
