# Prints `file PATH` and `key PATH` for what is not as in the set, at most ten lines.
# $1 set directory $2 node $3 root key or empty $4 its mode $5 owner $6 group $7 fingerprint
part=$1/$2
cat "$part/contents" "$part/absent" > /dev/null
{
  # First, since it decides whether the key must be opened.
  if [ -n "$3" ]; then
    found=$(stat -c '%F|%a %U %G' "$3" 2>/dev/null || true)
    found="${found#regular file|} $(sha256sum < "$3" 2>/dev/null | cut -c 1-16 || true)"
    [ "$found" = "$4 $5 $6 $7" ] || printf 'key %s\n' "$3"
  fi
  differing "$part/contents" "" | sed 's/^/file /'
  while IFS= read -r path; do
    if [ -e "$path" ] || [ -L "$path" ]; then printf 'file %s\n' "$path"; fi
  done < "$part/absent"
} | awk 'NR <= 10'
