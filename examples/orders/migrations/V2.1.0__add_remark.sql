-- The note under its new name. Older versions go on with `note`, which stays until the contract migration.
ALTER TABLE orders ADD COLUMN remark text;
