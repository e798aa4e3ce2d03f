# A file of SQL on standard input: its answers on standard output; when it fails, what it complains of, with lines, and who
# was in its way, on standard error. $1 lock timeout in ms; more: variables.
statements() {
  local lock=$1 status=0 said seen watch
  shift
  seen=$(mktemp /tmp/rollup-seen.XXXXXX)
  blockers "$lock" "$seen" < /dev/null > /dev/null 2>&1 &
  watch=$!
  { said=$(sql -v VERBOSITY=verbose "$@" -f - 2>&1 >&3) || status=$?; } 3>&1
  kill "$watch" 2>/dev/null || true
  wait "$watch" 2>/dev/null || true
  if [ "$status" -ne 0 ]; then
    printf '%s\n' "$said" >&2
    case $said in *55P03* | *57014*) cat "$seen" >&2 ;; esac
  fi
  rm -f "$seen"
  return "$status"
}

# Whom a session of ours waits for, asked often enough to have seen it within a wait of $1 ms, the last answer in $2: once
# the wait is over nobody can tell. Ends with the script.
blockers() {
  local pause said
  printf -v pause '%d.%03d' $(($1 / 3000)) $(($1 / 3 % 1000))
  while sleep "$pause" && [ -e "/proc/$$" ]; do
    said=$(sql <<'SQL'
select format('held-by pid %s, user %s (%s)%s, in a transaction for %s s, %s: %s', b.pid, coalesce(a.usename, '?'),
  coalesce(nullif(a.application_name, ''), 'unnamed'), ' from ' || host(a.client_addr),
  coalesce(extract(epoch from clock_timestamp() - a.xact_start)::bigint::text, '?'),
  coalesce(a.state, a.backend_type, 'a prepared transaction'), left(regexp_replace(a.query, '\s+', ' ', 'g'), 80))
from (select distinct unnest(pg_blocking_pids(pid)) pid from pg_stat_activity
  where application_name in ('rollup', 'rollup-alone') and wait_event_type = 'Lock' and pid <> pg_backend_pid()) b
left join pg_stat_activity a on a.pid = b.pid
order by a.xact_start limit 5;
SQL
) || continue
    [ -z "$said" ] || printf '%s\n' "$said" > "$2"
  done
}
