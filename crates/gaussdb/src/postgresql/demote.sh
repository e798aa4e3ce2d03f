# $1 address of the node that takes over $2 replication user $3 name of this node $4 seconds the stop may take.
# Prints the position up to which the other node must have replayed before it may be promoted:
#   shutdown LSN  this server is stopped; its shutdown checkpoint starts there, so more than LSN must be replayed
#   standby LSN   this server already runs as a standby and has replayed all it has; at least LSN must be replayed
# Status 3: refused, nothing was changed. A standby that has come up just now gets a few seconds to connect.
seen() {
  sql <<'SQL'
select pg_is_in_recovery(), exists (select from pg_stat_replication where state = 'streaming'
    and application_name <> 'pg_basebackup'), coalesce(pg_last_wal_replay_lsn(), '0/0');
SQL
}
if pid=$(postmaster); then
  for _ in {1..50}; do
    now=$(seen)
    case $now in f\|f\|*) sleep 0.1 ;; *) break ;; esac
  done
  case $now in
    t\|*) printf 'standby %s\n' "${now##*|}"; exit 0 ;;
    f\|t\|*) ;;
    *) echo "no standby is streaming from this server" >&2; exit 3 ;;
  esac
  # The stop ends with a checkpoint, during which nobody can write: most of its work is done here, before.
  sql -c checkpoint 2>/dev/null || true
  # Before the stop: whatever starts this server from now on starts a standby, never a second writer.
  follow "$1" "$2" "$3"
  stop_fast "$pid" "$4"
fi
state=$(control)
case $state in *'Database cluster state:               shut down'$'\n'*)
  [ -n "$pid" ] || follow "$1" "$2" "$3"
  printf 'shutdown %s\n' "$(sed -n 's/^Latest checkpoint location: *//p' <<<"$state")"
  exit 0 ;;
esac
state=$(sed -n 's/^Database cluster state: *//p' <<<"$state")
# A unit that restarts by itself has brought the server up again, as the standby that it now is.
for _ in {1..50}; do
  postmaster >/dev/null || break
  case $(seen 2>/dev/null || true) in t\|*) printf 'standby %s\n' "$(seen | sed 's/.*|//')"; exit 0 ;; esac
  sleep 0.1
done
echo "the server is down without a clean shutdown: \`$state\`" >&2
exit 3
