# $1 own address $2 seconds that the stop may take $3 run. Run as root. Puts the unpacked directory in place and starts it as
# primary; it replays what its backup needs meanwhile. Only for a caller that has seen that no other server writes.
if [ "$(marker "$data")" != "$3" ]; then
  [ "$(marker "$new")" = "$3" ] || refuse "$new is not there: expected the database that was unpacked for run $3"
  insist_plain
  halt "$1" "$2"
  exchange
fi
[ "$(local_role)" = Primary ] || start_as primary "$1"
[ "$(local_role)" = Primary ] || refuse "the restored server runs as \`$(local_role)\`: expected a primary"
