# $1 own address $2 seconds that the stop may take $3 run. Run as root. Makes this node a standby anew from the primary's own
# data. The tool stops the server, empties the directory and copies; `.conf` files stay.
if [ "$(marker "$data")" = "$3" ]; then
  [ -n "$(local_role)" ] || start_as standby "$1"
  # One that has come up just now connects within a moment; everything once more takes longer.
  for _ in {1..40}; do
    case $(local_state) in Standby*Normal* | Standby*Catchup*) exit 0 ;; esac
    sleep 0.25
  done
  echo "it does not stream; copying once more"
fi
case $(local_role) in Primary | Normal) refuse "this server writes; it is not made a standby by force" ;; esac
echo "copying from the primary"
if [ "$(manager)" = running ]; then
  said=$(lasting told cm_ctl build -n "$(node_id "$1")" -D "$data" -b full -f)
  case $said in *'build successfully.'*) ;; *) printf '%s\n' "$said" >&2; exit 5 ;; esac
else
  said=$(lasting told gs_ctl build -D "$data" -b full -M standby)
  # What tells is its last word, and the server.
  case $said in *'build completed('*) ;; *) printf '%s\n' "$said" | tail -n 5 >&2; exit 5 ;; esac
fi
printf '%s\n' "$3" > "$data/rollup-restored"
chmod 0600 "$data/rollup-restored"
chown --reference="$data" "$data/rollup-restored"
sync "$data/rollup-restored" "$data"
