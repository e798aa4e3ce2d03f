//! squawk's rules, under our names.
//!
//! squawk finds and we judge: what its rules say is read as "this is done here", and what that means while two versions run
//! is in [`crate::rules()`]. Rules of taste are not asked.

use squawk_linter::{Linter, Rule as Theirs};
use squawk_syntax::{
    Parse, SourceFile, SyntaxKind, SyntaxNode,
    ast::{self, AstNode},
};

use crate::{Rule, read::Found, rules as ours};

/// Rules that always mean the same.
const SAME: [(Theirs, &Rule); 42] = [
    (Theirs::AddingFieldWithDefault, &ours::TABLE_REWRITE),
    (Theirs::AddingForeignKeyConstraint, &ours::CONSTRAINT_AT_ONCE),
    (Theirs::AddingNotNullableField, &ours::NOT_NULL_SCAN),
    (Theirs::AddingRequiredField, &ours::ADD_REQUIRED_COLUMN),
    (Theirs::AddingSerialPrimaryKeyField, &ours::UNIQUE_AT_ONCE),
    (Theirs::BanAddCompositeAttribute, &ours::ADD_ATTRIBUTE),
    (Theirs::BanAddEnumValue, &ours::ADD_ENUM_VALUE),
    (Theirs::BanAlterDatabaseOptions, &ours::SETTINGS),
    (Theirs::BanAlterExtension, &ours::EXTENSION),
    (Theirs::BanAlterFunctionOptions, &ours::REPLACE_FUNCTION),
    (Theirs::BanAlterGeneratedExpression, &ours::TABLE_REWRITE),
    (Theirs::BanAlterIdentity, &ours::CHANGE_IDENTITY),
    (Theirs::BanAlterPolicyCondition, &ours::POLICY),
    (Theirs::BanAlterPolicyRoles, &ours::POLICY),
    (Theirs::BanAlterRoleOptions, &ours::SETTINGS),
    (Theirs::BanAlterRowLevelSecurity, &ours::ROW_SECURITY),
    (Theirs::BanAlterSequenceValues, &ours::SEQUENCE_VALUES),
    (Theirs::BanAlterViewOptions, &ours::REPLACE_VIEW),
    (Theirs::BanCreatePolicy, &ours::POLICY),
    (Theirs::BanDetachInheritance, &ours::DETACH_PARTITION),
    (Theirs::BanDropColumn, &ours::DROP_COLUMN),
    (Theirs::BanDropConstraint, &ours::DROP_CONSTRAINT),
    (Theirs::BanDropDefault, &ours::DROP_DEFAULT),
    (Theirs::BanDropDomain, &ours::DROP_TYPE),
    (Theirs::BanDropExtension, &ours::DROP_OBJECT),
    (Theirs::BanDropFunction, &ours::DROP_FUNCTION),
    (Theirs::BanDropGeneratedExpression, &ours::CHANGE_IDENTITY),
    (Theirs::BanDropIndex, &ours::DROP_INDEX),
    (Theirs::BanDropNotNull, &ours::DROP_NOT_NULL),
    (Theirs::BanDropSchema, &ours::DROP_OBJECT),
    (Theirs::BanDropSequence, &ours::DROP_OBJECT),
    (Theirs::BanDropTable, &ours::DROP_TABLE),
    (Theirs::BanDropTrigger, &ours::DROP_TRIGGER),
    (Theirs::BanDropType, &ours::DROP_TYPE),
    (Theirs::BanDropView, &ours::DROP_VIEW),
    (Theirs::BanRevoke, &ours::REVOKE),
    (Theirs::BanSetDefault, &ours::SET_DEFAULT),
    (Theirs::BanSetSchema, &ours::MOVE_SCHEMA),
    (Theirs::ChangingColumnType, &ours::CHANGE_TYPE),
    (Theirs::DisallowedUniqueConstraint, &ours::UNIQUE_AT_ONCE),
    (Theirs::RenamingColumn, &ours::RENAME_COLUMN),
    (Theirs::RenamingTable, &ours::RENAME_TABLE),
];

/// Rules whose meaning depends on what they point at.
const DEPENDS: [Theirs; 8] = [
    Theirs::BanAlterDomainWithAddConstraint,
    Theirs::BanDisableTrigger,
    Theirs::BanDropPolicy,
    Theirs::BanNewWriteRestriction,
    Theirs::BanReplaceViewFunction,
    Theirs::ConstraintMissingNotValid,
    Theirs::RenamingObject,
    Theirs::RequireConcurrentIndexCreation,
];

