# Puts files in their places. $1 directory of the staged package, $2 record of what is placed, then units. stdin, tabs
# between words:
#   place SOURCE DESTINATION OWNER GROUP MODE SHA256 CAPABILITIES   capabilities are `-` where there are none
#   turn LINK TARGET                                                the release that runs from now on
#   remove PATH                                                     what the version before had, and this one has not
#   record LINE                                                     a line of the record
#
# A new file is whole, verified and on disk beside the old one before the rename: a power cut leaves one or the other. Units
# that were stopped for this, and came up again because the node booted, are stopped once more.
staged=$1 record=$2 reload=no; shift 2
[ ! -e /var/lib/rollup/units-stopped ] || systemctl stop "$@"
mkdir -p "$(dirname "$record")"
beside=$(dirname "$record")/.rollup-new.$(basename "$record")
: > "$beside"

place() {
  local dir new
  dir=$(dirname "$2") new=$(dirname "$2")/.rollup-new.$(basename "$2")
  mkdir -p "$dir"
  cp --remove-destination "$staged/$1" "$new"
  chown "$3:$4" "$new"
  chmod "$5" "$new"
  # After the owner, whose change takes them away.
  [ "$7" = - ] || setcap "$7" "$new"
  [ "$(printf '%s\0' "$new" | sums | cut -c 1-64)" = "$6" ] || {
    echo "$2: the staged copy has another checksum" >&2
    exit 1
  }
  sync "$new"
  mv -fT "$new" "$2"
  if command -v restorecon > /dev/null 2>&1; then restorecon "$2" || true; fi
}

while IFS=$(printf '\t') read -r what a b c d e f g; do
  case $what in
    place) place "$a" "$b" "$c" "$d" "$e" "$f" "$g" ;;
    turn)
      new=$(dirname "$a")/.rollup-new.$(basename "$a")
      # All of the release is on disk before it runs.
      sync
      rm -f "$new"
      ln -s "$b" "$new"
      mv -fT "$new" "$a"
      ;;
    remove) if [ -f "$a" ] || [ -L "$a" ]; then rm -f "$a"; fi ;;
    record) printf '%s\n' "$a" >> "$beside" ;;
  esac
  case $what:$a:$b in
    remove:*.service:* | remove:*.timer:* | remove:*.socket:* | remove:*.path:* | remove:*.target:*) reload=yes ;;
    place:*:*.service | place:*:*.timer | place:*:*.socket | place:*:*.path | place:*:*.target) reload=yes ;;
  esac
done
chmod 0644 "$beside"
sync "$beside"
mv -fT "$beside" "$record"
# For the next package on its way: what has still this size, time and inode need not be hashed.
sed -n 's/^[0-9a-f]\{64\} [^ ]* [^ ]* [^ ]* //p' "$record" | tr '\n' '\0' | xargs -0 -r stat --printf '%s %.9Y %i\t%n\n' |
  awk -F '\t' 'FILENAME == "-" { stat[$2] = $1; next }
    { path = $0; for (n = 0; n < 4; n++) sub(/^[^ ]* /, "", path) }
    path in stat { print substr($0, 1, 64) "\t" stat[path] "\t" path }' - "$record" > "$record.stat"
sync
if [ $reload = yes ]; then systemctl daemon-reload; fi
