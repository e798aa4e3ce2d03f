//! What cannot run as one transaction, cannot be undone, is not on the standby, or cannot be read.

use super::old_version::rules;
use crate::{
    Danger::{NoWayBack, Standby, Transaction, Unread, Waiver},
    Rule,
    rule::{ASK, BREAKS_OR_ASK, NEVER},
};

const REVIEW: &[&str] = &[
    "read it by hand",
    "try it in a transaction on a scratch copy, and roll back",
    "then waive this, and say who has read it",
];

rules! {
    OUTSIDE_TRANSACTION = Rule::new(
        "outside-transaction", Transaction, NEVER, "it cannot run inside a transaction",
        "Outside of one only such statements are run of which it can be told afterwards whether they were: CREATE INDEX \
         CONCURRENTLY with a name, DROP INDEX CONCURRENTLY IF EXISTS, REINDEX INDEX or TABLE CONCURRENTLY, VACUUM without \
         FULL, in openGauss ALTER TYPE … ADD VALUE IF NOT EXISTS. What leads back is always one transaction.",
        &["write it as one of these, in a file of its own", "everything else: by hand, before or after the upgrade"],
    ).never_waived();
    HALF_WAY = Rule::new(
        "half-way", Transaction, ASK, "it cannot run inside a transaction, and the file has other statements",
        "The file is run statement by statement. When one fails, those before it stay, until the run goes on.",
        &["a file of its own for what cannot run inside a transaction"],
    );
    TRANSACTION_CONTROL = Rule::new(
        "transaction-control", Transaction, NEVER, "a transaction is begun or ended",
        "Each migration is one transaction, together with its row of history; it would end too soon.",
        &["leave it out", "what must be committed on its own: a migration of its own"],
    ).never_waived();
    CLIENT_COMMAND = Rule::new(
        "client-command", Transaction, NEVER, "a command of psql or gsql, which is no SQL",
        "It could end the transaction, read or run other files, or send statements in parallel (`\\parallel`).",
        &["write it as SQL", "or put what it includes into the file"],
    ).never_waived();
    COPY_FROM_STDIN = Rule::new(
        "copy-from-stdin", Transaction, NEVER, "data would be read from the connection",
        "The migration itself comes that way.",
        &["write it as INSERT", "large data: load it by hand, or from the service"],
    ).never_waived();
    UNTERMINATED = Rule::new(
        "unterminated", Transaction, NEVER, "it is begun and never ends",
        "Everything after it belongs to it, the end of the migration's transaction too.",
        &["end it"],
    ).never_waived();
    ENUM_VALUE_USED = Rule::new(
        "enum-value-used", Transaction, ASK, "a value of an enum is perhaps used in the migration that adds it",
        "PostgreSQL refuses to use it before the transaction that adds it has ended.",
        &["use it in a later migration"],
    );
    UNKNOWN_TO_OPENGAUSS = Rule::new(
        "unknown-to-opengauss", Transaction, ASK, "a form that openGauss may not have",
        "Its base is PostgreSQL 9.2. What came later is there in part, by version.",
        &["try it on the version that the pair runs", "ON CONFLICT: ON DUPLICATE KEY UPDATE; lock_timeout: lockwait_timeout"],
    );
    TRUNCATE = Rule::new(
        "truncate", NoWayBack, BREAKS_OR_ASK, "a table is emptied",
        "The old version's rows are gone, nothing but the backup brings them back, and nobody can use the table until the \
         migration ends.",
        &["expand: leave the rows", "contract: delete in batches, or drop the table"],
    ).on_standby("queries on the table are cancelled, or hold up replay");
    CASCADE = Rule::new(
        "cascade", NoWayBack, ASK, "whatever depends on it goes, too",
        "What that is, the database decides when it runs: views, foreign keys, columns, functions.",
        &["without CASCADE the statement says what depends on it", "drop each of them by name"],
    );
    CATALOG_WRITE = Rule::new(
        "catalog-write", NoWayBack, NEVER, "the system catalog is written to",
        "Nothing checks what is written there; a mistake makes tables unreadable, on the standby too.",
        &["find the statement that does it: ALTER …"],
    );
    UNLOGGED = Rule::new(
        "unlogged", Standby, NEVER, "a table or sequence that is not logged",
        "Nothing of it reaches the standby: it is empty there, and empty for everybody once the roles have moved. So it is \
         after a crash.",
        &["leave out UNLOGGED", "what may be lost: CREATE TEMPORARY TABLE, made by the service itself"],
    );
    TABLESPACE = Rule::new(
        "tablespace", Standby, ASK, "a tablespace is named",
        "Its directory must be on every node, and full backups of this version refuse tablespaces.",
        &["leave it out: pg_default"],
    );
    EXTENSION = Rule::new(
        "extension", Standby, ASK, "an extension is created or updated",
        "The standby gets its objects with the log, but not its library: that must be installed there first, in the same \
         version.",
        &["install it on both nodes before the upgrade", "then waive this, and say that it was done"],
    );
    UNREADABLE = Rule::new(
        "unreadable", Unread, ASK, "this cannot be parsed",
        "So nothing is known of it. It may be a form of GaussDB, or a mistake.",
        REVIEW,
    );
    TOO_DEEP = Rule::new(
        "too-deep", Unread, ASK, "this is too deep or too long to be read",
        "So nothing is known of it.",
        REVIEW,
    );
    UNCLASSIFIED = Rule::new(
        "unclassified", Unread, ASK, "no rule knows this statement",
        "What is not known to be safe is not called safe.",
        REVIEW,
    );
    CODE_BLOCK = Rule::new(
        "code-block", Unread, ASK, "a program is run",
        "What it does is decided when it runs; nothing inside is read here.",
        &["write what it does as plain statements", "or read it by hand, waive this, and say who has"],
    );
    CALLS_FUNCTION = Rule::new(
        "calls-function", Unread, ASK, "a function is called that may do anything",
        "A query is harmless only as far as its functions are.",
        &["look at what the function does", "then waive this, and say that it changes nothing"],
    );
    SERVER_FILE = Rule::new(
        "server-file", Unread, ASK, "a file or program of the database server is used",
        "It must be on whichever node is the primary, and what is in it is not known here.",
        &["write the data as INSERT, or load it by hand"],
    );
    WAIVER_MALFORMED = Rule::new(
        "waiver-malformed", Waiver, ASK, "a waiver without a rule or a reason",
        "A waiver is read by whoever looks at the next incident.",
        &["-- rollup-lint: allow RULE why it is safe here"],
    );
    WAIVER_UNKNOWN = Rule::new(
        "waiver-unknown", Waiver, ASK, "a waiver of a rule that does not exist",
        "It waives nothing.",
        &["every rule there is: rollup db lint --rules"],
    );
    WAIVER_UNUSED = Rule::new(
        "waiver-unused", Waiver, ASK, "a waiver that waives nothing",
        "The statement that it was written for has changed or is another one: it holds for the statement after it, or on \
         whose line it stands.",
        &["remove it"],
    );
    WAIVER_REFUSED = Rule::new(
        "waiver-refused", Waiver, ASK, "a waiver of a rule that cannot be waived",
        "The migration would fail all the same.",
        &["remove the waiver, and change the statement"],
    );
}
