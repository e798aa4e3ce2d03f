//! What a file has made itself: no running version knows it, so nothing breaks or waits when it is changed.

use std::collections::HashSet;

use squawk_syntax::{SyntaxKind as Kind, SyntaxNode};

/// Names that share one space. Routines are in none: what a name means there depends on the arguments, and a new signature
/// beside the old one is the very case in which dropping the old one breaks something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Space {
    /// Tables, views, indexes, sequences.
    Relation,
    Type,
    Schema,
}

/// What is new so far in a file.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    made: HashSet<(Space, String)>,
    /// Table and column.
    columns: HashSet<(String, String)>,
    /// Constraints that this file has added without validating them.
    pub(crate) not_valid: HashSet<String>,
    /// Tables with a constraint that this file has validated.
    pub(crate) validated: HashSet<String>,
    /// Values that this file has added to enums, in quotes.
    pub(crate) enum_values: Vec<String>,
}

impl Scope {
    /// Whether all that a statement changes is new.
    pub(crate) fn is_new(&self, statement: &SyntaxNode) -> bool {
        let Some(space) = changes(statement.kind()) else { return false };
        let mut targets = targets(statement).peekable();
        targets.peek().is_some() && targets.all(|name| self.made.contains(&(space, name)))
    }

    /// Whether every relation that is named in this part of a statement is new.
    pub(crate) fn are_new(&self, part: &SyntaxNode) -> bool {
        let mut named = part.descendants().filter(is_whole).peekable();
        named.peek().is_some() && named.all(|path| self.made.contains(&(Space::Relation, name(&path))))
    }

    /// Whether this column of this table is new.
    pub(crate) fn is_new_column(&self, table: &str, column: &str) -> bool {
        self.columns.contains(&(table.to_owned(), column.to_owned()))
    }

    /// Takes note of what a statement makes.
    pub(crate) fn note(&mut self, statement: &SyntaxNode) {
        let perhaps = [Kind::IF_NOT_EXISTS, Kind::OR_REPLACE];
        if statement.children().any(|child| perhaps.contains(&child.kind())) {
            return;
        }
        let made = statement.descendants().find(|node| node.kind() == Kind::PATH);
        if let (Some(space), Some(path)) = (makes(statement.kind()), made) {
            self.made.insert((space, name(&path)));
        }
        let Some(table) = table(statement) else { return };
        for action in statement.children() {
            match action.kind() {
                Kind::ADD_COLUMN if !action.children().any(|child| child.kind() == Kind::IF_NOT_EXISTS) => {
                    self.columns.extend(column(&action).map(|column| (table.clone(), column)));
                }
                Kind::ADD_CONSTRAINT if action.descendants().any(|node| node.kind() == Kind::NOT_VALID) => {
                    let named = action.descendants().find(|node| node.kind() == Kind::CONSTRAINT_NAME);
                    self.not_valid.extend(named.map(|node| name(&node)));
                }
                Kind::VALIDATE_CONSTRAINT => drop(self.validated.insert(table.clone())),
                _ => {}
            }
        }
    }
}

/// The table, or what is like one, that a statement is about.
pub(crate) fn table(statement: &SyntaxNode) -> Option<String> {
    targets(statement).next()
}

/// The column that an action of ALTER TABLE is about.
pub(crate) fn column(action: &SyntaxNode) -> Option<String> {
    let mut nodes = action.children();
    nodes.find(|node| matches!(node.kind(), Kind::COLUMN_NAME | Kind::COLUMN_NAME_REF)).map(|node| name(&node))
}

/// A name as it can be compared: in lower case unless it is quoted.
pub(crate) fn name(node: &SyntaxNode) -> String {
    let text: String = node.text().to_string().split_whitespace().collect();
    if text.contains('"') { text } else { text.to_lowercase() }
}

/// What exists already, as far as a statement changes or locks it.
fn targets(statement: &SyntaxNode) -> Box<dyn Iterator<Item = String>> {
    let on = statement.children().find(|child| child.kind() == Kind::ON_RELATION);
    if let Some(on) = on {
        return Box::new(on.descendants().filter(is_whole).map(|node| name(&node)).take(1));
    }
    let all = matches!(statement.kind(), Kind::TRUNCATE | Kind::LOCK) || is_drop(statement.kind());
    let with = |child: &SyntaxNode| child.kind() != Kind::WITH_CLAUSE;
    let paths = statement.children().filter(with).flat_map(|child| child.descendants()).filter(is_whole);
    Box::new(paths.map(|node| name(&node)).take(if all { usize::MAX } else { 1 }))
}

/// A name with all its parts, and not that of a type.
fn is_whole(node: &SyntaxNode) -> bool {
    node.kind() == Kind::PATH_REF
        && node.parent().is_none_or(|parent| !matches!(parent.kind(), Kind::PATH_REF | Kind::PATH_TYPE))
}

/// Whether a node drops something.
pub(crate) fn is_drop(kind: Kind) -> bool {
    format!("{kind:?}").starts_with("DROP_")
}

fn makes(kind: Kind) -> Option<Space> {
    match kind {
        Kind::CREATE_TABLE
        | Kind::CREATE_TABLE_AS
        | Kind::SELECT_INTO
        | Kind::CREATE_VIEW
        | Kind::CREATE_MATERIALIZED_VIEW
        | Kind::CREATE_SEQUENCE
        | Kind::CREATE_INDEX => Some(Space::Relation),
        Kind::CREATE_TYPE | Kind::CREATE_DOMAIN => Some(Space::Type),
        Kind::CREATE_SCHEMA => Some(Space::Schema),
        _ => None,
    }
}

/// Statements that change or lock what they name first, or all that they name.
fn changes(kind: Kind) -> Option<Space> {
    match kind {
        Kind::CREATE_INDEX
        | Kind::CREATE_TRIGGER
        | Kind::CREATE_RULE
        | Kind::CREATE_POLICY
        | Kind::ALTER_TABLE
        | Kind::ALTER_VIEW
        | Kind::ALTER_MATERIALIZED_VIEW
        | Kind::ALTER_SEQUENCE
        | Kind::ALTER_INDEX
        | Kind::DROP_TABLE
        | Kind::DROP_VIEW
        | Kind::DROP_MATERIALIZED_VIEW
        | Kind::DROP_SEQUENCE
        | Kind::DROP_INDEX
        | Kind::DROP_TRIGGER
        | Kind::DROP_RULE
        | Kind::DROP_POLICY
        | Kind::TRUNCATE
        | Kind::LOCK
        | Kind::CLUSTER
        | Kind::REFRESH => Some(Space::Relation),
        Kind::ALTER_TYPE | Kind::ALTER_DOMAIN | Kind::DROP_TYPE | Kind::DROP_DOMAIN => Some(Space::Type),
        Kind::ALTER_SCHEMA | Kind::DROP_SCHEMA => Some(Space::Schema),
        _ => None,
    }
}
