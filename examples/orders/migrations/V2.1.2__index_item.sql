-- Runs outside of a transaction, so it has a file of its own: clients go on writing while the index is built.
CREATE INDEX CONCURRENTLY orders_item ON orders (item);
