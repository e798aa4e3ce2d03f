# $1 address of the primary $2 replication user $3 name of this node $4 unit. Makes this server follow the primary.
if postmaster >/dev/null; then
  if [ "$(sql -c 'select pg_is_in_recovery()')" != t ]; then
    echo "this server is a primary; it is not made a standby by force" >&2
    exit 3
  fi
  follow "$1" "$2" "$3"
  sql -c 'select pg_reload_conf()' >/dev/null
else
  follow "$1" "$2" "$3"
  start_unit "$4"
fi
