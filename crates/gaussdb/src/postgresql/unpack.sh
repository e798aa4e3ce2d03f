# $1 backup directory $2 name of the set $3 run $4 bytes that the unpacked database takes. Run as root.
#
# Makes `.rollup-new` beside the data directory: a primary that was verified, started once and stopped cleanly. All that
# can go wrong with a backup goes wrong here, while the old server still serves.
umask 077
trap '' PIPE
archive=$1/$2/database
if [ "$(marker "$data")" = "$3" ]; then exit 0; fi
if [ "$(marker "$new")" = "$3" ] && [ ! -e "$new/standby.signal" ]; then exit 0; fi
insist_plain
is_whole "$archive" || refuse "there is no whole database in $archive"
begin_part $(($4 + $4 / 20 + 67108864))
clean_up() { end_private "$part" QUIT; rm -rf "$part"; }
trap clean_up EXIT
unpack "$archive" "$part"
# So that the new timeline is later than those of the history it leaves.
for file in "$mine"/pg_wal/*.history; do
  [ ! -e "$file" ] || [ -e "$part/pg_wal/${file##*/}" ] || cp -p "$file" "$part/pg_wal/"
done
echo "starting it once, beside the running server"
open_private "$part" on
close_private "$part"
keep_own_settings
finish_part "$3"
trap - EXIT
