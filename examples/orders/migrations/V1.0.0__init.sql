CREATE TABLE orders (
    id bigserial PRIMARY KEY,
    ref text UNIQUE NOT NULL,
    item text NOT NULL,
    node text,
    created_at timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz
);

-- What the worker looks for five times a second.
CREATE INDEX orders_unprocessed ON orders (id) WHERE processed_at IS NULL;

-- One row that probes of the write path update, so that probing does not grow the database.
CREATE TABLE probe (
    id int PRIMARY KEY,
    at timestamptz
);

INSERT INTO probe (id, at) VALUES (1, now());
