//! What breaks the version that still runs.

use crate::{
    Danger::OldVersion,
    Rule,
    rule::{ASK, BREAKS, BREAKS_OR_ASK, MAY_BREAK, NEVER},
};

macro_rules! rules {
    ($($name:ident = $rule:expr;)*) => {
        $(pub(crate) static $name: Rule = $rule;)*
        /// All of this module.
        pub(crate) static ALL: &[&Rule] = &[$(&$name),*];
    };
}
pub(crate) use rules;

const IN_CONTRACT: &str =
    "contract: drop it in migrations/contract/, which `rollup finalize` runs when no node has the old version";
const STOP_USING: &str = "expand: release a version that no longer uses it";

rules! {
    DROP_TABLE = Rule::new(
        "drop-table", OldVersion, BREAKS, "a table is dropped",
        "While the upgrade runs, one node or both still have the old version, and a way back brings it again. Each of its \
         statements on this table fails.",
        &[STOP_USING, IN_CONTRACT],
    ).on_standby("queries on the table are cancelled, or hold up replay");
    DROP_COLUMN = Rule::new(
        "drop-column", OldVersion, BREAKS, "a column is dropped",
        "The old version still names it in its statements, or maps it when it reads a row.",
        &[STOP_USING, IN_CONTRACT],
    );
    DROP_VIEW = Rule::new(
        "drop-view", OldVersion, BREAKS, "a view is dropped",
        "The old version may still read it.",
        &["expand: create the new view under another name, and let the new version read that", IN_CONTRACT],
    );
    DROP_FUNCTION = Rule::new(
        "drop-function", OldVersion, BREAKS, "a function is dropped, or its signature is replaced",
        "The old version may still call it with the arguments that it knows.",
        &["expand: create the new signature beside the old one, under another name where calls could be ambiguous",
          IN_CONTRACT],
    );
    DROP_TYPE = Rule::new(
        "drop-type", OldVersion, BREAKS, "a type, domain, cast or operator is dropped",
        "The old version may still name it in casts and parameters.",
        &[STOP_USING, IN_CONTRACT],
    );
    DROP_OBJECT = Rule::new(
        "drop-object", OldVersion, BREAKS, "a schema, sequence or other object is dropped",
        "The old version may still use it, or what is in it.",
        &[STOP_USING, IN_CONTRACT],
    );
    DROP_DEFAULT = Rule::new(
        "drop-default", OldVersion, BREAKS, "a column loses its default",
        "Rows that the old version inserts without this column get NULL, or are refused.",
        &["expand: leave the default; the new version writes its own value", "contract: drop the default"],
    );
    DROP_CONSTRAINT = Rule::new(
        "drop-constraint", OldVersion, MAY_BREAK, "a constraint is dropped",
        "The old version may count on it: for ON CONFLICT, for an error that it handles, or for values that it can read.",
        &["expand: keep it as long as both versions can", "contract: drop it"],
    );
    DROP_NOT_NULL = Rule::new(
        "drop-not-null", OldVersion, MAY_BREAK, "a column may be NULL from now on",
        "The new version may write a NULL that the old version cannot read.",
        &["expand: let the new version write no NULL yet", "contract: drop NOT NULL, then let it"],
    );
    DROP_INDEX = Rule::new(
        "drop-index", OldVersion, BREAKS, "an index is dropped",
        "The old version's statements may be slow without it, and the table is locked for a moment.",
        &["contract: drop it when no version needs it"],
    );
    DROP_TRIGGER = Rule::new(
        "drop-trigger", OldVersion, BREAKS, "a trigger or rule is dropped, disabled or limited to replicas",
        "The old version may count on what it does.",
        &["expand: keep it, and let it do nothing for what the new version writes", "contract: drop it"],
    );
    RENAME_TABLE = Rule::new(
        "rename-table", OldVersion, BREAKS_OR_ASK, "a table is renamed",
        "Every statement of the running version that knows the old name fails from this moment on.",
        &["expand: create a view of the new name over the table", "release a version that uses the new name alone",
          "contract: drop the view and rename the table in one transaction, if the name matters"],
    );
    RENAME_COLUMN = Rule::new(
        "rename-column", OldVersion, BREAKS_OR_ASK, "a column is renamed",
        "Every statement of the running version that knows the old name fails from this moment on.",
        &["expand: add a column of the new name, with a trigger that keeps both the same",
          "fill it for rows that are there, in batches", "contract: drop the old column"],
    );
    RENAME_OBJECT = Rule::new(
        "rename-object", OldVersion, BREAKS_OR_ASK, "something is renamed",
        "The running version may still know it by its old name.",
        &["expand: create it under its new name beside the old one", "contract: drop the old one"],
    );
    RENAME_QUIETLY = Rule::new(
        "rename-index-or-constraint", OldVersion, MAY_BREAK, "an index, constraint or trigger is renamed",
        "Few programs know such names: those that read them from errors, and ON CONFLICT ON CONSTRAINT.",
        &["look whether the running version names it", "contract: rename it there if it does"],
    );
    MOVE_SCHEMA = Rule::new(
        "move-schema", OldVersion, BREAKS_OR_ASK, "something is moved to another schema",
        "Statements of the running version that find it where it was fail.",
        &["expand: create a view, or a wrapper, in the new schema", "contract: move it, and remove the view"],
    );
    CHANGE_TYPE = Rule::new(
        "change-type", OldVersion, NEVER, "a column or attribute gets another type",
        "The running version reads and binds the type that it knows. The table is rewritten, with its indexes, while \
         nobody can read or write it; only few changes need no rewrite, and none can be told from the text.",
        &["expand: add a column of the new type, with a trigger that keeps both the same",
          "fill it for rows that are there, in batches", "release a version that uses the new column alone",
          "contract: drop the old column"],
    ).on_standby("queries on the table are cancelled, or hold up replay while it is rewritten");
    ADD_ATTRIBUTE = Rule::new(
        "add-attribute", OldVersion, MAY_BREAK, "a composite type gets another attribute",
        "Programs that take such values apart by position find one more.",
        &["look whether the old version reads values of this type", "expand: make a new type beside it if it does"],
    );
    REMOVE_ENUM_VALUE = Rule::new(
        "remove-enum-value", OldVersion, NEVER, "a value of an enum is removed",
        "There is no statement for it, and rows that hold the value cannot be read any more. The old version may still \
         write it.",
        &["expand: leave the value; the new version writes it no more", "change the rows that hold it, in batches",
          "contract: leave it unused, or make a new type and a new column"],
    );
    ADD_ENUM_VALUE = Rule::new(
        "add-enum-value", OldVersion, MAY_BREAK, "an enum gets another value",
        "The old version may read the value once the new one writes it, and not know it. It cannot be used in the same \
         transaction, and never be removed.",
        &["expand: add it, in a migration that does not use it yet",
          "let the new version write it only when no node has the old one"],
    );
    ADD_REQUIRED_COLUMN = Rule::new(
        "add-required-column", OldVersion, BREAKS_OR_ASK, "a column is added that is NOT NULL and has no default",
        "The old version does not fill it, so each row that it inserts is refused. With rows in the table the statement \
         itself fails.",
        &["expand: add it without NOT NULL, or with a constant DEFAULT", "fill it for rows that are there, in batches",
          "contract: ADD CONSTRAINT … CHECK (column IS NOT NULL) NOT VALID, VALIDATE it in the next migration"],
    );
    SET_NOT_NULL = Rule::new(
        "set-not-null", OldVersion, BREAKS, "a column must not be NULL from now on",
        "Rows that the old version writes without it are refused.",
        &["expand: give it a DEFAULT, so that the old version's rows have one",
          "contract: VALIDATE a CHECK (column IS NOT NULL) that was added NOT VALID, then SET NOT NULL"],
    );
    CONSTRAINT_ON_OLD_WRITES = Rule::new(
        "constraint-on-old-writes", OldVersion, MAY_BREAK, "a new constraint holds for what the old version writes",
        "Also with NOT VALID it holds for every row that is written from now on, whoever writes it.",
        &["look whether all that the old version writes keeps to it", "contract: add it there if not"],
    );
    SET_DEFAULT = Rule::new(
        "set-default", OldVersion, MAY_BREAK, "a column gets another default",
        "Rows that the old version inserts without this column hold the new value from now on.",
        &["look whether the old version can read that value", "contract: set it there if not"],
    );
    CHANGE_IDENTITY = Rule::new(
        "change-identity", OldVersion, MAY_BREAK, "a column becomes an identity or generated, or is so no longer",
        "The old version may write a value that is now refused, or count on one that is no longer made.",
        &["look at what the old version inserts", "contract: change it there"],
    );
    REPLACE_VIEW = Rule::new(
        "replace-view", OldVersion, ASK, "a view is replaced or its options are changed",
        "Whoever reads it gets the new rows at once, the running version too. Columns can only be added at its end.",
        &["look whether the running version reads the same from it", "expand: else create it under another name"],
    );
    REPLACE_FUNCTION = Rule::new(
        "replace-function", OldVersion, ASK, "a function, procedure or package is replaced or its options are changed",
        "Whoever calls it runs the new body at once, the running version too. With other argument types the old one stays \
         beside it, and calls can become ambiguous.",
        &["look whether the running version gets the same from it", "expand: else create it under another name"],
    );
    REVOKE = Rule::new(
        "revoke", OldVersion, BREAKS, "a right, an owner or a role is taken away",
        "The running version may need it for its next statement.",
        &["expand: grant what the new version needs", "contract: revoke the rest"],
    );
    ROW_SECURITY = Rule::new(
        "row-security", OldVersion, BREAKS_OR_ASK, "row level security is switched",
        "Whoever has no policy sees no rows, without an error.",
        &["expand: create the policies for every role of the running version", "contract: enable row level security"],
    );
    POLICY = Rule::new(
        "policy", OldVersion, ASK, "a policy of row level security is made or changed",
        "Which rows the running version sees and may write changes at once, where row level security is on.",
        &["look at the roles that the running version uses"],
    );
    SETTINGS = Rule::new(
        "settings", OldVersion, ASK, "settings of a role, a database or default rights are changed",
        "Each new connection of the running version gets them. Passwords belong in no migration.",
        &["look at what the running version needs", "do it by hand, outside of the package, if it is about the server"],
    );
    SEQUENCE_VALUES = Rule::new(
        "sequence-values", OldVersion, ASK, "a sequence is set to other values",
        "The running version gets numbers that it did not get before, perhaps some that are taken.",
        &["look at the largest number in use, with room for what is inserted meanwhile"],
    );
    TRIGGER = Rule::new(
        "trigger", OldVersion, ASK, "a trigger or rule on a table that is there",
        "It runs for what the running version writes, and an error in it is an error of that statement. Writers wait \
         while it is made.",
        &["look that it cannot fail, and that it does right for both versions' writes"],
    );
    DETACH_PARTITION = Rule::new(
        "detach-partition", OldVersion, BREAKS, "a partition or child table is detached, dropped or emptied",
        "The running version no longer finds its rows, and cannot insert what belongs there.",
        &["contract: detach it when no version needs the rows"],
    ).on_standby("queries on the table are cancelled, or hold up replay");
    ATTACH_PARTITION = Rule::new(
        "attach-partition", OldVersion, ASK, "a partition or child table is attached to a table that is there",
        "The running version sees its rows at once. The table is locked; rows of the default partition and of the new one \
         are scanned.",
        &["add a CHECK constraint to the new partition first, so that nothing is scanned", "look at the default partition"],
    );
}
