# Lets commits go on without a standby. Run as root.
before=$(sql <<< 'show most_available_sync;')
case $before in on | off) ;; *) refuse "most_available_sync is \`$before\`: expected on or off" ;; esac
keep_before "$before"
said=$(told gs_guc reload -D "$data" -c "most_available_sync=on")
# The tool's word counts only with what the server says.
for _ in {1..20}; do
  [ "$(sql <<< 'show most_available_sync;')" != on ] || exit 0
  sleep 0.1
done
printf '%s\n' "$said" >&2
exit 5
