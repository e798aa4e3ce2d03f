# Has commits wait for a standby again, as they did before. Run as root.
[ -e "$relaxed" ] || exit 0
before=$(cat "$relaxed")
case $before in on | off) ;; *) refuse "$relaxed holds \`$before\`: expected on or off" ;; esac
said=$(told gs_guc reload -D "$data" -c "most_available_sync=$before")
for _ in {1..20}; do
  if [ "$(sql <<< 'show most_available_sync;')" = "$before" ]; then forget_before; exit 0; fi
  sleep 0.1
done
printf '%s\n' "$said" >&2
exit 5
