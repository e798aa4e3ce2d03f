# $1 unit $2 seconds that the stop may take $3 run. Run as root. Puts the unpacked directory in place and starts it as
# primary. Only for a caller that has seen that no other server writes.
if [ "$(marker "$data")" != "$3" ] || [ -e "$data/standby.signal" ]; then
  [ "$(marker "$new")" = "$3" ] && [ ! -e "$new/standby.signal" ] ||
    refuse "$new is not there: expected the database that was unpacked for run $3"
  insist_plain
  halt "$1" "$2"
  exchange
fi
postmaster >/dev/null || start_unit "$1"
