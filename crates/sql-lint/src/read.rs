//! One statement after another: what its words, its tree and what came before it say.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use squawk_syntax::{Parse, SourceFile, SyntaxKind as Kind, SyntaxNode, ast::AstNode};

use crate::{
    Danger, Dialect, Form, Rule, Split, Statement, alone, gauss, meter, own, rules, scope, scope::Scope, squawk,
    transaction_rule,
};

/// A rule, and what it points at.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) rule: &'static Rule,
    /// Bytes: of the statement while it is read, of the file afterwards.
    pub(crate) range: Range<usize>,
    /// The table that it is done to, where that is not the statement's first.
    pub(crate) table: Option<String>,
}

impl Found {
    pub(crate) fn new(rule: &'static Rule, range: Range<usize>) -> Self {
        Self { rule, range, table: None }
    }
}

/// What was found in a statement.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) found: Vec<Found>,
    /// What more there is to say of one of them.
    pub(crate) detail: Option<(&'static str, String)>,
}

/// Reads the statements of one file, in order.
pub(crate) struct Reader<'t> {
    text: &'t str,
    dialect: Dialect,
    /// Bytes that are no SQL of a statement: comments, and commands of the client.
    blanks: Vec<Range<usize>>,
    scope: Scope,
    /// There is a stack that is deep enough for the parser.
    parses: bool,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str, split: &Split, dialect: Dialect, parses: bool) -> Self {
        let mut blanks = [split.comments.as_slice(), &split.commands].concat();
        blanks.sort_by_key(|range| range.start);
        Self { text, dialect, blanks, scope: Scope::default(), parses }
    }

    /// Everything that is found in the next statement.
    pub(crate) fn read(&mut self, statement: &Statement) -> Read {
        let text = self.without_comments(&statement.range);
        let mut read = Read::default();
        let outside = transaction_rule(statement, self.text, self.dialect);
        let alone = alone(statement, self.text, self.dialect).is_some();
        read.add(outside, 0..text.len());
        match statement.form {
            Form::Block => read.add(Some(&rules::CODE_BLOCK), 0..text.len()),
            Form::Routine | Form::Package => {
                read.add(gauss::by_words(statement), 0..text.len());
                read.unread(&rules::UNREADABLE, 0..text.len(), "a body without quotes".to_owned());
            }
            Form::Plain => self.plain(statement, &text, &mut read),
        }
        if outside.is_some() || alone {
            let said = [rules::SERVER_FILE.id, rules::REINDEX.id, rules::TABLE_REWRITE.id, rules::UNCLASSIFIED.id];
            read.found.retain(|found| !said.contains(&found.rule.id));
        }
        read.tidy(&text);
        for found in &mut read.found {
            found.range = statement.range.start + found.range.start..statement.range.start + found.range.end;
        }
        read
    }

    fn plain(&mut self, statement: &Statement, text: &str, read: &mut Read) {
        let refused = match self.parses {
            true => meter::measure(text).err(),
            false => Some("there is no room for the stack that reading takes".to_owned()),
        };
        if let Some(refused) = refused {
            read.add(gauss::by_words(statement), 0..text.len());
            return read.unread(&rules::TOO_DEEP, 0..text.len(), refused);
        }
        // The parser is made for people who type, and asserts a lot. One statement that it cannot take is no reason to say
        // nothing of the others.
        let parsed = catch_unwind(AssertUnwindSafe(|| {
            let parse = SourceFile::parse(text);
            let errors: Vec<_> =
                parse.errors().iter().map(|error| (error.range().into(), error.message().to_owned())).collect();
            (parse, errors)
        }));
        let Ok((parse, errors)) = parsed else {
            return read.unread(&rules::UNREADABLE, 0..text.len(), "the parser gave up".to_owned());
        };
        self.tree(statement, text, &parse, !errors.is_empty(), read);
        if let Some((range, message)) = errors.into_iter().next() {
            read.unread(&rules::UNREADABLE, range, message);
        }
    }

    fn tree(&mut self, words: &Statement, text: &str, parse: &Parse<SourceFile>, failed: bool, read: &mut Read) {
        // Its rules are about definitions; asking all of them takes longer than reading a row.
        let defines = |statement: squawk_syntax::ast::Stmt| squawk::is_asked(statement.syntax().kind());
        let mut found = if parse.tree().stmts().any(defines) { squawk::find(parse, text) } else { Vec::new() };
        let guess = gauss::by_words(words).filter(|_| gauss::wanted(self.dialect, failed));
        if guess.is_some() {
            // `DROP PARTITION p` is taken for a column of that name.
            found.retain(|found| found.rule.danger == Danger::Blocks);
            found.extend(guess.map(|rule| Found::new(rule, 0..text.len())));
        }
        // After a word that it does not know, the parser takes the next one that it knows for another statement.
        let read_as = if guess.is_some() && failed { 1 } else { usize::MAX };
        for statement in parse.tree().stmts().take(read_as) {
            let node = statement.syntax();
            let whole: Range<usize> = node.text_range().into();
            let mut mine: Vec<Found> = Vec::new();
            // Each once: by the statement that it lies in.
            found.retain(|one| {
                let inside = whole.contains(&one.range.start);
                mine.extend(inside.then(|| one.clone()));
                !inside
            });
            own::find(node, &self.scope, &mut mine);
            if self.dialect == Dialect::Opengauss {
                gauss::in_tree(node, &mut mine);
            }
            own::rows(node, &self.scope, &mut mine);
            if mine.is_empty() && !own::is_known(node) && !failed {
                let rule = if scope::is_drop(node.kind()) { &rules::DROP_OBJECT } else { &rules::UNCLASSIFIED };
                mine.push(Found::new(rule, whole));
            }
            let table = scope::table(node);
            for found in mine.iter_mut().filter(|found| found.table.is_none()) {
                found.table.clone_from(&table);
            }
            self.leave_out_what_is_new(node, &mut mine);
            self.enum_values(node, text, &mut mine);
            self.scope.note(node);
            read.found.extend(mine);
        }
        read.found.extend(found);
    }

    /// What no running version knows cannot break it.
    fn leave_out_what_is_new(&self, statement: &SyntaxNode, found: &mut Vec<Found>) {
        if self.scope.is_new(statement) {
            let kept = [Danger::Transaction, Danger::Standby, Danger::Unread];
            found.retain(|found| kept.contains(&found.rule.danger));
        }
        let Some(table) = scope::table(statement).filter(|_| statement.kind() == Kind::ALTER_TABLE) else { return };
        if self.dialect == Dialect::Postgresql && self.scope.validated.contains(&table) {
            found.retain(|found| found.rule.id != rules::NOT_NULL_SCAN.id);
        }
        let of_columns =
            [rules::SET_DEFAULT.id, rules::DROP_COLUMN.id, rules::DROP_NOT_NULL.id, rules::RENAME_COLUMN.id];
        found.retain(|found| {
            let covers = |action: &SyntaxNode| Range::<usize>::from(action.text_range()).contains(&found.range.start);
            let column = statement.children().find(covers).and_then(|action| scope::column(&action));
            let new = column.is_some_and(|column| self.scope.is_new_column(&table, &column));
            !(new && of_columns.contains(&found.rule.id))
        });
    }

    /// A value that this file has added to an enum cannot be used in the same transaction.
    fn enum_values(&mut self, statement: &SyntaxNode, text: &str, found: &mut Vec<Found>) {
        let added = statement.descendants().find(|node| node.kind() == Kind::ADD_VALUE);
        if let Some(value) = added.and_then(|added| added.descendants().find(|node| node.kind() == Kind::LITERAL)) {
            return self.scope.enum_values.push(value.text().to_string());
        }
        for value in &self.scope.enum_values {
            let places = text.match_indices(value.as_str()).take(1);
            found.extend(places.map(|(at, _)| Found::new(&rules::ENUM_VALUE_USED, at..at + value.len())));
        }
    }

    /// The text of a statement with blanks for each comment, so that positions stay true. squawk takes orders from comments.
    fn without_comments(&self, range: &Range<usize>) -> String {
        let mut text = String::with_capacity(range.len());
        let mut at = range.start;
        let first = self.blanks.partition_point(|blank| blank.start < range.start);
        for blank in self.blanks.iter().skip(first).take_while(|blank| blank.start < range.end) {
            text.push_str(self.text.get(at..blank.start).unwrap_or_default());
            let end = blank.end.min(range.end);
            text.extend(
                self.text
                    .get(blank.start..end)
                    .unwrap_or_default()
                    .bytes()
                    .map(|byte| if byte == b'\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
        text.push_str(self.text.get(at..range.end).unwrap_or_default());
        text
    }
}

impl Read {
    fn add(&mut self, rule: Option<&'static Rule>, range: Range<usize>) {
        self.found.extend(rule.map(|rule| Found::new(rule, range)));
    }

    fn unread(&mut self, rule: &'static Rule, range: Range<usize>, detail: String) {
        self.add(Some(rule), range);
        self.detail = Some((rule.id, detail));
    }

    /// Each rule once at each place.
    fn tidy(&mut self, text: &str) {
        let mut tidy: Vec<Found> = Vec::new();
        for mut found in std::mem::take(&mut self.found) {
            found.range = trimmed(text, found.range);
            if !tidy.iter().any(|other| other.rule.id == found.rule.id && overlap(&other.range, &found.range)) {
                tidy.push(found);
            }
        }
        tidy.sort_by_key(|found| found.range.start);
        self.found = tidy;
    }
}

/// Whether two ranges have a byte in common, or begin together.
pub(crate) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end || a.start == b.start
}

/// A range without the blanks around it, never empty where the text is not.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let end = range.end.min(text.len());
    let start = range.start.min(end);
    let part = text.get(start..end).unwrap_or_default();
    let start = start + (part.len() - part.trim_start().len());
    let end = start + part.trim().len();
    match start < end {
        true => start..end,
        // An error between two words: the next one, or the last.
        false => {
            let rest = text.get(start..).unwrap_or_default();
            let next = rest.trim_start();
            let word = next.find(char::is_whitespace).unwrap_or(next.len());
            let at = text.len() - next.len();
            if word > 0 {
                at..at + word
            } else {
                text.trim_end().rfind(char::is_whitespace).map_or(0, |at| at + 1)..text.trim_end().len()
            }
        }
    }
}
