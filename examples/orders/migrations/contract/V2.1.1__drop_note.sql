-- No version older than 2.1.0 works after this.
-- rollup-lint: allow data-change orders of older versions that have a note; no version writes them any more
UPDATE orders SET remark = note WHERE remark IS NULL AND note IS NOT NULL;
ALTER TABLE orders DROP COLUMN note;
