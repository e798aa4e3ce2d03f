DROP INDEX IF EXISTS orders_item;
