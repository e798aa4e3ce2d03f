# $1 backup directory $2 name of the set $3 run $4 bytes that the unpacked database takes $5 name of this node. Run as
# root. Proves that the backup leads back: unpacks it, verifies it, starts it where nobody reaches it, asks it, removes
# all of it.
umask 077
trap '' PIPE
set=$1/$2 scratch=$1/$2/drill-db.partial record=$1/$2/drill-db-$3.json
if [ -e "$record" ]; then exit 0; fi
is_whole "$set/database" || refuse "there is no whole database in $set/database"
clean_up() { end_private "$scratch/data"; rm -rf "$scratch"; }
clean_up
trap clean_up EXIT
insist_space "$set" $((2 * $4 + $4 / 20 + 67108864))
group=$(id -gn "$user")
install -d -m 0711 "$scratch"
install -d -o "$user" -g "$group" -m 0700 "$scratch/catalog" "$scratch/data"
as_owner test -x "$scratch/data" || refuse "$user cannot walk to $set: chmod 0711 $1 $set"
began=$(date +%s)
echo "unpacking"
unpack_catalog "$set/database" "$scratch/catalog"
lay_out "$scratch/catalog" "$scratch/data" "$(taken_by "$set/database")"
for _ in {1..50}; do
  # A server takes the next few ports, too.
  at=$((20000 + RANDOM % 8000))
  [ -n "$(ss -Hltn "sport >= :$at and sport <= :$((at + 6))")" ] || break
done
echo "starting it where nobody reaches it"
open_private "$scratch/data" "$at"
answer=$(sql_at "$at" "$database" -F ' ' <<'SQL'
select pg_is_in_recovery(),
  (select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace
    where relkind = 'r' and nspname not like E'pg\\_%' and nspname <> 'information_schema'),
  (select count(*) from pg_database where datallowconn), version();
SQL
)
read -r recovering tables databases version <<< "$answer"
[ "$recovering" = f ] || { echo "it answers, but is still in recovery" >&2; exit 4; }
version=$(printf '%s\n' "$version" | sed -n 's/^[^(]*(\(openGauss\|GaussDB Kernel\) \([^ )]*\).*/\2/p')
printf '{"run":"%s","set":"%s","node":"%s","version":"%s","tables":%s,"databases":%s,"bytes":%s,"seconds":%s}\n' \
  "$3" "$2" "$5" "$version" "$tables" "$databases" "$(du -sbx "$scratch/data" | cut -f 1)" "$(($(date +%s) - began))" \
  > "$record.partial"
clean_up
trap - EXIT
sync "$record.partial"
mv -T "$record.partial" "$record"
sync "$set"
