# Reads every part back: size, checksum, and each archive to its end in the same pass; the members of an archive are
# counted against the list beside it. $1 set directory $2 run, then NAME SIZE SHA256 for each part.
#
# What is wrong is left in SET/damaged: `RUN CHANGED NAME WHY`, with the time of the file's last change, so that a file
# that was mended since is not blamed; `-` for one that is missing.
set=$1 run=$2; shift 2
umask 077
cd "$set"
rm -f damaged damaged.partial
scratch=$(mktemp -d)

total=0 expected=("$@")
for ((i = 1; i < ${#expected[@]}; i += 3)); do total=$((total + expected[i])); done
about=$(size "$total")

# Tells now and then how far the file that is being read has come. It begins before there is a trap that it could run.
while sleep 2 3>&-; do
  [ -d "$scratch" ] || break
  at=$(awk '$1 == "pos:" { print $2 }' "/proc/$(cat "$scratch/reader")/fdinfo/0") || continue
  echo "$(size "$(($(cat "$scratch/before") + at))") of about $about" >&3
done 3>&1 >/dev/null 2>&1 </dev/null &
watching=$!
trap 'rm -rf "$scratch" "$set/damaged.partial"; kill "$watching" 2>/dev/null || true' EXIT
trap 'exit 1' HUP INT TERM

blame() { echo "$run $(stat -c %.9Z "$1" 2>/dev/null || echo -) $1 $2" >> damaged.partial; echo "$1: $2"; }

# Unpacks an archive to its end, and counts its members where there is a list to hold them against.
unpacked() {
  if [ -f "$list" ]; then
    zstd -q -d -c | tar --list --file=- | wc -l > "$scratch/members"
    echo "${PIPESTATUS[0]} ${PIPESTATUS[1]}"
  else
    zstd -q -t
    echo "$? 0"
  fi > "$scratch/status"
}

read=0
: > damaged.partial
while [ $# -gt 0 ]; do
  name=$1 bytes=$2 sha=$3; shift 3
  if [ ! -f "$name" ]; then blame "$name" "is missing"; continue; fi
  found=$(stat -c %s "$name")
  if [ "$found" != "$bytes" ]; then blame "$name" "has $found bytes, expected $bytes"; continue; fi
  echo "$read" > "$scratch/before"
  list=$(dirname "$name")/contents
  case $name in
    *.tar.zst)
      # The checksum gets what is read through descriptor 4, the archive through the pipe.
      set +e
      found=$({ { sh -c 'echo $$ > "$1"; exec tee -p /dev/fd/4' tee "$scratch/reader" < "$name" | unpacked
        } 2> "$scratch/said"; } 4>&1 |
        sha256sum | cut -c 1-64)
      set -e
      ;;
    *)
      : > "$scratch/status"
      found=$(sh -c 'echo $$ > "$1"; exec sha256sum' sum "$scratch/reader" < "$name" | cut -c 1-64) || found=unreadable
      ;;
  esac
  read=$((read + bytes))
  if [ "$found" != "$sha" ]; then blame "$name" "has another checksum"
  elif [ -s "$scratch/status" ] && [ "$(cat "$scratch/status")" != "0 0" ]; then
    blame "$name" "cannot be unpacked: $(tail -n 1 "$scratch/said")"
  elif [ -s "$scratch/status" ] && [ -f "$list" ] && [ "$(cat "$scratch/members")" != "$(wc -l < "$list")" ]; then
    blame "$name" "has $(cat "$scratch/members") members, expected $(wc -l < "$list")"
  fi
  echo "$(size "$read") of about $about"
done
if [ -s damaged.partial ]; then
  sync damaged.partial
  mv -fT damaged.partial damaged
fi
sync "$set"
