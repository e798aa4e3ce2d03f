# Unpacks the database of set directory $1 into directory $2, which belongs to the server's owner, and verifies every
# file. As the owner, since the numbers of users differ between nodes.
unpack() {
  local archive=$1/base.tar.zst whole at unpacking look
  insist_zstd
  whole=$(stat -c %s "$archive")
  exec 6< "$archive"
  (
    set -o pipefail
    "${gently[@]}" zstd -q -d -c <&6 |
      as_owner "${gently[@]}" tar --extract --preserve-permissions --file=- --directory="$2"
  ) &
  unpacking=$!
  for ((look = 1; ; look++)); do
    kill -0 "$unpacking" 2>/dev/null || break
    sleep 0.1
    [ $((look % 10)) -eq 0 ] || continue
    at=$(sed -n 's/^pos:[[:space:]]*//p' "/proc/$$/fdinfo/6")
    echo "unpacking: $(amount "$at") of $(amount "$whole")"
  done
  exec 6<&-
  wait "$unpacking" || { echo "$archive cannot be unpacked: it is damaged, or the disk is full" >&2; exit 4; }
  echo "verifying every file"
  "${gently[@]}" "$bin/pg_verifybackup" -q "$2" || { echo "$archive does not hold what was backed up" >&2; exit 4; }
}
