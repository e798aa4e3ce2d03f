-- No version older than 2.1.0 works after this.
UPDATE orders SET remark = note WHERE remark IS NULL AND note IS NOT NULL;
ALTER TABLE orders DROP COLUMN note;
