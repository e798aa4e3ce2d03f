-- Fails on purpose: no version ever had the column `amount`.
UPDATE orders SET note = 'amount ' || amount WHERE note IS NULL;
