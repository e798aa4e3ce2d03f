# Full backups without gs_probackup: a copy by gs_basebackup, which verifies nothing, and the hash of each of its files.

# The tool that a full backup is taken with here; nothing where there is none.
backup_tool() {
  local name
  for name in gs_probackup gs_basebackup; do
    if tool bash -c "command -v $name" > /dev/null 2>&1; then echo "$name"; return; fi
  done
}

# The tool that took the database in set directory $1.
taken_by() { sed -n 's/.*"method":"\([a-z_]*\)".*/\1/p' "$1/record.json"; }

# Makes directory $2, empty and the owner's, a data directory from what was unpacked in $1, whichever tool ($3) had made it.
# Every file is verified on the way.
lay_out() {
  case $3 in
    gs_probackup)
      tool bash -c 'command -v gs_probackup' > /dev/null 2>&1 ||
        refuse "gs_probackup took this backup and is not in the owner's PATH: expected it beside gsql"
      restore_catalog "$1" "$2" ;;
    gs_basebackup)
      echo "verifying every file"
      as_owner "${gently[@]}" bash -c 'cd "$1/data" && exec sha256sum --check --quiet --strict ../files.sha256' verify "$1" >&2 ||
        { echo "the copy does not hold what was backed up" >&2; exit 4; }
      as_owner bash -c 'shopt -s dotglob; exec mv -- "$1"/data/* "$2"/' move "$1" "$2" ;;
    *) refuse "the database of the set was taken by \`$3\`: expected gs_probackup or gs_basebackup" ;;
  esac
}

# Copies the running server's data into `data` in directory $1, which is the owner's; sets start, end and timeline.
take_copy() {
  local said state unfit="the copy cannot be brought up:"
  [ -z "$(find "$data/pg_tblspc" -mindepth 1)" ] || refuse "tablespaces cannot be backed up with gs_basebackup by this version"
  said=$(told "${gently[@]}" gs_basebackup -D "$1/data" -F p -X stream -c fast -p "$port" -U "$user")
  case $said in
    'status 0'$'\n'*'base backup successfully'*) ;;
    *) echo 'gs_basebackup: expected `base backup successfully`, found:' >&2; printf '%s\n' "$said" | tail -n 5 >&2; exit 4 ;;
  esac
  # It may have received more of the log by now, never less.
  end=$(sql <<< "select case when pg_is_in_recovery() then (select lsn from pg_last_xlog_replay_location()) else pg_current_xlog_location() end;")
  start=$(sed -n 's|^START WAL LOCATION: \([0-9A-F]*/[0-9A-F]*\).*|\1|p' "$1/data/backup_label" 2>/dev/null || true)
  [ -n "$start" ] || { echo "$unfit expected a backup_label that says where its log starts" >&2; exit 4; }
  state=$(tool pg_controldata "$1/data" 2>&1 || true)
  timeline=$(printf '%s\n' "$state" | sed -n "s/^Latest checkpoint's TimeLineID: *//p")
  [ -n "$timeline" ] || { echo "$unfit pg_controldata says: $state" >&2; exit 4; }
  # What belongs to the server that ran there and not to its data.
  (cd "$1/data" && rm -f postmaster.pid postmaster.opts gaussdb.state pg_ctl.lock)
  echo "hashing every file"
  as_owner "${gently[@]}" bash -c 'set -o pipefail; cd "$1/data" && find . -type f -print0 | xargs -0 sha256sum > ../files.sha256' \
    hash "$1"
}
