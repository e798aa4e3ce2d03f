//! Our rules on trees: what squawk has no rule for, and which statements are known at all.

use squawk_syntax::{SyntaxKind as Kind, SyntaxNode};

use crate::{Rule, functions, read::Found, rules, scope, scope::Scope};

/// What is found in one statement, apart from what it does to rows.
pub(crate) fn find(statement: &SyntaxNode, scope: &Scope, found: &mut Vec<Found>) {
    let mut add = |rule: &'static Rule, node: &SyntaxNode| found.push(Found::new(rule, node.text_range().into()));
    let child = |kind: Kind| statement.children().find(|child| child.kind() == kind);
    match statement.kind() {
        Kind::ALTER_TABLE => {
            for action in statement.children() {
                alter_table(&action, scope, &mut add);
            }
        }
        Kind::CREATE_TABLE => {
            for part in [Kind::PARTITION_OF, Kind::INHERITS].into_iter().filter_map(child) {
                if !scope.are_new(&part) {
                    add(&rules::ATTACH_PARTITION, &part);
                }
            }
        }
        Kind::CREATE_TRIGGER | Kind::CREATE_RULE | Kind::CREATE_EVENT_TRIGGER => add(&rules::TRIGGER, statement),
        Kind::CREATE_EXTENSION => add(&rules::EXTENSION, statement),
        Kind::TRUNCATE => add(&rules::TRUNCATE, statement),
        Kind::LOCK => {
            let weak = [Kind::ACCESS_SHARE, Kind::ROW_SHARE, Kind::ROW_EXCLUSIVE, Kind::SHARE_UPDATE_EXCLUSIVE];
            if !statement.descendants().any(|node| weak.contains(&node.kind())) {
                add(&rules::LOCK_TABLE, statement);
            }
        }
        Kind::CLUSTER if child(Kind::TABLE_NAME_REF).is_some() => add(&rules::TABLE_REWRITE, statement),
        Kind::REINDEX => add(&rules::REINDEX, statement),
        Kind::REFRESH if !has_word(statement, Kind::CONCURRENTLY_KW) => add(&rules::REFRESH_VIEW, statement),
        Kind::ALTER_INDEX => {
            for part in [Kind::SET_TABLESPACE].into_iter().filter_map(child) {
                add(&rules::TABLE_REWRITE, &part);
            }
            for part in [Kind::ATTACH_INDEX_PARTITION].into_iter().filter_map(child) {
                add(&rules::ATTACH_PARTITION, &part);
            }
        }
        Kind::COPY if child(Kind::COPY_FROM).is_some() => add(&rules::SERVER_FILE, statement),
        Kind::DO | Kind::CALL | Kind::EXECUTE | Kind::PREPARE => add(&rules::CODE_BLOCK, statement),
        Kind::SET | Kind::RESET => setting(statement, &mut add),
        _ => {}
    }
    for node in statement.descendants() {
        let under_drop =
            || node.parent().is_some_and(|parent| scope::is_drop(parent.kind()) || parent.kind() == Kind::TRUNCATE);
        match node.kind() {
            Kind::CASCADE if under_drop() => add(&rules::CASCADE, &node),
            Kind::UNLOGGED | Kind::SET_UNLOGGED => add(&rules::UNLOGGED, &node),
            Kind::TABLESPACE_CLAUSE | Kind::SET_TABLESPACE => add(&rules::TABLESPACE, &node),
            _ => {}
        }
    }
}

