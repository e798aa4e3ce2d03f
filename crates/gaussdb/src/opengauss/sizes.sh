# Prints what each table takes, what is stored beside it included, its indexes not, as JSON: by the functions that 9.2 has.
sql <<'SQL'
select coalesce(array_to_json(array_agg(t))::text, '[]') from (
  select n.nspname as schema, c.relname as "table", pg_table_size(c.oid) as bytes
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'm') and c.relpersistence <> 't'
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'rollup_history')
  order by n.nspname, c.relname) t;
SQL
