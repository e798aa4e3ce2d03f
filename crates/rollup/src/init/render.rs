//! A draft as the text of a `rollup.toml`, with the example's order and comments, and as lines for a terminal. Pure.
//!
//! Owns the layout. It must not know why a value was chosen.

use anyhow::Result;
use rollup_model::inventory::OPEN;
use toml::Value;

use super::{
    draft::{Answer, Draft, Given, Machine},
    template::{self, Key, Table},
};

/// What the comment above a key begins with that a person must look at.
const QUESTION: &str = "QUESTION: ";
/// No line is wider, but for values that are.
const WIDTH: usize = 80;
/// Where the comment of a short line begins.
const COLUMN: usize = 36;
/// Tables that mean nothing when they are empty, and so are left out as a whole.
const OPTIONAL: [&str; 3] = ["sync", "meter", "waivers"];

/// The file, and what is asked in it.
#[derive(Debug)]
pub(super) struct Written {
    /// The text of `rollup.toml`.
    pub(super) text: String,
    /// In the order of their lines.
    pub(super) questions: Vec<Question>,
}

/// A question in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Counted from 1.
    pub(super) line: usize,
    /// The key that it is about, `table.key`; a table alone when it is about all of it.
    pub(super) key: String,
    /// All of it.
    pub(super) text: String,
    /// Whether the file cannot be used before it is answered.
    pub(super) blocking: bool,
}

/// Writes the file. `found` says when and by whom it was found.
pub(super) fn render(draft: &Draft, found: &str) -> Result<Written> {
    let mut page = Page::default();
    for table in template::tables()? {
        match table.name {
            "nodes" => draft.nodes.iter().for_each(|machine| page.machine(&table, machine)),
            _ => page.table(&table, draft),
        }
    }
    let head = head(draft, found, &page.questions);
    let above = head.len();
    page.questions.iter_mut().for_each(|question| question.line += above);
    let text = head.into_iter().chain(page.lines).map(|line| line + "\n").collect();
    Ok(Written { text, questions: page.questions })
}

fn head(draft: &Draft, found: &str, questions: &[Question]) -> Vec<String> {
    let mut lines = comment(&format!("The inventory of this pair, as found {found}."), "");
    let keys = "A key that is commented out has its default: what is shown, or what its comment says.";
    lines.extend(comment(keys, ""));
    let open = questions.iter().filter(|question| question.blocking).count();
    let asked = match questions.len() {
        0 => "No question is left.".to_owned(),
        1 => "1 question is left, at `# QUESTION:`. Answer it below its line, then delete it.".to_owned(),
        count => format!("{count} questions are left, at `# QUESTION:`. Answer each below its line, then delete it."),
    };
    let refused = format!(" While a key is \"{OPEN}\", the file is refused.");
    lines.extend(comment(&(asked + if open > 0 { &refused } else { "" }), ""));
    if !draft.differences.is_empty() {
        lines.extend(["#".to_owned(), "# To be looked at:".to_owned()]);
        lines.extend(draft.differences.iter().flat_map(|text| comment(text, "- ")));
    }
    lines
}

#[derive(Debug, Default)]
struct Page {
    lines: Vec<String>,
    questions: Vec<Question>,
}

impl Page {
    fn table(&mut self, table: &Table, draft: &Draft) {
        let answer = |key: &Key| draft.answers.get(&(table.name, key.name)).cloned().unwrap_or_default();
        let given = |key: &Key| matches!(answer(key).given, Given::Set(_) | Given::Open);
        let off = OPTIONAL.contains(&table.name) && !table.keys.iter().any(given);
        self.lines.push(String::new());
        self.above(table.name, &draft.tables.get(table.name).cloned().unwrap_or_default());
        self.line(if off { format!("# {}", table.header) } else { table.header.to_owned() }, &table.comment, None);
        for key in &table.keys {
            self.key(table.name, key, &answer(key));
        }
    }

    fn machine(&mut self, table: &Table, machine: &Machine) {
        self.lines.push(String::new());
        self.line(table.header.to_owned(), &machine.found, None);
        for key in &table.keys {
            let given = match key.name {
                "name" => Given::Set(machine.name.clone().into()),
                "host" => Given::Set(machine.host.clone().into()),
                "peer_address" => {
                    machine.peer_address.clone().map_or(Given::Left, |address| Given::Set(address.into()))
                }
                _ => Given::Left,
            };
            self.key(table.name, key, &Answer { given, ..Answer::default() });
        }
    }

    fn key(&mut self, table: &str, key: &Key, answer: &Answer) {
        let code = match &answer.given {
            Given::Set(value) => assign(key.name, value),
            Given::Shown(value) => format!("# {} = {value}", key.name),
            Given::Left => format!("# {} = {}", key.name, key.value),
            Given::Open if key.value.starts_with('[') => format!("{} = [\"{OPEN}\"]", key.name),
            Given::Open => format!("{} = \"{OPEN}\"", key.name),
        };
        self.line(code, &key.comment, Some((&format!("{table}.{}", key.name), answer)));
    }

    /// A line of code with its comment: behind it where there is room, else above, and then above any question too.
    fn line(&mut self, code: String, about: &str, asked: Option<(&str, &Answer)>) {
        let length = code.lines().last().unwrap_or_default().chars().count();
        let short = length + 2 <= COLUMN && !code.contains('\n');
        let beside = !short && length + 4 + about.chars().count() <= WIDTH && !code.contains('\n');
        if !short && !beside && !about.is_empty() {
            self.lines.extend(comment(about, ""));
        }
        if let Some((key, answer)) = asked {
            self.above(key, answer);
        }
        if about.is_empty() || (!short && !beside) {
            self.lines.extend(code.lines().map(str::to_owned));
        } else if beside {
            self.lines.push(format!("{code}  # {about}"));
        } else {
            let mut code = code;
            for part in wrap(about, WIDTH - COLUMN - 2) {
                self.lines.push(format!("{code:COLUMN$}# {part}"));
                code.clear();
            }
        }
    }

    fn above(&mut self, key: &str, answer: &Answer) {
        if let Some(found) = &answer.found {
            self.lines.extend(comment(found, "Found: "));
        }
        if let Some(question) = &answer.question {
            let (line, key, text) = (self.lines.len() + 1, key.to_owned(), question.clone());
            self.questions.push(Question { line, key, text, blocking: answer.given == Given::Open });
            self.lines.extend(comment(question, QUESTION));
        }
    }
}

/// A key with its value as TOML; a list that is too wide for a line has one for each item.
fn assign(key: &str, value: &Value) -> String {
    let line = format!("{key} = {value}");
    match value {
        Value::Array(items) if line.chars().count() > WIDTH => {
            let items: String = items.iter().map(|item| format!("    {item},\n")).collect();
            format!("{key} = [\n{items}]")
        }
        _ => line,
    }
}

/// A comment that begins with `label`; more lines of it are set in. What was found may hold anything, but no line end.
fn comment(text: &str, label: &str) -> Vec<String> {
    let parts = wrap(&format!("{label}{}", text.replace(char::is_control, " ")), WIDTH - "#   ".len());
    let rest = if label.is_empty() { "# " } else { "#   " };
    let lines = parts.iter().enumerate();
    lines.map(|(number, part)| format!("{}{part}", if number == 0 { "# " } else { rest })).collect()
}

/// Breaks text between words into lines of at most `width` columns; a longer word stays whole.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