/// Whether a rule of ours is about statements of this kind.
pub(crate) fn is_asked(kind: SyntaxKind) -> bool {
    use SyntaxKind as Kind;
    !matches!(
        kind,
        Kind::INSERT
            | Kind::UPDATE
            | Kind::DELETE
            | Kind::SELECT
            | Kind::VALUES
            | Kind::COMMENT_ON
            | Kind::SET
            | Kind::GRANT
    )
}

/// Everything that squawk finds in one statement. Comments must be blank: squawk has waivers of its own.
pub(crate) fn find(parse: &Parse<SourceFile>, text: &str) -> Vec<Found> {
    let rules = SAME.iter().map(|(theirs, _)| *theirs).chain(DEPENDS);
    let mut found = Vec::new();
    // One that has linted before would say the same again.
    for violation in Linter::from(rules).lint(parse, text) {
        let root = parse.syntax_node();
        let range = violation.text_range;
        let node = match root.covering_element(range) {
            squawk_syntax::SyntaxElement::Node(node) => node,
            squawk_syntax::SyntaxElement::Token(token) => token.parent().unwrap_or(root),
        };
        let same = SAME.iter().find(|(theirs, _)| *theirs == violation.code).map(|(_, ours)| *ours);
        if let Some(rule) = same.or_else(|| depends(violation.code, &node)) {
            found.push(Found::new(rule, range.into()));
        }
    }
    found
}

fn depends(theirs: Theirs, node: &SyntaxNode) -> Option<&'static Rule> {
    use SyntaxKind as Kind;
    let kind = node.kind();
    let has = |kind: SyntaxKind| node.children().any(|child| child.kind() == kind);
    let statement = node.ancestors().find(|node| ast::Stmt::can_cast(node.kind())).map(|node| node.kind());
    match theirs {
        Theirs::RequireConcurrentIndexCreation if has(Kind::IF_NOT_EXISTS) => Some(&ours::INDEX_IF_NOT_EXISTS),
        Theirs::RequireConcurrentIndexCreation => Some(&ours::INDEX_NOT_CONCURRENT),
        Theirs::ConstraintMissingNotValid if has(Kind::EXCLUDE_CONSTRAINT) => Some(&ours::UNIQUE_AT_ONCE),
        // Those have rules of their own.
        Theirs::ConstraintMissingNotValid if has(Kind::UNIQUE_CONSTRAINT) || has(Kind::PRIMARY_KEY_CONSTRAINT) => None,
        Theirs::ConstraintMissingNotValid => Some(&ours::CONSTRAINT_AT_ONCE),
        Theirs::BanAlterDomainWithAddConstraint => {
            let not_valid = node.descendants().any(|node| node.kind() == Kind::NOT_VALID);
            (!not_valid).then_some(&ours::CONSTRAINT_AT_ONCE)
        }
        Theirs::BanNewWriteRestriction => match kind {
            Kind::SET_NOT_NULL => Some(&ours::SET_NOT_NULL),
            // What the old version does not know, it leaves at its default, which the rules on new columns look at.
            _ if node.ancestors().any(|node| node.kind() == Kind::ADD_COLUMN) => None,
            _ => Some(&ours::CONSTRAINT_ON_OLD_WRITES),
        },
        Theirs::BanReplaceViewFunction => Some(match kind {
            Kind::CREATE_VIEW => &ours::REPLACE_VIEW,
            Kind::CREATE_TRIGGER | Kind::CREATE_RULE => &ours::TRIGGER,
            _ => &ours::REPLACE_FUNCTION,
        }),
        Theirs::BanDisableTrigger => match kind {
            Kind::DISABLE_RLS | Kind::FORCE_RLS | Kind::NO_FORCE_RLS => None,
            Kind::DISABLE_TRIGGER | Kind::DISABLE_RULE | Kind::ENABLE_REPLICA_TRIGGER | Kind::ENABLE_REPLICA_RULE => {
                Some(&ours::DROP_TRIGGER)
            }
            _ => Some(&ours::TRIGGER),
        },
        Theirs::BanDropPolicy if kind == Kind::DROP_RULE => Some(&ours::DROP_TRIGGER),
        Theirs::BanDropPolicy => Some(&ours::POLICY),
        Theirs::RenamingObject => Some(match (kind, statement) {
            (Kind::RENAME_CONSTRAINT, _) | (_, Some(Kind::ALTER_INDEX | Kind::ALTER_TRIGGER | Kind::ALTER_POLICY)) => {
                &ours::RENAME_QUIETLY
            }
            _ => &ours::RENAME_OBJECT,
        }),
        _ => None,
    }
}
