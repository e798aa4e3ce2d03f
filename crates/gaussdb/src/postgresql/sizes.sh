# Prints what each table takes, its partitions and what is stored beside it included, its indexes not, as JSON.
sql <<'SQL'
select coalesce(jsonb_agg(jsonb_build_object('schema', n.nspname, 'table', c.relname, 'bytes', case c.relkind
    when 'p' then (select coalesce(sum(pg_table_size(relid)), 0)::bigint from pg_partition_tree(c.oid) where isleaf)
    else pg_table_size(c.oid) end) order by n.nspname, c.relname), '[]')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'm') and c.relpersistence <> 't'
  and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'rollup_history');
SQL
