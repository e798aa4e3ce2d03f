# Makes SET/NODE: the archive, the list of what is in it, and what did not exist.
# $1 set directory $2 node $3 root key or empty, then the paths to keep.
#
# Everything is made in NODE.partial. `sums` goes into its place last: a part with it is whole.
set=$1 node=$2 key=$3; shift 3
umask 077
dir=$(dirname "$set") part=$set/$node new=$set/$node.partial finished=no
mkdir -p "$set"
chmod 711 "$dir" "$set"
[ ! -e "$part/sums" ] || exit 0
rm -rf "$new"
mkdir "$new"

leave() {
  [ $finished = no ] || return 0
  left=$(free "$set")
  rm -rf "$new"
  if [ "$left" -lt 1048576 ]; then
    echo "not enough space in $dir: $(size "$left") were left, for an archive of at most $(size "${total:-0}")" >&2
  fi
}
trap leave EXIT
trap 'exit 1' HUP INT TERM
cd "$new"

# A hard link to the key is the key.
same=()
if [ -n "$key" ] && [ -f "$key" ] && [ ! -L "$key" ]; then same=(! -samefile "$key"); fi

# Prints `TYPE MODE OWNER GROUP SIZE CHANGED PATH` for everything there is. Never the root key, nor what an interrupted
# way back left beside it, nor sets themselves.
survey() {
  for path in "$@"; do
    if [ -e "$path" ] || [ -L "$path" ]; then
      # Whoever names a link means what is behind it, too.
      behind=()
      if [ -L "$path" ] && [ -e "$path" ]; then behind=("$(readlink -f "$path")"); fi
      find "$path" "${behind[@]}" ! -type s "${same[@]}" \
        \( -type f -printf '%y %m %u %g %s %C@ %p\0' -o -printf '%y %m %u %g 0 %C@ %p\0' \)
    fi
  done | tr '\n\0' '\001\n' |
    KEY=$key BESIDE=$(dirname "$key")/.rollup-new.$(basename "$key") SETS=$dir awk '
      { path = $0; for (i = 0; i < 6; i++) sub(/^[^ ]* /, "", path) }
      ENVIRON["KEY"] != "" && (path == ENVIRON["KEY"] || path == ENVIRON["BESIDE"]) { next }
      path == ENVIRON["SETS"] || index(path, ENVIRON["SETS"] "/") == 1 { next }
      { print }' | sort -t ' ' -k 7 -u
}

# The same without the time of the last change.
lasting() { cut -d ' ' -f 1-5,7- "$1" | sort; }

exec 3>&1
for round in 1 2 3 none; do
  if [ $round = none ]; then
    echo "what is to be kept changes faster than it can be archived; see above" >&2
    exit 1
  fi
  survey "$@" > list || continue
  if broken=$(grep -m 1 "$(printf '\001')" list); then
    echo "a path with a line break cannot be kept: $(cut -d ' ' -f 7- <<< "$broken" | tr '\001' '?')" >&2
    exit 1
  fi
  total=$(awk '{ n += $5 } END { printf "%.0f", n }' list)
  ABOUT=$(size "$total")
  export ABOUT
  echo "archiving $(wc -l < list) paths, about $ABOUT"
  cut -d ' ' -f 7- list | sed 's|^/||' | tr '\n' '\0' > members
  set +e
  tar --create --file=- --directory=/ --no-recursion --hard-dereference --acls --xattrs --warning=no-file-changed \
    --checkpoint=5000 --checkpoint-action=exec='echo "$((TAR_CHECKPOINT * 10 / 1024)) MiB of about $ABOUT" >&3' \
    --null --files-from=members |
    zstd -q -T0 -3 -c | tee --output-error=exit files.tar.zst | sha256sum | cut -c 1-64 > sum
  status="${PIPESTATUS[*]}"
  set -e
  # 1: a file changed while it was read, which is looked at below. 2: something was gone, or cannot be read.
  case $status in
    "0 0 0 0 0" | "1 0 0 0 0") ;;
    "2 0 0 0 0") continue ;;
    *) exit 1 ;;
  esac

  { awk '$1 == "f"' list | cut -d ' ' -f 7- | tr '\n' '\0' | xargs -0 -r sha256sum --zero || true; } |
    tr '\0' '\n' | sed 's/^\([0-9a-f]*\)  /\1 /' > hashes
  awk '$1 == "l"' list | cut -d ' ' -f 7- | while IFS= read -r path; do
    printf '%s %s\n' "$(readlink -n -- "$path" | sha256sum | cut -c 1-64)" "$path"
  done >> hashes

  # What changed meanwhile is listed as it is in the archive, since that is what comes back.
  survey "$@" > later || continue
  comm -23 <(sort list) <(sort later) > changed
  if [ -n "$(comm -23 <(awk '$1 != "f"' changed > other; lasting other) <(lasting later))" ]; then continue; fi
  : > archived
  if awk '$1 == "f"' changed | grep -q .; then
    awk '$1 == "f"' changed | cut -d ' ' -f 7- | sed 's|^/||' | tr '\n' '\0' > members
    zstd -q -d -c files.tar.zst | tar --extract --file=- --null --files-from=members --to-command='
      sum=$(sha256sum | cut -c 1-64)
      printf "f %o %s %s %s %s /%s\n" $((TAR_MODE & 07777)) "${TAR_UNAME:-$TAR_UID}" "${TAR_GNAME:-$TAR_GID}" \
        "$TAR_SIZE" "$sum" "${TAR_FILENAME#/}"' > archived || continue
  fi
  break
done

awk '
  FILENAME == "hashes" { path = substr($0, 66); hash[path] = $1; next }
  { path = $0; for (i = 0; i < 6; i++) sub(/^[^ ]* /, "", path) }
  FILENAME == "archived" { line[path] = $0; next }
  path in line { print line[path]; next }
  $1 != "f" && $1 != "l" { print $1, $2, $3, $4, $5, "-", path; next }
  !(path in hash) { print path " cannot be read" > "/dev/stderr"; exit 1 }
  { print $1, $2, $3, $4, $5, hash[path], path }
' hashes archived list > contents
for path in "$@"; do
  if [ "$path" != "$key" ] && [ ! -e "$path" ] && [ ! -L "$path" ]; then printf '%s\n' "$path"; fi
done | sort -u > absent

{
  echo "$(cat sum) $(stat -c %s files.tar.zst) files.tar.zst"
  for name in contents absent; do echo "$(sha256sum < $name | cut -c 1-64) $(stat -c %s $name) $name"; done
} > sums
sync files.tar.zst contents absent sums
mkdir -p "$part"
for name in files.tar.zst contents absent; do mv -fT $name "$part/$name"; done
sync "$part"
mv -fT sums "$part/sums"
sync "$part" "$set"
finished=yes
cd /
rm -rf "$new"
