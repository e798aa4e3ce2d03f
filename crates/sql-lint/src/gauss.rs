//! What openGauss and GaussDB write in their own way. The parser cannot read it, but the words tell.

use squawk_syntax::{SyntaxKind as Kind, SyntaxNode};

use crate::{Dialect, Rule, Statement, read::Found, rules};

/// Rules that hold for the whole of a statement, by its words.
pub(crate) fn by_words(statement: &Statement) -> Option<&'static Rule> {
    let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
    let has = |what: &[&str]| words.windows(what.len()).any(|part| part == what);
    match words.as_slice() {
        ["ALTER", "TABLE", ..] => {
            let partition = |verb: &str| has(&[verb, "PARTITION"]) || has(&[verb, "SUBPARTITION"]);
            match () {
                () if ["DROP", "TRUNCATE", "EXCHANGE"].into_iter().any(partition) => Some(&rules::DETACH_PARTITION),
                () if ["SPLIT", "MOVE"].into_iter().any(partition) => Some(&rules::TABLE_REWRITE),
                () if partition("ADD") => Some(&rules::ATTACH_PARTITION),
                () if partition("RENAME") => Some(&rules::RENAME_OBJECT),
                () if words.contains(&"MODIFY") && has(&["NOT", "NULL"]) => Some(&rules::SET_NOT_NULL),
                () if words.contains(&"MODIFY") || words.contains(&"CHANGE") => Some(&rules::CHANGE_TYPE),
                () => None,
            }
        }
        ["ALTER", "INDEX", .., "UNUSABLE"] => Some(&rules::DROP_INDEX),
        ["ALTER", "INDEX", .., "REBUILD"] => Some(&rules::REINDEX),
        ["ALTER", "TYPE", ..] if has(&["DROP", "VALUE"]) => Some(&rules::REMOVE_ENUM_VALUE),
        ["DROP", "PACKAGE", ..] => Some(&rules::DROP_FUNCTION),
        ["CREATE", "OR", "REPLACE", "FUNCTION" | "PROCEDURE" | "PACKAGE", ..] => Some(&rules::REPLACE_FUNCTION),
        _ => None,
    }
}

/// Types whose constant default openGauss keeps in the catalog, in every spelling that its manual has for them. A new column
/// of another type, or with a default of more than 128 bytes, is written into every row (GaussDB's manual, ALTER TABLE).
const QUICK_DEFAULTS: [&str; 34] = [
    "bool",
    "boolean",
    "bytea",
    "smallint",
    "int2",
    "integer",
    "int",
    "int4",
    "bigint",
    "int8",
    "numeric",
    "decimal",
    "number",
    "float",
    "float4",
    "float8",
    "real",
    "double",
    "char",
    "character",
    "bpchar",
    "varchar",
    "varchar2",
    "text",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "binary_integer",
    "dec",
    "nvarchar2",
    "tinyint",
];
const QUICK_DEFAULT_BYTES: usize = 128;

/// What a tree holds that openGauss does in another way, or not at all.
pub(crate) fn in_tree(statement: &SyntaxNode, found: &mut Vec<Found>) {
    let mut add = |rule: &'static Rule, node: &SyntaxNode| found.push(Found::new(rule, node.text_range().into()));
    for node in statement.descendants() {
        let under = |kind: Kind| node.parent().is_some_and(|parent| parent.kind() == kind);
        match node.kind() {
            Kind::ON_CONFLICT_CLAUSE | Kind::GENERATED_IDENTITY | Kind::ATTACH_PARTITION | Kind::DETACH_PARTITION => {
                add(&rules::UNKNOWN_TO_OPENGAUSS, &node);
            }
            Kind::IF_NOT_EXISTS if under(Kind::ADD_COLUMN) || under(Kind::CREATE_INDEX) => {
                add(&rules::UNKNOWN_TO_OPENGAUSS, &node);
            }
            Kind::CONFIG_PARAMETER_REF if node.text() == "lock_timeout" => add(&rules::UNKNOWN_TO_OPENGAUSS, &node),
            Kind::VALIDATE_CONSTRAINT => add(&rules::VALIDATION_LOCKS, &node),
            Kind::ADD_COLUMN => {
                let child = |kind: Kind| node.children().find(|child| child.kind() == kind);
                let Some(default) = child(Kind::DEFAULT_CONSTRAINT) else { continue };
                let of_type = node.children().find(|child| format!("{:?}", child.kind()).ends_with("_TYPE"));
                let of_type = of_type.map(|of_type| of_type.text().to_string().to_lowercase()).unwrap_or_default();
                let name = of_type.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                let null = default.text().to_string().to_lowercase().split_whitespace().nth(1) == Some("null");
                let long = usize::from(default.text().len()) > QUICK_DEFAULT_BYTES + "default ".len();
                if !null && (long || !QUICK_DEFAULTS.contains(&name)) {
                    add(&rules::TABLE_REWRITE, &default);
                }
            }
            _ => {}
        }
    }
}

/// Whether words of GaussDB are looked for: where the parser failed, they are the better guess whatever the dialect is.
pub(crate) fn wanted(dialect: Dialect, failed: bool) -> bool {
    dialect == Dialect::Opengauss || failed
}
