# $1 backup directory $2 name of the set $3 run $4 bytes that the unpacked database takes. Run as root.
#
# Makes `.rollup-new` beside the data directory: what the backup holds, verified file by file. It has not run yet: at its
# first start it replays what its backup needs.
umask 077
trap '' PIPE
archive=$1/$2/database catalog=$data.rollup-catalog
if [ "$(marker "$data")" = "$3" ] || [ "$(marker "$new")" = "$3" ]; then exit 0; fi
insist_plain
is_whole "$archive" || refuse "there is no whole database in $archive"
clean_up() { rm -rf "$part" "$catalog"; }
clean_up
begin_part $((2 * $4 + $4 / 20 + 67108864))
trap clean_up EXIT
install -d -o "$user" -g "$(id -gn "$user")" -m 0700 "$catalog"
echo "unpacking"
unpack_catalog "$archive" "$catalog"
lay_out "$catalog" "$part" "$(taken_by "$archive")"
rm -rf "$catalog"
rm -f "$part/standby.signal"
keep_own_settings
finish_part "$3"
trap - EXIT
