# $1 backup directory $2 name of the set. Run as root.
#
# Makes `database` in the set: `base.tar.zst`, `record.json`, `sums`. The archive is the catalog of gs_probackup with one full
# backup that was validated; where that tool is missing, a copy by gs_basebackup with the hash of each file. `database` appears
# last, whole.
umask 077
trap '' PIPE
set -o pipefail
top=$1 set=$1/$2 part=$1/$2/database.partial
for dir in "$top" "$set"; do [ -d "$dir" ] || install -d -m 0711 "$dir"; done
clean_up() { rm -rf "$part"; }
clean_up
if is_whole "$set/database"; then exit 0; fi
rm -rf "$set/database"
insist_zstd
postmaster >/dev/null || refuse "the server does not run"
method=$(backup_tool)
[ -n "$method" ] || refuse "neither gs_probackup nor gs_basebackup is in the owner's PATH: expected one of them beside gsql"
about=$({ du -sbx "$data" 2>/dev/null || true; } | cut -f 1)
# What the tool makes, and the archive of it.
insist_space "$set" $((2 * about + about / 20))
trap clean_up EXIT
catalog=$part/catalog
install -d -m 0711 "$part"
install -d -o "$user" -g "$(id -gn "$user")" -m 0700 "$catalog"
as_owner test -x "$catalog" || refuse "$user cannot walk to $catalog: chmod 0711 $top $set"

# What is surely in it: asked before, a server tells of less.
mark=$(sql -F ' ' <<'SQL'
select txid_snapshot_xmin(txid_current_snapshot()),
  to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
  coalesce('"' || to_char(case when pg_is_in_recovery() then pg_last_xact_replay_timestamp() end at time zone 'UTC',
    'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"', 'null'),
  version();
SQL
)
read -r xid taken commit version <<< "$mark"
version=$(printf '%s\n' "$version" | sed -n 's/^[^(]*(\(openGauss\|GaussDB Kernel\) \([^ )]*\).*/\2/p')
began=$(date +%s)
echo "copying about $(amount "$about")"
case $method in
  gs_probackup) take_catalog "$catalog" ;;
  *) take_copy "$catalog" ;;
esac
echo "compressing"
"${gently[@]}" tar --create --file=- --directory="$catalog" . | "${gently[@]}" zstd -q -T0 -3 |
  tee --output-error=exit "$part/base.tar.zst" | "${gently[@]}" sha256sum > "$part/sum"

printf '{"engine":"opengauss","version":"%s","method":"%s","system_identifier":"%s","timeline":%s,' "$version" "$method" \
  "$(control | sed -n 's/^Database system identifier: *//p')" "$timeline" > "$part/record.json"
printf '"start_lsn":"%s","end_lsn":"%s","next_xid":%s,"last_commit":%s,"taken_at":"%s",' \
  "$start" "$end" "$xid" "$commit" "$taken" >> "$part/record.json"
printf '"data_bytes":%s,"bytes":%s,"seconds":%s}\n' \
  "$about" "$(stat -c %s "$part/base.tar.zst")" "$(($(date +%s) - began))" >> "$part/record.json"
cd "$part"
rm -rf catalog
{
  printf '%s %s base.tar.zst\n' "$(cut -d ' ' -f 1 sum)" "$(stat -c %s base.tar.zst)"
  printf '%s %s record.json\n' "$(sha256sum record.json | cut -d ' ' -f 1)" "$(stat -c %s record.json)"
} > sums
rm sum
chmod 0700 .
chmod 0600 ./*
sync ./*
cd /
sync "$part"
mv -T "$part" "$set/database"
trap - EXIT
sync "$set"
