# Removes what an exchange has left. What was replaced only goes once the server that replaced it answers.
if [ -e "$old" ]; then
  sql <<< 'select 1;' >/dev/null || refuse "the server does not answer, so $old is kept"
fi
end_private "$part" QUIT
rm -rf "$spent" "$data.rollup-catalog"
# Half of a directory must not be taken for all of it.
[ ! -e "$old" ] || mv -T "$old" "$spent"
rm -rf "$spent" "$part" "$new"
rm -f "$data/rollup-restored"
[ ! -d "$data" ] || sync "$data"
sync "$(dirname "$data")"
