# $1 backup directory $2 name of the set $3 run $4 bytes that the unpacked database takes $5 name of this node. Run as
# root. Proves that the backup leads back: unpacks it, verifies it, starts it where nobody reaches it, asks it, removes
# all of it.
umask 077
trap '' PIPE
set=$1/$2 scratch=$1/$2/drill-db.partial record=$1/$2/drill-db-$3.json
if [ -e "$record" ]; then exit 0; fi
is_whole "$set/database" || refuse "there is no whole database in $set/database"
clean_up() { end_private "$scratch" QUIT; rm -rf "$scratch"; }
clean_up
trap clean_up EXIT
insist_space "$set" $(($4 + $4 / 20 + 67108864))
install -d -o "$user" -g "$(id -gn "$user")" -m 0700 "$scratch"
as_owner test -x "$scratch" || refuse "$user cannot walk to $set: chmod 0711 $1 $set"
began=$(date +%s)
unpack "$set/database" "$scratch"
echo "starting it where nobody reaches it"
open_private "$scratch" off
answer=$(ask_private "$scratch" -F ' ' <<'SQL'
select split_part(current_setting('server_version'), ' ', 1), pg_is_in_recovery(),
  (select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace
    where relkind in ('r', 'p') and nspname not like 'pg\_%' and nspname <> 'information_schema'),
  (select count(*) from pg_database where datallowconn);
SQL
)
read -r version recovering tables databases <<< "$answer"
[ "$recovering" = f ] || { echo "it answers, but is still in recovery" >&2; exit 4; }
printf '{"run":"%s","set":"%s","node":"%s","version":"%s","tables":%s,"databases":%s,"bytes":%s,"seconds":%s}\n' \
  "$3" "$2" "$5" "$version" "$tables" "$databases" "$(du -sbx "$scratch" | cut -f 1)" "$(($(date +%s) - began))" \
  > "$record.partial"
clean_up
trap - EXIT
sync "$record.partial"
mv -T "$record.partial" "$record"
sync "$set"
