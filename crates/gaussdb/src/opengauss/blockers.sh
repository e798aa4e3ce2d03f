# Who has held a lock for longer than the $1 ms that a statement waited.
blockers() {
  sql -v lock="$1" >&2 <<'SQL' || true
select format('held-by pid %s, user %s, in a transaction for %s s, %s: %s', pid, usename,
  extract(epoch from clock_timestamp() - xact_start)::bigint, state,
  left(regexp_replace(query, '\s+', ' ', 'g'), 80))
from pg_stat_activity a
where xact_start < clock_timestamp() - :'lock'::bigint * interval '1 ms' and pid <> pg_backend_pid()
  and exists (select 1 from pg_locks l where l.pid = a.pid and l.granted and l.locktype = 'relation'
    and l.relation >= 16384)
order by xact_start limit 5;
SQL
}
