# A server on a directory $1 that nobody else can reach: no network, its socket inside the directory itself. It takes
# none of the pair's settings and starts no workers, so that jobs and subscriptions kept in the database stay asleep.

# Stops what runs on directory $1 by signal $2, INT or QUIT; also what an earlier try has left.
end_private() {
  local pid
  pid=$(runs_on "$1") || return 0
  kill -"$2" "$pid" 2>/dev/null || true
  while runs_on "$1" >/dev/null; do sleep 0.02; done
}

# SQL for the server on directory $1.
ask_private() {
  local pid
  pid=$(runs_on "$1"); shift
  as_owner env PGCONNECT_TIMEOUT=3 PGAPPNAME=rollup PGOPTIONS='-c statement_timeout=60s' "$psql" -X -A -t -q -w \
    -v ON_ERROR_STOP=1 -h "/proc/$pid/cwd" -p "$port" -d "$database" "$@"
}

# Starts it on directory $1 and waits until it has replayed the log that is there and writes; $2 `on` or `off`: fsync.
#
# It begins a timeline of its own, later than any that is known in its pg_wal: nobody can take its log for that of the
# history it leaves.
open_private() {
  local dir=$1 here=$1/rollup-private libraries server said
  stored() { "$bin/pg_controldata" -D "$dir" | sed -n "s/^$1 setting: *//p"; }
  libraries=$(sql -c 'show shared_preload_libraries' 2>/dev/null || true)
  install -d -m 0700 "$here"
  cat > "$here/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '.'
port = $port
shared_preload_libraries = '${libraries//\'/\'\'}'
max_worker_processes = 0
max_logical_replication_workers = 0
autovacuum = off
archive_mode = off
restore_command = 'false'
recovery_target_timeline = 'current'
hot_standby = off
huge_pages = off
fsync = $2
wal_level = $(stored wal_level)
wal_log_hints = $(stored wal_log_hints)
max_connections = $(stored max_connections)
max_wal_senders = $(stored max_wal_senders)
max_prepared_transactions = $(stored max_prepared_xacts)
max_locks_per_transaction = $(stored max_locks_per_xact)
track_commit_timestamp = $(stored track_commit_timestamp)
CONF
  echo 'local all all peer' > "$here/pg_hba.conf"
  : > "$here/pg_ident.conf"
  # A directory of a standby says so; the other signal ends recovery with a new timeline instead.
  rm -f "$dir/standby.signal"
  : > "$dir/recovery.signal"
  # What ALTER SYSTEM wrote would win over the settings above.
  [ ! -e "$dir/postgresql.auto.conf" ] || mv "$dir/postgresql.auto.conf" "$here/kept.auto.conf"
  chown -R --reference="$dir" "$here" "$dir/recovery.signal"
  as_owner "${gently[@]}" "$bin/postgres" -D "$here" -c data_directory="$dir" > "$here/log" 2>&1 < /dev/null &
  server=$!
  until said=$(ask_private "$dir" -d template1 -c 'select 1' 2>&1); do
    # Anything else it may say means that it still replays.
    case $said in *'authentication failed'* | *'pg_hba.conf'* | *'role "'*) kill -0 "$server" && refuse "$said" ;; esac
    if ! kill -0 "$server" 2>/dev/null; then
      echo "the unpacked database does not come up:" >&2
      tail -n 5 "$here/log" >&2
      exit 4
    fi
    sleep 0.1
  done
}

# Stops it cleanly and leaves directory $1 as a stopped server's.
close_private() {
  local state
  end_private "$1" INT
  state=$("$bin/pg_controldata" -D "$1" | sed -n 's/^Database cluster state: *//p')
  [ "$state" = 'shut down' ] || { echo "the unpacked database has not stopped cleanly: \`$state\`" >&2; exit 4; }
  [ ! -e "$1/rollup-private/kept.auto.conf" ] || mv "$1/rollup-private/kept.auto.conf" "$1/postgresql.auto.conf"
  rm -rf "$1/rollup-private" "$1/backup_manifest" "$1"/*.old
}
