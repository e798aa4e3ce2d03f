# $1 address of the node that takes over $2 replication user $3 name of this node $4 seconds the stop may take.
# Prints the position up to which the other node must have replayed before it may be promoted:
#   shutdown LSN  this server is stopped; its shutdown checkpoint starts there, so more than LSN must be replayed
#   standby LSN   this server already runs as a standby and has replayed all it has; at least LSN must be replayed
# Status 3: refused, nothing was changed.
if pid=$(postmaster); then
  seen=$(sql <<'SQL'
select pg_is_in_recovery(), exists (select from pg_stat_replication where state = 'streaming'
    and application_name <> 'pg_basebackup'),
  coalesce(pg_last_wal_replay_lsn(), '0/0');
SQL
  )
  case $seen in
    t\|*) printf 'standby %s\n' "${seen##*|}"; exit 0 ;;
    f\|t\|*) ;;
    *) echo "no standby is streaming from this server" >&2; exit 3 ;;
  esac
  # The stop ends with a checkpoint, during which nobody can write: most of its work is done here, before.
  sql -c checkpoint 2>/dev/null || true
  # Before the stop: whatever starts this server from now on starts a standby, never a second writer.
  follow "$1" "$2" "$3"
  stop_fast "$pid" "$4"
fi
state=$(cluster_state)
if [ "$state" != 'shut down' ]; then
  echo "the server is down without a clean shutdown: \`$state\`" >&2
  exit 3
fi
[ -n "$pid" ] || follow "$1" "$2" "$3"
printf 'shutdown %s\n' "$(control | sed -n 's/^Latest checkpoint location: *//p')"
