# $1 unit $2 seconds a stop may take. Makes this server the primary again that it was. Only for a caller that has seen
# that no other server was promoted.
if pid=$(postmaster); then
  recovering=$(sql -c 'select pg_is_in_recovery()')
  [ "$recovering" != t ] || stop_fast "$pid" "$2"
fi
rm -f "$data/standby.signal"
sync "$data"
postmaster >/dev/null || start_unit "$1"
