-- Fails on purpose: no version ever had the column `amount`.
-- rollup-lint: allow data-change it fails before it changes a row
UPDATE orders SET note = 'amount ' || amount WHERE note IS NULL;