fn alter_table(action: &SyntaxNode, scope: &Scope, add: &mut impl FnMut(&'static Rule, &SyntaxNode)) {
    let child = |kind: Kind| action.children().find(|child| child.kind() == kind);
    match action.kind() {
        Kind::ADD_COLUMN => {
            let serial = child(Kind::PATH_TYPE).filter(|of_type| scope::name(of_type).contains("serial"));
            if let Some(of_type) = serial {
                add(&rules::TABLE_REWRITE, &of_type);
            }
            // Rows that are there are read for it, although the column is new.
            if let Some(check) = child(Kind::CHECK_CONSTRAINT) {
                add(&rules::CONSTRAINT_AT_ONCE, &check);
            }
        }
        Kind::VALIDATE_CONSTRAINT => {
            let named = action.children().find(|child| child.kind() == Kind::CONSTRAINT_NAME_REF);
            if named.is_some_and(|named| scope.not_valid.contains(&scope::name(&named))) {
                add(&rules::VALIDATED_TOO_SOON, action);
            }
        }
        Kind::SET_TABLESPACE
        | Kind::SET_LOGGED
        | Kind::SET_UNLOGGED
        | Kind::SET_ACCESS_METHOD
        | Kind::SET_WITHOUT_OIDS
        | Kind::MERGE_PARTITIONS
        | Kind::SPLIT_PARTITION => add(&rules::TABLE_REWRITE, action),
        Kind::ATTACH_PARTITION | Kind::INHERIT_TABLE => add(&rules::ATTACH_PARTITION, action),
        // Known; what is dangerous in them, squawk finds.
        Kind::ADD_CONSTRAINT
        | Kind::ALTER_COLUMN
        | Kind::ALTER_CONSTRAINT
        | Kind::CLUSTER_ON
        | Kind::DETACH_PARTITION
        | Kind::DISABLE_RLS
        | Kind::DISABLE_RULE
        | Kind::DISABLE_TRIGGER
        | Kind::DROP_COLUMN
        | Kind::DROP_CONSTRAINT
        | Kind::ENABLE_ALWAYS_RULE
        | Kind::ENABLE_ALWAYS_TRIGGER
        | Kind::ENABLE_REPLICA_RULE
        | Kind::ENABLE_REPLICA_TRIGGER
        | Kind::ENABLE_RLS
        | Kind::ENABLE_RULE
        | Kind::ENABLE_TRIGGER
        | Kind::FORCE_RLS
        | Kind::NO_FORCE_RLS
        | Kind::NO_INHERIT_TABLE
        | Kind::OWNER_TO
        | Kind::RENAME_COLUMN
        | Kind::RENAME_CONSTRAINT
        | Kind::REPLICA_IDENTITY
        | Kind::RESET_OPTIONS
        | Kind::SET_OPTIONS
        | Kind::SET_SCHEMA
        | Kind::SET_WITHOUT_CLUSTER
        | Kind::TABLE_RENAME_TO
        // No actions.
        | Kind::TABLE_RELATION_NAME
        | Kind::IF_EXISTS => {}
        _ => add(&rules::UNCLASSIFIED, action),
    }
}

fn setting(statement: &SyntaxNode, add: &mut impl FnMut(&'static Rule, &SyntaxNode)) {
    let named = statement.descendants().find(|node| node.kind() == Kind::CONFIG_PARAMETER_REF);
    let name = named.map(|named| scope::name(&named)).unwrap_or_default();
    match name.as_str() {
        "" if statement.kind() == Kind::RESET => add(&rules::TIMEOUT_CHANGED, statement),
        "session_replication_role" => add(&rules::DROP_TRIGGER, statement),
        "default_tablespace" | "temp_tablespaces" => add(&rules::TABLESPACE, statement),
        // From here on the text means something else to the server than to whoever reads it.
        "standard_conforming_strings" | "backslash_quote" => add(&rules::UNREADABLE, statement),
        _ if name.ends_with("timeout") => add(&rules::TIMEOUT_CHANGED, statement),
        _ => {}
    }
}

/// What a statement does to rows, and which functions it calls. Bodies that are only stored are not looked into.
pub(crate) fn rows(statement: &SyntaxNode, scope: &Scope, found: &mut Vec<Found>) {
    if stores_a_body(statement.kind()) {
        return;
    }
    for node in statement.descendants() {
        let written = || {
            node.children().find(|child| {
                matches!(child.kind(), Kind::RELATION_NAME | Kind::RELATION_NAME_REF | Kind::TABLE_RELATION_NAME)
            })
        };
        match node.kind() {
            Kind::INSERT | Kind::UPDATE | Kind::DELETE | Kind::MERGE => {
                let Some(relation) = written() else { continue };
                let table = scope::table(&node).unwrap_or_default();
                let catalog = table.replace('"', "");
                let clause = |kind: Kind| node.children().any(|child| child.kind() == kind);
                let rule = match node.kind() {
                    Kind::DELETE if catalog.ends_with("pg_enum") => &rules::REMOVE_ENUM_VALUE,
                    _ if catalog.starts_with("pg_") => &rules::CATALOG_WRITE,
                    _ if scope.are_new(&relation) => continue,
                    Kind::INSERT if !node.descendants().any(|node| node.kind() == Kind::CONFLICT_DO_UPDATE_SET) => {
                        continue;
                    }
                    Kind::UPDATE | Kind::DELETE if !clause(Kind::WHERE_CLAUSE) => &rules::WHOLE_TABLE_WRITE,
                    _ => &rules::DATA_CHANGE,
                };
                found.push(Found { table: Some(table), ..Found::new(rule, node.text_range().into()) });
            }
            Kind::CALL_EXPR => {
                let Some(called) = node.children().next() else { continue };
                if !functions::is_harmless(&scope::name(&called)) {
                    found.push(Found::new(&rules::CALLS_FUNCTION, node.text_range().into()));
                }
            }
            // What was prepared is told where it is prepared; who runs it here is told as well.
            Kind::EXECUTE => found.push(Found::new(&rules::CODE_BLOCK, node.text_range().into())),
            _ => {}
        }
    }
}

fn stores_a_body(kind: Kind) -> bool {
    match kind {
        // These run their query, or its functions, at once.
        Kind::CREATE_TABLE_AS | Kind::CREATE_MATERIALIZED_VIEW => false,
        Kind::COMMENT_ON | Kind::GRANT | Kind::REVOKE => true,
        _ => {
            let name = format!("{kind:?}");
            name.starts_with("CREATE_") || name.starts_with("ALTER_") || scope::is_drop(kind)
        }
    }
}

/// Whether a statement is safe when no rule has found anything in it.
pub(crate) fn is_known(statement: &SyntaxNode) -> bool {
    match statement.kind() {
        Kind::ALTER_DEFAULT_PRIVILEGES
        | Kind::ALTER_INDEX
        | Kind::ALTER_SEQUENCE
        | Kind::ALTER_TABLE
        | Kind::ANALYZE
        | Kind::COMMENT_ON
        | Kind::COMPOUND_SELECT
        | Kind::CREATE_AGGREGATE
        | Kind::CREATE_COLLATION
        | Kind::CREATE_DOMAIN
        | Kind::CREATE_FUNCTION
        | Kind::CREATE_GROUP
        | Kind::CREATE_INDEX
        | Kind::CREATE_MATERIALIZED_VIEW
        | Kind::CREATE_PROCEDURE
        | Kind::CREATE_ROLE
        | Kind::CREATE_SCHEMA
        | Kind::CREATE_SEQUENCE
        | Kind::CREATE_STATISTICS
        | Kind::CREATE_TABLE
        | Kind::CREATE_TABLE_AS
        | Kind::CREATE_TEXT_SEARCH_CONFIGURATION
        | Kind::CREATE_TEXT_SEARCH_DICTIONARY
        | Kind::CREATE_TYPE
        | Kind::CREATE_USER
        | Kind::CREATE_VIEW
        | Kind::DELETE
        | Kind::DROP_STATISTICS
        | Kind::EMPTY_STMT
        | Kind::GRANT
        | Kind::INSERT
        | Kind::LOCK
        | Kind::MERGE
        | Kind::PAREN_SELECT
        | Kind::REFRESH
        | Kind::RELEASE_SAVEPOINT
        | Kind::RESET
        | Kind::ROLLBACK_TO_SAVEPOINT
        | Kind::SAVEPOINT_CREATE
        | Kind::SELECT
        | Kind::SELECT_INTO
        | Kind::SET
        | Kind::SET_CONSTRAINTS
        | Kind::SHOW
        | Kind::TABLE
        | Kind::UPDATE
        | Kind::VALUES => true,
        Kind::EXPLAIN => !statement
            .descendants()
            .any(|node| matches!(node.kind(), Kind::EXPLAIN_ANALYZE) || node.kind() == Kind::EXPLAIN_OPTION_LIST),
        _ => false,
    }
}

fn has_word(node: &SyntaxNode, word: Kind) -> bool {
    node.children_with_tokens().any(|child| child.kind() == word)
}
