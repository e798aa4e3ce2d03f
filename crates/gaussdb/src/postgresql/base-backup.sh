# $1 backup directory $2 name of the set $3 own address $4 replication user. Run as root.
#
# Makes `database` in the set: `base.tar.zst`, `config.tar.zst` where the configuration lies outside the data directory,
# `record.json`, `sums`. One pass: nothing is written that is read again. `database` appears last, whole.
umask 077
# A program that has ended is an error with a status, never a silent death.
trap '' PIPE
set -o pipefail
top=$1 set=$1/$2 part=$1/$2/database.partial pipeline=
for dir in "$top" "$set"; do [ -d "$dir" ] || install -d -m 0711 "$dir"; done
rm -rf "$part"
if is_whole "$set/database"; then exit 0; fi
rm -rf "$set/database"
insist_zstd
postmaster >/dev/null || refuse "the server does not run"
[ -z "$(find "$data/pg_tblspc" -type l)" ] ||
  refuse "tablespaces outside the data directory cannot be backed up by this version"

# The archive is smaller than the data unless these cannot be compressed at all.
# Files that go away while they are counted are no error.
about=$({ du -sbx "$data" 2>/dev/null || true; } | cut -f 1)
insist_space "$set" $((about + about / 20))

clean_up() {
  # The pipeline is a process group of its own, so that all of it ends.
  [ -z "$pipeline" ] || kill -KILL -- "-$pipeline" 2>/dev/null || true
  rm -rf "$part"
}
trap clean_up EXIT
install -d -m 0700 "$part"

# The socket needs no password; where it is not open for replication, the standby's own login is.
host=$socket login=$user
replication_login "$host" "$login" >/dev/null 2>&1 || { host=$3 login=$4; }
replication_login "$host" "$login" >/dev/null

# One session keeps the log that the backup will need, and says from time to time what is surely in the backup: asked
# afterwards, a server tells of more. It reads from this script, so it ends with it however that dies, and its slot is
# temporary. The programs below must not inherit its input.
coproc SESSION { sql -F ' '; }
exec 8>&"${SESSION[1]}" 9<&"${SESSION[0]}"
eval "exec ${SESSION[1]}>&- ${SESSION[0]}<&-"
lost="the session that keeps the log for the backup was lost: expected a free replication slot (max_replication_slots)"
slot=rollup_backup_$$
printf '%s\n' "select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout' \\g /dev/null" \
  "select pg_create_physical_replication_slot('$slot', true, true) \\g /dev/null" >&8 || refuse "$lost"

# Position as a number, the oldest transaction that may not be in it, time, last commit as JSON, bytes sent so far.
mark() {
  cat >&8 <<'SQL' || refuse "$lost"
select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end - '0/0'::pg_lsn,
  pg_snapshot_xmin(pg_current_snapshot()),
  to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
  coalesce(to_json(to_char(case when pg_is_in_recovery() then pg_last_xact_replay_timestamp()
    when current_setting('track_commit_timestamp') = 'on' then (select timestamp from pg_last_committed_xact()) end
    at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text, 'null'),
  coalesce((select max(backup_streamed) from pg_stat_progress_basebackup), 0);
SQL
  read -r line <&9 || refuse "$lost"
}
mark
marks=("$line")

began=$(date +%s)
# What it says in many words are the two ends of the log that it needs.
set -m
(
  as_owner "${gently[@]}" "$bin/pg_basebackup" -D - -F t -X fetch -c fast -v -w -h "$host" -p "$port" -U "$login" \
    2> "$part/said" | "${gently[@]}" zstd -q -T0 -3 |
    tee --output-error=exit "$part/base.tar.zst" | "${gently[@]}" sha256sum > "$part/sum"
) 8>&- 9<&- < /dev/null &
pipeline=$!
set +m
for ((look = 1; ; look++)); do
  kill -0 "$pipeline" 2>/dev/null || break
  sleep 0.1
  [ $((look % 10)) -eq 0 ] || continue
  mark
  marks+=("$line")
  echo "$(amount "${line##* }") of about $(amount "$about")"
done
if ! wait "$pipeline"; then
  cat "$part/said" >&2
  exit 1
fi
pipeline=
exec 8>&- 9<&-

point() { sed -n "s|^.*log $1 point: \([0-9A-F]*/[0-9A-F]*\).*|\1|p" "$part/said"; }
end=$(point end) timeline=$(sed -n 's/^.*log start point: .* on timeline \([0-9]*\)$/\1/p' "$part/said")
if [ -z "$end" ] || [ -z "$timeline" ]; then
  echo "expected pg_basebackup to say where the log starts and ends, found:" >&2
  cat "$part/said" >&2
  exit 1
fi
at_end=$((16#${end%/*} << 32 | 16#${end#*/}))
kept=${marks[0]}
for line in "${marks[@]}"; do [ "${line%% *}" -gt "$at_end" ] || kept=$line; done
read -r _ xid taken commit _ <<< "$kept"

# Debian keeps these outside the data directory, where a base backup does not see them.
mapfile -t outside < <(sql <<'SQL' | grep -v "^$data/" || true
select setting from pg_settings where name in ('config_file', 'hba_file', 'ident_file')
union select sourcefile from pg_file_settings order by 1;
SQL
)
if [ "${#outside[@]}" -gt 0 ]; then
  tar --create --file=- --directory=/ -- "${outside[@]#/}" | zstd -q -3 > "$part/config.tar.zst"
fi

printf '{"engine":"postgresql","version":"%s","method":"pg_basebackup","system_identifier":"%s","timeline":%s,' \
  "$(sql -c 'show server_version' | cut -d ' ' -f 1)" \
  "$(control | sed -n 's/^Database system identifier: *//p')" "$timeline" > "$part/record.json"
printf '"start_lsn":"%s","end_lsn":"%s","next_xid":%s,"last_commit":%s,"taken_at":"%s",' \
  "$(point start)" "$end" "$xid" "$commit" "$taken" >> "$part/record.json"
printf '"data_bytes":%s,"bytes":%s,"seconds":%s}\n' \
  "$about" "$(stat -c %s "$part/base.tar.zst")" "$(($(date +%s) - began))" >> "$part/record.json"

cd "$part"
{
  printf '%s %s base.tar.zst\n' "$(cut -d ' ' -f 1 sum)" "$(stat -c %s base.tar.zst)"
  for file in config.tar.zst record.json; do
    [ ! -e "$file" ] || printf '%s %s %s\n' "$(sha256sum "$file" | cut -d ' ' -f 1)" "$(stat -c %s "$file")" "$file"
  done
} > sums
rm sum said
chmod 0600 ./*
sync ./*
cd /
sync "$part"
mv -T "$part" "$set/database"
trap - EXIT
sync "$set"
