# $1 seconds that the tool may wait $2 own address $3 seconds to look on after it has given up. Says `ready`; then reads one
# line that the other node's script printed and makes this server the primary. Prints which tool was asked, its status and
# its text; whoever reads them decides, and looks at both servers. Status 3: nothing was asked.
echo ready
read -r kind target || true
case ${kind:-}:${target:-} in
  switch:*[!0-9A-Fa-f/]* | standby:*[!0-9A-Fa-f/]* | shutdown:*[!0-9A-Fa-f/]*) refuse "an unknown position: $target" ;;
  switch:*/* | standby:*/* | shutdown:*/*) ;;
  *) refuse "nobody said up to where the old primary wrote" ;;
esac
manager=$(manager)
if [ "$kind" = switch ]; then
  if [ "$manager" = running ]; then
    id=$(node_id "$2")
    [ -n "$id" ] || refuse "cm_ctl names no node with address $2"
    echo 'asked cm-switchover'
    said=$(told cm_ctl switchover -n "$id" -D "$data" -t "$1")
  else
    echo 'asked switchover'
    said=$(told gs_ctl switchover -D "$data" -t "$1")
  fi
else
  # The other one is no primary any more: all that it ever acknowledged must be here before this one writes.
  [ "$manager" != running ] || refuse "the cluster manager itself promotes a server when there is no primary"
  wanted=$(number "$target")
  for _ in {1..50}; do
    now=$(sql <<< "select coalesce(lsn, '0/0') from pg_last_xlog_replay_location();")
    at=$(number "$now")
    if [ "$at" -gt "$wanted" ] || { [ "$at" -eq "$wanted" ] && [ "$kind" = standby ]; }; then break; fi
    sleep 0.1
  done
  if [ "$at" -lt "$wanted" ] || { [ "$at" -eq "$wanted" ] && [ "$kind" != standby ]; }; then
    refuse "replayed up to $now only, but the old primary wrote up to $target"
  fi
  echo 'asked failover'
  said=$(told gs_ctl failover -D "$data" -t "$1")
fi
printf '%s\n' "$said"
# A tool that gave up has not called anything off: the servers may change their roles now. One that is gone will not.
case $said in *'timeout after'* | *incomplete* | *'failover failed'* | *'command timeout'*) ;; *) exit 0 ;; esac
end=$((SECONDS + $3))
for ((gone = 0; SECONDS < end && gone < 4;)); do
  if [ "$(local_state)" = "$(printf 'Primary\tNormal')" ]; then echo 'it is the primary'; break; fi
  postmaster > /dev/null || gone=$((gone + 1))
  sleep 0.25
done
