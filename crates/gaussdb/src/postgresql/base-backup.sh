# $1 backup directory $2 name of the set $3 own address $4 replication user. Run as root. `database` appears last, whole.
umask 077
set=$1/$2
mkdir -p "$set"
rm -rf "$set/database.partial"
if [ -e "$set/database/backup_manifest" ] && [ -e "$set/database.json" ]; then exit 0; fi
rm -rf "$set/database" "$set/database.json" "$set/database-config"
postmaster >/dev/null || { echo "the server does not run" >&2; exit 3; }
if [ -n "$(find "$data/pg_tblspc" -type l)" ]; then
  echo "tablespaces outside the data directory cannot be backed up by this version" >&2
  exit 3
fi

need=$(($(du -skx "$data" | cut -f 1) * 12 / 10))
free=$(df -k --output=avail "$set" | tail -n 1)
if [ "$free" -lt "$need" ]; then
  echo "not enough space in $1: expected $((need / 1024)) MiB free, found $((free / 1024)) MiB" >&2
  exit 3
fi

# The socket needs no password; where it is not open for replication, the standby's own login is.
host=$socket login=$user
replication_login "$host" "$login" >/dev/null 2>&1 || { host=$3 login=$4; }
replication_login "$host" "$login" >/dev/null

began=$(date +%s)
# The directories above belong to root alone, so the server's owner cannot walk to this one: it is handed over open.
install -d -o "$user" -m 0700 "$set/database.partial"
exec 9<"$set/database.partial"
as_owner "$bin/pg_basebackup" -D /proc/self/fd/9 -X stream -c fast -P -w -h "$host" -p "$port" -U "$login" \
  --manifest-checksums=SHA256
exec 9<&-
echo "verifying"
"$bin/pg_verifybackup" -q "$set/database.partial"

# Debian keeps these outside the data directory, where a base backup does not see them.
sql -c "select setting from pg_settings where name in ('config_file', 'hba_file', 'ident_file')" |
while read -r file; do
  case $file in "$data"/*) continue ;; esac
  install -d -m 0700 "$set/database-config"
  cp -p "$file" "$set/database-config/"
done

manifest=$set/database.partial/backup_manifest
range() { grep -o "\"$1\": *\"\{0,1\}[0-9A-F/]*" "$manifest" | tail -n 1 | tr -d '"' | sed 's/.*: *//'; }
printf '{"engine":"postgresql","version":"%s","method":"pg_basebackup","timeline":%s,"start_lsn":"%s","end_lsn":"%s","bytes":%s,"seconds":%s,"manifest_sha256":"%s"}\n' \
  "$(sql -c 'show server_version' | cut -d ' ' -f 1)" "$(range Timeline)" "$(range Start-LSN)" "$(range End-LSN)" \
  "$(du -sbx "$set/database.partial" | cut -f 1)" "$(($(date +%s) - began))" \
  "$(sha256sum "$manifest" | cut -d ' ' -f 1)" > "$set/database.json.partial"
mv "$set/database.json.partial" "$set/database.json"
sync -f "$set"
mv "$set/database.partial" "$set/database"
sync "$set"
