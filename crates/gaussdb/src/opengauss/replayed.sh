# $1 a position of the primary. Waits up to two seconds until it is replayed here: under load the next look would chase a
# position that has moved on. Prints what it knows of itself.
at() { sql <<< "select case when pg_is_in_recovery() then (select lsn from pg_last_xlog_replay_location()) else 'primary' end;"; }
for _ in {1..8}; do
  now=$(at)
  case $now in
    */*) [ "$(number "$now")" -lt "$(number "$1")" ] || break; sleep 0.2 ;;
    *) break ;;
  esac
done
printf 'at %s\n' "$now"
printf 'tool query %s\n' "$(told gs_ctl query -D "$data" | sed -n '1s/^status //p; 2,$s/^/| /p')"
