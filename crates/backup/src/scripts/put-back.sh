# Puts the files of SET/NODE back where they differ. $1 set directory $2 node
#
# Each file is made beside its place and renamed into it, so that a crash leaves the one or the other; then what the set
# says did not exist is removed.
set=$1 part=$1/$2
umask 077
scratch=$set/restore.partial
rm -rf "$scratch"
mkdir "$scratch"
new=
trap 'rm -rf "$scratch"; [ -z "$new" ] || rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM
unpack_part "$part" "$scratch"

differing "$part/contents" "" > "$scratch/.differing"
echo "placing $(wc -l < "$scratch/.differing") paths"
# A list in the order of paths has directories before what is in them.
while IFS= read -r place; do
  kept=$scratch$place
  above=$(dirname "$place")
  [ -d "$above" ] || install -d -m 0755 "$above"
  if [ -d "$kept" ] && [ ! -L "$kept" ]; then
    if [ -L "$place" ] || { [ -e "$place" ] && [ ! -d "$place" ]; }; then rm -f "$place"; fi
    mkdir -p "$place"
    chown --reference="$kept" "$place"
    chmod --reference="$kept" "$place"
  else
    if [ -d "$place" ] && [ ! -L "$place" ]; then
      echo "$place is a directory now, and was none in the set; move it away" >&2
      exit 1
    fi
    new=$above/.rollup-new.$(basename "$place")
    rm -f "$new"
    cp --archive "$kept" "$new"
    [ -L "$new" ] || [ ! -f "$new" ] || sync "$new"
    mv -fT "$new" "$place"
    new=
  fi
  if command -v restorecon >/dev/null 2>&1; then restorecon "$place" 2>/dev/null || true; fi
done < "$scratch/.differing"

while IFS= read -r path; do
  # What is mounted there was not put there by an upgrade.
  case $path in /?*/?*) rm -rf --one-file-system -- "$path" ;; *) rm -f -- "$path" ;; esac
done < "$part/absent"
rm -rf "$scratch"
sync
[ ! -d /run/systemd/system ] || systemctl daemon-reload
