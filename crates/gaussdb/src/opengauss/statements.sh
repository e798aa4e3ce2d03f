# A file of SQL on standard input: its answers on standard output; when it fails, what it complains of, with lines, and who
# was in its way, on standard error. $1 lock timeout in ms; more: variables.
statements() {
  local lock=$1 status=0 said
  shift
  { said=$(sql -v VERBOSITY=verbose "$@" 2>&1 >&3) || status=$?; } 3>&1
  [ "$status" -ne 0 ] || return 0
  printf '%s\n' "$said" >&2
  case $said in
    *YY003* | *'Lock wait timeout'*)
      blockers "$lock" "$(sed -n 's/^DETAIL: *blocked by [a-z ]*thread \([0-9]*\),.*/\1/p' <<< "$said" | tail -n 1)" ;;
  esac
  return "$status"
}

# Who the session of thread $2 is, which the server has named; where it named none, whoever has held a lock for longer than
# the $1 ms that a statement waited.
blockers() {
  sql -v lock="$1" -v thread="${2:-0}" >&2 <<'SQL' || true
select format('held-by pid %s, user %s (%s)%s, in a transaction for %s s, %s: %s', pid, usename,
  coalesce(nullif(application_name, ''), 'unnamed'), ' from ' || host(client_addr),
  extract(epoch from clock_timestamp() - xact_start)::bigint, state,
  left(regexp_replace(query, '\s+', ' ', 'g'), 80))
from pg_stat_activity a
where pid = :'thread'::bigint or (:'thread'::bigint = 0 and pid <> pg_backend_pid()
  and xact_start < clock_timestamp() - :'lock'::bigint * interval '1 ms'
  and exists (select 1 from pg_locks l where l.pid = a.pid and l.granted and l.locktype = 'relation'
    and l.relation >= 16384))
order by xact_start limit 5;
SQL
}
