-- What 2.1.0 wrote stays readable for the version that knows only `note`.
-- rollup-lint: allow data-change only orders of 2.1.0 itself, and it is stopped by then
UPDATE orders SET note = remark WHERE note IS NULL AND remark IS NOT NULL;
ALTER TABLE orders DROP COLUMN remark;
