//! What keeps clients waiting.

use super::old_version::rules;
use crate::{
    Danger::Blocks,
    Rule,
    rule::{ASK, NEVER},
};

const REPLAY: &str = "queries on the table are cancelled, or hold up replay";

rules! {
    INDEX_NOT_CONCURRENT = Rule::new(
        "index-not-concurrent", Blocks, NEVER, "an index is built while nobody can write",
        "Every write to the table waits until the index is built; openGauss lets nobody read either. With UNIQUE the old \
         version's writes are held against it, too.",
        &["expand, in a file of its own: CREATE INDEX CONCURRENTLY name ON …, which is run outside of a transaction"],
    ).on_standby("none: the finished index is replayed").sized();
    INDEX_IF_NOT_EXISTS = Rule::new(
        "index-if-not-exists", Blocks, ASK, "an index is built unless it is there",
        "Where it is not there yet, every write to the table waits until it is built.",
        &["expand, in a file of its own: CREATE INDEX CONCURRENTLY name ON …",
          "or waive this, and say that the index is there already"],
    ).sized();
    UNIQUE_AT_ONCE = Rule::new(
        "unique-at-once", Blocks, NEVER, "a unique, primary key or exclusion constraint is built at once",
        "Its index is built while nobody can read or write the table, and the old version's rows are held against it.",
        &["expand, in a file of its own: CREATE UNIQUE INDEX CONCURRENTLY name ON …",
          "expand, in the next: ADD CONSTRAINT … UNIQUE USING INDEX, which is quick"],
    ).on_standby(REPLAY).sized();
    CONSTRAINT_AT_ONCE = Rule::new(
        "constraint-at-once", Blocks, NEVER, "a constraint is validated as soon as it is made",
        "All rows are read under a lock that keeps writers waiting, for a foreign key in both tables. The old version's \
         rows are held against it from now on.",
        &["expand: ADD CONSTRAINT … NOT VALID, which is quick", "contract, in a migration of its own: VALIDATE CONSTRAINT, \
          which lets others write"],
    ).on_standby(REPLAY).sized();
    VALIDATED_TOO_SOON = Rule::new(
        "validated-too-soon", Blocks, NEVER, "a constraint is validated in the migration that adds it",
        "A migration is one transaction: the lock of ADD CONSTRAINT is held while all rows are read.",
        &["expand: ADD CONSTRAINT … NOT VALID", "contract, or a later migration: VALIDATE CONSTRAINT"],
    ).on_standby(REPLAY).sized();
    VALIDATION_LOCKS = Rule::new(
        "validation-locks", Blocks, ASK, "openGauss may lock the table while a constraint is validated",
        "All rows are read. PostgreSQL lets others write meanwhile since 9.4; that is not established for openGauss, whose \
         base is 9.2.",
        &["look at the size of the table", "do it when few write"],
    ).sized();
    NOT_NULL_SCAN = Rule::new(
        "not-null-scan", Blocks, NEVER, "all rows are read while nobody can use the table",
        "SET NOT NULL looks for a NULL under the strongest lock.",
        &["expand: ADD CONSTRAINT … CHECK (column IS NOT NULL) NOT VALID",
          "contract: VALIDATE CONSTRAINT, then SET NOT NULL, which PostgreSQL 12 and later do not scan for"],
    ).on_standby(REPLAY).sized();
    TABLE_REWRITE = Rule::new(
        "table-rewrite", Blocks, NEVER, "the table is rewritten",
        "Every row is written again, with all indexes, while nobody can read or write the table. The standby gets all of \
         it as log.",
        &["expand: add the column without a default, or with one that is the same for every row",
          "set the default afterwards, and fill rows that are there in batches",
          "rewrites that only tidy up: by hand, when nobody is served, or with pg_repack"],
    ).on_standby(REPLAY).sized();
    LOCK_TABLE = Rule::new(
        "lock-table", Blocks, NEVER, "a table is locked until the migration ends",
        "Whoever writes it, and with most modes whoever reads it, waits for the whole migration.",
        &["leave it out: each statement takes the lock that it needs", "or lock rows: SELECT … FOR UPDATE"],
    ).on_standby(REPLAY);
    REINDEX = Rule::new(
        "reindex", Blocks, NEVER, "an index is rebuilt while nobody can write",
        "Writers of the table wait, and readers that would use the index.",
        &["in a file of its own: REINDEX INDEX CONCURRENTLY …"],
    ).on_standby(REPLAY).sized();
    REFRESH_VIEW = Rule::new(
        "refresh-view", Blocks, NEVER, "a materialized view is filled while nobody can read it",
        "Readers wait until its query is done.",
        &["REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index on it"],
    ).on_standby(REPLAY);
    WHOLE_TABLE_WRITE = Rule::new(
        "whole-table-write", Blocks, NEVER, "every row is written in one transaction",
        "Each row is locked until the migration ends, so the old version's writes wait; the table grows to twice its size, \
         and the standby is behind until it has replayed all of it.",
        &["expand: change the schema alone", "fill rows in batches from the service, or by hand, each batch a transaction",
          "contract: only what is left, with a WHERE"],
    ).sized();
    DATA_CHANGE = Rule::new(
        "data-change", Blocks, ASK, "rows that are there are changed",
        "How many cannot be told from the text. Each is locked until the migration ends, and the running version reads the \
         new values at once.",
        &["look at how many rows it is", "many: in batches, outside of the migration"],
    ).sized();
    TIMEOUT_CHANGED = Rule::new(
        "timeout-changed", Blocks, ASK, "the limits of the migration are changed",
        "`rollup` runs each migration with a limit for locks and for statements, and tries again; without them a statement \
         that waits for a lock makes everybody wait behind it.",
        &["leave it out, or set shorter limits"],
    );
}
