# $1 unit $2 seconds that the stop may take $3 run $4 address of the primary $5 replication user $6 name of this node
# $7 bytes that the primary's data takes. Run as root. Makes this node a standby anew from the primary's own data.
umask 077
trap '' PIPE
set -o pipefail

follows() { [ "$(sql -c "select status from pg_stat_wal_receiver" 2>/dev/null)" = streaming ]; }

# A copy of ours that cannot follow any more, because the primary's log has moved on, is made once more.
if [ "$(marker "$data")" = "$3" ] && [ -e "$data/standby.signal" ]; then
  postmaster >/dev/null || start_unit "$1"
  for _ in {1..100}; do
    # Who does not answer yet still replays: the next look will tell.
    if follows || ! sql -c 'select 1' >/dev/null 2>&1; then exit 0; fi
    sleep 0.1
  done
  echo "it does not stream; copying once more"
fi

if [ "$(marker "$new")" != "$3" ] || [ ! -e "$new/standby.signal" ]; then
  insist_plain
  begin_part $(($7 + $7 / 20 + 67108864))
  trap 'rm -rf "$part"' EXIT
  # A slot that this node's settings name must be there before it can follow; a restored primary has none.
  slot=$(own_setting primary_slot_name)
  case $slot in
    '') ;;
    *[!a-z0-9_]*) refuse "\`$slot\` is no name of a replication slot" ;;
    *) replication_command "$4" "$5" "CREATE_REPLICATION_SLOT $slot PHYSICAL RESERVE_WAL" >/dev/null 2>&1 || true ;;
  esac
  as_owner "${gently[@]}" "$bin/pg_basebackup" -D "$part" -X stream -c fast -P -w -h "$4" -p "$port" -U "$5" \
    --manifest-checksums=CRC32C 2>&1 | while read -r line; do
    if [[ $line =~ ^([0-9]+)/([0-9]+)\ kB ]]; then
      echo "copying: $(amount $((BASH_REMATCH[1] * 1024))) of about $(amount $((BASH_REMATCH[2] * 1024)))"
    else
      printf '%s\n' "$line" >&2
    fi
  done
  echo "verifying every file"
  "${gently[@]}" "$bin/pg_verifybackup" -q "$part"
  rm -f "$part/backup_manifest"
  keep_own_settings
  (data=$part; follow "$4" "$5" "$6")
  finish_part "$3"
  trap - EXIT
fi
echo "putting the copy in place"
halt "$1" "$2"
exchange
start_unit "$1"
