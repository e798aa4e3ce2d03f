-- Version 1.0.0 names its columns in every statement, so it tolerates one more.
ALTER TABLE orders ADD COLUMN note text;
